"""MME: four characters decide, an image counts twice, and both halves are kept apart."""

from __future__ import annotations

import random

import pytest

from lavit_eval.category_scores import categories
from lavit_eval.errors import UsageError
from lavit_eval.metrics.mme import MmeCognition, MmePerception, MmePerceptionLmmsEval, MmeScore, yes_no_other
from lavit_eval.metrics.protocol import Measured
from lavit_eval.sample import Sample
from lavit_eval.statistics import interval, total_value
from tests.metrics.choices import mme_image, mme_set


def measured_of(metric: MmeScore, answers: dict[str, tuple[str, str]]) -> tuple[Measured, list[Sample]]:
    samples, texts = [], []
    for image, pair in answers.items():
        subtask, _, stem = image.partition("/")
        samples += mme_image(subtask, stem)
        texts += pair
    return metric.measure(samples, texts), samples


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "yes"),
        ("no\n", "no"),
        ("yesterday", "yes"),
        ("nope", "no"),
        ("noise", "no"),
        ("not sure", "no"),
        (" no", "no"),
        ("  yes", "other"),
        ("the answer is yes", "other"),
        ("", "other"),
    ],
)
def test_the_first_four_characters_decide(text: str, expected: str) -> None:
    assert yes_no_other(text) == expected


def test_hand_computed() -> None:
    answers = {"existence/a": ("Yes", "No"), "existence/b": ("Yes", "Yes"), "count/a": ("no", "Maybe")}
    measured, samples = measured_of(MmePerception(), answers)
    # existence: 3 of 4 questions and 1 of 2 images; count: nothing.
    assert total_value(measured) == pytest.approx(75 + 50)
    assert measured.details == {
        "existence": {"accuracy": 75.0, "accuracy_plus": 50.0},
        "count": {"accuracy": 0.0, "accuracy_plus": 0.0},
    }
    found = categories(measured, samples)["subtask"]["count"]
    assert (found["value"], found["n"]) == (0.0, 2)


def test_equal_file_names_in_two_subtasks_are_two_images() -> None:
    measured, _ = measured_of(MmePerception(), {"scene/a": ("Yes", "Yes"), "posters/a": ("No", "No")})
    assert total_value(measured) == 100.0


def test_each_half_takes_its_own_subtasks() -> None:
    answers = {"existence/a": ("Yes", "No"), "code_reasoning/a": ("No", "No")}
    perception, samples = measured_of(MmePerception(), answers)
    assert total_value(perception) == 200.0
    assert categories(perception, samples)["subtask"]["code_reasoning"] == {"n": 2}
    assert total_value(measured_of(MmeCognition(), answers)[0]) == 50.0
    assert total_value(measured_of(MmeCognition(), {"scene/a": ("Yes", "No")})[0]) is None


def test_an_image_with_one_answer_counts_for_accuracy_only() -> None:
    samples = [*mme_image("existence", "a"), mme_image("existence", "b")[0]]
    measured = MmePerception().measure(samples, ["Yes", "No", "No"])
    assert total_value(measured) == pytest.approx(100 * 2 / 3 + 100)


def test_repeats_are_not_paired_with_each_other() -> None:
    samples = mme_image("existence", "a") * 2
    measured = MmePerception().measure(samples, ["Yes", "Yes", "No", "No"])
    assert total_value(measured) == 50.0
    assert [float(measured.reduce(measured.rows[two].sum(axis=0))) for two in ([0, 1], [2, 3])] == [50.0, 50.0]


def test_order_changes_nothing() -> None:
    samples, texts = mme_set()
    order = random.Random(1).sample(range(len(samples)), len(samples))
    shuffled = MmePerception().measure([samples[n] for n in order], [texts[n] for n in order])
    measured = MmePerception().measure(samples, texts)
    assert total_value(shuffled) == total_value(measured)
    assert shuffled.rows.tolist() == measured.rows[order].tolist()


def test_the_interval_is_clustered_on_the_image() -> None:
    samples, texts = mme_set()
    measured = MmePerception().measure(samples, texts)
    found = interval(measured, [sample.cluster for sample in samples], bounds=MmePerception.bounds)
    assert found.clusters == 28
    value = total_value(measured)
    assert found.bounds is not None
    assert value is not None
    assert found.bounds[0] < value < found.bounds[1]


def test_lmms_eval_takes_spaces_off_first() -> None:
    answers = {"existence/a": ("  Yes", "No.")}
    assert total_value(measured_of(MmePerception(), answers)[0]) == 50.0
    assert total_value(measured_of(MmePerceptionLmmsEval(), answers)[0]) == 200.0


def test_another_benchmark_is_refused() -> None:
    with pytest.raises(UsageError, match="sample 1 is of no subtask of MME"):
        MmePerception().measure([Sample("1", (), "", ("Yes",))], ["yes"])
