"""MVBench's comparison, with its fault and without."""

from __future__ import annotations

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.mvbench import MvbenchAccuracy, MvbenchAccuracyOfficial
from lavit_eval.statistics import total_value
from tests.metrics.test_option_accuracy import questions


def test_mvbench_with_and_without_its_fault() -> None:
    texts = ["(A) ran", "", "B"]
    assert total_value(MvbenchAccuracyOfficial().measure(questions("ABC"), texts)) == pytest.approx(200 / 3)
    assert total_value(MvbenchAccuracy().measure(questions("ABC"), texts)) == pytest.approx(100 / 3)


def test_an_empty_answer_stays_in_the_denominator() -> None:
    """lmms-eval leaves such answers out, which raises the score of a model that says nothing."""
    measured = MvbenchAccuracy().measure(questions("AB"), ["(A)", ""])
    assert total_value(measured) == 50.0
    assert len(measured.rows) == 2


def test_a_question_without_a_right_letter_is_refused() -> None:
    with pytest.raises(UsageError, match="'D' is none of the letters ABC"):
        MvbenchAccuracy().measure(questions("D"), ["A"])
