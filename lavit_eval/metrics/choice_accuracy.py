"""Accuracy of multiple choice from a written answer, by four ways of reading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import ClassVar

from lavit_eval.errors import UsageError
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.metrics.references import check_references
from lavit_eval.multiple_choice import first_letter, mvbench_hit, mvbench_hit_with_letter, strict_choice
from lavit_eval.sample import JSON, Sample


def question_of(sample: Sample) -> tuple[list[str], int]:
    """Return a sample's options (`extra["choices"]`) and the place of the right one, its reference being the letter."""
    options = sample.extra.get("choices")
    if not isinstance(options, list | tuple) or len(sample.references) != 1:
        raise UsageError(f"sample {sample.id} has no choices with one right letter; this metric is for multiple choice")
    letters = ascii_uppercase[: len(options)]
    if sample.references[0] not in tuple(letters):
        raise UsageError(
            f"sample {sample.id}: the right answer {sample.references[0]!r} is none of the letters {letters}"
        )
    return [str(option) for option in options], letters.index(sample.references[0])


class _Choice:
    """What the accuracies of choices share; an answer that chooses nothing is wrong and counted, never guessed."""

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "percent"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 100.0)

    def skipped_because(self) -> str | None:
        """Return None: nothing outside Python is needed."""
        return None

    def chosen(self, text: str, options: Sequence[str]) -> int | None:
        """Return which option a text chooses, or None."""
        raise NotImplementedError

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers; `per_sample` holds the letter chosen, or null (see `Metric.measure`)."""
        check_references(samples, texts)
        scores: list[float] = []
        records: list[dict[str, JSON]] = []
        for sample, text in zip(samples, texts, strict=True):
            options, answer = question_of(sample)
            chosen = self.chosen(text, options)
            scores.append(float(chosen == answer))
            records.append({"score": scores[-1], "choice": None if chosen is None else ascii_uppercase[chosen]})
        unread = sum(record["choice"] is None for record in records)
        return replace(mean_of(scores, scale=100.0), per_sample=records, details={"answers_without_choice": unread})


class ChoiceAccuracy(_Choice):
    """Percentage of answers that state the right option and nothing else (see `strict_choice`); range 0 to 100."""

    def chosen(self, text: str, options: Sequence[str]) -> int | None:
        """Return which option a text chooses, or None."""
        return strict_choice(text, options)


class ChoiceAccuracyVideomme(_Choice):
    """Percentage of right answers as Video-MME's official parser reads them (see `first_letter`); range 0 to 100."""

    def chosen(self, text: str, options: Sequence[str]) -> int | None:
        """Return which option a text chooses, or None."""
        return first_letter(text, len(options))


class _Mvbench(_Choice):
    """What the two readings of MVBench share: they compare with the right option and choose none."""

    def right(self, text: str, options: Sequence[str], answer: int) -> bool:
        """Return whether a text is right."""
        raise NotImplementedError

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers (see `Metric.measure`)."""
        check_references(samples, texts)
        asked = [question_of(sample) for sample in samples]
        pairs = zip(texts, asked, strict=True)
        return mean_of([float(self.right(text, options, answer)) for text, (options, answer) in pairs], scale=100.0)


class MvbenchAccuracyOfficial(_Mvbench):
    """Percentage of answers that MVBench's `check_ans` takes for right, an empty one among them; range 0 to 100."""

    def right(self, text: str, options: Sequence[str], answer: int) -> bool:
        """Return whether a text is right."""
        return mvbench_hit(text, options, answer)


class MvbenchAccuracy(_Mvbench):
    """As `MvbenchAccuracyOfficial`, but an answer without the right letter in its first word is wrong."""

    def right(self, text: str, options: Sequence[str], answer: int) -> bool:
        """Return whether a text is right."""
        return mvbench_hit_with_letter(text, options, answer)
