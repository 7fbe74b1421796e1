"""Samples of multiple choice: what every reader of such questions must check and put where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lavit_eval.benchmarks.annotations import fault
from lavit_eval.multiple_choice import LETTERS, lettered, without_letter
from lavit_eval.sample import Medium, Sample


def checked_options(path: Path, index: int, row: Mapping[str, Any], key: str | None, options: object) -> list[str]:
    """Return the options; raise UsageError that names the entry unless they are 2 to 26 texts."""
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        fault(path, index, row, key, "has options that are not a list of texts")
    if not 2 <= len(options) <= len(LETTERS):
        fault(path, index, row, key, f"has {len(options)} options, not 2 to {len(LETTERS)}")
    return options


def checked_place(path: Path, index: int, row: Mapping[str, Any], key: str | None, place: object, count: int) -> int:
    """Return the number of the right option, from 0; raise UsageError that names the entry when there is no such."""
    if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < count:
        fault(path, index, row, key, f"has {place!r} as the right option, not 0 to {count - 1}")
    return place


def choice_sample(
    identity: str,
    medium: Medium,
    question: str,
    options: Sequence[str],
    answer: int | None,
    categories: Mapping[str, str],
    form: str = "{letter}. {option}",
    named: bool = False,
    stem: str = "",
) -> Sample:
    """Return the Sample of a question with its options below it.

    Args:
        identity: The sample's id.
        medium: What is asked about.
        question: What is asked, without the options.
        options: In their order.
        answer: The place of the right one, from 0; None where the split publishes none.
        categories: Axis -> category.
        form: How an option is shown.
        named: Whether the options carry their letters already.
        stem: What is asked where the options are not shown, if that is not `question`.
    """
    shown = "\n".join(options) if named else lettered(options, form)
    texts = [without_letter(option, index) for index, option in enumerate(options)] if named else list(options)
    references = () if answer is None else (LETTERS[answer],)
    extra = {"choices": texts}
    return Sample(identity, (medium,), f"{question}\n{shown}", references, categories, extra, stem=stem or question)
