"""Multiple choice: each script's own reading, and questions that must be right in every rotation."""

from __future__ import annotations

import random

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.option_accuracy import Accuracy, AccuracyFirstLetter, CircularAccuracy
from lavit_eval.metrics.option_answers import (
    READINGS,
    exact_option,
    first_option,
    scienceqa_option,
    vlmevalkit_option,
)
from lavit_eval.metrics.protocol import Metric
from lavit_eval.sample import Sample
from lavit_eval.statistics import total_value
from tests.metrics.choices import choice, choice_set, rotated

CHOICES = ["left", "a dog", "two people"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", "A"),
        ("E", "E"),
        ("F", None),
        ("a", None),
        ("A ", None),
        ("AB", None),
        ("", None),
        ("B. because", "B"),
        ("B.", None),
        ("The answer is C.", "C"),
        ("The answer is C", None),
        ("The answer is A. The answer is B.", None),
    ],
)
def test_scienceqa(text: str, expected: str | None) -> None:
    assert scienceqa_option(text, CHOICES) == expected


@pytest.mark.parametrize(("text", "exact", "first"), [("B", "B", "B"), ("B.", None, "B"), (" B", None, "B")])
def test_one_letter(text: str, exact: str | None, first: str | None) -> None:
    assert exact_option(text, CHOICES) == exact
    assert first_option(text, CHOICES) == first


@pytest.mark.parametrize("text", ["", "D", "b", "Both", "ABC"])
def test_no_letter_of_the_choices(text: str) -> None:
    assert exact_option(text, CHOICES) is None
    assert (first_option(text, CHOICES) is None) == (text[:1] not in {"A", "B"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("Answer: C.", "C"),
        ("b", None),
        ("A or B", None),
        ("D", None),
        ("The letter B is what I would say here", None),
        ("I would say that it must be B here", "B"),
        ("It is a dog", "B"),
        ("LEFT", "A"),
        ("a dog on the left", None),
        ("left " + "very " * 10, None),
        ("I can't process this file.", "Z"),
        ("Z", "Z"),
        ("Failed to obtain answer via API A", None),
        ("", None),
    ],
)
def test_vlmevalkit(text: str, expected: str | None) -> None:
    assert vlmevalkit_option(text, CHOICES) == expected


def test_accuracy_reads_as_the_sample_says() -> None:
    samples = [choice(1, "scienceqa", "B"), choice(2, "exact", "B"), choice(3, "vlmevalkit", "B")]
    measured = Accuracy().measure(samples, ["B. yes"] * 3)
    assert [record["option"] for record in measured.per_sample] == ["B", None, "B"]
    assert total_value(measured) == pytest.approx(200 / 3)
    assert measured.details == {"undecided": 1}
    assert total_value(AccuracyFirstLetter().measure(samples, ["B. yes"] * 3)) == 100.0


def test_a_sample_without_reading_or_choices_is_refused() -> None:
    with pytest.raises(UsageError, match="sample 1 does not say how its answer is read"):
        Accuracy().measure([Sample("1", (), "", ("A",))], ["A"])
    with pytest.raises(UsageError, match="sample 1 has no choices"):
        AccuracyFirstLetter().measure([Sample("1", (), "", ("A",))], ["A"])


def test_every_rotation_must_be_right() -> None:
    samples = rotated(1) + rotated(2) + rotated(3)
    right = [sample.references[0] for sample in samples]
    assert total_value(CircularAccuracy().measure(samples, right)) == 100.0
    measured = CircularAccuracy().measure(samples, ["A" if right[0] != "A" else "B", *right[1:]])
    assert total_value(measured) == pytest.approx(200 / 3)
    assert measured.details == {"undecided": 0, "incomplete": 0}


def test_the_same_letter_every_time_is_never_right() -> None:
    samples = [one for question in range(20) for one in rotated(question)]
    assert total_value(CircularAccuracy().measure(samples, ["A"] * len(samples))) == 0.0
    assert total_value(Accuracy().measure(samples, ["A"] * len(samples))) == pytest.approx(100 / 3)


def test_an_undecided_rotation_is_wrong_and_counted_and_never_guessed() -> None:
    samples = rotated(1) + rotated(2)
    texts = [sample.references[0] for sample in samples]
    texts[1] = "I do not know"
    for _ in range(5):
        measured = CircularAccuracy().measure(samples, texts)
        assert total_value(measured) == 50.0
        assert measured.details == {"undecided": 1, "incomplete": 0}
    texts[2] = "B" if samples[2].references[0] != "B" else "C"
    assert CircularAccuracy().measure(samples, texts).details["undecided"] == 0


def test_a_question_with_missing_rotations_is_left_out_and_counted() -> None:
    samples = (rotated(1) + rotated(2))[:-1]
    measured = CircularAccuracy().measure(samples, [sample.references[0] for sample in samples])
    assert total_value(measured) == 100.0
    assert measured.rows[:, 1].sum() == 1
    assert measured.details == {"undecided": 0, "incomplete": 1}


def test_repeats_are_questions_of_their_own() -> None:
    samples = rotated(1) * 2
    right = [sample.references[0] for sample in samples]
    measured = CircularAccuracy().measure(samples, [*right[:3], "Z", *right[4:]])
    assert total_value(measured) == 50.0
    assert [float(measured.reduce(part.sum(axis=0))) for part in (measured.rows[:3], measured.rows[3:])] == [100.0, 0.0]


@pytest.mark.parametrize("metric", [Accuracy(), AccuracyFirstLetter(), CircularAccuracy()])
def test_order_changes_nothing(metric: Metric) -> None:
    samples, texts = choice_set()
    order = random.Random(2).sample(range(len(samples)), len(samples))
    shuffled = metric.measure([samples[n] for n in order], [texts[n] for n in order])
    measured = metric.measure(samples, texts)
    assert shuffled.rows.tolist() == measured.rows[order].tolist()
    assert shuffled.details == measured.details


def test_the_readings_are_named() -> None:
    assert set(READINGS) == {"scienceqa", "exact", "vlmevalkit"}
