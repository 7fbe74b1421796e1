"""Image benchmarks: rows of the hub with their images, written as the official files."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from lavit_eval.digests import digest_bytes, digest_json
from lavit_eval.errors import UsageError
from lavit_eval.hub.folder import Folder

Rows = Iterator[dict[str, Any]]


def vqav2(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """VQA v2: questions, and annotations where the split has answers."""
    sub = {"val": "val2014"}.get(split, "test2015")
    questions, annotations = [], []
    for row in rows:
        image, question = int(row["image_id"]), int(row["question_id"])
        folder.image(f"vqav2/{sub}/COCO_{sub}_{image:012d}", row["image"])
        questions.append({"image_id": image, "question": row["question"], "question_id": question})
        if split == "val":
            annotations.append(
                {
                    "question_type": row["question_type"],
                    "answers": row["answers"],
                    "image_id": image,
                    "answer_type": row["answer_type"],
                    "question_id": question,
                }
            )
    kind = {"val": "val2014", "testdev": "test-dev2015"}.get(split, "test2015")
    folder.json(f"vqav2/v2_OpenEnded_mscoco_{kind}_questions.json", {"questions": questions})
    if annotations:
        folder.json("vqav2/v2_mscoco_val2014_annotations.json", {"annotations": annotations})


def okvqa(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """OK-VQA: the copy names no image; a question's number without its last digit is that of its image.

    That this holds is checked by content: two questions of one number must show the same image. The copy has the
    stemmed answers alone, so that "raw_answer" is null.
    """
    questions, annotations = [], []
    for row in rows:
        question = int(row["question_id"])
        image = question // 10
        folder.image(f"coco/val2014/COCO_val2014_{image:012d}", row["image"])
        questions.append({"image_id": image, "question": row["question"], "question_id": question})
        answers = [
            {"answer_id": number, "raw_answer": None, "answer": text} for number, text in enumerate(row["answers"], 1)
        ]
        annotations.append(
            {
                "image_id": image,
                "question_id": question,
                "question_type": row["question_type"],
                "answers": answers,
            }
        )
    folder.json("okvqa/OpenEnded_mscoco_val2014_questions.json", {"questions": questions})
    folder.json("okvqa/mscoco_val2014_annotations.json", {"annotations": annotations})


def gqa(folder: Folder, rows: Rows, images: Rows, split: str) -> None:
    """GQA: questions of one configuration, images of another, joined by the image's id."""
    wanted: dict[str, list[str]] = {}
    questions = {}
    for row in rows:
        identity = str(row["id"])
        if identity in questions:
            raise UsageError(f"{folder.where}: the question {identity} comes twice")
        wanted.setdefault(str(row["imageId"]), []).append(identity)
        kept = {"question": row["question"], "answer": row["answer"], "imageId": str(row["imageId"])}
        questions[identity] = {**kept, **({"types": row["types"]} if isinstance(row.get("types"), dict) else {})}
    for row in images:
        if wanted.pop(str(row["id"]), None) is not None:
            folder.image(f"gqa/images/{row['id']}", row["image"])
    if wanted:
        raise UsageError(f"{folder.where}: {len(wanted)} images are lacking (first: {next(iter(wanted))})")
    folder.json(f"gqa/{split}_questions.json", questions)


