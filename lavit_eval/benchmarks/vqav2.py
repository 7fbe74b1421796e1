"""VQA v2 in the layout of visualqa.org: questions and annotations joined by question_id, COCO images beside them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import Record, fault, read_records, refuse_duplicates, same_ids
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, MediaFolders, Source, first_file, known_split, spread
from lavit_eval.benchmarks.large_json import read_blocks
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.sample import Medium, Sample

SOURCE = Source(
    "VQA v2", "https://visualqa.org/download.html", "annotations CC-BY-4.0; images under the COCO and Flickr terms"
)
FOLDERS = ("vqav2", "VQAv2", "vqa", "vqav2/annotations", "coco/annotations", "coco", "annotations", "")
IMAGE_FOLDERS = ("vqav2", "VQAv2", "vqav2/images", "coco", "coco/images", "images", "")
QUESTIONS = {
    "val": "v2_OpenEnded_mscoco_val2014_questions.json",
    "testdev": "v2_OpenEnded_mscoco_test-dev2015_questions.json",
    "test": "v2_OpenEnded_mscoco_test2015_questions.json",
}
ANNOTATIONS = {"val": "v2_mscoco_val2014_annotations.json"}
IMAGES = {"val": "val2014", "testdev": "test2015", "test": "test2015"}
ANSWERS = 10
"""People who answered each question; the official accuracy is defined on exactly these."""

TEXT, NUMBER = itemgetter("answer"), itemgetter("answer_id")
USUAL_NUMBERS = list(range(1, ANSWERS + 1))
KEPT = ("question_id", "image_id", "question_type", "answer_type")
QUESTION_FIELDS = {"question_id": int, "image_id": int, "question": str}
ANNOTATION_FIELDS = {"question_id": int, "image_id": int, "question_type": str, "answer_type": str, "answers": list}


class Vqav2:
    """VQA v2, splits `val` (10 answers a question) and `testdev`, `test` (questions only, scored by the EvalAI server).

    Sample ids are the question ids; categories are `answer_type` and `question_type`; references are the ten answers.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, tuple(QUESTIONS), SOURCE)
        questions_path = first_file(root, spread(FOLDERS, QUESTIONS[split]), SOURCE)
        questions = read_records(questions_path, QUESTION_FIELDS, key="question_id", under="questions")
        files = {"questions": questions_path}
        annotations: dict[int, Record] = {}
        if split in ANNOTATIONS:
            path = first_file(root, spread(FOLDERS, ANNOTATIONS[split]), SOURCE)
            annotations = read_annotations(path, questions_path, questions)
            files["annotations"] = path
        images = Images(root, IMAGES[split])
        samples = tuple(sample_of(question, annotations.get(question["question_id"]), images) for question in questions)
        return Found(samples, files)


class Images:
    """The COCO images of one sub-folder; the images of one id are one Medium."""

    def __init__(self, root: Path, subfolder: str, folders: Sequence[str] = IMAGE_FOLDERS) -> None:
        self.subfolder = subfolder
        self._folders = MediaFolders(root, spread(folders, subfolder), IMAGE_SUFFIXES)
        self._media: dict[int, tuple[Medium, ...]] = {}

    def of(self, image_id: int) -> tuple[Medium, ...]:
        """Return the medium of an image id; it is named even when the file is absent."""
        media = self._media.get(image_id)
        if media is None:
            stem = f"COCO_{self.subfolder}_{image_id:012d}"
            path = self._folders.find(stem) or self._folders.expected(stem)
            media = (Medium("image", path, f"{self.subfolder}/{stem}.jpg"),)
            self._media[image_id] = media
        return media


def read_annotations(path: Path, questions_path: Path, questions: list[Record]) -> dict[int, Record]:
    """Return question id -> annotation; raise UsageError unless both files hold the same questions and images."""
    rows: list[Record] = []
    for start, block in read_blocks(path, ANNOTATION_FIELDS, key="question_id", under="annotations"):
        for row, answers in zip(block, answers_of_block(path, start, block), strict=True):
            rows.append({name: row[name] for name in KEPT} | {"answers": answers})
    refuse_duplicates(path, rows, "question_id")
    annotations = {row["question_id"]: row for row in rows}
    images = {question["question_id"]: question["image_id"] for question in questions}
    if annotations.keys() != images.keys():
        same_ids(questions_path, map(str, images), path, map(str, annotations), "question_id")
    for index, row in enumerate(rows):
        if row["image_id"] != images[row["question_id"]]:
            fault(path, index, row, "question_id", "names another image than its question does")
    return annotations


def answers_of_block(path: Path, start: int, rows: list[Record]) -> list[tuple[str, ...]]:
    """Return the ten answers of each of some annotations (see `answers_of`), the usual form of them in one go."""
    given = [row["answers"] for row in rows]
    flat = list(chain.from_iterable(given))
    try:
        texts = list(map(sys.intern, map(TEXT, flat)))
        usual = set(map(len, given)) == {ANSWERS} and list(map(NUMBER, flat)) == USUAL_NUMBERS * len(rows)
    except (KeyError, TypeError, IndexError):
        usual = False
    if not usual:
        return [answers_of(path, index, row) for index, row in enumerate(rows, start)]
    return [tuple(texts[at : at + ANSWERS]) for at in range(0, len(texts), ANSWERS)]


def answers_of(path: Path, index: int, row: Record) -> tuple[str, ...]:
    """Return the ten answers of an annotation; each must have its own answer_id, since the official scorer uses it."""
    answers = row["answers"]
    try:
        texts = tuple(map(TEXT, answers))
        numbers = set(map(NUMBER, answers))
    except (KeyError, TypeError, IndexError):
        fault(path, index, row, "question_id", 'has an answer without "answer" or "answer_id"')
    if set(map(type, texts)) - {str}:
        fault(path, index, row, "question_id", "has an answer that is not text")
    if len(texts) != ANSWERS or len(numbers) != ANSWERS:
        found = f"{len(texts)} answers with {len(numbers)} different answer_ids"
        fault(path, index, row, "question_id", f"has {found}, not {ANSWERS}")
    return texts


def sample_of(question: Record, annotation: Record | None, images: Images) -> Sample:
    """Return the Sample of a question, with its annotation where the split publishes one."""
    media = images.of(question["image_id"])
    if annotation is None:
        return Sample(str(question["question_id"]), media, question["question"], ())
    categories = {"answer_type": annotation["answer_type"], "question_type": annotation["question_type"]}
    return Sample(str(question["question_id"]), media, question["question"], annotation["answers"], categories)
