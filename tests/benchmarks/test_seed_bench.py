"""SEED-Bench: images without extension, LLaVA's middle frames for videos, parts that agree with their types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.seed_bench import SeedBench
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import SEED_ROWS, write_seed_bench


def test_images_and_frames(tmp_path: Path) -> None:
    write_seed_bench(tmp_path / "seed_bench")
    image, video = SeedBench().read(tmp_path, "all").samples
    assert image.question == "How many ducks are there?\nA. One\nB. Two\nC. Three\nD. Four"
    assert (image.id, image.references) == ("900001", ("C",))
    assert image.extra == {"choices": ["One", "Two", "Three", "Four"], "reading": "exact"}
    assert image.categories == {"question_type": "Instances Counting", "part": "image"}
    assert Path(image.media[0].path) == tmp_path / "seed_bench" / "SEED-Bench-image" / "900001_12345"
    assert video.categories == {"question_type": "Action Prediction", "part": "video"}
    assert video.media[0].kind == "image"
    assert Path(video.media[0].path) == tmp_path / "seed_bench" / "SEED-Bench-video-image" / "11_v900.png"
    assert Path(image.media[0].path).is_file() and Path(video.media[0].path).is_file()


def test_parts(tmp_path: Path) -> None:
    write_seed_bench(tmp_path)
    assert [sample.id for sample in SeedBench().read(tmp_path, "image").samples] == ["900001"]
    assert [sample.id for sample in SeedBench().read(tmp_path, "video").samples] == ["v900"]


def test_an_image_may_have_got_an_extension(tmp_path: Path) -> None:
    write_seed_bench(tmp_path)
    path = tmp_path / "SEED-Bench-image" / "900001_12345"
    path.rename(path.with_suffix(".jpg"))
    (sample,) = SeedBench().read(tmp_path, "image").samples
    assert Path(sample.media[0].path) == path.with_suffix(".jpg")
    assert sample.media[0].name == "SEED-Bench-image/900001_12345"


def test_absent_images_are_named_all_the_same(tmp_path: Path) -> None:
    write_seed_bench(tmp_path / "SEED-Bench")
    (tmp_path / "SEED-Bench" / "SEED-Bench-image" / "900001_12345").unlink()
    (sample,) = SeedBench().read(tmp_path, "image").samples
    assert Path(sample.media[0].path) == tmp_path / "SEED-Bench" / "SEED-Bench-image" / "900001_12345"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question_type_id": 13}, "has the unknown question_type_id 13"),
        ({"question_type_id": 2}, "has the unknown question_type_id 2"),
        ({"question_type_id": 10}, 'has the data_type "image", but a type of the video part'),
        ({"answer": "E"}, "has the answer 'E'"),
        ({"answer": "c"}, "has the answer 'c'"),
        ({"data_id": "../x"}, "outside the data folder"),
        ({"choice_d": None}, 'has null as "choice_d"'),
    ],
)
def test_a_bad_question_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_seed_bench(tmp_path, [{**SEED_ROWS[0], **change}, SEED_ROWS[1]])
    with pytest.raises(UsageError, match=r"SEED-Bench\.json, entry 1 .*" + said):
        SeedBench().read(tmp_path, "image")


def test_types_must_be_named(tmp_path: Path) -> None:
    write_seed_bench(tmp_path, types=["Scene Understanding"])
    with pytest.raises(UsageError, match='an object "question_type" of names and numbers'):
        SeedBench().read(tmp_path, "all")