def vizwiz(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """VizWiz: the question's id is the image's name; the copy does not say whether a question could be answered."""
    entries = []
    for row in rows:
        stem = PurePosixPath(str(row["question_id"])).stem
        name = folder.image(f"vizwiz/{split}/{stem}", row["image"])
        entry: dict[str, Any] = {"image": name, "question": row["question"]}
        if split != "test":
            entry["answers"] = [{"answer": text} for text in row["answers"]]
            entry["answer_type"] = row["category"]
        entries.append(entry)
    folder.json(f"vizwiz/{split}.json", entries)


def scienceqa(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """ScienceQA's questions with an image: the copy has no ids, so that each gets one from what it says."""
    problems: dict[str, Any] = {}
    for row in rows:
        if row["image"] is None:
            continue
        content = folder.content(str(row["question"])[:40], row["image"])
        said = [row["question"], list(row["choices"]), row["hint"], digest_bytes(content)]
        pid = f"hub-{digest_json(said)[:12]}"
        if pid in problems:
            number = 2
            while f"{pid}-{number}" in problems:
                number += 1
            pid = f"{pid}-{number}"
        image = folder.image(f"scienceqa/images/{split}/{pid}/image", row["image"], any_kind=True)
        kept = {name: row[name] for name in ("question", "answer", "hint", "subject", "grade")}
        problems[pid] = {**kept, "choices": list(row["choices"]), "image": image}
    folder.json("scienceqa/problems.json", problems)
    folder.json("scienceqa/pid_splits.json", {split: list(problems)})


def mme(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """MME: all subtasks in the flat style; the two questions of an image stand in the rows' order."""
    base = "MME_Benchmark_release_version"
    lines: dict[str, list[str]] = {}
    for row in rows:
        stem = f"{base}/{row['category']}/{PurePosixPath(str(row['question_id'])).stem}"
        folder.image(stem, row["image"])
        question = " ".join(str(row["question"]).split())
        lines.setdefault(stem, []).append(f"{question}\t{row['answer']}")
    for stem, pair in lines.items():
        folder.text(f"{stem}.txt", "\n".join(pair) + "\n")


def mmbench(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """MMBench: a table with each image once, the other rows holding the index of the row that has it."""
    stream = io.StringIO()
    columns = ("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "l2-category")
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    holders: dict[str, int] = {}
    for row in rows:
        content = folder.content(str(row["index"]), row["image"])
        index = int(row["index"])
        holder = holders.setdefault(digest_bytes(content), index)
        image = base64.b64encode(content).decode() if holder == index else str(holder)
        level = row.get("L2-category") or row.get("l2-category")
        cells = {**row, "index": index, "image": image, "l2-category": level}
        writer.writerow(["" if cells.get(column) is None else cells[column] for column in columns])
    folder.text(f"mmbench/MMBench_{split.upper()}_EN.tsv", stream.getvalue())


def seed_bench(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """SEED-Bench's image part; the copy numbers the types of questions and does not name them."""
    if split != "image":
        raise UsageError(
            f"{folder.where}: the hub's copy lacks part of the videos; take seed_bench_image, or use --data-root"
        )
    questions = []
    types: set[int] = set()
    kept = ("answer", "choice_a", "choice_b", "choice_c", "choice_d", "data_id", "data_type", "question")
    for row in rows:
        if row["data_type"] != "image":
            continue
        given = row["image"]
        image = given[0] if isinstance(given, list) and given else given
        name = folder.image(f"seed_bench/SEED-Bench-image/{row['data_id']}", image, any_kind=True)
        types.add(int(row["question_type_id"]))
        entry = {field: row[field] for field in kept}
        numbered = {"question_id": str(row["question_id"]), "question_type_id": int(row["question_type_id"])}
        questions.append({**entry, **numbered, "data_id": name})
    named = {f"type {number}": number for number in sorted(types)}
    folder.json("seed_bench/SEED-Bench.json", {"questions": questions, "question_type": named})


def mmvet(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """MM-Vet: the abilities stand in one text, separated by commas, or in a list."""
    questions = {}
    for row in rows:
        given = row["capability"]
        abilities = [one.strip() for one in given.split(",")] if isinstance(given, str) else list(given)
        identity = str(row["question_id"])
        if identity in questions:
            raise UsageError(f"{folder.where}: the question {identity} comes twice")
        name = folder.image(f"mm-vet/images/{identity}", row["image"], any_kind=True)
        said = {"question": row["question"], "answer": row["answer"], "capability": abilities}
        questions[identity] = {"imagename": name, **said}
    folder.json("mm-vet/mm-vet.json", questions)


def pope(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """POPE: one file of JSON lines for each category, in the rows' order."""
    lines: dict[str, list[Any]] = {"random": [], "popular": [], "adversarial": []}
    for row in rows:
        if row["category"] not in lines:
            raise UsageError(f"{folder.where}: a row has the unknown category {row['category']!r}")
        stem = PurePosixPath(str(row["image_source"])).stem
        name = folder.image(f"coco/val2014/{stem}", row["image"])
        label = str(row["answer"]).lower()
        said = {"image": name, "text": row["question"], "label": label}
        lines[row["category"]].append({"question_id": int(row["question_id"]), **said})
    for category, entries in lines.items():
        folder.lines(f"pope/coco_pope_{category}.json", entries)


def flickr30k(folder: Folder, rows: Rows, _: Rows, split: str) -> None:
    """Flickr30k's Karpathy split, as his own file has it."""
    entries = []
    for row in rows:
        stem = PurePosixPath(str(row["filename"])).stem
        name = folder.image(f"flickr30k/flickr30k-images/{stem}", row["image"])
        sentences = [{"raw": caption} for caption in row["caption"]]
        entries.append({"filename": name, "split": row["split"], "sentences": sentences})
    folder.json("flickr30k/dataset_flickr30k.json", {"images": entries})
