"""Pairs of yes-no questions: both answers right, subsets weigh alike, half a pair is no pair."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lavit_eval.category_scores import categories
from lavit_eval.errors import UsageError
from lavit_eval.metrics.paired_answers import BasicAccuracy, HallucinationAccuracy, PairAccuracy, PairAccuracyStrict
from lavit_eval.sample import Sample
from lavit_eval.statistics import interval
from tests.metrics.captions import total


def pair(name: str, subset: str = "S") -> list[Sample]:
    """Return both questions of a pair."""
    return [
        Sample(f"{name}/{role}", (), "?", (answer,), {"subset": subset, "role": role}, {"pair": name}, group=name)
        for role, answer in (("basic", "yes"), ("hallucination", "no"))
    ]


@pytest.mark.parametrize(
    ("basic", "hallucination", "official", "strict"),
    [
        ("Yes.", "No, it is not.", 100, 100),
        ("yes", "Yes", 0, 0),
        ("no", "no", 0, 0),
        ("yes", "nothing is there", 0, 0),
        ("", "", 0, 0),
        ("Yes or no", "yes or NO", 100, 0),
        ("eyes", "know", 0, 0),
    ],
)
def test_hits_are_words_in_any_case(basic: str, hallucination: str, official: float, strict: float) -> None:
    assert total(PairAccuracy().measure(pair("p"), [basic, hallucination])) == official
    assert total(PairAccuracyStrict().measure(pair("p"), [basic, hallucination])) == strict


def test_the_total_is_the_unweighted_mean_of_the_subsets() -> None:
    samples = [*pair("a", "A"), *pair("b", "A"), *pair("c", "A"), *pair("d", "B")]
    texts = ["yes", "no", "yes", "yes", "no", "no", "yes", "no"]
    measured = PairAccuracy().measure(samples, texts)
    assert total(measured) == pytest.approx((100 / 3 + 100) / 2)
    found = categories(measured, samples)["subset"]
    assert {name: one["value"] for name, one in found.items()} == {"A": pytest.approx(100 / 3), "B": 100.0}
    assert total(BasicAccuracy().measure(samples, texts)) == pytest.approx((200 / 3 + 100) / 2)
    assert total(HallucinationAccuracy().measure(samples, texts)) == pytest.approx((200 / 3 + 100) / 2)


def test_the_published_subsets_give_the_published_overall() -> None:
    """35.5, 25.5, 10.5, 4 and 19 of the third-party run make 18.9; 200 pairs each, 176 temporal ones (45 are 25.57)."""
    samples: list[Sample] = []
    texts: list[str] = []
    right = {
        "Object-Relation": (71, 200),
        "Temporal": (45, 176),
        "Semantic": (21, 200),
        "Fact": (8, 200),
        "Non": (38, 200),
    }
    for subset, (hits, count) in right.items():
        for number in range(count):
            samples += pair(f"{subset}{number}", subset)
            texts += ["yes", "no" if number < hits else "yes"]
    assert round(total(PairAccuracy().measure(samples, texts)), 1) == 18.9


def test_the_order_of_samples_does_not_count() -> None:
    samples = [*pair("a"), *pair("b", "T"), *pair("c", "T")]
    texts = ["yes", "no", "yes", "yes", "yes", "no"]
    order = [5, 0, 3, 2, 4, 1]
    shuffled = PairAccuracy().measure([samples[i] for i in order], [texts[i] for i in order])
    straight = PairAccuracy().measure(samples, texts)
    assert total(shuffled) == total(straight) == 75.0
    assert np.array_equal(shuffled.rows, straight.rows[order])


def test_half_a_pair_is_counted_and_left_out() -> None:
    samples = [*pair("a"), *pair("b")]
    measured = PairAccuracy().measure(samples[:3], ["yes", "no", "no"])
    assert total(measured) == 100.0
    assert measured.details == {"pairs": 1, "answers_without_partner": 1}
    alone = PairAccuracy().measure(samples[:1], ["yes"])
    assert math.isnan(total(alone))


def test_repeats_are_paired_with_each_other() -> None:
    measured = PairAccuracy().measure([*pair("a"), *pair("a")], ["yes", "no", "yes", "yes"])
    assert total(measured) == 50.0
    assert [float(measured.reduce(measured.rows[half].sum(axis=0))) for half in ([0, 1], [2, 3])] == [100.0, 0.0]


def test_the_interval_holds_the_value() -> None:
    samples = [one for number in range(40) for one in pair(str(number), "AB"[number % 2])]
    texts = [text for number in range(40) for text in ("yes", "no" if number % 3 else "yes")]
    measured = PairAccuracy().measure(samples, texts)
    found = interval(measured, [sample.cluster for sample in samples], bounds=PairAccuracy.bounds)
    assert found.clusters == 40
    assert found.bounds is not None
    assert found.bounds[0] < total(measured) < found.bounds[1]


def test_a_benchmark_without_pairs_is_refused() -> None:
    with pytest.raises(UsageError, match="sample 1 is no question of a pair"):
        PairAccuracy().measure([Sample("1", (), "", ("yes",))], ["yes"])
