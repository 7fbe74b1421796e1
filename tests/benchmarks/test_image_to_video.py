"""VBench-I2V's layout: prompts on pictures, one crop chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.benchmarks.image_to_video import ImageToVideo
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import I2V_ROWS as ROWS
from tests.benchmarks.layouts import write_image_to_video, write_json


def test_each_prompt_is_a_sample_on_its_picture(tmp_path: Path) -> None:
    root = tmp_path / "vbench2_beta_i2v"
    write_image_to_video(root)
    samples = ImageToVideo().read(tmp_path, "test", ratio="1-1").samples
    assert [sample.id for sample in samples] == ["a goat on a hill", "a goat, camera pans left"]
    assert {sample.media[0].path for sample in samples} == {str(root / "data" / "crop" / "1-1" / "a goat.jpg")}
    assert samples[0].media[0].kind == "image"
    assert samples[0].cluster == samples[1].cluster
    assert ImageToVideo().read(tmp_path, "test").samples[0].media[0].name == "crop/16-9/a goat.jpg"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROWS[0], ROWS[0]], "a goat on a hill"),
        ([{**ROWS[0], "image_name": "../x.jpg"}], "outside the suite's folder"),
        ([{"prompt_en": "x"}], "image_name"),
    ],
)
def test_bad_entries_are_named(tmp_path: Path, rows: list[dict[str, object]], said: str) -> None:
    write_json(tmp_path / "vbench2_i2v_full_info.json", rows)
    with pytest.raises(UsageError, match=said):
        ImageToVideo().read(tmp_path, "test")


def test_an_unknown_ratio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one of 16-9, 1-1, 7-4, 8-5"):
        ImageToVideo().read(tmp_path, "test", ratio="4-3")
