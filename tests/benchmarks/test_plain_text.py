"""Text files are read as any system writes them, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.benchmarks.plain_text import listed, read_lines, read_text
from lavit_eval.errors import UsageError


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "some.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_make_no_difference(tmp_path: Path, start: bytes, end: bytes) -> None:
    path = write(tmp_path, start + b"one" + end + end + b" two " + end)
    assert read_lines(path) == [(1, "one"), (3, "two")]


def test_only_line_ends_end_a_line(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, "a\u2028b\x0cc\n".encode())) == [(1, "a\u2028b\x0cc")]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"some\.txt, line 2 holds a NUL byte"):
        read_text(write(tmp_path, b"one\ntw\0o\n"))
    with pytest.raises(UsageError, match=r"some\.txt is not UTF-8 text \(byte 4\)"):
        read_text(write(tmp_path, b"caf\x61\xe9 "))
    with pytest.raises(UsageError, match=r"none\.txt cannot be read \(No such file"):
        read_text(tmp_path / "none.txt")


def test_long_lists_are_cut() -> None:
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
