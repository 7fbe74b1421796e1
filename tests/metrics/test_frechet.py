from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.errors import UsageError
from lavit_eval.metrics.frechet import extrapolated, frechet_distance, frechet_of_moments, left_out
from lavit_eval.metrics.moments import Moments, MomentSums


def features(seed: int, count: int, size: int, shift: float = 0.0) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(seed))
    mixing = np.random.Generator(np.random.PCG64(size)).normal(size=(size, size)) / np.sqrt(size)
    return generator.normal(size=(count, size)) @ mixing + shift


def test_gaussians_with_diagonal_covariances_by_hand() -> None:
    first = Moments(9, np.array([0.0, 0.0]), np.diag([4.0, 9.0]))
    second = Moments(9, np.array([1.0, 2.0]), np.diag([1.0, 16.0]))
    # 1 + 4 for the means; (2 - 1)^2 + (3 - 4)^2 for the standard deviations.
    assert frechet_of_moments(first, second) == pytest.approx(7.0, rel=1e-12)
    singular = Moments(9, np.array([0.0, 0.0]), np.diag([4.0, 0.0]))
    assert frechet_of_moments(singular, second) == pytest.approx(5 + 1 + 16, rel=1e-12)
    assert frechet_of_moments(second, singular) == pytest.approx(5 + 1 + 16, rel=1e-12)


def test_one_dimension_by_hand() -> None:
    x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])
    # Variances 2 and 8 with ddof 1, 1 and 4 with ddof 0.
    assert frechet_distance(x, y, ddof=1) == pytest.approx(4 + (np.sqrt(8) - np.sqrt(2)) ** 2, rel=1e-12)
    assert frechet_distance(x, y, ddof=0) == pytest.approx(4 + 1, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.integers(2, 30), st.integers(2, 30), st.integers(1, 12), st.sampled_from([0, 1]))
def test_both_routes_agree_and_the_order_of_rows_and_sets_is_nothing(
    seed: int, n: int, m: int, size: int, ddof: int
) -> None:
    x, y = features(seed, n, size), features(seed + 1, m, size, shift=0.5)
    found = frechet_distance(x, y, ddof)
    by_moments = frechet_of_moments(MomentSums.of(x).moments(ddof), MomentSums.of(y).moments(ddof))
    assert by_moments == pytest.approx(found, rel=1e-7, abs=1e-7)
    assert frechet_distance(y[::-1], x[::-1], ddof) == pytest.approx(found, rel=1e-8, abs=1e-8)


def test_a_set_is_at_no_distance_from_itself() -> None:
    for count in (5, 100):
        assert frechet_distance(features(1, count, 20), features(1, count, 20)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "size"), [(60, 4), (12, 30)])
@pytest.mark.parametrize("paired", [True, False])
def test_leaving_groups_out_is_computing_without_them(n: int, size: int, paired: bool) -> None:
    x, y, groups = features(2, n, size), features(3, n, size, shift=1.0), np.arange(n) % 4
    found = left_out(x, y, groups, groups if paired else None)
    for group in range(4):
        kept = groups != group
        expected = frechet_distance(x[kept], y[kept] if paired else y)
        assert found[group] == pytest.approx(expected, rel=1e-8)


def test_the_bias_with_n_is_found_and_taken_away() -> None:
    size = 8
    x, y = features(4, 2000, size), features(5, 20000, size)
    found = extrapolated(x, y, seed=1, least=100)
    assert found.sizes[0] == 100 and found.sizes[-1] == 2000
    assert found.slope > 0
    assert abs(found.limit) < found.values[-1] < found.values[0]
    assert extrapolated(x, y, seed=1, least=100) == found
    with pytest.raises(UsageError, match="too few"):
        extrapolated(x[:2], y, seed=1)


def test_what_cannot_be_compared_is_refused() -> None:
    x = features(6, 10, 4)
    with pytest.raises(UsageError, match="4 and 3 dimensions"):
        frechet_distance(x, x[:, :3])
    with pytest.raises(UsageError, match="no covariance"):
        frechet_distance(x, x[:1])
    with pytest.raises(UsageError, match="not finite"):
        frechet_distance(x, np.where(x > 1, np.inf, x))
