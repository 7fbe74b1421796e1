"""NExT-QA, multiple choice, in its authors' CSV files."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import Record, fault, read_json, refuse_duplicates
from lavit_eval.benchmarks.choice_samples import checked_place, choice_sample
from lavit_eval.benchmarks.folders import Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.plain_text import read_text
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source("NExT-QA", "https://github.com/doc-doc/NExT-QA", "MIT; videos under the VidOR and YFCC terms")
FOLDERS = (
    *("nextqa", "NExT-QA", "nextqa_mc", "NExTQA", "dataset/nextqa"),
    *("NExT-QA/dataset/nextqa", "nextqa/dataset/nextqa", "nextqa/nextqa"),
)
VIDEO_FOLDERS = ("nextqa/NExTVideo", "NExT-QA/NExTVideo", "nextqa_mc/NExTVideo", "NExTQA/NExTVideo", "NExTVideo")
MAP = "map_vid_vidorID.json"
OPTIONS = ("a0", "a1", "a2", "a3", "a4")
COLUMNS = ("video", "frame_count", "width", "height", "question", "answer", "qid", "type", *OPTIONS)
GROUPS = {"C": "causal", "T": "temporal", "D": "descriptive"}
TYPES = ("CW", "CH", "TN", "TC", "DC", "DL", "DO")


class NextqaMc:
    """NExT-QA multiple choice, splits `test` (8,564 questions on 1,000 videos), `val` (4,996 on 570) and `train`.

    Sample ids are "{video}_{qid}", since a qid is unique in its video only. Categories: `type` (TP counts as TN) and
    `group` (causal, temporal, descriptive), as in eval_mc.py.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test", "val", "train"), SOURCE)
        path = first_file(root, spread(FOLDERS, f"{split}.csv"), SOURCE)
        rows = read_rows(path)
        for row in rows:
            row["id"] = f"{row['video']}_{row['qid']}"
        refuse_duplicates(path, rows, "id")
        files = {"questions": path}
        places = read_map(path.with_name(MAP), files)
        media = NamedMedia(root, VIDEO_FOLDERS, label="NExTVideo")
        return Found(tuple(_sample(path, index, row, media, places) for index, row in enumerate(rows)), files)


def read_rows(path: Path) -> list[Record]:
    """Return the rows of a CSV file (raises UsageError with the line)."""
    lines = csv.DictReader(io.StringIO(read_text(path)), strict=True)
    try:
        if any("\t" in name for name in lines.fieldnames or ()):
            raise UsageError(
                f"{path}, line 1 is separated by tabs, not by commas: the file is a TSV in spite of its name; get the "
                f"original from {SOURCE.url}"
            )
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise UsageError(
                f"{path} must have the columns {', '.join(COLUMNS)}: the open-ended questions have a file of the same "
                "name, take the one for multiple choice"
            )
        rows: list[Record] = []
        for row in lines:
            if None in row or None in row.values():
                raise UsageError(f"{path}, line {lines.line_num} does not have {len(COLUMNS)} columns")
            rows.append(dict(row))
    except csv.Error as error:
        raise UsageError(f"{path}, line {lines.line_num} is not CSV ({error}): download it again") from error
    if not rows:
        raise UsageError(f"{path} holds no entries: download it again")
    return rows


def read_map(path: Path, files: dict[str, Path]) -> dict[str, str]:
    """Return video -> "group/video" from the authors' map beside the questions, where there is one."""
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(one, str) and inside(one) for one in content.values()):
        raise UsageError(f'{path} must be an object like {{"2909445186": "0101/2909445186"}}: download it again')
    files["places"] = path
    return content


def _sample(path: Path, index: int, row: Record, media: NamedMedia, places: dict[str, str]) -> Sample:
    video = checked_name(path, index, row, "id", row["video"])
    kind = "TN" if row["type"] == "TP" else row["type"]
    if kind not in TYPES:
        fault(path, index, row, "id", f'has the type "{row["type"]}", not one of {", ".join(TYPES)}, TP')
    options = [row[column].strip() for column in OPTIONS]
    answer = int(row["answer"]) if row["answer"].isdecimal() else row["answer"]
    place = checked_place(path, index, row, "id", answer, len(options))
    question = row["question"].strip().removesuffix("?").rstrip() + "?"
    categories = {"type": kind, "group": GROUPS[kind[0]]}
    return choice_sample(row["id"], _medium(media, video, places), question, options, place, categories)


def _medium(media: NamedMedia, video: str, places: dict[str, str]) -> Medium:
    """Return a video in the folder of its group, or in the one folder of copies; its name is the same in both."""
    grouped, flat = places.get(video, video), media.of(video)
    return flat if media.has(video) else Medium("video", media.of(grouped).path, flat.name)
