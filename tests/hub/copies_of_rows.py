"""Writes folders as a downloaded copy of a hub data set has them: parquet files with the exact columns."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.benchmarks.image_layouts import SEED_ROWS

Rows = Sequence[Mapping[str, Any]]


def picture(colour: tuple[int, int, int], kind: str = "JPEG") -> dict[str, Any]:
    """Return an image as the hub's parquet files hold it."""
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(stream, kind)
    return {"bytes": stream.getvalue(), "path": None}


RED, BLUE = picture((200, 30, 30)), picture((30, 30, 200))
RED_PNG = picture((200, 30, 30), "PNG")


def write_copy(folder: Path, splits: Mapping[str, Rows], config: str | None = None) -> Path:
    """Write one configuration; with a name, the card that says which files belong to it."""
    place = folder / (config or "data")
    place.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), place / f"{split}-00000-of-00001.parquet")
    configs = sorted(path.name for path in folder.iterdir() if path.is_dir())
    lines = ["---", "configs:"]
    for name in configs:
        lines += [f"- config_name: {'default' if name == 'data' else name}", "  data_files:"]
        for path in sorted((folder / name).glob("*.parquet")):
            lines += [f"  - split: {path.name.split('-')[0]}", f"    path: {name}/{path.name}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return folder


def vqa_answers(text: str = "red") -> list[dict[str, Any]]:
    """Return ten people's answers of VQA v2."""
    return [{"answer": text, "answer_confidence": "yes", "answer_id": number} for number in range(1, 11)]


VQAV2 = [
    {
        "question_type": "what color is the",
        "multiple_choice_answer": "red",
        "answers": vqa_answers(),
        "image_id": 900001,
        "answer_type": "other",
        "question_id": 900001000 + number,
        "question": f"What colour is kite {number}?",
        "image": RED,
    }
    for number in range(2)
]
OKVQA = [
    {
        "question_id": "9000115",
        "image": RED,
        "question": "Which country first grew this fruit?",
        "answers": ["shoe"] * 10,
        "question_type": "four",
        "answer_type": "other",
    },
    {
        "question_id": "9000125",
        "image": BLUE,
        "question": "What fuel does this use?",
        "answers": ["gas"] * 10,
        "question_type": "one",
        "answer_type": "other",
    },
]
GQA = [
    {
        "id": "90000001",
        "imageId": "n900001",
        "question": "Is the mug left of the lamp?",
        "answer": "no",
        "types": {"detailed": "relVerify", "semantic": "rel", "structural": "verify"},
    },
    {
        "id": "90000002",
        "imageId": "n900001",
        "question": "What is on the shelf?",
        "answer": "vase",
        "types": {"detailed": "categoryRelS", "semantic": "rel", "structural": "query"},
    },
]
GQA_IMAGES = [{"id": "n900000", "image": BLUE}, {"id": "n900001", "image": RED}]
VIZWIZ = [
    {
        "question_id": "VizWiz_val_00009001.jpg",
        "image": RED,
        "question": "What flavour is this soup?",
        "answers": ["tomato"] * 6 + ["unanswerable"] * 4,
        "category": "other",
    }
]
SCIENCEQA = [
    {
        "image": RED_PNG,
        "question": "Which is a liquid?",
        "choices": ["stone", "milk"],
        "answer": 1,
        "hint": "",
        "task": "closed choice",
        "grade": "grade2",
        "subject": "natural science",
    },
    {
        "image": RED_PNG,
        "question": "Which is a solid?",
        "choices": ["stone", "milk"],
        "answer": 0,
        "hint": "Touch it.",
        "task": "closed choice",
        "grade": "grade2",
        "subject": "natural science",
    },
]
MME = [
    {
        "question_id": f"{subtask}/0001.png",
        "image": RED_PNG,
        "question": f"Is there a {thing} in this image? Please answer yes or no.",
        "answer": answer,
        "category": subtask,
    }
    for subtask in (
        *("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"),
        *("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
    )
    for thing, answer in (("goat", "Yes"), ("whale", "No"))
]


def _mmbench() -> list[dict[str, Any]]:
    options = ["kite", "ball"]
    return [
        {
            "index": 9001 + turn * 1_000_000,
            "question": 'Who says "yes"?',
            "hint": "nan" if turn else "A play\tin two acts.",
            "answer": "AB"[turn],
            "A": options[turn],
            "B": options[1 - turn],
            "C": "nan",
            "D": None,
            "category": "ocr",
            "image": RED,
            "source": "made",
            "L2-category": "perception",
            "comment": "nan",
            "split": "dev",
        }
        for turn in range(2)
    ]


MMBENCH = _mmbench()
# The hub's copy has the official columns, its pictures in a column of their own, and a segment in every row.
SEED = [
    {**row, "segment": row.get("segment"), "image": pictures}
    for row, pictures in zip(SEED_ROWS, ([RED], [RED, BLUE]), strict=True)
]
MMVET = [
    {
        "question_id": "v1_900",
        "image": RED_PNG,
        "question": "What is the total?",
        "answer": "12 <OR> twelve",
        "image_source": "made",
        "capability": "ocr, math",
    }
]
POPE = [
    {
        "id": str(number),
        "question_id": "1",
        "question": "Is there a sofa in the image?",
        "answer": "yes",
        "image_source": "COCO_val2014_000000900001",
        "image": RED,
        "category": category,
    }
    for number, category in enumerate(("adversarial", "popular", "random"))
]
FLICKR = [
    {
        "image": RED,
        "caption": ["A dog jumps .", "A brown dog leaps over a log ."],
        "sentids": [0, 1],
        "split": "test",
        "img_id": "0",
        "filename": "900001.jpg",
    }
]
ACTIVITYNET = [
    {
        "video_name": "AbCdEfGhIjK",
        "question_id": "v_AbCdEfGhIjK_3",
        "question": "is the dog running",
        "answer": "yes",
        "type": "3",
    }
]
NEXTQA = [
    {
        "video": 9000000001,
        "frame_count": 369,
        "width": 640,
        "height": 480,
        "question": "why did the boy laugh, then",
        "answer": 2,
        "qid": 6,
        "type": "CW",
        "a0": "he fell",
        "a1": "he ran",
        "a2": "dog licked him",
        "a3": "it rained",
        "a4": "to wave",
    }
]
VIDEO_MME = [
    {
        "video_id": "901",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Geography",
        "url": "https://www.youtube.com/watch?v=AbCdEfGhIjK",
        "videoID": "AbCdEfGhIjK",
        "question_id": "901-1",
        "task_type": "OCR Problems",
        "question": "What word is on the sign?",
        "options": ["A. Open.", "B. Shut.", "C. Sale.", "D. Exit."],
        "answer": "B",
    }
]
PERCEPTION = [
    {
        "video_name": "video_900",
        "question": "Is the lid open?",
        "question_id": "0",
        "options": ["yes", "no", "unknown"],
        "answer_id": "1",
        "area": "physics",
        "reasoning": "descriptive",
        "tag": ["a"],
    }
]
EGOSCHEMA = [
    {
        "question_idx": "0",
        "question": "What is C doing?",
        "video_idx": "0000-aa",
        "option": ["A. cooking", "B. reading", "C. sewing", "D. running", "E. singing"],
        "answer": "2",
    }
]


def base64_of(image: Mapping[str, Any]) -> str:
    """Return an image as a table holds it."""
    return base64.b64encode(image["bytes"]).decode()
