"""The ten answers that people gave to a question, where they carry no numbers to be told apart by."""

from __future__ import annotations

from pathlib import Path

from lavit_eval.benchmarks.annotations import Record, fault

ANSWERS = 10
"""People who answered each question; the official accuracies are defined on exactly these."""


def ten_answers(path: Path, index: int, row: Record, key: str) -> tuple[str, ...]:
    """Return the texts of an entry's "answers" (raises UsageError unless they are ten texts)."""
    given = [answer.get("answer") if isinstance(answer, dict) else None for answer in row["answers"]]
    texts = tuple(text for text in given if isinstance(text, str))
    if len(texts) != len(given):
        fault(path, index, row, key, 'has an answer without a text "answer"')
    if len(texts) != ANSWERS:
        fault(path, index, row, key, f"has {len(texts)} answers, not {ANSWERS}")
    return texts
