"""Writes tiny annotation files of the video QA benchmarks, with invented content, in the official layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.caption_layouts import put
from tests.benchmarks.layouts import Rows, write_json, write_lines

ACTIVITYNET_ROWS: Rows = [
    {"video_name": "-bCdEfGhIjK", "question": "is the dog running", "n": 3, "answer": "yes", "type": 3},
    {"video_name": "-bCdEfGhIjK", "question": "what happens after", "n": 4, "answer": "jump", "type": 2},
    {"video_name": "_bCdEfGhIjL", "question": "what color is the hat", "n": 0, "answer": "red", "type": 4},
]
TGIF_ROWS: Sequence[Sequence[str]] = [
    ("tumblr_zz900_250", "what is on the plate ?", "cake", "0", "FRAMEQA90001", "900", "a cake is on the plate ."),
    ("tumblr_zz901_400", 'how many "cats, sit ?', "two", "1", "FRAMEQA90002", "901", "two cats sit ."),
    ("tumblr_zz900_250", "where is the plate . ?", "yes", "3", "FRAMEQA90003", "900", "a plate is on a yes ."),
]
TGIF_HEAD = ("gif_name", "question", "answer", "type", "vid_id", "key", "description")
HALLUCER_SUBSETS = ("object_relation", "temporal", "semantic_detail", "external_factual", "external_nonfactual")


def write_activitynet_qa(folder: Path, rows: Rows = ACTIVITYNET_ROWS, split: str = "test") -> None:
    """Write questions and, in another order, answers (`folder` is the data root's activitynet_qa/)."""
    named = [{**row, "question_id": f"v_{row['video_name']}_{row['n']}"} for row in rows]
    questions = [{key: row[key] for key in ("video_name", "question", "question_id")} for row in named]
    answers = [{key: row[key] for key in ("answer", "type", "question_id")} for row in reversed(named)]
    write_json(folder / "dataset" / f"{split}_q.json", questions)
    write_json(folder / "dataset" / f"{split}_a.json", answers)
    put(folder / "all_test", {f"v_{row['video_name']}.mp4" for row in rows})


def write_tgif_qa(folder: Path, rows: Sequence[Sequence[str]] = TGIF_ROWS, delimiter: str = "\t") -> Path:
    """Write FrameQA's test file and GIFs (`folder` is the data root's tgif_qa/)."""
    put(folder / "gifs", {f"{row[0]}.gif" for row in rows})
    lines = [delimiter.join(row) for row in (TGIF_HEAD, *rows)]
    return write_lines(folder / "dataset" / "Test_frameqa_question.csv", lines)


def hallucer_pairs(subset: str) -> Rows:
    """Return two pairs; those of semantic_detail have two videos each."""
    other = "b" if subset == "semantic_detail" else "a"
    return [
        {
            "basic": {"video": f"{number}_a.mp4", "question": f"Is thing {number} there?", "answer": "yes"},
            "hallucination": {"video": f"{number}_{other}.mp4", "question": f"Is a harp {number}?", "answer": "no"},
            "type": subset,
        }
        for number in (900, 901)
    ]


def write_videohallucer(root: Path, pairs: dict[str, Rows] | None = None) -> None:
    """Write the five subsets (`root` is the data root's videohallucer/)."""
    for subset in HALLUCER_SUBSETS:
        rows = hallucer_pairs(subset) if pairs is None else pairs[subset]
        write_json(root / subset / f"{subset}.json", rows)
        put(root / subset / "videos", {row[role]["video"] for row in rows for role in ("basic", "hallucination")})


def only(rows: Rows, **fields: Any) -> Rows:
    """Return the first row with other fields."""
    return [{**rows[0], **fields}]
