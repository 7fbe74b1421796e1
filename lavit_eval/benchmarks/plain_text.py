"""Strict reading of text files: UTF-8 with or without a byte order mark, with line ends of any system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavit_eval.errors import UsageError

SHORT = 5


def read_text(path: Path) -> str:
    r"""Return the content of a UTF-8 file, every line end as "\n".

    Raises UsageError that names the file when it cannot be read, is not UTF-8, or holds a NUL byte (with the line).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check the file and its permissions") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}): download it again") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    before, nul, _ = text.partition("\0")
    if nul:
        line = before.count("\n") + 1
        raise UsageError(f"{path}, line {line} holds a NUL byte: download it again, or save it as UTF-8 text")
    return text


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return (number from 1, line without surrounding spaces) of every line that is not empty (see `read_text`)."""
    # Not str.splitlines(), which also cuts at characters that may stand within a line.
    numbered = enumerate((line.strip() for line in read_text(path).split("\n")), start=1)
    return [(number, line) for number, line in numbered if line]


def listed(names: Sequence[str]) -> str:
    """Return names as "a, b, c", with "and 7 more" in the place of those beyond the fifth."""
    more = f" and {len(names) - SHORT} more" if len(names) > SHORT else ""
    return ", ".join(names[:SHORT]) + more
