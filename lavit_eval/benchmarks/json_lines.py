"""Strict reading of JSON lines, which several benchmarks publish in files named .json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lavit_eval.benchmarks.annotations import Kind, Record, check_records
from lavit_eval.benchmarks.plain_text import read_lines
from lavit_eval.errors import UsageError


def read_json_lines(path: Path, fields: Mapping[str, Kind], key: str | None = None) -> list[Record]:
    """Return the objects of a file that holds one on each line; empty lines do not count.

    Args:
        path: The file, in UTF-8.
        fields: Fields that every entry must have, with the type of their value; a bool is no number.
        key: The field that identifies an entry; no value of it may come twice.

    Raises UsageError that names the file and the line or the entry.
    """
    rows = []
    for number, line in read_lines(path):
        try:
            rows.append(json.loads(line))
        except (json.JSONDecodeError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deeply")
            raise UsageError(
                f"{path}, line {number} is not valid JSON ({reason}): each line must be an object of its own, "
                "download the file again, it may be cut off"
            ) from error
    if not rows:
        raise UsageError(f"{path} holds no entries: download it again")
    check_records(path, rows, fields, key)
    return rows
