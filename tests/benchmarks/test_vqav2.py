"""VQA v2: questions and annotations are one set, and every question has ten answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.vqav2 import Vqav2
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import VQA_QUESTIONS, touch, vqa_annotations, write_vqav2, write_vqav2_testdev


def test_val(tmp_path: Path) -> None:
    write_vqav2(tmp_path / "vqav2")
    found = Vqav2().read(tmp_path, "val")
    assert [sample.id for sample in found.samples] == ["900001000", "900001001", "900002000"]
    first = found.samples[0]
    assert first.question == "What colour is the kite?"
    assert first.references == ("red",) * 9 + ("dark red",)
    assert first.categories == {"answer_type": "other", "question_type": "what color is the"}
    assert first.cluster == "val2014/COCO_val2014_000000900001.jpg"
    assert Path(first.media[0].path) == tmp_path / "vqav2" / "val2014" / "COCO_val2014_000000900001.jpg"
    assert found.samples[1].cluster == first.cluster
    assert sorted(found.annotations) == ["annotations", "questions"]


def test_annotations_are_joined_by_id_not_by_position(tmp_path: Path) -> None:
    write_vqav2(tmp_path / "vqav2", annotations=vqa_annotations()[::-1])
    references = [sample.references[0] for sample in Vqav2().read(tmp_path, "val").samples]
    assert references == ["red", "yes", "2"]


def test_testdev_has_questions_only(tmp_path: Path) -> None:
    write_vqav2_testdev(tmp_path / "vqav2")
    found = Vqav2().read(tmp_path, "testdev")
    assert [sample.references for sample in found.samples] == [(), (), ()]
    assert found.samples[0].media[0].name == "test2015/COCO_test2015_000000900001.jpg"
    assert sorted(found.annotations) == ["questions"]


@pytest.mark.parametrize("folder", ["vqav2", "coco", "coco/images", ""])
def test_images_may_lie_with_coco(tmp_path: Path, folder: str) -> None:
    write_vqav2(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").glob("*.json"):
        path.rename(tmp_path / path.name)
    touch(tmp_path / folder / "val2014", ["COCO_val2014_000000900002.jpg"])
    samples = Vqav2().read(tmp_path, "val").samples
    assert Path(samples[2].media[0].path) == tmp_path / folder / "val2014" / "COCO_val2014_000000900002.jpg"
    absent = Path(samples[0].media[0].path)
    assert not absent.exists()
    assert absent == tmp_path / folder / "val2014" / "COCO_val2014_000000900001.jpg"


def test_a_question_without_annotation_is_refused(tmp_path: Path) -> None:
    write_vqav2(tmp_path / "vqav2", annotations=vqa_annotations()[:2])
    with pytest.raises(UsageError, match=r"annotations\.json lacks 1 of the 3 entries .*question_id 900002000"):
        Vqav2().read(tmp_path, "val")


def test_an_annotation_without_question_is_refused(tmp_path: Path) -> None:
    write_vqav2(tmp_path / "vqav2", questions=VQA_QUESTIONS[:2], annotations=vqa_annotations())
    with pytest.raises(UsageError, match=r"questions\.json lacks 1 of the 3 entries"):
        Vqav2().read(tmp_path, "val")


def test_a_question_id_may_come_once(tmp_path: Path) -> None:
    write_vqav2(tmp_path / "vqav2", questions=[*VQA_QUESTIONS, VQA_QUESTIONS[0]])
    with pytest.raises(UsageError, match=r"entry 4 \(question_id 900001000\) has the question_id of entry 1"):
        Vqav2().read(tmp_path, "val")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": []}, "has 0 answers"),
        ({"answers": [{"answer": "a", "answer_id": n} for n in range(9)]}, "has 9 answers with 9 different answer_ids"),
        ({"answers": [{"answer": "a", "answer_id": 1}] * 10}, "has 10 answers with 1 different answer_ids"),
        ({"answers": [{"answer": 1, "answer_id": n} for n in range(10)]}, "has an answer that is not text"),
        ({"answers": ["red"] * 10}, 'without "answer" or "answer_id"'),
        ({"answers": [{"answer": "a"}] * 10}, 'without "answer" or "answer_id"'),
        ({"answers": "red"}, 'has text as "answers", not a list'),
        ({"image_id": 900002}, "names another image"),
        ({"answer_type": None}, 'has null as "answer_type"'),
    ],
)
def test_a_bad_annotation_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    annotations = vqa_annotations()
    annotations[1].update(change)
    write_vqav2(tmp_path / "vqav2", annotations=annotations)
    with pytest.raises(UsageError) as error:
        Vqav2().read(tmp_path, "val")
    assert "v2_mscoco_val2014_annotations.json, entry 2 (question_id 900001001)" in str(error.value)
    assert said in str(error.value)


def test_missing_files_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"visualqa\.org.*CC-BY-4\.0"):
        Vqav2().read(tmp_path, "val")
    with pytest.raises(UsageError, match="no split 'train'"):
        Vqav2().read(tmp_path, "train")
