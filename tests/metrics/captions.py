"""Captions for the tests of caption metrics."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lavit_eval.metrics.caption_tokens import Tokenised
from lavit_eval.metrics.java import missing_java
from lavit_eval.metrics.protocol import Measured
from lavit_eval.sample import Sample

needs_java = pytest.mark.skipif(missing_java() is not None, reason="no Java")

IMAGES = {
    "1": ["A red bus drives down the road.", "a bus on a road", "the bus is red (and old)"],
    "2": ["Two cats sit on a sofa.", "cats on a couch"],
    "3": ["A man in the U.S. plays tennis", "someone playing tennis!", "the man's racket"],
    "4": ["a dog runs", "dogs running in the park \U0001f642"],
    "5": ["An umbrella.", "a red umbrella in the rain"],
}
TEXTS = ["a red bus on the road", "Two cats on a couch.", "a hound (running)", "", "a man plays tennis in the U.S."]


def samples() -> list[Sample]:
    """Return the five images."""
    return [Sample(name, (), "", tuple(captions)) for name, captions in IMAGES.items()]


def total(measured: Measured) -> float:
    """Return the value over all responses."""
    return float(measured.reduce(measured.rows.sum(axis=0)))


def tokenised(references: Sequence[Sequence[str]], hypotheses: Sequence[str], images: Sequence[int] = ()) -> Tokenised:
    """Return captions that are tokens already, one response per image unless said otherwise."""
    return Tokenised(tuple(map(tuple, references)), tuple(hypotheses), tuple(images) or tuple(range(len(hypotheses))))
