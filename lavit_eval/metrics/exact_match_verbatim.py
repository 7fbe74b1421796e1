"""Equality of answers character for character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lavit_eval.metrics.percentage import Percentage
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import Sample


class ExactMatchVerbatim(Percentage):
    """Percentage of answers that equal a reference character for character; "Yes" is not "yes".

    The comparison of ActivityNet-QA's evaluation/eval.py and of TGIF-QA's scripts, made for classifiers over a list of
    answers; `exact_match` beside it forgives case and outer punctuation. An empty answer is wrong; range 0 to 100.
    """

    version: ClassVar[int] = 1

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers (see `Metric.measure`)."""
        check_references(samples, texts)
        scores = [float(bool(text) and text in sample.references) for sample, text in zip(samples, texts, strict=True)]
        return mean_of(scores, scale=100.0)
