"""The wording of multiple-choice questions, as LLaVA-1.5 asks them."""

from __future__ import annotations

from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lettered(question: str, choices: Sequence[str]) -> str:
    r"""Return a question with its choices below it, one a line.

    >>> lettered("Which?", ["one", "two"])
    'Which?\nA. one\nB. two'
    """
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([question, *lines])
