"""Exact match, the accuracy of MSVD-QA and MSRVTT-QA before language models judged answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

from lavit_eval.metrics.percentage import Percentage
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import Sample

MARKS = ".,;:!?\"'`()[]{}<>\u2018\u2019\u201c\u201d\u2026"
"""Sentence punctuation, quotes and brackets; signs that carry meaning ($ % # & + - * /) are no part of it."""


class ExactMatch(Percentage):
    """Percentage of answers equal to a reference after the same normalisation of both.

    Lower-case; every run of white space becomes one space; `MARKS` and spaces are taken off both ends. Nothing inside
    the answer changes: no article is dropped, no number word becomes a digit, no word is lemmatised. An answer of
    which nothing is left is wrong. On the one-word answers of MSVD-QA and MSRVTT-QA this is the string equality of
    Xu et al. (2017) and of the classifiers after it; range 0 to 100.
    """

    version: ClassVar[int] = 1

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers; `per_sample` holds the normalised `answer` (see `Metric.measure`)."""
        check_references(samples, texts)
        answers = [self.compared(text) for text in texts]
        scores = [
            float(bool(answer) and any(answer == self.expected(reference) for reference in sample.references))
            for sample, answer in zip(samples, answers, strict=True)
        ]
        records = [{"score": score, "answer": answer} for score, answer in zip(scores, answers, strict=True)]
        return replace(mean_of(scores, scale=100.0), per_sample=records)

    def compared(self, text: str) -> str:
        """Return an answer in the form in which it is compared."""
        return normalise(text)

    def expected(self, reference: str) -> str:
        """Return a reference in the form in which it is compared."""
        return normalise(reference)


class ExactMatchGqa(ExactMatch):
    """Percentage of answers equal to GQA's, as LLaVA converts them for GQA's eval.py; range 0 to 100.

    White space is taken off an answer's ends (LLaVA's generation does), then full stops off its end, and it is
    lower-cased; the annotated answer is compared as it stands.
    """

    version: ClassVar[int] = 1

    def compared(self, text: str) -> str:
        """Return an answer in the form in which it is compared."""
        return text.strip().rstrip(".").lower()

    def expected(self, reference: str) -> str:
        """Return a reference in the form in which it is compared."""
        return reference


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """Return an answer in lower case, with single spaces, without punctuation and spaces at its ends.

    >>> normalise(' "A  man." ')
    'a man'
    """
    return " ".join(text.lower().split()).strip(MARKS + " ")
