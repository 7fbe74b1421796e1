"""Accuracies of multiple choice: what chooses nothing is wrong and counted."""

from __future__ import annotations

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.choice_accuracy import (
    ChoiceAccuracy,
    ChoiceAccuracyVideomme,
    MvbenchAccuracy,
    MvbenchAccuracyOfficial,
)
from lavit_eval.sample import Sample
from tests.metrics.captions import total

OPTIONS = ["ran", "ate", "slept"]


def questions(answers: str) -> list[Sample]:
    """Return questions with these right letters."""
    return [Sample(str(n), (), "?", (letter,), extra={"choices": OPTIONS}) for n, letter in enumerate(answers)]


def test_answers_without_a_choice_are_wrong_and_counted() -> None:
    measured = ChoiceAccuracy().measure(questions("ABC"), ["A", "I am not sure", "C. slept"])
    assert total(measured) == pytest.approx(200 / 3)
    assert measured.details == {"answers_without_choice": 1}
    assert [record["choice"] for record in measured.per_sample] == ["A", None, "C"]


def test_the_official_parser_reads_more_and_sometimes_wrongly() -> None:
    texts = ["The answer is A", "Bob ate", "All slept"]
    assert total(ChoiceAccuracy().measure(questions("ABC"), texts)) == 0.0
    measured = ChoiceAccuracyVideomme().measure(questions("ABC"), texts)
    assert [record["choice"] for record in measured.per_sample] == ["A", "B", "A"]
    assert total(measured) == pytest.approx(200 / 3)


def test_mvbench_with_and_without_its_fault() -> None:
    texts = ["(A) ran", "", "B"]
    assert total(MvbenchAccuracyOfficial().measure(questions("ABC"), texts)) == pytest.approx(200 / 3)
    assert total(MvbenchAccuracy().measure(questions("ABC"), texts)) == pytest.approx(100 / 3)


def test_other_benchmarks_are_refused() -> None:
    with pytest.raises(UsageError, match="sample 1 has no choices"):
        ChoiceAccuracy().measure([Sample("1", (), "", ("A",))], ["A"])
    with pytest.raises(UsageError, match="'D' is none of the letters ABC"):
        ChoiceAccuracy().measure(questions("D"), ["A"])
