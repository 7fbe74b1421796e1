"""JSON lines: every line is an entry, and a bad one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.benchmarks.json_lines import read_json_lines
from lavit_eval.errors import UsageError

FIELDS = {"id": int}


def written(folder: Path, text: str) -> Path:
    path = folder / "lines.json"
    path.write_bytes(text.encode())
    return path


def test_empty_lines_and_windows_line_ends_do_not_count(tmp_path: Path) -> None:
    path = written(tmp_path, '\ufeff{"id": 1}\r\n\r\n{"id": 2}')
    assert read_json_lines(path, FIELDS, key="id") == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": 1}\n{"id": 2', r"lines\.json, line 2 is not valid JSON"),
        ('[{"id": 1},\n{"id": 2}]', r"lines\.json, line 1 is not valid JSON .*each line must be an object"),
        ('[{"id": 1}]', r"entry 1 is a list, not an object"),
        ('{"id": 1}\n{"id": 1}', r"entry 2 \(id 1\) has the id of entry 1"),
        ('{"id": "1"}', r'has text as "id", not a whole number'),
        ("<html>", r"line 1 is not valid JSON"),
        ("\n", "holds no entries"),
        ("[" * 100000, "nested too deeply"),
    ],
)
def test_what_is_no_entry_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_json_lines(written(tmp_path, text), FIELDS, key="id")
