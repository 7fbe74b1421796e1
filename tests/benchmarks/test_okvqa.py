"""OK-VQA: told apart from VQA v1, whose files have the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.okvqa import OkVqa
from lavit_eval.errors import UsageError
from tests.benchmarks.image_layouts import okvqa_annotations, write_okvqa
from tests.benchmarks.layouts import touch


def test_questions_answers_and_images(tmp_path: Path) -> None:
    write_okvqa(tmp_path / "okvqa", okvqa_annotations()[::-1])
    found = OkVqa().read(tmp_path, "val")
    first = found.samples[0]
    assert [sample.id for sample in found.samples] == ["9000115", "9000125"]
    assert first.question == "Which country first grew this fruit?"
    assert first.references == tuple(text for text in ("running shoe", "shoe", "boot", "sandal", "shoe") for _ in "xx")
    assert first.categories == {"question_type": "four"}
    assert Path(first.media[0].path) == tmp_path / "okvqa" / "val2014" / "COCO_val2014_000000900011.jpg"


def test_images_may_lie_with_coco(tmp_path: Path) -> None:
    write_okvqa(tmp_path / "okvqa")
    touch(tmp_path / "coco" / "val2014", ["COCO_val2014_000000900011.jpg"])
    first = OkVqa().read(tmp_path, "val").samples[0]
    assert Path(first.media[0].path).parent == tmp_path / "coco" / "val2014"


def test_the_file_of_vqa_v1_is_refused(tmp_path: Path) -> None:
    annotations = okvqa_annotations()
    for annotation in annotations:
        for answer in annotation["answers"]:
            del answer["raw_answer"]
    write_okvqa(tmp_path / "okvqa", annotations)
    with pytest.raises(UsageError, match=r'entry 1 .*answers without "raw_answer", as VQA v1'):
        OkVqa().read(tmp_path, "val")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": []}, "has 0 answers, not 10"),
        ({"answers": ["shoe"] * 10}, 'an answer without a text "answer"'),
        ({"answers": [{"answer": 1}] * 10}, 'an answer without a text "answer"'),
        ({"image_id": 900011}, "names another image"),
        ({"question_id": 9000115}, "has the question_id of entry 1"),
        ({"question_id": 7}, "lacks 1 of the 2 entries"),
    ],
)
def test_a_bad_annotation_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    first, second = okvqa_annotations()
    write_okvqa(tmp_path / "okvqa", [first, {**second, **change}])
    with pytest.raises(UsageError, match=said):
        OkVqa().read(tmp_path, "val")
