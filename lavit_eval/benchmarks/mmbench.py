"""MMBench: multiple-choice questions in a table that holds the images, each in every rotation of its choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.packed_images import unpacked
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.benchmarks.tables import read_table
from lavit_eval.errors import UsageError
from lavit_eval.multiple_choice import with_options
from lavit_eval.sample import Medium, Sample

SOURCE = Source("MMBench", "https://github.com/open-compass/MMBench", "Apache-2.0; images from many sources")
FOLDERS = ("mmbench", "MMBench", "LMUData", "")
FILES = {
    "dev": ("MMBench_DEV_EN.tsv", "mmbench_dev_en_20231003.tsv", "MMBench_DEV_EN_legacy.tsv"),
    "dev_20230712": ("mmbench_dev_20230712.tsv",),
    "test": ("MMBench_TEST_EN.tsv", "mmbench_test_en_20231003.tsv", "MMBench_TEST_EN_legacy.tsv"),
}
COLUMNS = ("index", "question", "hint", "a", "b", "category", "image")
LETTERS = "abcd"
ROTATION = 1_000_000
"""A rotation's index is that of its question plus a multiple of this."""
EMPTY = frozenset({"", "nan", "none"})
"""How the file and the tools that rewrote it say that there is nothing (LLaVA compares in lower case)."""
LONGEST_INDEX = 12
"""Digits; a cell of no more of them in the place of an image is the index of the row that has the image."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table, checked."""

    index: int
    line: int
    question: str
    choices: tuple[str, ...]
    answer: str | None
    categories: Mapping[str, str]
    image: Medium | int
    """The image, or the index of the row that has it."""

    @property
    def group(self) -> int:
        """The index of the question that this is a rotation of."""
        return self.index % ROTATION


class Mmbench:
    """MMBench in English, splits `dev` (4,329 rows of 1,164 questions), `test` (6,666 rows without answers) and
    `dev_20230712`, the first release of dev, which LLaVA-1.5 used.

    Sample ids are the rows' indices. The images are unpacked into the cache. Choices end at the first that is empty,
    "nan" or "none". Categories: `category` and, where the file has it, `l2_category`.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, tuple(FILES), SOURCE)
        path = first_file(root, [place for name in FILES[split] for place in spread(FOLDERS, name)], SOURCE)
        rows = read_rows(path, answered=split != "test")
        sizes = rotations(path, rows)
        samples = tuple(sample_of(path, row, rows, sizes[row.group]) for row in rows.values())
        return Found(samples, {"table": path})


def read_rows(path: Path, answered: bool) -> dict[int, Row]:
    """Return index -> row, in the file's order."""
    rows: dict[int, Row] = {}
    for line, cells in read_table(path, COLUMNS):
        row = row_of(path, line, cells, answered)
        if row.index in rows:
            raise UsageError(f"{path}, line {line} has the index {row.index} of line {rows[row.index].line}")
        rows[row.index] = row
    if not rows:
        raise UsageError(f"{path} holds no questions: download it again")
    return rows


def row_of(path: Path, line: int, cells: Mapping[str, str], answered: bool) -> Row:
    """Return one row (raises UsageError that names the line)."""
    where = f"{path}, line {line}"
    if not is_index(cells["index"]):
        raise UsageError(f"{where} has {cells['index'][:20]!r} as index, not a whole number")
    choices = choices_of(cells)
    letters = [letter.upper() for letter in LETTERS[: len(choices)]]
    answer = cells.get("answer", "").strip()
    if answered and answer not in letters:
        raise UsageError(f"{where} has the answer {answer!r}, but the choices {', '.join(letters) or 'none'}")
    level = "l2-category"
    return Row(
        index=int(cells["index"]),
        line=line,
        question=asked(cells["hint"], cells["question"]),
        choices=choices,
        answer=answer if answered else None,
        categories={"category": cells["category"], **({"l2_category": cells[level]} if cells.get(level) else {})},
        image=int(cells["image"]) if is_index(cells["image"]) else unpacked(cells["image"], where),
    )


def is_index(cell: str) -> bool:
    """Return whether a cell is a row's index."""
    return cell.isascii() and cell.strip().isdigit() and len(cell.strip()) <= LONGEST_INDEX


def choices_of(cells: Mapping[str, str]) -> tuple[str, ...]:
    """Return the choices up to the first that is empty."""
    choices: list[str] = []
    for letter in LETTERS:
        if cells.get(letter, "").strip().lower() in EMPTY:
            break
        choices.append(cells[letter])
    return tuple(choices)


def asked(hint: str, question: str) -> str:
    """Return the question below its hint, where there is one."""
    return question if hint.strip().lower() in EMPTY else f"{hint}\n{question}"


def rotations(path: Path, rows: Mapping[int, Row]) -> dict[int, int]:
    """Return question -> number of its rows (raises UsageError unless that is the number of its choices)."""
    counts: dict[int, int] = {}
    for row in rows.values():
        counts[row.group] = counts.get(row.group, 0) + 1
    if orphans := [group for group in counts if group not in rows]:
        raise UsageError(f"{path} has rotations of the question {orphans[0]}, but no row with that index")
    for group, count in counts.items():
        main = rows[group]
        if len(main.choices) != count:
            raise UsageError(
                f"{path}, line {main.line}: the question {group} has {len(main.choices)} choices, but stands there in "
                f"{count} rotations; download the file again"
            )
    return counts


def sample_of(path: Path, row: Row, rows: Mapping[int, Row], count: int) -> Sample:
    """Return the sample of a row, with the image of the row that it refers to."""
    image = row.image
    if isinstance(image, int):
        holder = rows.get(image)
        if holder is None or isinstance(holder.image, int):
            raise UsageError(f"{path}, line {row.line} takes the image of row {image}, which has none")
        image = holder.image
    return Sample(
        id=str(row.index),
        media=(image,),
        question=with_options(row.question, row.choices),
        stem=row.question,
        references=() if row.answer is None else (row.answer,),
        categories=row.categories,
        extra={
            "choices": list(row.choices),
            "reading": "vlmevalkit",
            "question": str(row.group),
            "rotations": count,
        },
    )
