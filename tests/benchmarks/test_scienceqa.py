"""ScienceQA: only problems with an image, the order of the split file, LLaVA's wording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.scienceqa import ScienceqaImg
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import SCIENCE, write_scienceqa
from tests.benchmarks.layouts import write_json


def test_problems_without_image_are_no_part_of_it(tmp_path: Path) -> None:
    write_scienceqa(tmp_path / "scienceqa")
    found = ScienceqaImg().read(tmp_path, "test")
    assert [sample.id for sample in found.samples] == ["9002", "9001"]
    first, second = found.samples
    assert first.question == (
        "Context: Look at the map.\nQuestion: What is the capital shown?\nOptions: (A) Ardon (B) Belle (C) Corin"
    )
    assert second.question == "Context: N/A\nQuestion: Which is a liquid?\nOptions: (A) stone (B) milk"
    assert (first.references, second.references) == (("A",), ("B",))
    assert second.extra == {"choices": ["stone", "milk"], "reading": "scienceqa"}
    assert second.categories == {"subject": "natural science", "grade": "grade2"}
    assert Path(second.media[0].path) == tmp_path / "scienceqa" / "images" / "test" / "9001" / "image.png"
    assert Path(second.media[0].path).is_file()
    assert second.media[0].name == "test/9001/image.png"


@pytest.mark.parametrize("folder", ["", "ScienceQA/data/scienceqa", "data/scienceqa"])
def test_where_the_files_may_lie(tmp_path: Path, folder: str) -> None:
    write_scienceqa(tmp_path / folder)
    assert all(Path(sample.media[0].path).is_file() for sample in ScienceqaImg().read(tmp_path, "test").samples)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer": 2}, "has the answer 2, but 2 choices"),
        ({"answer": -1}, "has the answer -1"),
        ({"choices": []}, 'has no list of texts as "choices"'),
        ({"choices": ["a", 2]}, 'has no list of texts as "choices"'),
        ({"image": "../../x.png"}, "outside the data folder"),
        ({"image": 3}, 'has no file name or null as "image"'),
        ({"hint": None}, 'has null as "hint"'),
    ],
)
def test_a_bad_problem_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_scienceqa(tmp_path / "scienceqa", {**SCIENCE, "9001": {**SCIENCE["9001"], **change}})
    with pytest.raises(UsageError, match=r"problems\.json, entry 1.* " + said):
        ScienceqaImg().read(tmp_path, "test")


def test_the_split_file_must_fit(tmp_path: Path) -> None:
    write_scienceqa(tmp_path / "scienceqa")
    splits = tmp_path / "scienceqa" / "pid_splits.json"
    write_json(splits, {"test": ["9001", "7"]})
    with pytest.raises(UsageError, match=r"problems\.json lacks the problem 7 of .*pid_splits\.json"):
        ScienceqaImg().read(tmp_path, "test")
    write_json(splits, {"test": ["9001", "9001"]})
    with pytest.raises(UsageError, match="names the problem 9001 twice in test"):
        ScienceqaImg().read(tmp_path, "test")
    write_json(splits, {"train": []})
    with pytest.raises(UsageError, match='a list of problem ids "test"'):
        ScienceqaImg().read(tmp_path, "test")


def test_a_list_of_problems_is_refused(tmp_path: Path) -> None:
    write_scienceqa(tmp_path)
    write_json(tmp_path / "problems.json", [SCIENCE["9001"]])
    with pytest.raises(UsageError, match="must be a JSON object of problems"):
        ScienceqaImg().read(tmp_path, "test")
