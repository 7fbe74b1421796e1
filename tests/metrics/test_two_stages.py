"""VizWiz in two stages: any "no" in the first reply takes the place of the answer."""

from __future__ import annotations

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.two_stages import VqaAccuracyLavitTwoStages
from lavit_eval.sample import Sample
from lavit_eval.statistics import total_value
from tests.metrics.choices import stage_set, stages


@pytest.mark.parametrize(
    ("reply", "refuses"),
    [*(("no", True), ("I do not know", True), ("I know", True), ("nothing", True)), ("yes", False), ("NO", False)],
)
def test_the_letters_no_refuse_also_within_a_word(reply: str, refuses: bool) -> None:
    """And a capital NO does not, as in the script."""
    samples = stages("a.jpg", "red")
    measured = VqaAccuracyLavitTwoStages().measure(samples, [reply, "red"])
    assert total_value(measured) == (0.0 if refuses else 100.0)
    assert measured.details == {"refused": int(refuses), "incomplete": 0}
    assert measured.per_sample[1]["answer"] == ("unanswerable" if refuses else "red")


def test_an_image_without_one_of_the_replies_is_left_out_and_counted() -> None:
    samples = [*stages("a.jpg", "red"), *stages("b.jpg", "blue")]
    measured = VqaAccuracyLavitTwoStages().measure(samples[:3], ["yes", "red", "yes"])
    assert total_value(measured) == 100.0
    assert measured.details == {"refused": 0, "incomplete": 1}


def test_order_changes_nothing() -> None:
    samples, texts = stage_set()
    forward = VqaAccuracyLavitTwoStages().measure(samples, texts)
    backward = VqaAccuracyLavitTwoStages().measure(samples[::-1], texts[::-1])
    assert backward.rows[::-1].tolist() == forward.rows.tolist()


def test_one_stage_is_refused() -> None:
    with pytest.raises(UsageError, match="with the option stages: two"):
        VqaAccuracyLavitTwoStages().measure([Sample("a.jpg", (), "?", ("red",))], ["red"])
