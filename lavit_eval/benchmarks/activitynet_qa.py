"""ActivityNet-QA in its authors' layout: questions and answers in two files, joined by question_id."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import fault, read_records, same_ids
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source(
    "ActivityNet-QA", "https://github.com/MILVLG/activitynet-qa", "non-commercial use only; videos of ActivityNet"
)
FOLDERS = (
    *("activitynet_qa", "ActivityNet-QA", "activitynet-qa", "activitynet_qa/dataset", "ActivityNet-QA/dataset"),
    *("activitynet-qa/dataset", "Activitynet_Zero_Shot_QA"),
)
VIDEO_FOLDERS = (
    *("activitynet_qa/all_test", "activitynet_qa/videos", "ActivityNet-QA/all_test", "ActivityNet-QA/videos"),
    *("activitynet-qa/all_test", "Activitynet_Zero_Shot_QA/all_test", "ActivityNet/all_test", "all_test"),
)
TYPES = ("motion", "spatial", "temporal", "yes/no", "color", "object", "location", "number", "other")
"""By the number in the annotations (evaluation/eval.py)."""
FIRST_FREE = 3
"""Types from here on are the official script's "Free" questions."""


class ActivitynetQa:
    """ActivityNet-QA, splits `test` (8,000 questions on 800 videos), `val` and `train`; one answer each.

    Categories: `type`, and `free` over the six types of free questions, counted here by their type (the official script
    takes the wrong ones where its file is not sorted by type). A video is `v_{video_name}`.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test", "val", "train"), SOURCE)
        path = first_file(root, spread(FOLDERS, f"{split}_q.json"), SOURCE)
        answers_path = path.with_name(f"{split}_a.json")
        if not answers_path.is_file():
            raise UsageError(f"{answers_path} is missing beside {path.name}: get it from {SOURCE.url} as well")
        questions = read_records(path, {"video_name": str, "question": str, "question_id": str}, key="question_id")
        rows = read_records(answers_path, {"answer": str, "type": int, "question_id": str}, key="question_id")
        answers = {row["question_id"]: row for row in rows}
        same_ids(path, (row["question_id"] for row in questions), answers_path, answers, "question_id")
        for index, row in enumerate(rows):
            if not 0 <= row["type"] < len(TYPES):
                fault(answers_path, index, row, "question_id", f"has the type {row['type']}, not 0 to {len(TYPES) - 1}")
        media = NamedMedia(root, VIDEO_FOLDERS, label="all_test")
        samples = []
        for index, row in enumerate(questions):
            name = checked_name(path, index, row, "question_id", row["video_name"])
            answer = answers[row["question_id"]]
            categories = {"type": TYPES[answer["type"]], **({"free": "all"} if answer["type"] >= FIRST_FREE else {})}
            medium = media.of(f"v_{name.removeprefix('v_')}")
            samples.append(Sample(row["question_id"], (medium,), row["question"], (answer["answer"],), categories))
        return Found(tuple(samples), {"questions": path, "answers": answers_path})
