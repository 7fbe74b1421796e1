"""OK-VQA: questions on COCO images that need outside knowledge; its files have the names of VQA v1's."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import Record, fault, read_records, same_ids
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.human_answers import ten_answers
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.benchmarks.vqav2 import IMAGE_FOLDERS, Images
from lavit_eval.sample import Sample

SOURCE = Source(
    "OK-VQA", "https://okvqa.allenai.org/download.html", "CC-BY-4.0; images under the COCO and Flickr terms"
)
FOLDERS = ("okvqa", "OK-VQA", "OKVQA", "okvqa/annotations", "coco/annotations", "annotations", "")
QUESTIONS, ANNOTATIONS = "OpenEnded_mscoco_val2014_questions.json", "mscoco_val2014_annotations.json"
QUESTION_FIELDS = {"question_id": int, "image_id": int, "question": str}
ANNOTATION_FIELDS = {"question_id": int, "image_id": int, "question_type": str, "answers": list}


class OkVqa:
    """OK-VQA, split `val`: 5,046 questions (the paper's test set) on 5,033 images of COCO's val2014.

    Sample ids are the question ids; references are the ten stemmed answers, five people's counted twice; the category
    is `question_type`, a name of the file's own.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the split under the data root (see `Benchmark.read`)."""
        known_split(split, ("val",), SOURCE)
        questions_path = first_file(root, spread(FOLDERS, QUESTIONS), SOURCE)
        folder = questions_path.parent.relative_to(root).as_posix()
        path = first_file(root, [f"{folder}/{ANNOTATIONS}", *spread(FOLDERS, ANNOTATIONS)], SOURCE)
        questions = read_records(questions_path, QUESTION_FIELDS, key="question_id", under="questions")
        answers = read_answers(path)
        same_ids(questions_path, (str(row["question_id"]) for row in questions), path, map(str, answers), "question_id")
        images = Images(root, "val2014", ("coco", "coco/images", "okvqa", "OK-VQA", *IMAGE_FOLDERS))
        samples = []
        for index, row in enumerate(questions):
            annotation = answers[row["question_id"]]
            if annotation["image_id"] != row["image_id"]:
                fault(questions_path, index, row, "question_id", "names another image than its annotation does")
            categories = {"question_type": annotation["question_type"]}
            identity = str(row["question_id"])
            media = images.of(row["image_id"])
            samples.append(Sample(identity, media, row["question"], annotation["answers"], categories))
        return Found(tuple(samples), {"questions": questions_path, "annotations": path})


def read_answers(path: Path) -> dict[int, Record]:
    """Return question id -> annotation; raise UsageError for VQA v1's file, whose answers have no "raw_answer"."""
    rows = read_records(path, ANNOTATION_FIELDS, key="question_id", under="annotations")
    for index, row in enumerate(rows):
        texts = ten_answers(path, index, row, "question_id")
        if not all("raw_answer" in answer for answer in row["answers"]):
            fault(
                path, index, row, "question_id", 'has answers without "raw_answer", as VQA v1\'s file of this name has'
            )
        row["answers"] = texts
    return {row["question_id"]: row for row in rows}
