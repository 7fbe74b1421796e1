"""The Inception Score of generated videos, by C3D's class probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from lavit_eval.metrics.feature_metric import FeatureRows, Gathered, Need, SetMeasured, UnmeasurableError
from lavit_eval.metrics.feature_protocol import FeatureProtocol, Network
from lavit_eval.metrics.inception_score import InceptionScore, inception_score

CLASSES = 101


class IsC3d:
    """Inception Score (Salimans et al. 2016; for videos Saito et al. 2020), the mean over the protocol's splits.

    It rises with the number of videos per split, so values of different numbers or splits are different quantities.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "x1"
    bounds: ClassVar[tuple[float, float] | None] = (1.0, float(CLASSES))
    network: ClassVar[Network] = "c3d"
    weights: ClassVar[str | None] = None
    default_protocol: ClassVar[str] = "is-c3d"
    of_sets: ClassVar[bool] = True
    chooses_among_repeats: ClassVar[bool] = False

    def needs(self, protocol: FeatureProtocol) -> Mapping[str, Need]:
        """Return the generated clips (see `FeatureMetric.needs`)."""
        return {"generated": Need("made", protocol, protocol.generated)}

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Score the set (see `FeatureMetric.measure_features`)."""
        rows = gathered["generated"]
        splits = protocol.splits or 1
        if len(rows.ids) < splits:
            raise UnmeasurableError(f"{len(rows.ids)} videos cannot be divided into {splits} splits; take one split")
        probabilities = rows.stacked()
        found = _score(probabilities, protocol)
        details = {"splits": list(found.splits), "deviation": found.deviation}
        left_out = _left_out(rows, probabilities, protocol, splits)
        groups = tuple(np.unique(rows.groups).tolist()) if len(left_out) else ()
        return SetMeasured(found.mean, left_out, groups, details)


class IsC3dOneSplit(IsC3d):
    """The same over all videos at once."""

    default_protocol: ClassVar[str] = "is-c3d-one-split"


def _score(probabilities: np.ndarray, protocol: FeatureProtocol) -> InceptionScore:
    return inception_score(probabilities, protocol.splits or 1, protocol.shuffle_seed)


def _left_out(rows: FeatureRows, probabilities: np.ndarray, protocol: FeatureProtocol, splits: int) -> np.ndarray:
    """Return the score without each group in turn; none where a split would hold nothing."""
    groups, counts = np.unique(rows.groups, return_counts=True)
    if len(groups) < 2 or len(rows.ids) - counts.max() < splits:
        return np.zeros(0)
    return np.array([_score(probabilities[rows.groups != group], protocol).mean for group in groups])
