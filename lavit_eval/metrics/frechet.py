"""Frechet distance between two sets of features: the arithmetic of FID and FVD, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from lavit_eval.errors import UsageError
from lavit_eval.metrics.moments import Floats, Moments, MomentSums, checked, grouped

Integers = npt.NDArray[np.integer]
Labels = Sequence[int] | Integers


def frechet_distance(x: npt.ArrayLike, y: npt.ArrayLike, ddof: int = 1) -> float:
    """Return |m1 - m2|^2 + Tr(S1) + Tr(S2) - 2 Tr((S1 S2)^(1/2)) of the Gaussians fitted to two sets of features.

    With fewer rows than dimensions in either set the covariances are singular; the trace of the root is then the sum of
    the singular values of the cross Gram matrix Xc Yc^T, which needs no D x D matrix and has no noise eigenvalues
    (`scipy.linalg.sqrtm` and the eigenvalues of the product are low by about 1e-7 there). Else `frechet_of_moments`.

    Args:
        x: `[N, D]` features, converted to float64.
        y: `[M, D]`.
        ddof: Covariances are divided by N - ddof: 1 as in the original FVD and FID, 0 in StyleGAN-V and cd-fvd.

    Raises:
        UsageError: For non-finite features, different dimensions, or too few rows.
    """
    first, second = _pair(x, y)
    if min(len(first), len(second)) > first.shape[1]:
        return frechet_of_moments(MomentSums.of(first).moments(ddof), MomentSums.of(second).moments(ddof))
    _enough(len(first), len(second), ddof)
    return _frechet_of_rows(first, second, ddof)


def frechet_of_moments(first: Moments, second: Moments) -> float:
    """Return the Frechet distance of two Gaussians by symmetric eigendecomposition.

    The root's trace is that of (R S2 R)^(1/2) with R = S1^(1/2): symmetric, real and without negative eigenvalues
    beyond rounding. Where a covariance is singular, the sum of the singular values of R1 R2 is taken instead, with the
    eigenvalues below rounding left out, since the root of a noise eigenvalue of 1e-16 would count as 1e-8.
    """
    if first.mean.shape != second.mean.shape:
        raise UsageError(f"Features have {first.mean.size} and {second.mean.size} dimensions; use one feature network.")
    if not (np.isfinite(first.covariance).all() and np.isfinite(second.covariance).all()):
        raise UsageError("A covariance is not finite; extract the features again.")
    step = first.mean - second.mean
    overlap = _trace_of_root(first.covariance, second.covariance)
    return float(step @ step + np.trace(first.covariance) + np.trace(second.covariance) - 2 * overlap)


def _trace_of_root(first: Floats, second: Floats) -> float:
    values, vectors = linalg.eigh(first)
    root, singular = _root(values, vectors)
    if not singular:
        middle = root.T @ second @ root
        inner = linalg.eigvalsh((middle + middle.T) / 2)
        if inner[0] > _noise(inner):
            return float(np.sqrt(inner).sum())
    other, _ = _root(*linalg.eigh(second))
    if not root.size or not other.size:
        return 0.0
    return float(linalg.svdvals(root.T @ other).sum())


def _root(values: Floats, vectors: Floats) -> tuple[Floats, bool]:
    """Return `[D, rank]` whose product with its transpose is the matrix, and whether the rank is below D."""
    kept = values > _noise(values)
    return vectors[:, kept] * np.sqrt(values[kept]), not bool(kept.all())


def _noise(values: Floats) -> float:
    """Return the size below which an eigenvalue of a symmetric matrix is rounding."""
    return float(len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0))


def _frechet_of_rows(x: Floats, y: Floats, ddof: int) -> float:
    means = x.mean(axis=0), y.mean(axis=0)
    x, y = x - means[0], y - means[1]
    return _combine(means[0] - means[1], np.square(x).sum(), np.square(y).sum(), x @ y.T, ddof)


def _combine(step: Floats, spread_x: float, spread_y: float, cross: Floats, ddof: int) -> float:
    """Return the distance from centred sums of squares and the centred cross Gram matrix `[N, M]`."""
    n, m = cross.shape[0] - ddof, cross.shape[1] - ddof
    overlap = linalg.svdvals(cross).sum() / np.sqrt(n * m)
    return float(step @ step + spread_x / n + spread_y / m - 2 * overlap)


def left_out(x: npt.ArrayLike, y: npt.ArrayLike, x_groups: Labels, y_groups: Labels | None, ddof: int = 1) -> Floats:
    """Return the distance without each group in turn, for a delete-a-group jackknife.

    Args:
        x: `[N, D]` features, e.g. of generated videos.
        y: `[M, D]`, e.g. of real ones.
        x_groups: `[N]` group of each row, 0 to G-1.
        y_groups: `[M]`, where a group leaves both sets (videos paired by prompt); None keeps `y` whole.
        ddof: As in `frechet_distance`.

    Returns:
        `[G]` float64.
    """
    first, second = _pair(x, y)
    rows, labels = np.asarray(x_groups), None if y_groups is None else np.asarray(y_groups)
    count = int(max(rows.max(), rows.max() if labels is None else labels.max())) + 1
    largest = max(np.bincount(rows).max(), 0 if labels is None else np.bincount(labels).max())
    if min(len(first), len(second)) - largest > first.shape[1]:
        return _left_out_of_sums(first, second, rows, labels, count, ddof)
    everyone = np.ones(len(second), dtype=bool)
    values = []
    for group in range(count):
        kept, others = rows != group, everyone if labels is None else labels != group
        _enough(int(kept.sum()), int(others.sum()), ddof)
        values.append(_frechet_of_rows(first[kept], second[others], ddof))
    return np.array(values)


def _left_out_of_sums(
    x: Floats, y: Floats, x_groups: Integers, y_groups: Integers | None, count: int, ddof: int
) -> Floats:
    first = grouped(x, x_groups)
    second = None if y_groups is None else grouped(y, y_groups)
    whole = MomentSums.of(y).moments(ddof)
    values = []
    for group in range(count):
        kept = first.without(group) if group < len(first.groups) else first.whole
        others = whole
        if second is not None and group < len(second.groups):
            others = second.without(group).moments(ddof)
        values.append(frechet_of_moments(kept.moments(ddof), others))
    return np.array(values)


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """The distance as a straight line in 1/N, and where it meets infinitely many samples."""

    sizes: tuple[int, ...]
    values: tuple[float, ...]
    """The distance with that many samples of `x`."""
    slope: float
    """Change per 1/N: the bias at N samples is about slope / N."""
    limit: float
    """The value at 1/N = 0."""


def extrapolated(
    x: npt.ArrayLike, y: npt.ArrayLike, seed: int, ddof: int = 1, points: int = 15, least: int | None = None
) -> Extrapolation:
    """Return the Frechet distance extrapolated to infinitely many samples (Chong & Forsyth 2020, "FID infinity").

    The distance is biased upwards by about a constant over N. It is computed on random subsets of `x` of `points` sizes
    from `least` to N, against the whole of `y`, and a straight line in 1/N is fitted by least squares. The bias that
    the size of `y` brings stays.

    Args:
        x: `[N, D]` features whose number is varied.
        y: `[M, D]`.
        seed: Chooses the subsets; drawn without replacement, each anew.
        ddof: As in `frechet_distance`.
        points: How many sizes, 2 or more.
        least: The smallest size; by default half of N.
    """
    first, second = _pair(x, y)
    lowest = max(len(first) // 2, ddof + 1) if least is None else least
    if points < 2 or not ddof < lowest < len(first):
        raise UsageError(f"{len(first)} samples are too few to extrapolate over {points} sizes from {lowest}.")
    generator = np.random.Generator(np.random.PCG64(seed))
    sizes = sorted({int(size) for size in np.linspace(lowest, len(first), points)})
    values = [
        frechet_distance(first[generator.choice(len(first), size, replace=False)], second, ddof) for size in sizes
    ]
    slope, limit = np.polyfit(1.0 / np.array(sizes), values, 1)
    return Extrapolation(tuple(sizes), tuple(values), float(slope), float(limit))


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    first, second = checked(x), checked(y)
    if first.shape[1] != second.shape[1]:
        raise UsageError(
            f"Features have {first.shape[1]} and {second.shape[1]} dimensions; use one feature network for both sets."
        )
    return first, second


def _enough(n: int, m: int, ddof: int) -> None:
    if min(n, m) <= ddof:
        raise UsageError(f"{min(n, m)} features have no covariance with ddof {ddof}; generate more.")
