"""Equality character for character."""

from __future__ import annotations

import pytest

from lavit_eval.metrics.exact_match_verbatim import ExactMatchVerbatim
from lavit_eval.sample import Sample
from tests.metrics.captions import total


@pytest.mark.parametrize(("text", "value"), [("yes", 100), ("Yes", 0), ("yes.", 0), (" yes", 0), ("aye", 100), ("", 0)])
def test_nothing_is_forgiven(text: str, value: float) -> None:
    assert total(ExactMatchVerbatim().measure([Sample("1", (), "", ("yes", "aye", ""))], [text])) == value
