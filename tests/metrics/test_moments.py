from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.errors import UsageError
from lavit_eval.metrics.moments import MomentSums, grouped


def features(seed: int, count: int, size: int, mean: float = 0.0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).normal(mean, 1.0, (count, size))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 9), min_size=1, max_size=5), st.sampled_from([0, 1]))
def test_any_cutting_into_batches_gives_numpys_moments(seed: int, batches: list[int], ddof: int) -> None:
    rows = features(seed, 4 + sum(batches), 5, mean=1e4)
    sums, start = MomentSums.of(rows[:4]), 4
    for batch in batches:
        sums, start = sums.add(rows[start : start + batch]), start + batch
    found = sums.moments(ddof)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(rows.T, ddof=ddof), rtol=1e-9, atol=1e-11)


def test_sets_with_different_origins_merge_and_part_again() -> None:
    first, second = features(1, 20, 4), features(2, 30, 4, mean=7.0)
    both = MomentSums.of(first).merge(MomentSums.of(second))
    np.testing.assert_allclose(both.moments().covariance, np.cov(np.concatenate([first, second]).T), rtol=1e-10)
    rest = both.subtract(MomentSums.of(second))
    np.testing.assert_allclose(rest.moments().covariance, np.cov(first.T), rtol=1e-9, atol=1e-10)
    with pytest.raises(ValueError, match="cannot be taken"):
        MomentSums.of(first).subtract(both)


def test_leaving_a_group_out_is_computing_without_it() -> None:
    rows, groups = features(3, 40, 6), np.arange(40) % 7
    found = grouped(rows, groups)
    for group in range(7):
        rest = rows[groups != group]
        moments = found.without(group).moments()
        assert moments.count == len(rest)
        np.testing.assert_allclose(moments.mean, rest.mean(axis=0), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(moments.covariance, np.cov(rest.T), rtol=1e-10, atol=1e-12)


def test_a_large_mean_in_half_precision_does_not_cancel() -> None:
    rows = (features(4, 100, 3) * 1e-3 + 1000.0).astype(np.float32)
    np.testing.assert_allclose(
        MomentSums.of(rows).moments().covariance, np.cov(rows.astype(np.float64).T), rtol=1e-9, atol=1e-16
    )


def test_what_cannot_be_used_is_named() -> None:
    rows = features(5, 4, 2)
    rows[2, 1] = np.nan
    with pytest.raises(UsageError, match="first: row 2"):
        MomentSums.of(rows)
    with pytest.raises(UsageError, match="ddof 1"):
        MomentSums.of(rows[:1]).moments()
    with pytest.raises(ValueError, match=r"\[N, D\]"):
        MomentSums.of(rows[0])
