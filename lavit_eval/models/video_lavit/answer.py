"""From the decoded new tokens to the answer."""

from __future__ import annotations

STOP_TEXT = "\\n"
"""A backslash and the letter n: the tuned model ends its answers with these two characters."""

TRUNCATE_AT = ("\n", ".", "!", ",", "?")


def clean_answer(decoded: str, truncate: bool = False) -> str:
    """Return the answer in a decoded text, as the reference's runner does.

    The text is cut at the first literal backslash-n and stripped.

    Args:
        decoded: The new tokens as text, special tokens left out.
        truncate: Also cut at the first newline, then at the first `.`, `!`, `,`, `?` of what is left (the runner's
            `truct_vqa`), and strip again.
    """
    text = decoded.split(STOP_TEXT, 1)[0].strip()
    if truncate:
        for mark in TRUNCATE_AT:
            text = text.split(mark, 1)[0]
        text = text.strip()
    return text
