"""Tables separated by tabs: large cells, quotes, and every kind of damage named by its line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lavit_eval.benchmarks.tables import read_table
from lavit_eval.errors import UsageError

COLUMNS = ("index", "image")


def rows(folder: Path, content: bytes) -> list[dict[str, str]]:
    path = folder / "table.tsv"
    path.write_bytes(content)
    return [dict(row) for _, row in read_table(path, COLUMNS)]


def test_cells_larger_than_the_csv_modules_limit(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert len(rows(tmp_path, b"index\timage\n1\t" + b"A" * 300_000)[0]["image"]) == 300_000
    assert csv.field_size_limit() == before


def test_quotes_tabs_line_ends_and_capitals(tmp_path: Path) -> None:
    content = '\ufeffIndex\timage\r\n1\t"a ""b""\tc\nd"\r\n\r\n2\tit\'s 5" wide\r\n'
    assert rows(tmp_path, content.encode()) == [
        {"index": "1", "image": 'a "b"\tc\nd'},
        {"index": "2", "image": "it's 5\" wide"},
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"index,image\n1,x\n", r"table separated by tabs .*separated by commas, not tabs"),
        (b"index\tquestion\n1\tx\n", r"a column 'image'; it has index, question"),
        (b"", "it has no first line"),
        (b"index\timage\timage\n", "names a column twice"),
        (b"index\timage\n1\tx\n2\n", "line 3 has 1 cells under 2 columns"),
        (b"index\timage\n1\tx\t\n", "line 2 has 3 cells under 2 columns"),
        (b"index\timage\n1\tx\n2\ta\0b\n", "line 3 holds a NUL byte"),
        (b'index\timage\n1\t"cut off', "line 2 is no row of a table"),
        (b"index\timage\n1\t\xff\n", "is not UTF-8"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        rows(tmp_path, content)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        list(read_table(tmp_path / "none.tsv", COLUMNS))
