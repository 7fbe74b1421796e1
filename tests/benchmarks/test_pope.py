"""POPE: JSON lines in .json, three files that each count from 1, and the order of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.pope import Pope
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import POPE_ROWS, write_pope
from tests.benchmarks.layouts import touch


def test_three_files_of_lines(tmp_path: Path) -> None:
    write_pope(tmp_path / "pope")
    found = Pope().read(tmp_path, "test")
    assert [sample.id for sample in found.samples] == [
        *("random/1", "random/2", "popular/1", "popular/2", "adversarial/1", "adversarial/2")
    ]
    first = found.samples[0]
    assert (first.question, first.references) == ("Is there a sofa in the image?", ("yes",))
    assert first.categories == {"category": "random"}
    assert first.cluster == found.samples[2].cluster == "val2014/COCO_val2014_000000900001.jpg"
    assert Path(first.media[0].path) == tmp_path / "pope" / "val2014" / "COCO_val2014_000000900001.jpg"
    assert sorted(found.annotations) == ["adversarial", "popular", "random"]


@pytest.mark.parametrize("folder", ["", "POPE/output/coco", "pope/coco"])
def test_where_the_files_may_lie(tmp_path: Path, folder: str) -> None:
    write_pope(tmp_path / folder)
    touch(tmp_path / "coco" / "val2014", [POPE_ROWS[0]["image"]])
    samples = Pope().read(tmp_path, "test").samples
    assert len(samples) == 6
    assert Path(samples[0].media[0].path).parent == tmp_path / "coco" / "val2014"


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    write_pope(tmp_path / "pope")
    (tmp_path / "pope" / "coco_pope_popular.json").unlink()
    with pytest.raises(UsageError, match=r"no annotations of POPE .*pope/coco_pope_popular\.json"):
        Pope().read(tmp_path, "test")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "Yes"}, "has 'Yes' as \"label\", not yes or no"),
        ({"image": "../secret.jpg"}, "outside the data folder"),
        ({"question_id": 1}, "has the question_id of entry 1"),
        ({"text": None}, 'has null as "text"'),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_pope(tmp_path / "pope", [POPE_ROWS[0], {**POPE_ROWS[1], **change}])
    with pytest.raises(UsageError, match=r"coco_pope_random\.json, entry 2 .*" + said):
        Pope().read(tmp_path, "test")
