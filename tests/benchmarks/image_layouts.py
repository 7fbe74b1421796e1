"""Writes tiny annotation files (and empty or tiny images) of image questions in the official layouts."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.layouts import Rows, coco_name, touch, write_json, write_lines

POPE_ROWS: Rows = [
    {"question_id": 1, "image": coco_name(900001), "text": "Is there a sofa in the image?", "label": "yes"},
    {"question_id": 2, "image": coco_name(900001), "text": "Is there a zebra in the image?", "label": "no"},
]


def write_pope(folder: Path, rows: Rows = POPE_ROWS) -> None:
    """Write POPE's three files of JSON lines and COCO's images beside (`folder` is the data root's pope/)."""
    for category in ("random", "popular", "adversarial"):
        write_lines(folder / f"coco_pope_{category}.json", map(json.dumps, rows), end="\n")
    touch(folder / "val2014", {row["image"] for row in rows})


MME_SPLIT = ("artwork", "celebrity", "landmark", "posters", "scene")
MME_FLAT = (
    *("code_reasoning", "color", "commonsense_reasoning", "count", "existence"),
    *("numerical_calculation", "OCR", "position", "text_translation"),
)
MME_LINES = (
    "Is there a goat in this image? Please answer yes or no.\tYes",
    "Is there a whale in this image? Please answer yes or no.\tNo",
)


def write_mme(folder: Path, lines: Sequence[str] = MME_LINES, stems: Iterable[str] = ("0001",)) -> None:
    """Write MME's fourteen folders, images of the same names in each (`folder` holds the subtasks)."""
    for subtask in (*MME_SPLIT, *MME_FLAT):
        split = subtask in MME_SPLIT
        for stem in stems:
            questions = folder / subtask / "questions_answers_YN" if split else folder / subtask
            write_lines(questions / f"{stem}.txt", lines, end="\n")
            touch(folder / subtask / "images" if split else folder / subtask, [f"{stem}.{'jpg' if split else 'png'}"])


SCIENCE: dict[str, dict[str, Any]] = {
    "9001": {
        "question": "Which is a liquid?",
        "choices": ["stone", "milk"],
        "answer": 1,
        "hint": "",
        "image": "image.png",
        "grade": "grade2",
        "subject": "natural science",
        "split": "test",
    },
    "9002": {
        "question": "What is the capital shown?",
        "choices": ["Ardon", "Belle", "Corin"],
        "answer": 0,
        "hint": "Look at the map.",
        "image": "image.png",
        "grade": "grade4",
        "subject": "social science",
        "split": "test",
    },
    "9003": {
        "question": "Which word rhymes?",
        "choices": ["hat", "dog"],
        "answer": 0,
        "hint": "",
        "image": None,
        "grade": "grade1",
        "subject": "language science",
        "split": "test",
    },
}


def write_scienceqa(folder: Path, problems: Mapping[str, Mapping[str, Any]] = SCIENCE) -> None:
    """Write ScienceQA's problems, splits and images (`folder` is the data root's scienceqa/)."""
    write_json(folder / "problems.json", problems)
    write_json(folder / "pid_splits.json", {"train": [], "val": [], "test": sorted(problems, reverse=True)})
    touch(folder / "images" / "test", [f"{pid}/{row['image']}" for pid, row in problems.items() if row.get("image")])


GQA_QUESTIONS: dict[str, dict[str, Any]] = {
    "90000001": {
        "question": "Is the mug left of the lamp?",
        "imageId": "n900001",
        "isBalanced": True,
        "answer": "no",
        "types": {"detailed": "relVerify", "semantic": "rel", "structural": "verify"},
        "fullAnswer": "No, it is right of it.",
    },
    "90000002": {
        "question": "What is on the shelf?",
        "imageId": "900002",
        "isBalanced": True,
        "answer": "vase",
        "types": {"detailed": "categoryRelS", "semantic": "rel", "structural": "query"},
        "fullAnswer": "The vase is on the shelf.",
    },
}


def write_gqa(folder: Path, questions: Mapping[str, Mapping[str, Any]] = GQA_QUESTIONS) -> None:
    """Write GQA's questions as Stanford publishes them, and the images (`folder` is the data root's gqa/)."""
    write_json(folder / "testdev_balanced_questions.json", questions)
    touch(folder / "images", {f"{row['imageId']}.jpg" for row in questions.values() if "imageId" in row})


def write_gqa_list(folder: Path) -> None:
    """Write the same questions as LAVIS rewrote them."""
    rows = [
        {
            "image": f"{row['imageId']}.jpg",
            "question": row["question"],
            "question_id": int(key),
            "answer": row["answer"],
        }
        for key, row in GQA_QUESTIONS.items()
    ]
    write_json(folder / "testdev_balanced_questions.json", rows)
    touch(folder / "images", [row["image"] for row in rows])


OKVQA_QUESTIONS: Rows = [
    {"image_id": 900011, "question": "Which country first grew this fruit?", "question_id": 9000115},
    {"image_id": 900012, "question": "What fuel does this use?", "question_id": 9000125},
]


def okvqa_annotations(questions: Rows = OKVQA_QUESTIONS) -> Rows:
    """Return annotations of five people, each counted twice; answers are stemmed."""
    texts = [text for text in ("running shoe", "shoe", "boot", "sandal", "shoe") for _ in range(2)]
    return [
        {
            "image_id": question["image_id"],
            "answer_type": "other",
            "question_type": "four",
            "question_id": question["question_id"],
            "answers": [
                {"answer_id": n, "raw_answer": f"{text}s", "answer_confidence": "yes", "answer": text}
                for n, text in enumerate(texts, start=1)
            ],
        }
        for question in questions
    ]


def write_okvqa(folder: Path, annotations: Rows | None = None) -> None:
    """Write OK-VQA's questions and annotations, and COCO's images beside (`folder` is the data root's okvqa/)."""
    write_json(folder / "OpenEnded_mscoco_val2014_questions.json", {"info": {}, "questions": OKVQA_QUESTIONS})
    annotations = okvqa_annotations() if annotations is None else annotations
    write_json(folder / "mscoco_val2014_annotations.json", {"info": {}, "annotations": annotations})
    touch(folder / "val2014", [coco_name(row["image_id"]) for row in OKVQA_QUESTIONS])


def vizwiz_rows() -> Rows:
    """Return two questions of the validation split."""
    return [
        {
            "image": "VizWiz_val_00009001.jpg",
            "question": "What flavour is this soup?",
            "answers": [{"answer": text, "answer_confidence": "yes"} for text in ["tomato"] * 6 + ["unanswerable"] * 4],
            "answer_type": "other",
            "answerable": 1,
        },
        {
            "image": "VizWiz_val_00009002.jpg",
            "question": "Is the light on?",
            "answers": [{"answer": "unanswerable", "answer_confidence": "maybe"} for _ in range(10)],
            "answer_type": "unanswerable",
            "answerable": 0,
        },
    ]


def write_vizwiz(folder: Path, rows: Rows | None = None, split: str = "val") -> None:
    """Write a split of VizWiz and its images (`folder` is the data root's vizwiz/)."""
    rows = vizwiz_rows() if rows is None else rows
    write_json(folder / f"{split}.json", rows)
    touch(folder / split, [row["image"] for row in rows])


SEED_TYPES = {"Scene Understanding": 1, "Instances Counting": 5, "Action Recognition": 10, "Action Prediction": 11}
SEED_ROWS: Rows = [
    {
        "answer": "C",
        "choice_a": "One",
        "choice_b": "Two",
        "choice_c": "Three",
        "choice_d": "Four",
        "data_id": "900001_12345",
        "data_type": "image",
        "question": "How many ducks are there?",
        "question_id": "900001",
        "question_type_id": 5,
    },
    {
        "answer": "B",
        "choice_a": "open tin",
        "choice_b": "stir pot",
        "choice_c": "wash cup",
        "choice_d": "peel egg",
        "data_id": "P99/P99_01.MP4",
        "data_type": "video",
        "question": "What comes next?",
        "question_id": "v900",
        "question_type_id": 11,
        "segment": [12.0, 20.0],
    },
]


def write_seed_bench(folder: Path, rows: Rows = SEED_ROWS, types: object = SEED_TYPES) -> None:
    """Write SEED-Bench, its images without extension, and LLaVA's frames (`folder` is the data root's seed_bench/)."""
    write_json(folder / "SEED-Bench.json", {"questions": rows, "question_type": types})
    touch(folder / "SEED-Bench-image", [row["data_id"] for row in rows if row["data_type"] == "image"])
    frames = [f"{row['question_type_id']}_{row['question_id']}.png" for row in rows if row["data_type"] == "video"]
    touch(folder / "SEED-Bench-video-image", frames)


MMVET: dict[str, dict[str, Any]] = {
    "v1_900": {
        "imagename": "v1_900.png",
        "question": "What is the total?",
        "answer": "12 <OR> twelve",
        "imagesource": "made",
        "capability": ["ocr", "math"],
    },
    "v1_901": {
        "imagename": "v1_901.jpg",
        "question": "Name the two birds.",
        "answer": "robin<AND>wren",
        "imagesource": "made",
        "capability": ["rec", "know"],
    },
}


def write_mmvet(folder: Path, questions: Mapping[str, Mapping[str, Any]] = MMVET) -> None:
    """Write MM-Vet (`folder` is the data root's mm-vet/)."""
    write_json(folder / "mm-vet.json", questions)
    touch(folder / "images", [row["imagename"] for row in questions.values()])


def packed(colour: tuple[int, int, int], kind: str = "PNG") -> str:
    """Return a tiny image as base64 text."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (2, 2), colour).save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


MMBENCH_COLUMNS = (
    *("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category"),
    "split",
)
RED, BLUE = (200, 30, 30), (30, 30, 200)
RED_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGM8ISfHwMDAxMDAwMDAAAANBAEIfXHKZgAAAABJRU5ErkJggg=="
BLUE_GIF = "R0lGODdhAgACAIEAAB4eyAAAAAAAAAAAACwAAAAAAgACAAAIBgABCAQQEAA7"
"""Written out, since another version of the encoder may write other bytes."""


def mmbench_rows(pointers: bool = False) -> Rows:
    """Return one question of three choices and one of two, in every rotation.

    Args:
        pointers: Whether the image stands in the first row only, the others holding its index (VLMEvalKit's form).
    """
    rows = []
    questions = (
        (9001, "What is the boy holding?", "", ["kite", "ball", "cup"], "logic", "reasoning", RED_PNG),
        (
            9002,
            'Who says "yes"?',
            "A play\tin two acts.",
            ["the cat", "nobody"],
            "ocr",
            "perception",
            BLUE_GIF,
        ),
    )
    for index, question, hint, choices, category, level, image in questions:
        for turn in range(len(choices)):
            turned = choices[-turn:] + choices[:-turn] if turn else choices
            cells = dict(zip("ABCD", [*turned, "", ""], strict=False))
            rows.append(
                {
                    "index": turn * 1_000_000 + index,
                    "question": question,
                    "hint": hint,
                    **cells,
                    "answer": "ABCD"[turned.index(choices[0])],
                    "category": category,
                    "image": str(index) if pointers and turn else image,
                    "source": "made",
                    "l2-category": level,
                    "split": "dev",
                }
            )
    return rows


def write_table(path: Path, rows: Rows, columns: Sequence[str] = MMBENCH_COLUMNS, separator: str = "\t") -> Path:
    """Write rows as pandas writes them: cells in quotes where they hold tabs, quotes or line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=separator, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return path


def write_mmbench(folder: Path, rows: Rows | None = None) -> Path:
    """Write MMBench's dev table (`folder` is the data root's mmbench/)."""
    return write_table(folder / "MMBench_DEV_EN.tsv", mmbench_rows() if rows is None else rows)
