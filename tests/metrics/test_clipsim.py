from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.clipsim import best_candidate, clipsim, frame_consistency, frame_cosines


def test_cosines_by_hand_whatever_the_lengths() -> None:
    found = frame_cosines(np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, -1.0]]), np.array([5.0, 0.0]))
    assert found == pytest.approx([1.0, 0.0, -np.sqrt(0.5)])


def test_videos_weigh_the_same_however_long() -> None:
    measured = clipsim([[0.2, 0.4], [0.6], [-0.1] * 5])
    assert [score["score"] for score in measured.per_sample] == pytest.approx([0.3, 0.6, -0.1])
    assert float(measured.reduce(measured.rows.sum(axis=0))) == pytest.approx(0.8 / 3)


def test_consistency_compares_each_frame_with_the_next() -> None:
    assert frame_consistency(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])) == pytest.approx(0.5)
    with pytest.raises(UsageError, match="two frames"):
        frame_consistency(np.ones((1, 2)))


def test_the_best_candidate_is_the_first_of_equals() -> None:
    images = np.array([[0.0, 1.0], [1.0, 0.1], [10.0, 1.0]])
    assert best_candidate(images, np.array([1.0, 0.0])) == 1


def test_what_has_no_direction_is_refused() -> None:
    with pytest.raises(UsageError, match="zero"):
        frame_cosines(np.zeros((1, 3)), np.ones(3))
    with pytest.raises(UsageError, match="not finite"):
        frame_cosines(np.full((1, 3), np.nan), np.ones(3))
    with pytest.raises(UsageError, match="without frames"):
        clipsim([[]])
