"""Faults can be had and are gone afterwards, and what sees them is sure of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.canary.chain import Outcome, seen_in_digests, seen_in_scores
from tests.canary.damage import FAULTS, Sighting, enough, table
from tests.canary.faults import Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_there_and_gone_again(fault: Fault) -> None:
    patches = fault.patches()
    before = [getattr(owner, name) for owner, name, _ in patches]
    with fault.injected():
        during = [getattr(owner, name) for owner, name, _ in patches]
    assert patches
    assert all(one is not other for one, other in zip(before, during, strict=True))
    assert all(one is getattr(owner, name) for one, (owner, name, _) in zip(before, patches, strict=True))


def test_there_are_forty_faults_of_different_names() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40


def outcome(right: int, n: int = 60) -> Outcome:
    # Spread over the videos, so that their means vary little.
    scores = np.array([100.0 * (7 * index % n < right) for index in range(n)])
    media = tuple(f"video{index // 4}" for index in range(n))
    return Outcome(
        {"qa": float(scores.mean())}, {"qa": scores}, {"qa": media}, {"qa": ("",) * n}, {"qa": ("digest",) * n}
    )


def test_a_large_difference_is_seen_and_a_small_one_is_not() -> None:
    whole = outcome(52)
    assert seen_in_scores(whole, whole) == ""
    assert seen_in_scores(whole, outcome(51)) == ""
    assert seen_in_scores(whole, outcome(20)) == "qa -53.3"


def test_a_kind_of_question_is_seen_where_its_task_is_not() -> None:
    whole = replace(outcome(60), kinds={"qa": ("order", "color", "shape", "count") * 15})
    scores = whole.scores["qa"].copy()
    scores[0:28:4] = 0.0
    damaged = replace(whole, scores={"qa": scores}, values={"qa": float(scores.mean())})
    assert seen_in_scores(whole, damaged) == ""
    scores[0:48:4] = 0.0
    assert seen_in_scores(whole, replace(damaged, values={"qa": 80.0})) == "qa -20.0, order -80.0"


def test_another_input_is_seen() -> None:
    whole = outcome(10)
    assert seen_in_digests(whole, whole) == ""
    other = replace(whole, digests={"qa": ("other", *whole.digests["qa"][1:])})
    assert seen_in_digests(whole, other) == "1 of 60 inputs"


def test_the_table_counts_what_was_seen_and_shows_misses() -> None:
    found = [
        Sighting("one", "qa -3.0", "", ""),
        Sighting("two", "", "3 of 4 inputs", ""),
        Sighting("three", "", "", ""),
    ]
    text = table(found, outcome(52), 15)
    assert "1 seen in the scores, 2 in scores, input digests or parity cases" in text
    assert "| three | no | **no** |" in text


def test_enough_is_28_and_38_of_40() -> None:
    seen, elsewhere, missed = (
        Sighting("one", *texts, "") for texts in (("qa -3.0", ""), ("", "1 of 2 inputs"), ("", ""))
    )
    assert enough([seen] * 28 + [elsewhere] * 10 + [missed] * 2)
    assert not enough([seen] * 27 + [elsewhere] * 13)
    assert not enough([seen] * 37 + [missed] * 3)
