"""How likely a model finds the right answer: falls a little where what is written does not change yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import JSON, Likelihoods, Sample


class ReferenceLogLikelihood:
    """Mean natural logarithm of the probability of the whole right answer behind the prompt, in nats; at most 0.

    For tasks that rank references (`ranked: references`). An accuracy sees a change only where another answer becomes
    the likeliest; this one sees every change, so that fewer samples show a regression. `details["perplexity"]` is the
    exponential of minus the mean per token, as language models are measured by. Values of two tokenizers' models may be
    compared (an answer is an answer), their perplexities may not. Responses without likelihoods (baselines, answers
    made elsewhere) are left out and counted in `details["without_likelihoods"]`.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "nats"
    bounds: ClassVar[tuple[float, float] | None] = None

    def skipped_because(self) -> str | None:
        """Return None: nothing outside Python is needed."""
        return None

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Leave out everything, for texts have no likelihoods (see `Metric.measure`)."""
        return self.measure_ranked(samples, texts, [None] * len(samples))

    def measure_ranked(
        self, samples: Sequence[Sample], texts: Sequence[str], likelihoods: Sequence[Likelihoods | None]
    ) -> Measured:
        """Score n answers; `per_sample` holds the answer's `tokens`.

        Args:
            samples: The questions.
            texts: Not looked at.
            likelihoods: Of each question's right answer, the first of what was ranked.
        """
        check_references(samples, texts)
        known = [None if found is None else (found.summed[0], found.tokens[0]) for found in likelihoods]
        rows = np.array([(one[0], 1.0) if one else (0.0, 0.0) for one in known], dtype=np.float64).reshape(-1, 2)
        records = [{"score": one[0], "tokens": one[1]} if one else {} for one in known]
        details: dict[str, JSON] = {"without_likelihoods": known.count(None)}
        if tokens := sum(one[1] for one in known if one):
            details["perplexity"] = math.exp(-math.fsum(one[0] for one in known if one) / tokens)
        return Measured(rows, _mean, per_sample=records, details=details)


def _mean(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1], dtype=np.float64)
