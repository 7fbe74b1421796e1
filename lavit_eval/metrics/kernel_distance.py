"""Kernel distance between two sets of features: the unbiased squared MMD of KID and KVD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lavit_eval.errors import UsageError
from lavit_eval.metrics.moments import Floats, checked

Labels = Sequence[int] | npt.NDArray[np.integer]
BLOCK = 1024
"""Rows per block: two blocks of features and one of kernel values are held at a time."""


def kernel(x: Floats, y: Floats) -> Floats:
    """Return the cubic kernel (x.y / D + 1)^3 for every pair of rows, `[N, M]` (Binkowski et al. 2018)."""
    return np.asarray((x @ y.T / x.shape[1] + 1.0) ** 3, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class KernelSums:
    """Kernel values summed over pairs of groups, each row's pair with itself left out."""

    x_counts: npt.NDArray[np.int64]
    """[G] rows of x in each group."""
    y_counts: npt.NDArray[np.int64]
    xx: Floats
    """[G, G]."""
    yy: Floats
    xy: Floats

    def value(self) -> float:
        """Return the unbiased squared MMD of all rows: mean k(x, x') + mean k(y, y') - 2 mean k(x, y), x != x'.

        It is 0 on average for two sets of one distribution, so it may be negative. Raises UsageError for fewer than two
        rows in a set.
        """
        n, m = int(self.x_counts.sum()), int(self.y_counts.sum())
        if min(n, m) < 2:
            raise UsageError(f"A kernel distance needs two features in each set, not {n} and {m}.")
        return float(self.xx.sum() / (n * (n - 1)) + self.yy.sum() / (m * (m - 1)) - 2 * self.xy.sum() / (n * m))

    def without(self, group: int, both: bool = True) -> KernelSums:
        """Return the sums without a group, of both sets or of `x` alone."""
        kept = np.arange(len(self.x_counts)) != group
        others = kept if both else np.ones(len(self.y_counts), dtype=bool)
        return KernelSums(
            self.x_counts[kept],
            self.y_counts[others],
            self.xx[np.ix_(kept, kept)],
            self.yy[np.ix_(others, others)],
            self.xy[np.ix_(kept, others)],
        )


def kernel_distance(x: npt.ArrayLike, y: npt.ArrayLike, block: int = BLOCK) -> float:
    """Return the unbiased squared MMD of features `[N, D]` and `[M, D]`, over all pairs, in float64.

    The block size bounds the memory and changes the value by rounding only.
    """
    first, second = checked(x), checked(y)
    return kernel_sums(first, second, np.zeros(len(first), int), np.zeros(len(second), int), block).value()


def kernel_sums(
    x: npt.ArrayLike, y: npt.ArrayLike, x_groups: Labels, y_groups: Labels, block: int = BLOCK
) -> KernelSums:
    """Return the kernel values summed by pairs of groups, from which every left-out-group value follows.

    Args:
        x: `[N, D]` features.
        y: `[M, D]`.
        x_groups: `[N]` group of each row, 0 to G-1.
        y_groups: `[M]`.
        block: Rows per block.

    Raises:
        UsageError: For non-finite features or different dimensions.
    """
    first, second = checked(x), checked(y)
    if first.shape[1] != second.shape[1]:
        raise UsageError(
            f"Features have {first.shape[1]} and {second.shape[1]} dimensions; use one feature network for both sets."
        )
    rows, columns = np.asarray(x_groups), np.asarray(y_groups)
    count = int(max(rows.max(initial=0), columns.max(initial=0))) + 1
    return KernelSums(
        np.bincount(rows, minlength=count),
        np.bincount(columns, minlength=count),
        _summed(first, first, rows, rows, count, block) - _diagonal(first, rows, count),
        _summed(second, second, columns, columns, count, block) - _diagonal(second, columns, count),
        _summed(first, second, rows, columns, count, block),
    )


def left_out(x: npt.ArrayLike, y: npt.ArrayLike, x_groups: Labels, y_groups: Labels | None) -> Floats:
    """Return the distance without each group in turn `[G]`; `y_groups` None keeps `y` whole."""
    rows = np.asarray(x_groups)
    columns = np.zeros(len(np.asarray(y)), int) if y_groups is None else np.asarray(y_groups)
    sums = kernel_sums(x, y, rows, columns)
    count = len(sums.x_counts)
    return np.array([sums.without(group, both=y_groups is not None).value() for group in range(count)])


def _summed(
    x: Floats, y: Floats, rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer], count: int, block: int
) -> Floats:
    sums = np.zeros((count, count))
    for top in range(0, len(x), block):
        for left in range(0, len(y), block):
            values = kernel(x[top : top + block], y[left : left + block])
            here, there = rows[top : top + block], columns[left : left + block]
            sums += np.eye(count)[here].T @ values @ np.eye(count)[there]
    return sums


def _diagonal(x: Floats, groups: npt.NDArray[np.integer], count: int) -> Floats:
    own = (np.square(x).sum(axis=1) / x.shape[1] + 1.0) ** 3
    return np.diag(np.bincount(groups, weights=own, minlength=count))
