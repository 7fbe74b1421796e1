"""Accuracy of multiple choice by how likely a model finds each option, as SEED-Bench's own evaluation ranks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from lavit_eval.errors import UsageError
from lavit_eval.metrics.option_accuracy import Accuracy, choices_of
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.metrics.references import check_references
from lavit_eval.multiple_choice import LETTERS, strict_option
from lavit_eval.sample import Likelihoods, Sample


class RankedAccuracy(Accuracy):
    """Percentage of questions whose right option has the greatest log-likelihood per token; range 0 to 100.

    Of equal ones the first counts. Where nothing but a choice is known (a baseline, answers made elsewhere), the
    option that the text states counts, read strictly (`strict_option`); `details["without_likelihoods"]` says how many.
    """

    form: ClassVar[Literal["normalised", "summed"]] = "normalised"

    def option(self, sample: Sample, text: str) -> str | None:
        """Return the letter of the option that an answer states."""
        return strict_option(text, choices_of(sample))

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score choices that were made without likelihoods (see `Metric.measure`)."""
        return self.measure_ranked(samples, texts, [None] * len(samples))

    def measure_ranked(
        self, samples: Sequence[Sample], texts: Sequence[str], likelihoods: Sequence[Likelihoods | None]
    ) -> Measured:
        """Score n questions; `per_sample` holds the `option` that was chosen, or None.

        Args:
            samples: The questions.
            texts: The letter or text that was chosen; counts only where there are no likelihoods.
            likelihoods: Of each question's options, in their order.

        Raises:
            UsageError: A question has no options, or another number of them than was ranked.
        """
        check_references(samples, texts)
        chosen = [self._chosen(*one) for one in zip(samples, texts, likelihoods, strict=True)]
        scores = [float(option == sample.references[0]) for sample, option in zip(samples, chosen, strict=True)]
        records = [{"score": score, "option": option} for score, option in zip(scores, chosen, strict=True)]
        details = {"undecided": chosen.count(None), "without_likelihoods": list(likelihoods).count(None)}
        return replace(mean_of(scores, scale=100.0), per_sample=records, details=details)

    def _chosen(self, sample: Sample, text: str, found: Likelihoods | None) -> str | None:
        if found is None:
            return self.option(sample, text)
        values = getattr(found, self.form)
        if len(values) != len(choices_of(sample)):
            raise UsageError(
                f"sample {sample.id} has {len(choices_of(sample))} options, but {len(values)} of them were ranked: the "
                "reader gives other options than the run saw; run it again"
            )
        return LETTERS[Likelihoods.best(values)]


class RankedAccuracySummed(RankedAccuracy):
    """Percentage of questions whose right option has the greatest log-likelihood, not divided by its length; 0 to 100.

    The form of SEED-Bench's eval.py, which takes the option of the least summed loss (there, of a T5 that also had to
    end the option; here no end is counted).
    """

    form = "summed"
