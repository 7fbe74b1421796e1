"""How options are shown and answers read: strictly, and as two official scripts do."""

from __future__ import annotations

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.multiple_choice import (
    READINGS,
    exact_option,
    first_option,
    lettered,
    mvbench_hit,
    mvbench_hit_with_letter,
    scienceqa_lmms_option,
    scienceqa_option,
    strict_option,
    videomme_option,
    vlmevalkit_option,
    with_options,
    without_letter,
)

OPTIONS = ["a dog", "a cat", "no animal", "A dog and a cat"]


def test_options_are_lettered() -> None:
    assert lettered(["x", "y"]) == "A. x\nB. y"
    assert lettered(["{letter}", "{option}"], "({letter}) {option}") == "(A) {letter}\n(B) {option}"
    for count in (1, 27):
        with pytest.raises(UsageError, match=f"2 to 26 options, not {count}"):
            lettered(["x"] * count)
    assert with_options("Which?", ["x", "y"]) == "Which?\nA. x\nB. y"
    assert without_letter("B. Shut.", 1) == "Shut."
    assert without_letter("B. Shut.", 0) == "B. Shut."


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        *(("B", 1), ("b", 1), (" B.\n", 1), ("(B)", 1), ("(b)", 1), ("B)", 1), ("B:", 1)),
        *(("B. a cat", 1), ("(B) a cat.", 1), ("B a cat", 1), ("a cat", 1), ("A cat.", 1), ("a dog", 0)),
        *(("A dog and a cat", 3), ("D. a dog and  a cat", 3), ("C. No animal", 2)),
        *(("", None), ("E", None), ("The answer is B", None), ("A or B", None), ("B. a dog", None)),
        *(("A man runs", None), ("a cat, I think", None), ("AB", None), ("(", None), ("5", None)),
    ],
)
def test_a_strict_answer_states_one_option_and_nothing_else(text: str, chosen: int | None) -> None:
    assert strict_option(text, OPTIONS) == (None if chosen is None else "ABCD"[chosen])


def test_a_letter_is_the_letter_before_it_is_a_text() -> None:
    assert strict_option("B", ["B", "A"]) == "B"
    assert strict_option("same", ["same", "Same"]) is None


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        *(("B", 1), ("The best answer is B.", 1), ("The answer: (C)", 2), ("The correct answer is D", 3)),
        *(("A dog runs", 0), ("Dogs run", 3), ("No, B", 1), ("b", None), ("", None), ("nothing", None), ("E", None)),
        *(("Best option: C", 1), ("one two three four five six seven eight nine ten eleven", None)),
    ],
)
def test_the_first_capital_letter_wherever_it_stands(text: str, chosen: int | None) -> None:
    """The B of "Best" too: the official list of phrases lacks a comma there."""
    assert videomme_option(text, OPTIONS) == (None if chosen is None else "ABCD"[chosen])


@pytest.mark.parametrize(
    ("text", "official", "guarded"),
    [
        *(("(B) ate", True, True), ("B", True, True), ("b.", True, True), ("B)", True, True), ("(b)x", True, True)),
        *(("(A) ran", False, False), ("The answer is B", False, False), ("ate", False, False)),
        *(("", True, False), ("(", True, False), (")", True, False), (".", True, False), (" B", True, False)),
    ],
)
def test_mvbench_takes_nothing_for_right_unless_guarded(text: str, official: bool, guarded: bool) -> None:
    assert mvbench_hit(text, ["ran", "ate"], 1) is official
    assert mvbench_hit_with_letter(text, ["ran", "ate"], 1) is guarded


CHOICES = ["left", "a dog", "two people"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", "A"),
        ("E", "E"),
        ("F", None),
        ("a", None),
        ("A ", None),
        ("AB", None),
        ("", None),
        ("B. because", "B"),
        ("B.", None),
        ("The answer is C.", "C"),
        ("The answer is C", None),
        ("The answer is A. The answer is B.", None),
    ],
)
def test_scienceqa(text: str, expected: str | None) -> None:
    assert scienceqa_option(text, CHOICES) == expected


@pytest.mark.parametrize(("text", "exact", "first"), [("B", "B", "B"), ("B.", None, "B"), (" B", None, "B")])
def test_one_letter(text: str, exact: str | None, first: str | None) -> None:
    assert exact_option(text, CHOICES) == exact
    assert first_option(text, CHOICES) == first


@pytest.mark.parametrize("text", ["", "D", "b", "Both", "ABC"])
def test_no_letter_of_the_choices(text: str) -> None:
    assert exact_option(text, CHOICES) is None
    assert (first_option(text, CHOICES) is None) == (text[:1] not in {"A", "B"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("Answer: C.", "C"),
        ("b", None),
        ("A or B", None),
        ("D", None),
        ("The letter B is what I would say here", None),
        ("I would say that it must be B here", "B"),
        ("It is a dog", "B"),
        ("LEFT", "A"),
        ("a dog on the left", None),
        ("left " + "very " * 10, None),
        ("I can't process this file.", "Z"),
        ("Z", "Z"),
        ("Failed to obtain answer via API A", None),
        ("", None),
    ],
)
def test_vlmevalkit(text: str, expected: str | None) -> None:
    assert vlmevalkit_option(text, CHOICES) == expected


def test_the_readings_are_named() -> None:
    assert set(READINGS) == {
        *("strict", "exact", "first", "scienceqa", "scienceqa-lmms-eval", "vlmevalkit", "video-mme")
    }
    assert READINGS["scienceqa-lmms-eval"] is scienceqa_lmms_option
