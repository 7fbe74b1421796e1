"""Multiple choice: each script's own reading, and questions that must be right in every rotation."""

from __future__ import annotations

import random

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.option_accuracy import (
    Accuracy,
    AccuracyFirstLetter,
    AccuracyScienceqaLmmsEval,
    ChoiceAccuracy,
    ChoiceAccuracyVideomme,
    CircularAccuracy,
)
from lavit_eval.metrics.protocol import Metric
from lavit_eval.sample import Sample
from lavit_eval.statistics import total_value
from tests.metrics.choices import choice, choice_set, rotated


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


OPTIONS = ["ran", "ate", "slept"]


def questions(answers: str) -> list[Sample]:
    """Return questions with these right letters."""
    return [Sample(str(n), (), "?", (letter,), extra={"choices": OPTIONS}) for n, letter in enumerate(answers)]


def test_answers_without_a_choice_are_wrong_and_counted() -> None:
    measured = ChoiceAccuracy().measure(questions("ABC"), ["A", "I am not sure", "C. slept"])
    assert total_value(measured) == pytest.approx(200 / 3)
    assert measured.details == {"undecided": 1}
    assert [record["option"] for record in measured.per_sample] == ["A", None, "C"]


def test_the_official_parser_reads_more_and_sometimes_wrongly() -> None:
    texts = ["The answer is A", "Bob ate", "All slept"]
    assert total_value(ChoiceAccuracy().measure(questions("ABC"), texts)) == 0.0
    measured = ChoiceAccuracyVideomme().measure(questions("ABC"), texts)
    assert [record["option"] for record in measured.per_sample] == ["A", "B", "A"]
    assert total_value(measured) == pytest.approx(200 / 3)


def test_scienceqa_of_lmms_eval_is_another_reading_than_llavas() -> None:
    """LLaVA also takes a sentence "The answer is X."; lmms-eval also takes "B." and a small letter."""
    samples = [choice(number, "scienceqa", "B") for number in range(4)]
    texts = ["The answer is B.", "B.", "b", "B. it is"]
    assert [one["score"] for one in Accuracy().measure(samples, texts).per_sample] == [1.0, 0.0, 0.0, 1.0]
    lmms = AccuracyScienceqaLmmsEval().measure(samples, texts)
    assert [one["score"] for one in lmms.per_sample] == [0.0, 1.0, 1.0, 1.0]


def test_other_benchmarks_are_refused() -> None:
    with pytest.raises(UsageError, match="sample 1 has no choices"):
        ChoiceAccuracy().measure([Sample("1", (), "", ("A",))], ["A"])
    with pytest.raises(UsageError, match="'D' is none of the letters ABC"):
        ChoiceAccuracy().measure(questions("D"), ["A"])
