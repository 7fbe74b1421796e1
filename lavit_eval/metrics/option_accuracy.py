"""Accuracy on multiple-choice questions whose answer is written, and accuracy over all rotations of the choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from lavit_eval.errors import UsageError
from lavit_eval.metrics.occurrences import grouped
from lavit_eval.metrics.percentage import Percentage
from lavit_eval.metrics.protocol import Floats, Measured, mean_of
from lavit_eval.metrics.references import check_references
from lavit_eval.multiple_choice import READINGS, letters_of
from lavit_eval.sample import Sample


class Accuracy(Percentage):
    """Percentage of answers that name the right option, by the rule of the benchmark's official script; 0 to 100.

    Each sample says in `extra` which choices it has and how an answer is understood (`reading`, a name of
    `multiple_choice.READINGS`); its reference is a letter. An answer that names no option is wrong, and counted in
    `details["undecided"]`; none is ever replaced by a guess.
    """

    version: ClassVar[int] = 1

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers; `per_sample` holds the `option` that was understood, or None (see `Metric.measure`)."""
        options = self.options(samples, texts)
        scores = [float(option == sample.references[0]) for sample, option in zip(samples, options, strict=True)]
        records = [{"score": score, "option": option} for score, option in zip(scores, options, strict=True)]
        return replace(mean_of(scores, scale=100.0), per_sample=records, details={"undecided": options.count(None)})

    def options(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[str | None]:
        """Return which option each answer names (raises UsageError for samples without choices)."""
        check_references(samples, texts)
        return [self.option(sample, text) for sample, text in zip(samples, texts, strict=True)]

    def option(self, sample: Sample, text: str) -> str | None:
        """Return the letter of the option that an answer names."""
        reading = READINGS.get(str(sample.extra.get("reading")))
        if reading is None:
            raise UsageError(
                f"sample {sample.id} does not say how its answer is read: a reader of multiple-choice questions sets "
                f"extra reading to one of {', '.join(READINGS)}"
            )
        return reading(text, choices_of(sample))


class _AccuracyAsRead(Accuracy):
    """Accuracy by one reading, whatever the samples say."""

    reading: ClassVar[str]

    def option(self, sample: Sample, text: str) -> str | None:
        """Return the letter of the option that an answer names."""
        return READINGS[self.reading](text, choices_of(sample))


class AccuracyFirstLetter(_AccuracyAsRead):
    """Percentage of answers whose first character is the right letter, as lmms-eval scores SEED-Bench; 0 to 100."""

    reading = "first"


class AccuracyScienceqaLmmsEval(_AccuracyAsRead):
    """Percentage of right answers as lmms-eval reads ScienceQA's (see `scienceqa_lmms_option`); 0 to 100."""

    reading = "scienceqa-lmms-eval"


class ChoiceAccuracy(_AccuracyAsRead):
    """Percentage of answers that state the right option and nothing else (see `strict_option`); 0 to 100."""

    reading = "strict"


class ChoiceAccuracyVideomme(_AccuracyAsRead):
    """Percentage of right answers as Video-MME's official parser reads them (see `videomme_option`); 0 to 100."""

    reading = "video-mme"


class CircularAccuracy(Accuracy):
    """Percentage of questions answered rightly in every rotation of their choices (MMBench's CircularEval); 0 to 100.

    As VLMEvalKit computes it under exact matching: an undecided rotation makes the question wrong (the full tool would
    ask a language model, and then guess at random; neither is done here, but `details` counts such questions).
    Samples of one question share `extra["question"]` and say with `extra["rotations"]` how many they are. A question
    of which rotations are missing (failed samples, --limit) is left out and counted in `details["incomplete"]`.
    """

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score questions; the first rotation of each carries the value (see `Metric.measure`)."""
        options = self.options(samples, texts)
        right = [option == sample.references[0] for sample, option in zip(samples, options, strict=True)]
        rows = np.zeros((len(samples), 2))
        undecided = incomplete = 0
        for places in grouped(samples, [str(sample.extra.get("question", sample.id)) for sample in samples]):
            if len(places) != int(samples[places[0]].extra.get("rotations", 1)):
                incomplete += 1
                continue
            rows[places[0]] = all(right[place] for place in places), 1.0
            wrong = any(not right[place] and options[place] is not None for place in places)
            undecided += not wrong and any(options[place] is None for place in places)
        return Measured(
            rows,
            _percentage,
            per_sample=[{"score": float(one), "option": option} for one, option in zip(right, options, strict=True)],
            details={"undecided": undecided, "incomplete": incomplete},
        )


def choices_of(sample: Sample) -> list[str]:
    """Return the texts of a sample's choices in the order of their letters.

    Raises UsageError if it has none, or its reference is not one of their letters.
    """
    choices = sample.extra.get("choices")
    if not choices:
        raise UsageError(f"sample {sample.id} has no choices: this metric is for multiple-choice questions")
    letters = letters_of(choices)
    if len(sample.references) != 1 or sample.references[0] not in letters:
        raise UsageError(
            f"sample {sample.id}: the right answer {', '.join(sample.references)!r} is none of the letters "
            f"{''.join(letters)}"
        )
    return [str(choice) for choice in choices]


def _percentage(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100.0 * sums[..., 0] / sums[..., 1], dtype=np.float64)
