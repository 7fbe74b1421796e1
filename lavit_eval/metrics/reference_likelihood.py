"""How likely a model finds the right answer: falls a little where what is written does not change yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lavit_eval.metrics.feature_metric import UnmeasurableError
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import Likelihoods, Sample


class ReferenceLogLikelihood:
    """Mean natural logarithm of the probability of the whole right answer behind the prompt, in nats; at most 0.

    For tasks that rank references (`ranked: references`). An accuracy sees a change only where another answer becomes
    the likeliest; this one sees every change, so that fewer samples show a regression. `details["perplexity"]` is the
    exponential of minus the mean per token, as language models are measured by; no end is counted. Answers
    without likelihoods (of baselines, or made elsewhere) have no value (UnmeasurableError), also where others have.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "nats"
    bounds: ClassVar[tuple[float, float] | None] = (-math.inf, 0.0)

    def skipped_because(self) -> str | None:
        """Return None: nothing outside Python is needed."""
        return None

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Refuse texts, which have no likelihoods (raises UnmeasurableError)."""
        return self.measure_ranked(samples, texts, [None] * len(samples))

    def measure_ranked(
        self, samples: Sequence[Sample], texts: Sequence[str], likelihoods: Sequence[Likelihoods | None]
    ) -> Measured:
        """Score n answers; `per_sample` holds the answer's `tokens`.

        Args:
            samples: The questions.
            texts: Not looked at.
            likelihoods: Of each question's right answer, the first of what was ranked.

        Raises:
            UnmeasurableError: An answer has no likelihoods.
        """
        check_references(samples, texts)
        known = [(found.summed[0], found.tokens[0]) for found in likelihoods if found is not None]
        if len(known) < len(samples):
            raise UnmeasurableError(f"{len(samples) - len(known)} of {len(samples)} answers have no likelihoods")
        rows = np.array([(total, 1.0) for total, _ in known], dtype=np.float64).reshape(-1, 2)
        records = [{"score": total, "tokens": tokens} for total, tokens in known]
        written = sum(tokens for _, tokens in known)
        perplexity = math.exp(-math.fsum(total for total, _ in known) / written) if written else None
        return Measured(rows, _mean, per_sample=records, details={"perplexity": perplexity})


def _mean(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1], dtype=np.float64)
