"""POPE's measures of object hallucination: yes is the positive class, and the three ways of asking count alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lavit_eval.errors import UsageError
from lavit_eval.metrics.percentage import Percentage
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import Sample

CATEGORIES = ("random", "popular", "adversarial")
"""How the absent objects were chosen; the three files of the benchmark."""
NEGATIVE_WORDS = frozenset({"No", "not", "no"})
SENTENCE_MARKS = str.maketrans(dict.fromkeys(".,;:!?\"'()[]", " "))
COUNTS = 5
"""True positives, false positives, true negatives, false negatives, answers."""


class PopeMeasure(Percentage):
    """A measure of yes-or-no answers in percent: the mean of its values on the random, popular and adversarial part.

    On a part it is the measure of POPE's evaluate.py, whose parsing says "no" where the words before the first full
    stop hold "No", "not" or "no", and "yes" to everything else, an empty answer and "NO" included. (That script prints
    the parts one by one; LLaVA and those after it print the mean.) Samples name their part in
    `categories["category"]`. Range 0 to 100; undefined where the measure is on a part.
    """

    version: ClassVar[int] = 1

    def heard(self, text: str) -> str | None:
        """Return "yes" or "no", None where the answer is neither."""
        return official_answer(text)

    def of(self, counts: Floats) -> Floats:
        """Return the measure, as a share, from [..., 5] counts."""
        raise NotImplementedError

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers; `per_sample` holds the `answer` as it was understood, or None (see `Metric.measure`)."""
        check_references(samples, texts)
        rows = np.zeros((len(samples), len(CATEGORIES), COUNTS))
        records = []
        for index, (sample, text) in enumerate(zip(samples, texts, strict=True)):
            answer, label = self.heard(text), label_of(sample)
            column = 0 if label == answer == "yes" else 1 if answer == "yes" else 3 if label == "yes" else 2
            place = part_of(sample)
            rows[index, place, 4] = 1.0
            if not (answer is None and label == "no"):
                rows[index, place, column] = 1.0
            records.append({"score": float(answer == label), "answer": answer})
        undecided = sum(record["answer"] is None for record in records)
        return Measured(
            rows.reshape(len(samples), -1), self._reduce, per_sample=records, details={"undecided": undecided}
        )

    def _reduce(self, sums: Floats) -> Floats:
        counts = sums.reshape(*sums.shape[:-1], len(CATEGORIES), COUNTS)
        present = counts[..., 4] > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.where(present, self.of(counts), 0.0).sum(axis=-1) / present.sum(axis=-1)
        return np.asarray(100.0 * values, dtype=np.float64)


class PopeAccuracy(PopeMeasure):
    """POPE's accuracy in percent, official parsing."""

    def of(self, counts: Floats) -> Floats:
        """Return the share of right answers."""
        return np.asarray((counts[..., 0] + counts[..., 2]) / counts[..., 4])


class PopePrecision(PopeMeasure):
    """POPE's precision in percent, official parsing: how many of the answers "yes" are right; undefined without any."""

    def of(self, counts: Floats) -> Floats:
        """Return true positives among positives."""
        return np.asarray(counts[..., 0] / (counts[..., 0] + counts[..., 1]))


class PopeRecall(PopeMeasure):
    """POPE's recall in percent, official parsing: how many of the present objects are answered with "yes"."""

    def of(self, counts: Floats) -> Floats:
        """Return true positives among what is labelled yes."""
        return np.asarray(counts[..., 0] / (counts[..., 0] + counts[..., 3]))


class PopeF1(PopeMeasure):
    """POPE's F1 in percent, official parsing: the harmonic mean of precision and recall, 0 where nothing is found."""

    def of(self, counts: Floats) -> Floats:
        """Return F1 as 2 TP / (2 TP + FP + FN), which equals the script's formula wherever that is defined."""
        return np.asarray(2 * counts[..., 0] / (2 * counts[..., 0] + counts[..., 1] + counts[..., 3]))


class PopeYesRatio(PopeMeasure):
    """How many of the answers are "yes", in percent, official parsing; half of the questions are to be answered so.

    Models err towards yes, so that lower is usually better, down to 50.
    """

    higher_is_better: ClassVar[bool] = False

    def of(self, counts: Floats) -> Floats:
        """Return the share of answers "yes", of the predictions (not of the labels, as lmms-eval has it)."""
        return np.asarray((counts[..., 0] + counts[..., 1]) / counts[..., 4])


class PopeAccuracyStrict(PopeAccuracy):
    """POPE's accuracy in percent, where an answer counts as yes or no only if it says exactly one of the two."""

    def heard(self, text: str) -> str | None:
        """Return "yes" or "no", None where the answer is neither."""
        return strict_answer(text)


class PopeF1Strict(PopeF1):
    """POPE's F1 in percent, where an answer counts as yes or no only if it says exactly one of the two."""

    def heard(self, text: str) -> str | None:
        """Return "yes" or "no", None where the answer is neither."""
        return strict_answer(text)


def official_answer(text: str) -> str:
    """Return "yes" or "no" as POPE's evaluate.py understands an answer.

    >>> [official_answer(text) for text in ("", "NO", "No, it is", "I do not. Yes", "No!", "Yes. No")]
    ['yes', 'yes', 'no', 'no', 'yes', 'yes']
    """
    words = text.partition(".")[0].replace(",", "").split(" ")
    return "no" if NEGATIVE_WORDS.intersection(words) else "yes"


def strict_answer(text: str) -> str | None:
    """Return "yes" or "no" where an answer holds exactly one of the two as a word, letter case and marks aside.

    >>> [strict_answer(text) for text in ("", "NO!", "No, it is", "I cannot tell", "yes or no")]
    [None, 'no', 'no', None, None]
    """
    said = {"yes", "no"}.intersection(text.lower().translate(SENTENCE_MARKS).split())
    return said.pop() if len(said) == 1 else None


def label_of(sample: Sample) -> str:
    """Return the right answer (raises UsageError unless it is yes or no)."""
    if sample.references[0] not in ("yes", "no"):
        raise UsageError(f"sample {sample.id} is labelled {sample.references[0]!r}: POPE knows yes and no")
    return sample.references[0]


def part_of(sample: Sample) -> int:
    """Return the place of a sample's part among `CATEGORIES` (raises UsageError for another one)."""
    name = sample.categories.get("category", "")
    if name not in CATEGORIES:
        raise UsageError(f"sample {sample.id} is of no part of POPE ({name!r}): use the reader pope")
    return CATEGORIES.index(name)
