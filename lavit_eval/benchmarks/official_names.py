"""File names that an official scorer makes of prompts; what cannot be one is refused before anything is made."""

from __future__ import annotations

LONGEST = 255
"""Bytes that a file's name may have on the usual file systems."""
SUFFIX = ".mp4"


def numbered(prompt: str, index: int) -> str:
    """Return the stem under which VBench looks for the video of a prompt: the prompt as it is, a dash, a number."""
    return f"{prompt}-{index}"


def unusable(stem: str) -> str | None:
    """Return why no file can have this stem with ".mp4" behind it, or None.

    Nothing is replaced or cut off: VBench compares names letter by letter, so that another name is a missing video.
    """
    if found := sorted({"/", "\0"} & set(stem)):
        return f"holds {found[0]!r}, which no file name can"
    size = len((stem + SUFFIX).encode("utf-8", "surrogatepass"))
    return f"makes a file name of {size} bytes, more than {LONGEST}" if size > LONGEST else None
