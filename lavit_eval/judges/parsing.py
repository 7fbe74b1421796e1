"""What a judge's reply says: read tolerantly, never evaluated, never guessed."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from lavit_eval.judges.protocol import Reading, Verdict

PARSER_VERSION = 1
"""Rises when the same reply would be read otherwise; judged metrics have it in their protocol."""
LONGEST = 4000
"""Characters of a reply that are looked at, once what was thought is taken off; no grade needs more."""
THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
THOUGHT_ENDS = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
BRACES = re.compile(r"\{[^{}]*\}")
WORDS = {"yes": True, "no": False, "true": True, "false": False}
MOST_SCORE = 5.0
PRED = re.compile(r"""["'“”‘’*]*\bpred\b["'“”‘’*]*\s*[:=]\s*["'“”‘’*]*(yes|no)\b""", re.IGNORECASE)
SCORE = re.compile(
    r"""["'“”‘’*]*\bscore\b["'“”‘’*]*\s*[:=]\s*["'“”‘’*]*(-?\d+(?:\.\d+)?)(?![\d.]*\d|\s*/\s*(?!5\b))""", re.IGNORECASE
)
NUMBER = re.compile(r"(?<![\w./-])-?\d+(?:\.\d+)?(?![\w/]|\.\d)")
LETTER = re.compile(r"(?<![\w'])[A-Z](?![\w'])")


def read(reply: str, reading: Reading) -> Verdict:
    """Return what a reply says, or a verdict that says why nothing can be taken from it.

    Text in other keys, code fences, a model's thoughts in <think> tags and text around the answer are passed over. Two
    answers that contradict each other are no answer.
    """
    said = THOUGHT_ENDS.split(reply)[-1].strip()
    if not said:
        return Verdict(reply, "an empty reply")
    if len(said) > LONGEST:
        return Verdict(reply, "a reply far too long for a grade")
    if THOUGHT.search(said):
        return Verdict(reply, "it was still thinking when its reply ended")
    if reading == "option":
        return _option(reply, said)
    if reading == "fraction":
        return _fraction(reply, said)
    return _graded(reply, said, wants_pred=reading == "yes_no_score")


def _graded(reply: str, said: str, wants_pred: bool) -> Verdict:
    found = _objects(said)
    preds = {right for one in found if (right := _right(one.get("pred"))) is not None}
    scores = {score for one in found if (score := _number(one.get("score"))) is not None}
    if not found:
        # A malformed object, such as {''score': 4.8} or a list of "score: 4": its pairs are read one by one.
        preds = {WORDS[word.lower()] for word in PRED.findall(said)}
        scores = {float(number) for number in SCORE.findall(said)}
    if wants_pred and len(preds) != 1:
        return Verdict(reply, "it says neither yes nor no" if not preds else "it says both yes and no")
    if len(scores) != 1:
        return Verdict(reply, "it gives no score" if not scores else "it gives several scores")
    score = scores.pop()
    if not 0 <= score <= MOST_SCORE:
        return Verdict(reply, f"its score {score:g} is outside 0 to {MOST_SCORE:g}")
    return Verdict(reply, right=preds.pop() if wants_pred else None, score=score)


def _objects(said: str) -> list[Mapping[str, Any]]:
    """Return the JSON objects or Python dicts in a text, their keys in lower case."""
    found: list[Mapping[str, Any]] = []
    for text in BRACES.findall(said):
        one = _literal(text)
        if isinstance(one, dict) and all(isinstance(key, str) for key in one):
            lower = {key.strip().lower(): value for key, value in one.items()}
            if lower.keys() & {"pred", "score"}:
                found.append(lower)
    return found


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        # Knows literals only: no name is looked up and nothing is called.
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _right(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return WORDS.get(value.strip().strip(".!").lower()) if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    return float(value) if isinstance(value, int | float) and abs(value) < 1e9 else None


def _fraction(reply: str, said: str) -> Verdict:
    """Read a number of 0 to 1: the first word, as MM-Vet's script takes it, or the only number in the reply."""
    first = said.strip("| \t\r\n").split()
    word = first[0].strip("|*`").rstrip(".,;:") if first else ""
    numbers = {float(word)} if NUMBER.fullmatch(word) else {float(number) for number in NUMBER.findall(said)}
    if len(numbers) != 1:
        return Verdict(reply, "it gives no number" if not numbers else "it gives several numbers")
    score = numbers.pop()
    if not 0 <= score <= 1:
        return Verdict(reply, f"its number {score:g} is outside 0 to 1")
    return Verdict(reply, score=score)


def _option(reply: str, said: str) -> Verdict:
    letters = set(LETTER.findall(said))
    if len(letters) != 1:
        return Verdict(reply, "it names no letter" if not letters else "it names several letters")
    return Verdict(reply, option=letters.pop())
