"""VQA accuracy: the official rules with their slips, LaVIT's own rules, and TextVQA's."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavit_eval.metrics.protocol import Metric
from lavit_eval.metrics.vqa_accuracy import TextvqaAccuracy, VqaAccuracy, VqaAccuracyLavit, leave_one_out
from lavit_eval.metrics.vqa_answers import CONTRACTIONS, evalai, lavit_prediction, official, without_opening
from lavit_eval.sample import Sample


def score(metric: Metric, text: str, references: list[str]) -> float:
    measured = metric.measure([Sample("1", (), "", tuple(references))], [text])
    return float(measured.reduce(measured.rows.sum(axis=0)))


@pytest.mark.parametrize(("equal", "expected"), [(0, 0.0), (1, 30.0), (2, 60.0), (3, 90.0), (4, 100.0), (9, 100.0)])
def test_hand_computed_leave_one_out(equal: int, expected: float) -> None:
    assert score(VqaAccuracy(), "red", ["red"] * equal + ["blue"] * (10 - equal)) == pytest.approx(expected)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.sampled_from("abcd"))
def test_leave_one_out_is_the_mean_over_people(people: list[str], answer: str) -> None:
    scores = []
    for index in range(len(people)):
        others = people[:index] + people[index + 1 :]
        scores.append(min(1.0, others.count(answer) / 3))
    assert leave_one_out(people.count(answer), len(people)) == pytest.approx(sum(scores) / len(people))


@pytest.mark.parametrize("text", ["Yes", "yes.", "a yes"])
def test_unanimous_answers_are_compared_raw(text: str) -> None:
    assert score(VqaAccuracy(), text, ["yes"] * 10) == 0.0
    assert score(VqaAccuracy(), text, ["yes"] * 9 + ["no"]) == 100.0


def test_only_white_space_at_the_ends_is_taken_off_unanimous_answers() -> None:
    assert score(VqaAccuracy(), "yes\n", [" yes", *["yes"] * 9]) == 100.0


def test_scoring_twice_gives_the_same_score() -> None:
    sample = Sample("1", (), "", ("yes", *["yes."] * 9))
    values = [float(VqaAccuracy().measure([sample], ["Yes"]).rows[0, 0]) for _ in range(2)]
    assert values == [1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t-shirt", "t shirt"),
        ("t - shirt", "t shirt"),
        ("10,000", "10000"),
        ("a-b 1,2", "ab 12"),
        ("5.", "5"),
        ("1.5", "1.5"),
        ("U.S.A.", "usa"),
        ("none", "0"),
        ("Ten apples", "10 apples"),
        ("eleven", "eleven"),
        ("the cat and an owl", "cat and owl"),
        ("isnt", "isn't"),
        ("Im", "im"),
        ("somebody'd", "somebodyd"),
        ("6:30", "6:30"),
        ("$5, 10%", "$5 10%"),
        ("it's", "it's"),
        ("a" + "." * 40, "a" + "." * 8),
        ("", ""),
    ],
)
def test_official_normalisation(text: str, expected: str) -> None:
    assert official(text) == expected


def test_contractions_are_those_of_the_script() -> None:
    assert len(CONTRACTIONS) == 114
    assert CONTRACTIONS["wouldnt've"] == CONTRACTIONS["wouldn'tve"] == "wouldn't've"
    assert CONTRACTIONS["yall'd've"] == "y'all'd've"
    assert "id" not in CONTRACTIONS
    assert "were" not in CONTRACTIONS
    assert "its" not in CONTRACTIONS


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("i don't know that", "unanswerable"),
        ("", "unanswerable"),
        ("it's red", "red"),
        ("it is in the park", "park"),
        ("this is it is red", "it is red"),
        ("it's what it's like", "like"),
        ("very very big", "big"),
        ("because", "because"),
        ("at", "at"),
    ],
)
def test_lavit_openings(answer: str, expected: str) -> None:
    assert without_opening(answer) == expected


def test_lavit_differs_from_the_official_rules() -> None:
    assert lavit_prediction("Nope.") == "no"
    references = ["two dogs"] * 5 + ["2 dogs"] * 5
    assert score(VqaAccuracy(), "two dogs", references) == 100.0
    assert score(VqaAccuracyLavit(), "two dogs", references[:5] + ["cats"] * 5) == 0.0
    assert score(VqaAccuracyLavit(), "Yes", ["yes"] * 10) == 100.0
    assert score(VqaAccuracyLavit(), "a dog", ["A dog."] * 5 + ["cat"] * 5) == 0.0


def test_textvqa_rules() -> None:
    assert evalai("new york,ny") == "new yorkny"
    assert evalai("the dog's bowl?") == "dog 's bowl"
    assert score(TextvqaAccuracy(), "Yes.", ["yes"] * 10) == 100.0


@pytest.mark.parametrize("metric", [VqaAccuracy(), VqaAccuracyLavit(), TextvqaAccuracy()])
def test_order_changes_no_score(metric: Metric) -> None:
    words = ["red", "Red.", "a red", "two", "2", "", "isnt"]
    draw = random.Random(3)
    samples = [Sample(str(n), (), "", tuple(draw.choices(words, k=10))) for n in range(40)]
    texts = [draw.choice(words) for _ in samples]
    scores = metric.measure(samples, texts).rows[:, 0]
    order = draw.sample(range(40), 40)
    shuffled = metric.measure([samples[n] for n in order], [texts[n] for n in order]).rows[:, 0]
    assert list(shuffled) == [scores[n] for n in order]
