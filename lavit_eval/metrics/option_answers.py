"""Which option an answer names, by the rules of the official scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NO_OPTION = "Z"
"""What VLMEvalKit takes for "none of the options"; never right."""
SCIENCEQA_LETTERS = "ABCDE"
SCIENCEQA_SENTENCE = re.compile(r"The answer is ([A-Z]).")
"""The last dot stands for any character, as in LLaVA's script: a reply that ends at the letter is not understood."""
SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
LAST_WORDS = 5
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
NO_ANSWER = "Failed to obtain answer via API"


def scienceqa_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the letter that LLaVA's eval_science_qa.py finds, None where it says FAILED.

    A reply that is a letter from A to E; one that begins with a letter and ". "; one sentence "The answer is X" with
    a character after it. The letter may lie beyond the choices, and is then wrong.

    >>> [scienceqa_option(text, ["", ""]) for text in ("B", "B. because", "The answer is C.", "The answer is C", "b")]
    ['B', 'B', 'C', None, None]
    """
    if len(text) == 1 and text in SCIENCEQA_LETTERS:
        return text
    if text[:1] in SCIENCEQA_LETTERS and text[1:3] == ". ":
        return text[0]
    found: list[str] = SCIENCEQA_SENTENCE.findall(text)
    return found[0] if len(found) == 1 else None


def exact_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the letter of a reply that is one of the choices' letters and nothing else (LLaVA's SEED-Bench script)."""
    return text if text in letters_of(choices) else None


def first_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the first character of a reply without outer spaces, if it is one of the letters (lmms-eval)."""
    return exact_option(text.strip()[:1], choices)


def vlmevalkit_option(text: str, choices: Sequence[str]) -> str | None:
    """Return the letter that VLMEvalKit's can_infer finds, "Z" for a refusal, None where it cannot decide.

    First a letter: the only one among the words of the reply, and one of its last four words. Else a choice: the only
    one whose text stands in the reply, letter case aside, when the reply is at most twice as long as all choices
    together. The pattern "answer is X" of later versions is not looked for.

    >>> vlmevalkit_option("It is a dog", ["cat", "dog"]), vlmevalkit_option("A or B", ["cat", "dog"])
    ('B', None)
    """
    letter = _option_word(text, letters_of(choices))
    return letter if letter is not None else _option_text(text, choices)


def letters_of(choices: Sequence[str]) -> tuple[str, ...]:
    """Return the letters of the choices: A, B and so on."""
    return tuple(LETTERS[: len(choices)])


def _option_word(text: str, letters: Sequence[str]) -> str | None:
    if NO_ANSWER in text:
        return None
    if any(refusal in text for refusal in REFUSALS):
        return NO_OPTION
    words = text.translate(SEPARATORS).split()
    named = [letter for letter in letters if letter in words]
    if len(named) == 1 and words.index(named[0]) > len(words) - LAST_WORDS:
        return named[0]
    return NO_OPTION if not named and NO_OPTION in words else None


def _option_text(text: str, choices: Sequence[str]) -> str | None:
    if len(text) > 2 * sum(map(len, choices)):
        return None
    lower = text.lower()
    named = [letter for letter, choice in zip(LETTERS, choices, strict=False) if choice.lower() in lower]
    return named[0] if len(named) == 1 else None


READINGS: Mapping[str, Callable[[str, Sequence[str]], str | None]] = {
    "scienceqa": scienceqa_option,
    "exact": exact_option,
    "vlmevalkit": vlmevalkit_option,
}
"""What a reader may write into `extra["reading"]` of its samples."""
