from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.errors import UsageError
from lavit_eval.metrics.kernel_distance import kernel_distance, left_out


def features(seed: int, count: int, size: int, shift: float = 0.0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).normal(shift, 1.0, (count, size))


def test_two_rows_each_by_hand() -> None:
    x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 0.0], [0.0, 0.0]])
    # k(x1, x2) = 1, k(y1, y2) = 1, k(x1, y1) = (2 / 2 + 1)^3 = 8, the other three pairs 1.
    assert kernel_distance(x, y) == pytest.approx(1 + 1 - 2 * (8 + 1 + 1 + 1) / 4, rel=1e-12)


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_the_block_size_is_nothing(block: int) -> None:
    x, y = features(1, 11, 5), features(2, 8, 5, shift=0.5)
    assert kernel_distance(x, y, block) == pytest.approx(kernel_distance(x, y), rel=1e-11)


def test_it_is_unbiased_and_grows_with_the_distance() -> None:
    pairs = [(features(seed, 12, 3), features(seed + 5000, 12, 3)) for seed in range(400)]
    values = [kernel_distance(x, y) for x, y in pairs]
    assert min(values) < 0
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
    assert kernel_distance(features(1, 50, 3), features(2, 50, 3, shift=2.0)) > max(values)


@pytest.mark.parametrize("paired", [True, False])
def test_leaving_groups_out_is_computing_without_them(paired: bool) -> None:
    x, y, groups = features(3, 20, 4), features(4, 20, 4), np.arange(20) % 5
    found = left_out(x, y, groups, groups if paired else None)
    for group in range(5):
        kept = groups != group
        assert found[group] == pytest.approx(kernel_distance(x[kept], y[kept] if paired else y), rel=1e-9)


def test_it_agrees_with_torchmetrics_on_one_subset() -> None:
    import torch
    from torchmetrics.image.kid import poly_mmd

    x, y = features(5, 30, 6), features(6, 30, 6, shift=0.3)
    expected = float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y), degree=3, gamma=None, coef=1.0))
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="dimensions"):
        kernel_distance(features(1, 4, 3), features(1, 4, 2))
    with pytest.raises(UsageError, match="two features"):
        kernel_distance(features(1, 1, 3), features(1, 4, 3))
