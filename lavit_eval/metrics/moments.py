"""Mean and covariance of features from sums that can be added, merged and subtracted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lavit_eval.errors import UsageError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """The first two moments of a set of features."""

    count: int
    mean: Floats
    """[D]."""
    covariance: Floats
    """[D, D], symmetric."""


@dataclass(frozen=True, slots=True)
class MomentSums:
    """Sums of features and of their outer products, in float64, taken about a fixed origin.

    The origin (the mean of the first rows) only keeps the numbers small: raw second moments of features whose mean is
    large against their spread would cancel. No value depends on it beyond rounding.
    """

    count: int
    origin: Floats
    """[D]."""
    total: Floats
    """[D]: sum of x - origin."""
    outer: Floats
    """[D, D]: sum of (x - origin)(x - origin)^T."""

    @classmethod
    def of(cls, features: npt.ArrayLike, origin: Floats | None = None) -> MomentSums:
        """Return the sums of features `[N, D]` (any float or integer dtype); N may be 0 if an origin is given.

        Raises UsageError for non-finite features, ValueError for another shape.
        """
        rows = checked(features)
        if origin is None:
            if not len(rows):
                raise ValueError("no features and no origin")
            origin = rows.mean(axis=0)
        centred = rows - origin
        return cls(len(rows), origin, centred.sum(axis=0), centred.T @ centred)

    def add(self, features: npt.ArrayLike) -> MomentSums:
        """Return the sums with further rows `[N, D]`."""
        more = MomentSums.of(features, self.origin)
        return MomentSums(self.count + more.count, self.origin, self.total + more.total, self.outer + more.outer)

    def merge(self, other: MomentSums) -> MomentSums:
        """Return the sums over both sets, whatever their origins."""
        moved = other.about(self.origin)
        return MomentSums(self.count + moved.count, self.origin, self.total + moved.total, self.outer + moved.outer)

    def subtract(self, part: MomentSums) -> MomentSums:
        """Return the sums without a part that was added before (raises ValueError if it is larger than the whole)."""
        if part.count > self.count:
            raise ValueError(f"{part.count} rows cannot be taken from {self.count}")
        moved = part.about(self.origin)
        return MomentSums(self.count - moved.count, self.origin, self.total - moved.total, self.outer - moved.outer)

    def about(self, origin: Floats) -> MomentSums:
        """Return the same sums about another origin."""
        if origin is self.origin:
            return self
        step = self.origin - origin
        cross = np.outer(self.total, step)
        outer = self.outer + cross + cross.T + self.count * np.outer(step, step)
        return MomentSums(self.count, origin, self.total + self.count * step, outer)

    def moments(self, ddof: int = 1) -> Moments:
        """Return mean and covariance, the latter divided by count - ddof (0: 1/N, 1: unbiased).

        Raises UsageError when there are too few rows.
        """
        if self.count <= ddof:
            raise UsageError(f"{self.count} features have no covariance with ddof {ddof}; generate more.")
        shift = self.total / self.count
        covariance = (self.outer - self.count * np.outer(shift, shift)) / (self.count - ddof)
        return Moments(self.count, self.origin + shift, (covariance + covariance.T) / 2)


def checked(features: npt.ArrayLike) -> Floats:
    """Return features as float64 `[N, D]`; raises UsageError naming the first non-finite row."""
    rows = np.asarray(features)
    if rows.ndim != 2:
        raise ValueError(f"features must be [N, D], not {list(rows.shape)}")
    rows = rows.astype(np.float64, copy=False)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise UsageError(
            f"{bad.size} of {len(rows)} features are not finite (first: row {bad[0]}); "
            "look at that video and at the weight file, then extract the features again."
        )
    return rows


@dataclass(frozen=True, slots=True)
class GroupedSums:
    """The sums of a whole set and of each of its groups."""

    whole: MomentSums
    groups: tuple[MomentSums, ...]

    def without(self, group: int) -> MomentSums:
        """Return the sums of all rows but those of one group."""
        return self.whole.subtract(self.groups[group])


def grouped(features: npt.ArrayLike, groups: Sequence[int] | npt.NDArray[np.integer]) -> GroupedSums:
    """Return the sums per group for a jackknife: all rows are read once, each left-out set costs one subtraction.

    Args:
        features: `[N, D]`.
        groups: `[N]` group of each row, 0 to G-1; a group may be empty.
    """
    rows, labels = checked(features), np.asarray(groups)
    if labels.shape != (len(rows),):
        raise ValueError(f"{len(rows)} features, {labels.shape} group labels")
    origin = rows.mean(axis=0)
    parts = tuple(MomentSums.of(rows[labels == group], origin) for group in range(int(labels.max()) + 1))
    whole = MomentSums(
        len(rows),
        origin,
        np.sum([part.total for part in parts], axis=0),
        np.sum([part.outer for part in parts], axis=0),
    )
    return GroupedSums(whole, parts)
