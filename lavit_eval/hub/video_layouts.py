"""Video benchmarks: the annotations of the hub's rows, written as the official files; videos come from elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from lavit_eval.hub.folder import Folder

Rows = Iterator[dict[str, Any]]


def activitynet_qa(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """ActivityNet-QA: questions and answers in two files."""
    questions, answers = [], []
    for row in rows:
        identity = str(row["question_id"])
        named = {"video_name": str(row["video_name"]), "question": row["question"], "question_id": identity}
        questions.append(named)
        answers.append({"answer": row["answer"], "type": int(row["type"]), "question_id": identity})
    folder.json(f"activitynet_qa/{split}_q.json", questions)
    folder.json(f"activitynet_qa/{split}_a.json", answers)


def nextqa(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """NExT-QA, multiple choice: a table separated by commas."""
    columns = ("video", "frame_count", "width", "height", "question", "answer", "qid", "type")
    options = ("a0", "a1", "a2", "a3", "a4")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*columns, *options))
    for row in rows:
        writer.writerow(["" if row.get(name) is None else row[name] for name in (*columns, *options)])
    folder.text(f"nextqa/{split}.csv", stream.getvalue())


def video_mme(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """Video-MME: a list of questions."""
    folder.json("video_mme/Video-MME.json", [{**row, "options": list(row["options"])} for row in rows])


def perception_test(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """Perception Test, multiple choice: an object of videos, each with its questions."""
    entries: dict[str, Any] = {}
    for row in rows:
        said = {name: row[name] for name in ("question", "area", "reasoning")}
        numbers = {"id": int(row["question_id"]), "answer_id": int(row["answer_id"])}
        entry = {**said, **numbers, "options": list(row["options"])}
        entries.setdefault(str(row["video_name"]), {"mc_question": []})["mc_question"].append(entry)
    folder.json(f"perception_test/mc_question_{split}.json", entries)


def egoschema(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """EgoSchema: questions with five options, and the public answers; a video's id names its question."""
    questions, answers = [], {}
    for row in rows:
        identity = str(row["video_idx"])
        texts = list(row["option"])
        if all(text.startswith(f"{letter}. ") for letter, text in zip("ABCDE", texts, strict=False)):
            texts = [text[3:] for text in texts]
        options = {f"option {number}": text for number, text in enumerate(texts)}
        questions.append({"q_uid": identity, "question": row["question"], **options})
        if row.get("answer") not in (None, ""):
            answers[identity] = int(row["answer"])
    folder.json("egoschema/questions.json", questions)
    if answers:
        folder.json("egoschema/subset_answers.json", answers)
