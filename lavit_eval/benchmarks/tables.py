"""Strict reading of tables separated by tabs, with cells as large as an image."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lavit_eval.errors import UsageError

LARGEST_CELL = 1 << 28
"""Characters; the csv module's own limit is less than a photo."""


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield (line on which it ends, column -> cell) of every row, without holding the whole file.

    Column names are given in lower case, whatever the file's. Cells in quotes may hold tabs, quotes and line ends.

    Raises UsageError that names the file and the line: another separator, columns missing or twice, a row with more or
    fewer cells than columns, a NUL byte, a file cut off within a cell, or no UTF-8.
    """
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, delimiter="\t", strict=True)
            names = _header(path, next(rows, []), columns)
            for cells in rows:
                if not cells:
                    continue
                if any("\0" in cell for cell in cells):
                    raise UsageError(f"{path}, line {rows.line_num} holds a NUL byte: download it again")
                if len(cells) != len(names):
                    raise UsageError(
                        f"{path}, line {rows.line_num} has {len(cells)} cells under {len(names)} columns: "
                        "download it again, it may be cut off"
                    )
                yield rows.line_num, dict(zip(names, cells, strict=True))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check the file and its permissions") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (near byte {error.start}): download it again") from error
    except csv.Error as error:
        raise UsageError(f"{path}, line {rows.line_num} is no row of a table ({error}): download it again") from error
    finally:
        csv.field_size_limit(before)


def _header(path: Path, cells: Sequence[str], columns: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    lacking = [column for column in columns if column not in names]
    if lacking:
        commas = len(names) == 1 and "," in names[0]
        found = "it is separated by commas, not tabs" if commas else f"it has {', '.join(names) or 'no first line'}"
        raise UsageError(f"{path} must be a table separated by tabs with a column {lacking[0]!r}; {found}")
    if len(set(names)) != len(names):
        raise UsageError(f"{path} names a column twice in its first line: download it again")
    return names
