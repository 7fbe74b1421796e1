"""Accuracy of pairs of yes-no questions, as VideoHallucer's evaluation.py counts it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from lavit_eval.errors import UsageError
from lavit_eval.metrics.percentage import Percentage
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import Sample

ROLES = ("basic", "hallucination")
OPPOSITE = {"yes": "no", "no": "yes"}


@lru_cache(maxsize=16)
def word(answer: str) -> re.Pattern[str]:
    """Return the official pattern: the answer as a word anywhere in the text, whatever its case."""
    return re.compile(rf"\b({re.escape(answer)})\b", re.IGNORECASE)


def hit(sample: Sample, text: str) -> bool:
    """Return whether the official script takes a text for the right answer; one with "yes" and "no" is always right."""
    return word(sample.references[0]).search(text) is not None


def strict_hit(sample: Sample, text: str) -> bool:
    """Return whether a text holds the right word and not its opposite."""
    answer = sample.references[0].lower()
    return hit(sample, text) and (answer not in OPPOSITE or word(OPPOSITE[answer]).search(text) is None)


@dataclass(frozen=True, slots=True)
class Asked:
    """What each response belongs to."""

    pairs: tuple[str, ...]
    roles: tuple[str, ...]
    subsets: tuple[str, ...]


def asked(samples: Sequence[Sample]) -> Asked:
    """Return pair, role and subset of every sample (raises UsageError for a benchmark without pairs)."""
    for sample in samples:
        if (
            "pair" not in sample.extra
            or sample.categories.get("role") not in ROLES
            or "subset" not in sample.categories
        ):
            raise UsageError(f"sample {sample.id} is no question of a pair; this metric is for VideoHallucer's layout")
    return Asked(
        tuple(str(sample.extra["pair"]) for sample in samples),
        tuple(sample.categories["role"] for sample in samples),
        tuple(sample.categories["subset"] for sample in samples),
    )


def mean_of_subsets(scores: Floats, weights: Floats, subsets: Sequence[str]) -> Measured:
    """Return the Measured of the unweighted mean over subsets of each subset's mean, in percent.

    Args:
        scores: [n] what each response adds to its subset's hits.
        weights: [n] what it adds to its subset's count.
        subsets: [n] the subset of each response.
    """
    names = sorted(set(subsets))
    rows = np.zeros((len(subsets), 2 * len(names)))
    places = np.asarray([names.index(name) for name in subsets], dtype=np.int64)
    index = np.arange(len(subsets))
    rows[index, places] = scores
    rows[index, len(names) + places] = weights

    def reduce(sums: Floats) -> Floats:
        hits, counts = sums[..., : len(names)], sums[..., len(names) :]
        known = counts > 0
        means = np.divide(hits, counts, out=np.zeros_like(hits), where=known)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(100.0 * means.sum(axis=-1) / known.sum(axis=-1), dtype=np.float64)

    return Measured(rows=rows, reduce=reduce)


def matched(found: Asked) -> tuple[list[tuple[int, int]], list[int]]:
    """Return (index of the basic, index of the hallucinated answer) of every pair, and the indices left over.

    The k-th answer to the one question is paired with the k-th to the other. One is left over where the other failed.
    """
    given: dict[str, dict[str, list[int]]] = defaultdict(lambda: {role: [] for role in ROLES})
    for index, (pair, role) in enumerate(zip(found.pairs, found.roles, strict=True)):
        given[pair][role].append(index)
    couples, alone = [], []
    for both in given.values():
        basic, other = (both[role] for role in ROLES)
        complete = min(len(basic), len(other))
        couples += list(zip(basic[:complete], other[:complete], strict=True))
        alone += [*basic[complete:], *other[complete:]]
    return couples, sorted(alone)


class _Paired(Percentage):
    """What the accuracies of pairs share."""

    version: ClassVar[int] = 1


class PairAccuracy(_Paired):
    """Percentage of pairs with both answers right, in each subset; the total is the unweighted mean of the subsets.

    A pair whose one question has no answer is counted in the details and in no value. By `role` alone no pair is
    whole, so that axis shows each question's half of the pairs and equals the total's subset mean.
    """

    strict: ClassVar[bool] = False

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers: each of a pair's two rows holds half of it (see `Metric.measure`)."""
        check_references(samples, texts)
        found = asked(samples)
        right = strict_hit if self.strict else hit
        hits = [right(sample, text) for sample, text in zip(samples, texts, strict=True)]
        couples, alone = matched(found)
        scores, weights = np.zeros(len(samples)), np.zeros(len(samples))
        for couple in couples:
            for index in couple:
                weights[index] = 0.5
                scores[index] = 0.5 * all(hits[one] for one in couple)
        measured = mean_of_subsets(scores, weights, found.subsets)
        records = [
            {"score": float(both > 0), "right": float(own), "whole": float(weight > 0)}
            for both, own, weight in zip(scores, hits, weights, strict=True)
        ]
        details = {"pairs": len(couples), "answers_without_partner": len(alone)}
        return Measured(measured.rows, measured.reduce, per_sample=records, details=details)


class PairAccuracyStrict(PairAccuracy):
    """As `PairAccuracy`, but an answer that holds both "yes" and "no" is wrong."""

    strict: ClassVar[bool] = True


class _OneRole(_Paired):
    """Percentage of right answers to one of a pair's questions, as the unweighted mean of the subsets."""

    role: ClassVar[str]

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers; those to the other question have no weight (see `Metric.measure`)."""
        check_references(samples, texts)
        found = asked(samples)
        weights = np.asarray([float(role == self.role) for role in found.roles])
        hits = np.asarray([float(hit(sample, text)) for sample, text in zip(samples, texts, strict=True)])
        measured = mean_of_subsets(hits * weights, weights, found.subsets)
        records = [{"score": float(own)} for own in hits]
        return Measured(measured.rows, measured.reduce, per_sample=records)


class BasicAccuracy(_OneRole):
    """Percentage of basic questions answered rightly (evaluation.py's `basic_accuracy`), mean of the subsets."""

    role: ClassVar[str] = "basic"


class HallucinationAccuracy(_OneRole):
    """Percentage of hallucinated questions answered rightly (`halluc_accuracy`), mean of the subsets."""

    role: ClassVar[str] = "hallucination"
