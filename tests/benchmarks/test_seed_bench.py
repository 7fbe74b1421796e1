"""SEED-Bench: images without extension, LLaVA's middle frames for videos, parts that agree with their types."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.seed_bench import SeedBench
from lavit_eval.errors import UsageError
from lavit_eval.sample import Segment
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


def films(root: Path, *changes: dict[str, Any]) -> list[Any]:
    """Return the media of the video question, changed in one way after the other, as segments."""
    rows = [{**SEED_ROWS[1], "question_id": f"v{number}", **change} for number, change in enumerate(changes)]
    write_seed_bench(root, rows, {"Action Recognition": 10, "Action Prediction": 11, "Procedure Understanding": 12})
    return [sample.media[0] for sample in SeedBench().read(root, "video", videos="segment").samples]


def test_segments_are_seconds_in_one_type_and_frames_in_another(tmp_path: Path) -> None:
    whole, seconds, frames = films(
        tmp_path,
        {"question_type_id": 10, "data_id": "94.webm", "segment": None},
        {"question_type_id": 11, "data_id": "P99/P99_01.MP4", "segment": [12.0, 20.5]},
        {"question_type_id": 12, "data_id": "P9/cam01/P9_tea.avi", "segment": [18, 166]},
    )
    assert (whole.kind, whole.segment, whole.name) == ("video", None, "SSV2/videos/94.webm")
    assert seconds.segment == Segment.seconds(12, 20.5)
    assert seconds.name.endswith("videos/test/P99/P99_01.MP4")
    assert frames.segment == Segment.frames(18, 166, 15)
    assert float(frames.segment.start) == 1.2, "frame 18 at 15 a second, not second 18"
    assert Path(frames.path) == tmp_path / "BreakfastII_15fps_qvga_sync" / "P9/cam01/P9_tea.avi"


def test_videos_are_found_beside_the_questions_or_at_the_root(tmp_path: Path) -> None:
    (tmp_path / "EPIC-KITCHENS" / "videos" / "test").mkdir(parents=True)
    rows = [SEED_ROWS[1]]
    write_seed_bench(tmp_path / "seed_bench", rows)
    (sample,) = SeedBench().read(tmp_path, "video", videos="segment").samples
    assert Path(sample.media[0].path) == tmp_path / "EPIC-KITCHENS" / "videos" / "test" / "P99/P99_01.MP4"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"segment": None}, 'has no two seconds as "segment"'),
        ({"segment": [1.0]}, 'has no two seconds as "segment"'),
        ({"segment": ["1", "2"]}, 'has no two seconds as "segment"'),
        ({"segment": [1.0, math.inf]}, r"has the segment \[1\.0, inf\]"),
        ({"segment": [9.0, 4.0]}, r"has the segment \[9\.0, 4\.0\], which does not end after its start"),
        ({"question_type_id": 12, "segment": [1.5, 2.5]}, 'has no two frame numbers as "segment"'),
        ({"data_id": "../P99.MP4"}, "names a video outside the data folder"),
    ],
    ids=str,
)
def test_a_bad_segment_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=r"SEED-Bench\.json, entry 1 .*" + said):
        films(tmp_path, {"question_type_id": 11, **change})


def test_only_two_ways_to_show_videos_are_known(tmp_path: Path) -> None:
    write_seed_bench(tmp_path)
    with pytest.raises(UsageError, match="the option videos of seed_bench is frame or segment, not 'film'"):
        SeedBench().read(tmp_path, "video", videos="film")


def test_the_question_is_known_without_its_options(tmp_path: Path) -> None:
    write_seed_bench(tmp_path)
    assert SeedBench().read(tmp_path, "image").samples[0].stem == "How many ducks are there?"
