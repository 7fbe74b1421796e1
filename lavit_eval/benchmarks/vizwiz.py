"""VizWiz-VQA: questions of blind people about their own photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

from lavit_eval.benchmarks.annotations import Record, check_records, fault, read_records
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, MediaFolders, Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.human_answers import ten_answers
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source("VizWiz-VQA", "https://vizwiz.org/tasks-and-datasets/vqa/", "CC-BY-4.0")
FOLDERS = (
    *("vizwiz", "VizWiz", "vizwiz/Annotations", "VizWiz/Annotations", "vizwiz/annotations", "vizwiz_vqa"),
    *("VizWiz-VQA", "Annotations", ""),
)
IMAGE_FOLDERS = ("vizwiz", "VizWiz", "vizwiz/images", "VizWiz/images", "vizwiz_vqa", "VizWiz-VQA", "images", "")
QUESTION_FIELDS = {"image": str, "question": str}
ANSWERED_FIELDS = {**QUESTION_FIELDS, "answers": list, "answer_type": str}


class VizwizVqa:
    """VizWiz-VQA, splits `val` (4,319 questions with ten answers) and `test` (8,000, scored by the EvalAI server).

    Sample ids are the images' file names: the official files number nothing. Categories: `answer_type` and
    `answerable` (absent where no entry has it, as in the hub's copy); "unanswerable" is an answer like any other. With
    the option `stages: two` each question follows one that asks whether it is answerable, in LaVIT's words (ids end in
    "#answerable"), for the metric that knows of both.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str, stages: str = "one") -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, ("val", "test"), SOURCE)
        if stages not in ("one", "two"):
            raise UsageError(f"the option stages of vizwiz_vqa is one or two, not {stages!r}")
        path = first_file(root, spread(FOLDERS, f"{split}.json"), SOURCE)
        rows = read_records(path, ANSWERED_FIELDS if split == "val" else QUESTION_FIELDS, key="image")
        if split == "val" and any("answerable" in row for row in rows):
            check_records(path, rows, {"answerable": int}, None)
        images = MediaFolders(root, spread(IMAGE_FOLDERS, split), IMAGE_SUFFIXES)
        samples = []
        for index, row in enumerate(rows):
            if not inside(row["image"]):
                fault(path, index, row, "image", "names a file outside the data folder")
            stem = PurePosixPath(row["image"]).stem
            medium = Medium("image", images.find(stem) or images.expected(stem), f"{split}/{row['image']}")
            answers = ten_answers(path, index, row, "image") if split == "val" else ()
            categories = categories_of(row) if split == "val" else {}
            sample = Sample(row["image"], (medium,), row["question"], answers, categories)
            samples += [sample] if stages == "one" else in_two_stages(sample)
        return Found(tuple(samples), {"annotations": path})


def in_two_stages(sample: Sample) -> list[Sample]:
    """Return the question whether a question is answerable, and the question."""
    first = replace(
        sample,
        id=f"{sample.id}#answerable",
        question=f'Is the question: "{sample.question}" answerable?',
        extra={"stage": "answerable", "image": sample.id},
    )
    return [first, replace(sample, extra={"stage": "answer", "image": sample.id})]


def categories_of(row: Record) -> dict[str, str]:
    """Return the kind of answer that was given, and whether most people could answer."""
    answerable = {"answerable": "yes" if row["answerable"] else "no"} if "answerable" in row else {}
    return {"answer_type": row["answer_type"], **answerable}
