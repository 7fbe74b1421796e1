"""Accuracy by likelihood: per token and summed choose differently, and a choice alone counts as it is stated."""

from __future__ import annotations

import pytest

from lavit_eval.category_scores import categories
from lavit_eval.errors import UsageError
from lavit_eval.metrics.ranked_accuracy import RankedAccuracy, RankedAccuracySummed
from lavit_eval.sample import Likelihoods
from lavit_eval.statistics import total_value
from tests.metrics.choices import ranked_set
from tests.metrics.test_option_accuracy import questions

SHORT_OR_LONG = Likelihoods.of([-3.0, -4.0, -9.0], [1, 4, 3])
"""Summed, the first is likeliest; per token, the second."""


def test_the_two_forms_choose_differently() -> None:
    samples = questions("AB")
    ranked = [SHORT_OR_LONG] * 2
    normalised = RankedAccuracy().measure_ranked(samples, ["C", "C"], ranked)
    summed = RankedAccuracySummed().measure_ranked(samples, ["C", "C"], ranked)
    assert [record["option"] for record in normalised.per_sample] == ["B", "B"]
    assert [record["option"] for record in summed.per_sample] == ["A", "A"]
    assert [record["score"] for record in normalised.per_sample] == [0.0, 1.0]
    assert [record["score"] for record in summed.per_sample] == [1.0, 0.0]
    assert normalised.details == {"undecided": 0, "without_likelihoods": 0}


def test_a_choice_alone_is_read_strictly_and_counted() -> None:
    measured = RankedAccuracySummed().measure_ranked(
        questions("AABC"), ["A", "ran", "perhaps B", ""], [None, None, None, SHORT_OR_LONG]
    )
    assert [record["option"] for record in measured.per_sample] == ["A", "A", None, "A"]
    assert measured.details == {"undecided": 1, "without_likelihoods": 3}
    assert total_value(measured) == 50.0


def test_other_options_than_were_ranked_are_refused() -> None:
    with pytest.raises(UsageError, match="sample 0 has 3 options, but 2 of them were ranked"):
        RankedAccuracy().measure_ranked(questions("A"), ["A"], [Likelihoods.of([-1.0, -2.0], [1, 1])])


def test_values_by_category() -> None:
    samples, texts, likelihoods = ranked_set()
    measured = RankedAccuracy().measure_ranked(samples, texts, likelihoods)
    found = categories(measured, samples)["question_type"]
    assert sum(part["n"] for part in found.values()) == len(samples)
    mean = sum(part["value"] * part["n"] for part in found.values()) / len(samples)
    assert mean == pytest.approx(total_value(measured))


def test_order_changes_nothing() -> None:
    samples, texts, likelihoods = ranked_set()
    forward = RankedAccuracy().measure_ranked(samples, texts, likelihoods)
    backward = RankedAccuracy().measure_ranked(samples[::-1], texts[::-1], likelihoods[::-1])
    assert backward.rows[::-1].tolist() == forward.rows.tolist()
