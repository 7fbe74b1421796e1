"""TGIF-QA's FrameQA: tab-separated values in a file named .csv."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import Record, fault, refuse_duplicates
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.plain_text import read_text
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source("TGIF-QA", "https://github.com/YunseokJANG/tgif-qa", "academic use only; GIFs of Tumblr")
FOLDERS = ("tgif_qa", "TGIF-QA", "tgif-qa", "tgif_qa/dataset", "TGIF-QA/dataset", "tgif-qa/dataset", "dataset", "")
FILES = {"test": "Test_frameqa_question.csv", "train": "Train_frameqa_question.csv"}
GIF_FOLDERS = (
    *("tgif_qa/gifs", "TGIF-QA/gifs", "tgif-qa/gifs", "tgif_qa/mp4", "TGIF-QA/mp4", "TGIF_Zero_Shot_QA/mp4"),
    *("gifs", "tgif_qa/videos"),
)
COLUMNS = ("gif_name", "question", "answer", "type", "vid_id", "key", "description")
TYPES = ("object", "number", "color", "location")


class TgifQaFrame:
    """TGIF-QA FrameQA, splits `test` (13,691 questions on 7,132 GIFs) and `train`; each question has one answer.

    Sample ids are the `vid_id`s; the category is the question's `type`. The column `description` holds the answer and
    goes no further than this reader.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, tuple(FILES), SOURCE)
        path = first_file(root, spread(FOLDERS, FILES[split]), SOURCE)
        rows = read_rows(path)
        refuse_duplicates(path, rows, "vid_id")
        media = NamedMedia(root, GIF_FOLDERS, (".gif", ".mp4", ".webm", ".avi", ".mkv"), label="gifs")
        samples = []
        for index, row in enumerate(rows):
            if row["type"] not in map(str, range(len(TYPES))):
                fault(path, index, row, "vid_id", f'has the type "{row["type"]}", not 0 to {len(TYPES) - 1}')
            medium = media.of(checked_name(path, index, row, "vid_id", row["gif_name"]))
            categories = {"type": TYPES[int(row["type"])]}
            samples.append(Sample(row["vid_id"], (medium,), row["question"], (row["answer"],), categories))
        return Found(tuple(samples), {"questions": path})


def read_rows(path: Path) -> list[Record]:
    """Return the rows; quotes and commas are parts of the text (raises UsageError with the line)."""
    lines = read_text(path).split("\n")
    if tuple(lines[0].split("\t")) != COLUMNS:
        raise UsageError(
            f"{path}, line 1 must name the columns {', '.join(COLUMNS)}, separated by tabs although the file ends in "
            ".csv: is it the official file, unchanged?"
        )
    rows: list[Record] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != len(COLUMNS):
            raise UsageError(f"{path}, line {number} has {len(cells)} tab-separated columns, not {len(COLUMNS)}")
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    if not rows:
        raise UsageError(f"{path} holds no entries: download it again")
    return rows
