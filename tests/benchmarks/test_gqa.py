"""GQA: Stanford's object by question id, or LAVIS's list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.gqa import Gqa
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import GQA_QUESTIONS, write_gqa, write_gqa_list
from tests.benchmarks.layouts import write_json

SPLIT = "testdev_balanced"


def test_stanfords_file(tmp_path: Path) -> None:
    write_gqa(tmp_path / "gqa")
    found = Gqa().read(tmp_path, SPLIT)
    first, second = found.samples
    assert (first.id, first.question, first.references) == ("90000001", "Is the mug left of the lamp?", ("no",))
    assert first.categories == {"answer_type": "binary", "structural": "verify", "semantic": "rel"}
    assert second.categories["answer_type"] == "open"
    assert Path(first.media[0].path) == tmp_path / "gqa" / "images" / "n900001.jpg"
    assert first.media[0].name == "images/n900001.jpg"


def test_both_forms_give_the_same_questions(tmp_path: Path) -> None:
    write_gqa(tmp_path / "one" / "gqa")
    write_gqa_list(tmp_path / "two" / "gqa")
    official, lavis = (Gqa().read(tmp_path / name, SPLIT).samples for name in ("one", "two"))
    assert [(one.id, one.question, one.references, one.cluster) for one in official] == [
        (one.id, one.question, one.references, one.cluster) for one in lavis
    ]
    assert lavis[0].categories == {}


@pytest.mark.parametrize("folder", ["", "GQA", "gqa/annotations", "gqa/questions1.2"])
def test_images_may_lie_beside_or_in_the_usual_folder(tmp_path: Path, folder: str) -> None:
    write_gqa(tmp_path / folder)
    assert all(Path(sample.media[0].path).is_file() for sample in Gqa().read(tmp_path, SPLIT).samples)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"imageId": "../x"}, "outside the images' folder"),
        ({"imageId": 900002}, 'has a whole number as "imageId"'),
        ({"answer": None}, 'has null as "answer"'),
    ],
)
def test_a_bad_question_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_gqa(tmp_path / "gqa", {**GQA_QUESTIONS, "90000002": {**GQA_QUESTIONS["90000002"], **change}})
    with pytest.raises(UsageError, match=r"entry 2 \(question_id 90000002\) .*" + said):
        Gqa().read(tmp_path, SPLIT)


@pytest.mark.parametrize("content", [{}, [], "text", [1], {"1": 2}])
def test_other_files_are_refused(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "testdev_balanced_questions.json", content)
    with pytest.raises(UsageError, match=r"testdev_balanced_questions\.json"):
        Gqa().read(tmp_path, SPLIT)


def test_no_other_split(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="GQA has no split 'test'"):
        Gqa().read(tmp_path, "test")
