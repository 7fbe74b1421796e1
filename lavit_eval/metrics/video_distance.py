"""FVD and KVD: how far the features of generated videos lie from those of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lavit_eval.errors import UsageError
from lavit_eval.metrics import frechet, kernel_distance
from lavit_eval.metrics.feature_metric import (
    NO_LESS_THAN_ZERO,
    FeatureRows,
    Gathered,
    Need,
    SetMeasured,
    UnmeasurableError,
)
from lavit_eval.metrics.feature_protocol import FeatureProtocol, Network, Selection
from lavit_eval.sample import JSON

EXTRAPOLATION_POINTS = 15
Labels = npt.NDArray[np.int64]
Labelled = tuple[np.ndarray, Labels]
"""Rows, and the group of each."""


class SetDistance:
    """What distances between the features of two sets have in common; the lower, the nearer."""

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "x1"
    bounds: ClassVar[tuple[float, float] | None] = NO_LESS_THAN_ZERO
    of_sets: ClassVar[bool] = True
    chooses_among_repeats: ClassVar[bool] = False

    def needs(self, protocol: FeatureProtocol) -> Mapping[str, Need]:
        """Return what was made and what is real (see `FeatureMetric.needs`).

        Raises UsageError for a protocol without a real set.
        """
        if protocol.real is None:
            raise UsageError(
                f"The protocol {protocol.protocol} has no real set; choose another for a distance from one."
            )
        return {"generated": Need("made", protocol, protocol.generated), "real": Need("real", protocol, protocol.real)}


class _VideoDistance(SetDistance):
    network: ClassVar[Network] = "i3d"
    weights: ClassVar[str | None] = None
    default_protocol: ClassVar[str] = "video-lavit"


class _LongVideoDistance(_VideoDistance):
    default_protocol: ClassVar[str] = "freenoise"

    def needs(self, protocol: FeatureProtocol) -> Mapping[str, Need]:
        """Return the last and the first clips of the same videos (see `FeatureMetric.needs`)."""
        last = Selection(videos=protocol.generated.videos, part="last")
        first = Selection(videos=protocol.generated.videos, part="first")
        return {"generated": Need("made", protocol, last), "real": Need("made", protocol, first)}


class Fvd(_VideoDistance):
    """Frechet video distance (Unterthiner et al. 2018, arXiv 1812.01717) under a named protocol."""

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Compare the sets (see `FeatureMetric.measure_features`)."""
        return frechet_measured(gathered, protocol, extrapolate)


class FvdFirstLast(_LongVideoDistance):
    """Frechet distance of long videos' last clips from their first ones (FreeNoise, arXiv 2310.15169)."""

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Compare the sets (see `FeatureMetric.measure_features`)."""
        return frechet_measured(gathered, protocol, extrapolate)


class Kvd(_VideoDistance):
    """Kernel video distance: the unbiased squared MMD with kernel (x.y/D + 1)^3 (Binkowski et al. 2018) of I3D logits.

    It is 0 on average for two sets of one distribution, so it can be negative; its expectation does not depend on the
    number of videos.
    """

    bounds: ClassVar[tuple[float, float] | None] = None

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Compare the sets (see `FeatureMetric.measure_features`)."""
        return kernel_measured(gathered)


class KvdFirstLast(_LongVideoDistance):
    """Kernel distance of long videos' last clips from their first ones (FreeNoise)."""

    bounds: ClassVar[tuple[float, float] | None] = None

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Compare the sets (see `FeatureMetric.measure_features`)."""
        return kernel_measured(gathered)


def frechet_measured(gathered: Gathered, protocol: FeatureProtocol, extrapolate: bool = False) -> SetMeasured:
    """Return the Frechet distance of one row per video, its values without each group, and, if asked, its limit."""
    made, real = gathered["generated"], gathered["real"]
    _enough(made, real)
    return frechet_of((made.stacked(), made.groups), (real.stacked(), real.groups), protocol, extrapolate)


def frechet_of(made: Labelled, real: Labelled, protocol: FeatureProtocol, extrapolate: bool) -> SetMeasured:
    """Return the Frechet distance of [n, d] and [m, d] rows, each with its group, as `frechet_measured` does."""
    (x, x_groups), (y, y_groups) = made, real
    ddof = 1 if protocol.covariance_ddof is None else protocol.covariance_ddof
    left_out = np.zeros(0)
    if can_leave_out(x_groups, y_groups):
        left_out = frechet.left_out(x, y, *shared_groups(x_groups, y_groups), ddof)
    details = _extrapolation(x, y, ddof, protocol.sampling_seed) if extrapolate else {}
    groups = tuple(np.union1d(x_groups, y_groups).tolist()) if len(left_out) else ()
    # Rounding may leave the distance of equal sets a trifle below 0.
    return SetMeasured(max(0.0, frechet.frechet_distance(x, y, ddof)), left_out, groups, details)


def _extrapolation(x: np.ndarray, y: np.ndarray, ddof: int, seed: int) -> dict[str, JSON]:
    """Return the details of an extrapolated distance; empty where there are too few videos for one."""
    try:
        found = frechet.extrapolated(x, y, seed, ddof, EXTRAPOLATION_POINTS)
    except UsageError:
        return {"extrapolated": None}
    return {"extrapolated": {"limit": found.limit, "slope": found.slope, "sizes": list(found.sizes)}}


def kernel_measured(gathered: Gathered) -> SetMeasured:
    """Return the kernel distance of one row per video and its values without each group."""
    made, real = gathered["generated"], gathered["real"]
    _enough(made, real)
    x, y = made.stacked(), real.stacked()
    left_out = np.zeros(0)
    if can_leave_out(made.groups, real.groups):
        left_out = kernel_distance.left_out(x, y, *shared_groups(made.groups, real.groups))
    groups = tuple(np.union1d(made.groups, real.groups).tolist()) if len(left_out) else ()
    return SetMeasured(kernel_distance.kernel_distance(x, y), left_out, groups)


def shared_groups(x: Labels, y: Labels) -> tuple[Labels, Labels]:
    """Return the groups of both sets numbered without gaps: a group of prompts leaves both sets at once."""
    known = np.union1d(x, y)
    return np.searchsorted(known, x), np.searchsorted(known, y)


def can_leave_out(x: Labels, y: Labels) -> bool:
    """Say whether there are two groups, and two rows are left in each set without any of them."""
    return len(np.union1d(x, y)) > 1 and all(len(one) - int(np.bincount(one).max()) >= 2 for one in (x, y))


def _enough(made: FeatureRows, real: FeatureRows) -> None:
    if min(len(made.ids), len(real.ids)) < 2:
        raise UnmeasurableError(
            f"a distance needs 2 videos on each side, there are {len(made.ids)} and {len(real.ids)}"
        )
