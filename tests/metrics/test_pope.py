"""POPE: two ways of understanding an answer, and the mean of the three parts."""

from __future__ import annotations

import math
import random

import pytest

from lavit_eval.category_scores import categories
from lavit_eval.errors import UsageError
from lavit_eval.metrics.pope import (
    PopeAccuracy,
    PopeAccuracyStrict,
    PopeF1,
    PopeF1Strict,
    PopeMeasure,
    PopePrecision,
    PopeRecall,
    PopeYesRatio,
    official_answer,
    strict_answer,
)
from lavit_eval.sample import Sample
from lavit_eval.statistics import total_value
from tests.metrics.choices import pope_question, pope_set


@pytest.mark.parametrize(
    ("text", "official", "strict"),
    [
        ("yes", "yes", "yes"),
        ("No", "no", "no"),
        ("no, it is", "no", "no"),
        ("", "yes", None),
        ("NO", "yes", "no"),
        ("No!", "yes", "no"),
        ("I cannot tell", "yes", None),
        ("It is not.", "no", None),
        ("Yes. No", "yes", None),
        ("\nno", "yes", "no"),
        ("nothing", "yes", None),
    ],
)
def test_answers(text: str, official: str, strict: str | None) -> None:
    assert official_answer(text) == official
    assert strict_answer(text) == strict


def value(metric: PopeMeasure, labels: str, texts: list[str], part: str = "random") -> float | None:
    samples = [pope_question(part, n, {"y": "yes", "n": "no"}[label]) for n, label in enumerate(labels)]
    return total_value(metric.measure(samples, texts))


def test_hand_computed() -> None:
    labels, texts = "yyynnn", ["yes", "yes", "no", "yes", "no", "no"]
    assert value(PopeAccuracy(), labels, texts) == pytest.approx(100 * 4 / 6)
    assert value(PopePrecision(), labels, texts) == pytest.approx(100 * 2 / 3)
    assert value(PopeRecall(), labels, texts) == pytest.approx(100 * 2 / 3)
    assert value(PopeF1(), labels, texts) == pytest.approx(100 * 2 / 3)
    assert value(PopeYesRatio(), labels, texts) == pytest.approx(50)


def test_the_yes_ratio_is_that_of_the_answers() -> None:
    assert value(PopeYesRatio(), "yn", ["yes", "yes"]) == 100.0


def test_undecided_answers_are_wrong_when_strict() -> None:
    labels, texts = "yynn", ["yes", "", "no", ""]
    assert value(PopeAccuracy(), labels, texts) == 75.0
    assert value(PopeAccuracyStrict(), labels, texts) == 50.0
    assert value(PopeF1Strict(), labels, texts) == pytest.approx(100 * 2 / 3)
    samples = [pope_question("random", n, "no") for n in range(2)]
    assert PopeAccuracyStrict().measure(samples, ["", "no"]).details == {"undecided": 1}


def test_the_value_is_the_mean_of_the_parts() -> None:
    samples = [pope_question("random", n, "yes") for n in range(3)] + [pope_question("popular", 9, "yes")]
    measured = PopeF1().measure(samples, ["yes", "yes", "no", "no"])
    assert total_value(measured) == pytest.approx((100 * 4 / 5 + 0) / 2)
    found = categories(measured, samples)["category"]
    assert {name: (part["value"], part["n"]) for name, part in found.items()} == {
        "random": (pytest.approx(80.0), 3),
        "popular": (0.0, 1),
    }


def test_precision_without_any_yes_is_undefined() -> None:
    assert value(PopePrecision(), "yn", ["no", "no"]) is None
    assert value(PopeF1(), "yn", ["no", "no"]) == 0.0


@pytest.mark.parametrize("metric", [PopeF1(), PopePrecision(), PopeYesRatio(), PopeF1Strict()])
def test_order_changes_nothing(metric: PopeMeasure) -> None:
    samples, texts = pope_set()
    order = random.Random(3).sample(range(len(samples)), len(samples))
    shuffled = total_value(metric.measure([samples[n] for n in order], [texts[n] for n in order]))
    assert shuffled is not None and math.isclose(shuffled, total_value(metric.measure(samples, texts)) or 0)


@pytest.mark.parametrize(
    ("sample", "said"),
    [(Sample("7", (), "", ("yes",)), "of no part of POPE"), (pope_question("random", 7, "Yes"), "is labelled 'Yes'")],
)
def test_other_samples_are_refused(sample: Sample, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PopeF1().measure([sample], ["yes"])
