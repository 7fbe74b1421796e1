"""VBench's lists: samples are named as its files, a prompt that stands twice is made once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.image_to_video import VbenchI2v
from lavit_eval.benchmarks.vbench import Vbench
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import I2V_ROWS, VBENCH_ROWS, write_image_to_video, write_vbench

PROMPT = "The quay, oil painting"


def test_a_prompt_that_stands_twice_is_made_once_and_has_all_its_dimensions(tmp_path: Path) -> None:
    write_vbench(tmp_path / "VBench")
    samples = Vbench().read(tmp_path, "test").samples
    ids = [sample.id for sample in samples]
    assert len(set(ids)) == len(ids)
    twice = [sample for sample in samples if sample.question == PROMPT]
    assert [sample.id for sample in twice] == [f"{PROMPT}-{number}" for number in range(5)]
    assert twice[0].extra["dimensions"] == ["appearance_style", "overall_consistency"]
    assert {sample.cluster for sample in twice} == {f"prompt {PROMPT}"}


def test_temporal_flickering_takes_more_videos(tmp_path: Path) -> None:
    write_vbench(tmp_path / "VBench")
    counts = Counter(sample.question for sample in Vbench().read(tmp_path, "test").samples)
    assert set(counts.values()) == {5, 25}
    assert counts["In a still frame, a stop sign"] == 25
    fewer = Counter(sample.question for sample in Vbench().read(tmp_path, "test", videos=1, flickering=2).samples)
    assert sorted(fewer.values()) == [1, 1, 1, 2]


def test_the_official_sizes_are_the_tasks() -> None:
    from lavit_eval.registry import Catalogue

    catalogue = Catalogue()
    # 944 prompts, 75 of which are about flickering; 1,118 prompts on pictures.
    assert catalogue.task("vbench").samples == (944 - 75) * 5 + 75 * 25
    assert catalogue.task("vbench_i2v").samples == 1118 * 5


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt_en": "and/or", "dimension": ["color"]}, r"entry 1 \(prompt_en and/or\) holds '/', which no file"),
        # With "-24.mp4" behind it, one byte too long; a letter of two bytes counts twice.
        ({"prompt_en": "é" + "x" * 247, "dimension": ["color"]}, "makes a file name of 256 bytes, more than 255"),
        ({"prompt_en": "x", "dimension": ["colour"]}, "has the dimension 'colour', which VBench does not have"),
        ({"prompt_en": "x", "dimension": []}, "has no dimension"),
    ],
)
def test_what_vbench_could_not_score_is_refused(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    write_vbench(tmp_path / "VBench", [row, *VBENCH_ROWS])
    with pytest.raises(UsageError, match=said):
        Vbench().read(tmp_path, "test")


def test_the_longest_name_is_taken(tmp_path: Path) -> None:
    write_vbench(tmp_path / "VBench", [{"prompt_en": "é" + "x" * 246, "dimension": ["color"]}])
    assert len(Vbench().read(tmp_path, "test").samples) == 5


def test_bad_options_are_named(tmp_path: Path) -> None:
    write_vbench(tmp_path / "VBench")
    with pytest.raises(UsageError, match="option flickering is a whole number from 1, not 0"):
        Vbench().read(tmp_path, "test", flickering=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no annotations of VBench.*VBench/vbench/VBench_full_info\.json"):
        Vbench().read(tmp_path / "empty", "test")


def test_pictures_have_five_videos_each_in_the_chosen_crop(tmp_path: Path) -> None:
    write_image_to_video(tmp_path / "vbench2_beta_i2v")
    samples = VbenchI2v().read(tmp_path, "test").samples
    assert [sample.id for sample in samples] == [
        f"{row['prompt_en']}-{number}" for row in I2V_ROWS for number in range(5)
    ]
    assert {sample.question for sample in samples} == {row["prompt_en"] for row in I2V_ROWS}
    assert {sample.media[0].name for sample in samples} == {"crop/7-4/a goat.jpg"}
    assert Path(samples[0].media[0].path).is_file()
    other = VbenchI2v().read(tmp_path, "test", ratio="1-1", videos=1).samples
    assert [sample.id for sample in other] == [f"{row['prompt_en']}-0" for row in I2V_ROWS]
    write_image_to_video(tmp_path / "vbench2_beta_i2v", [{**I2V_ROWS[0], "prompt_en": "a/b"}])
    with pytest.raises(UsageError, match="holds '/'"):
        VbenchI2v().read(tmp_path, "test")
