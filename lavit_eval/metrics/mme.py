"""The MME score: accuracy and accuracy on both questions of an image, summed over subtasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lavit_eval.errors import UsageError
from lavit_eval.metrics.occurrences import grouped
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import JSON, Sample

PERCEPTION = (
    *("existence", "count", "position", "color", "posters"),
    *("celebrity", "scene", "landmark", "artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
WINDOW = 4
"""Characters in which "yes" or "no" is looked for."""
QUESTIONS_PER_IMAGE = 2


class MmeScore:
    """Sum over subtasks of 100 x (accuracy + accuracy+), as calculation.py of MME computes it.

    Accuracy is over questions, accuracy+ over images, of which both questions must be answered rightly. An image of
    which one answer is missing (a failed sample, --limit) counts for accuracy only. Samples name their subtask in
    `categories["subtask"]`; those of the other half have no part in the value, and a subtask without any answer adds
    nothing to the sum. `details` holds both accuracies of each subtask, in percent.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "points"
    bounds: ClassVar[tuple[float, float] | None] = None
    subtasks: ClassVar[tuple[str, ...]] = ()

    def skipped_because(self) -> str | None:
        """Return None: nothing outside Python is needed."""
        return None

    def heard(self, text: str) -> str:
        """Return the text in which the answer is looked for."""
        return text.lower()

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers; `per_sample` holds the `answer` as it was understood (see `Metric.measure`)."""
        check_references(samples, texts)
        answers = [yes_no_other(self.heard(text)) for text in texts]
        right = [answer == sample.references[0].lower() for sample, answer in zip(samples, answers, strict=True)]
        rows = np.zeros((len(samples), len(self.subtasks), 4))
        places = [self._place(sample) for sample in samples]
        for index, place in enumerate(places):
            if place is not None:
                rows[index, place, :2] = right[index], 1.0
        for pair in grouped(samples, [sample.cluster for sample in samples]):
            place = places[pair[0]]
            if place is not None and len(pair) == QUESTIONS_PER_IMAGE:
                rows[pair[0], place, 2:] = all(right[index] for index in pair), 1.0
        records = [{"score": float(one), "answer": answer} for one, answer in zip(right, answers, strict=True)]
        flat = rows.reshape(len(samples), -1)
        return Measured(flat, self._reduce, per_sample=records, details=self._details(flat))

    def _place(self, sample: Sample) -> int | None:
        """Return the subtask's place in this half, None where it is of the other half."""
        subtask = sample.categories.get("subtask", "")
        if subtask not in PERCEPTION + COGNITION:
            raise UsageError(f"sample {sample.id} is of no subtask of MME ({subtask!r}): use the reader mme")
        return self.subtasks.index(subtask) if subtask in self.subtasks else None

    def _accuracies(self, sums: Floats) -> Floats:
        """Return [..., subtask, 2] accuracy and accuracy+ in [0, 1], NaN where nothing was answered."""
        parts = sums.reshape(*sums.shape[:-1], len(self.subtasks), 2, 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(parts[..., 0] / parts[..., 1], dtype=np.float64)

    def _reduce(self, sums: Floats) -> Floats:
        absent = sums.reshape(*sums.shape[:-1], len(self.subtasks), 4)[..., 1] == 0
        scores = np.where(absent, 0.0, 100.0 * self._accuracies(sums).sum(axis=-1))
        return np.asarray(np.where(absent.all(axis=-1), np.nan, scores.sum(axis=-1)), dtype=np.float64)

    def _details(self, rows: Floats) -> dict[str, JSON]:
        found = 100.0 * self._accuracies(rows.sum(axis=0))
        return {
            name: {"accuracy": accuracy, "accuracy_plus": plus}
            for name, (accuracy, plus) in zip(self.subtasks, found.tolist(), strict=True)
            if math.isfinite(accuracy) and math.isfinite(plus)
        }


class MmePerception(MmeScore):
    """MME's perception score: ten subtasks of up to 200 points; range 0 to 2000."""

    bounds: ClassVar[tuple[float, float] | None] = (0.0, 2000.0)
    subtasks: ClassVar[tuple[str, ...]] = PERCEPTION


class MmeCognition(MmeScore):
    """MME's cognition score: four subtasks of up to 200 points; range 0 to 800."""

    bounds: ClassVar[tuple[float, float] | None] = (0.0, 800.0)
    subtasks: ClassVar[tuple[str, ...]] = COGNITION


class MmePerceptionLmmsEval(MmePerception):
    """MME's perception score with the parsing of lmms-eval: spaces at the ends and full stops go first."""

    def heard(self, text: str) -> str:
        """Return the text in which the answer is looked for."""
        return text.lower().strip().replace(".", "")


class MmeCognitionLmmsEval(MmeCognition):
    """MME's cognition score with the parsing of lmms-eval: spaces at the ends and full stops go first."""

    def heard(self, text: str) -> str:
        """Return the text in which the answer is looked for."""
        return text.lower().strip().replace(".", "")


def yes_no_other(text: str) -> str:
    """Return "yes" or "no" as they stand in the first four characters of a lower-case text, else "other".

    >>> [yes_no_other(text) for text in ("yes, it is", "not sure", "noise", "  yes", "the answer is no")]
    ['yes', 'no', 'no', 'other', 'other']
    """
    window = text[:WINDOW]
    return "yes" if "yes" in window else "no" if "no" in window else "other"
