"""LPIPS of reconstructions from made distances of their frames."""

from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.metrics.feature_protocol import load_protocol
from lavit_eval.metrics.perceptual_distance import Lpips
from tests.metrics.captions import total
from tests.metrics.rows import normal, rows, taken

PROTOCOL = load_protocol("lpips-alex")


def test_the_mean_over_frames_then_over_videos() -> None:
    distances = [np.array([0.2, 0.4], np.float32), np.array([0.1], np.float32), np.zeros(5, np.float32)]
    measured = Lpips().measure_features(PROTOCOL, {"generated": rows(distances)})
    assert [one["score"] for one in measured.per_sample] == pytest.approx([0.3, 0.1, 0.0])
    assert total(measured) == pytest.approx(0.4 / 3)


def test_sums_are_of_float64() -> None:
    many = np.full(100_001, 0.1, np.float32)
    many[0] = 1e4
    measured = Lpips().measure_features(PROTOCOL, {"generated": rows([many])})
    expected = (1e4 + 100_000 * float(np.float32(0.1))) / 100_001
    assert measured.per_sample[0]["score"] == pytest.approx(expected, rel=1e-12)


def test_the_order_of_samples_is_nothing() -> None:
    given = rows([np.abs(normal(seed, 3 + seed)) for seed in range(5)])
    one, other = (
        Lpips().measure_features(PROTOCOL, {"generated": each}) for each in (given, taken(given, np.arange(5)[::-1]))
    )
    assert one.rows.tolist() == other.rows[::-1].tolist()


def test_it_looks_at_pairs_of_a_reconstruction_and_its_source() -> None:
    needs = Lpips().needs(PROTOCOL)
    assert {name: need.role for name, need in needs.items()} == {"generated": "pair"}
    assert not Lpips.higher_is_better and not Lpips.of_sets
