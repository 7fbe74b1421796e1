"""VQA accuracy: the official one, that of LaVIT's own evaluation, and that of TextVQA and VizWiz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from lavit_eval.metrics import vqa_answers
from lavit_eval.metrics.percentage import Percentage
from lavit_eval.metrics.protocol import Measured, mean_of
from lavit_eval.metrics.references import check_references
from lavit_eval.sample import Sample

ENOUGH = 3
"""People who must have given an answer for it to count as fully right."""


class VqaAccuracy(Percentage):
    """VQA accuracy as vqaEval.py of GT-Vision-Lab/VQA computes it on its first run; percent, 0 to 100.

    For each of the ten people, min(1, equal answers among the other nine / 3); then the mean of the ten. So three equal
    answers of ten give 90, not 100. Answers are normalised only if the ten differ as they stand in the annotations;
    where all ten agree, "Yes" is wrong against "yes". (The script changes the annotations in place, so that calling it
    again gives another score; this class does not.)
    """

    version: ClassVar[int] = 1

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score answers; `per_sample` holds the `answer` as it was compared (see `Metric.measure`)."""
        check_references(samples, texts)
        scores, answers = [], []
        for sample, text in zip(samples, texts, strict=True):
            answer, people = self.compared(text, sample.references)
            scores.append(leave_one_out(people.count(answer), len(people)))
            answers.append(answer)
        records = [{"score": score, "answer": answer} for score, answer in zip(scores, answers, strict=True)]
        return replace(mean_of(scores, scale=100.0), per_sample=records)

    def compared(self, text: str, references: Sequence[str]) -> tuple[str, list[str]]:
        """Return prediction and annotated answers in the form in which they are compared."""
        answer, people = vqa_answers.one_line(text), [vqa_answers.one_line(reference) for reference in references]
        if len(set(people)) > 1:
            return vqa_answers.official(answer), [vqa_answers.official(reference) for reference in people]
        return answer, people


class VqaAccuracyLavit(VqaAccuracy):
    """VQA accuracy as in LaVIT's evaluation code (vqa_eval.py of jy0205/LaVIT), by authors of Video-LaVIT.

    It is not the official one: the prediction is always normalised, loses openings such as "it is ", and is
    "unanswerable" when empty; annotated answers lose punctuation and capitals, when the ten differ, but keep
    articles and number words, so that "2" never equals an annotated "two". The published numbers rest, besides, on
    lemmatised annotations that are not public; this metric takes the annotations as they are.
    """

    version: ClassVar[int] = 1

    def compared(self, text: str, references: Sequence[str]) -> tuple[str, list[str]]:
        """Return prediction and annotated answers in the form in which they are compared."""
        differ = len(set(references)) > 1
        people = [vqa_answers.lavit_reference(one) for one in references] if differ else list(references)
        return vqa_answers.lavit_prediction(text), people


class TextvqaAccuracy(VqaAccuracy):
    """VQA accuracy of TextVQA and VizWiz with the EvalAI answer processor, as LLaVA's m4c_evaluator.py computes it.

    Prediction and annotated answers are always normalised, by rules that differ from VQA's: commas and question marks
    go first, and "'s" becomes a word of its own.
    """

    version: ClassVar[int] = 1

    def compared(self, text: str, references: Sequence[str]) -> tuple[str, list[str]]:
        """Return prediction and annotated answers in the form in which they are compared."""
        return vqa_answers.evalai(text), [vqa_answers.evalai(reference) for reference in references]


def leave_one_out(equal: int, people: int) -> float:
    """Return the mean over people of min(1, equal answers among the others / 3), given how many answers are equal.

    >>> [round(leave_one_out(equal, 10), 4) for equal in range(5)]
    [0.0, 0.3, 0.6, 0.9, 1.0]
    """
    for_the_equal = min(1.0, (equal - 1) / ENOUGH) if equal else 0.0
    for_the_others = min(1.0, equal / ENOUGH)
    return (equal * for_the_equal + (people - equal) * for_the_others) / people
