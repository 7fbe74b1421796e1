"""ROUGE-L by hand, and its scale."""

from __future__ import annotations

import pytest

from lavit_eval.metrics.rouge import RougeL
from lavit_eval.sample import Sample
from tests.metrics.captions import needs_java, total


@needs_java
def test_hand_computed() -> None:
    # "red bus road" against "red road": common subsequence 2, precision 2/3, recall 1; with no word in common, 0.
    samples = [Sample("1", (), "", ("red road", "truck")), Sample("2", (), "", ("cat",))]
    measured = RougeL().measure(samples, ["Red bus road.", "dog"])
    expected = (1 + 1.2**2) * (2 / 3) * 1 / (1 + 1.2**2 * (2 / 3))
    assert list(measured.rows[:, 0]) == pytest.approx([expected, 0.0])
    assert total(measured) == pytest.approx(100 * expected / 2)
