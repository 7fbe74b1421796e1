"""VizWiz: a list without question ids, ten answers in val, none in test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.vizwiz import VizwizVqa
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import vizwiz_rows, write_vizwiz


def test_val(tmp_path: Path) -> None:
    write_vizwiz(tmp_path / "vizwiz")
    first, second = VizwizVqa().read(tmp_path, "val").samples
    assert first.id == "VizWiz_val_00009001.jpg"
    assert first.references == ("tomato",) * 6 + ("unanswerable",) * 4
    assert first.categories == {"answer_type": "other", "answerable": "yes"}
    assert second.categories["answerable"] == "no"
    assert Path(first.media[0].path) == tmp_path / "vizwiz" / "val" / "VizWiz_val_00009001.jpg"
    assert first.media[0].name == "val/VizWiz_val_00009001.jpg"


def test_test_has_questions_only(tmp_path: Path) -> None:
    rows = [{"image": "VizWiz_test_00009001.jpg", "question": "What is this?"}]
    write_vizwiz(tmp_path / "VizWiz" / "Annotations", rows, split="test")
    (sample,) = VizwizVqa().read(tmp_path, "test").samples
    assert (sample.references, sample.categories) == ((), {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": [{"answer": "a"}] * 9}, "has 9 answers, not 10"),
        ({"answers": [{"answer": None}] * 10}, 'an answer without a text "answer"'),
        ({"image": "VizWiz_val_00009001.jpg"}, "has the image of entry 1"),
        ({"image": "../a.jpg"}, "outside the data folder"),
        ({"answerable": True}, 'has true or false as "answerable"'),
    ],
)
def test_a_bad_entry_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    first, second = vizwiz_rows()
    write_vizwiz(tmp_path / "vizwiz", [first, {**second, **change}])
    with pytest.raises(UsageError, match=r"val\.json, entry 2 .*" + said):
        VizwizVqa().read(tmp_path, "val")


def test_two_stages_ask_first_whether_there_is_an_answer(tmp_path: Path) -> None:
    write_vizwiz(tmp_path / "vizwiz")
    one = VizwizVqa().read(tmp_path, "val").samples
    two = VizwizVqa().read(tmp_path, "val", stages="two").samples
    assert len(two) == 2 * len(one)
    first, second = two[:2]
    assert first.id == f"{one[0].id}#answerable"
    assert first.question == f'Is the question: "{one[0].question}" answerable?'
    assert (second.id, second.question, second.references) == (one[0].id, one[0].question, one[0].references)
    assert first.extra["image"] == second.extra["image"] == one[0].id
    with pytest.raises(UsageError, match="stages of vizwiz_vqa is one or two"):
        VizwizVqa().read(tmp_path, "val", stages="three")
