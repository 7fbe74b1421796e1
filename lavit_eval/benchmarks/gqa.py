"""GQA, testdev_balanced: Stanford's file, an object by question id, or the list that LAVIS made of it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from lavit_eval.benchmarks.annotations import Record, check_records, fault, kind_of, read_json
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, MediaFolders, Source, first_file, known_split, spread
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source("GQA", "https://cs.stanford.edu/people/dorarad/gqa/download.html", "CC-BY-4.0")
FOLDERS = ("gqa", "GQA", "gqa/questions1.2", "gqa/annotations", "gqa/data", "gqa/questions", "questions1.2", "")
IMAGE_FOLDERS = ("gqa/images", "GQA/images", "gqa/data/images", "images", "gqa")
OPEN = "query"
"""The structural type whose answers are not one of two; GQA's eval.py calls all other questions binary."""


class Gqa:
    """GQA, split `testdev_balanced`: 12,578 questions on 398 images, each with one answer.

    Sample ids are the question ids. Categories (in Stanford's file only): `answer_type` (open, binary), `structural`
    and `semantic`.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the split under the data root (see `Benchmark.read`)."""
        known_split(split, ("testdev_balanced",), SOURCE)
        path = first_file(root, spread(FOLDERS, f"{split}_questions.json"), SOURCE)
        rows = read_questions(path)
        beside = (path.parent / "images").relative_to(root).as_posix()
        images = MediaFolders(root, [*IMAGE_FOLDERS[:1], beside, *IMAGE_FOLDERS[1:]], IMAGE_SUFFIXES)
        media = {row["image"]: medium_of(row["image"], images) for row in rows}
        samples = (
            Sample(row["question_id"], media[row["image"]], row["question"], (row["answer"],), row["categories"])
            for row in rows
        )
        return Found(tuple(samples), {"questions": path})


def read_questions(path: Path) -> list[Record]:
    """Return {"question_id", "question", "answer", "image" (without extension), "categories"} of every question."""
    content = read_json(path, keyed=True)
    if not isinstance(content, dict | list) or not content:
        raise UsageError(
            f"{path} must be a JSON object or list of questions, not {kind_of(content)}: download it again"
        )
    official = isinstance(content, dict)
    rows = [with_id(key, row) for key, row in content.items()] if isinstance(content, dict) else content
    image = "imageId" if official else "image"
    check_records(
        path, rows, {"question": str, "answer": str, image: str, "question_id": (str, int)}, key="question_id"
    )
    found = []
    for index, row in enumerate(rows):
        stem = row[image] if official else PurePosixPath(row[image]).stem
        if not stem or "/" in stem or "\\" in stem:
            fault(path, index, row, "question_id", f'names a file outside the images\' folder as "{image}"')
        found.append(
            {
                "question_id": str(row["question_id"]),
                "question": row["question"],
                "answer": row["answer"],
                "image": stem,
                "categories": categories_of(row),
            }
        )
    return found


def with_id(key: str, row: Any) -> Any:
    """Return a question of Stanford's file with its id inside; what is no object is left for the check to name."""
    return {**row, "question_id": key} if isinstance(row, dict) else row


def categories_of(row: Record) -> dict[str, str]:
    """Return the types of a question, as far as the file states them."""
    types = row.get("types")
    if not isinstance(types, dict):
        return {}
    found = {axis: str(types[axis]) for axis in ("structural", "semantic") if types.get(axis)}
    if "structural" in found:
        found["answer_type"] = "open" if found["structural"] == OPEN else "binary"
    return found


def medium_of(stem: str, images: MediaFolders) -> tuple[Medium, ...]:
    """Return the medium of an image; it is named even when the file is absent."""
    return (Medium("image", images.find(stem) or images.expected(stem), f"images/{stem}.jpg"),)
