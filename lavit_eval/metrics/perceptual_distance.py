"""LPIPS of reconstructions, from stored distances of their frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from lavit_eval.metrics.feature_metric import Gathered, Need
from lavit_eval.metrics.feature_protocol import FeatureProtocol, Network
from lavit_eval.metrics.protocol import Measured, mean_of


class Lpips:
    """Learned perceptual distance (Zhang et al. 2018) of each frame from its source, mean over frames, then videos."""

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "x1"
    bounds: ClassVar[tuple[float, float] | None] = None
    network: ClassVar[Network] = "lpips"
    weights: ClassVar[str | None] = None
    default_protocol: ClassVar[str] = "lpips-alex"
    of_sets: ClassVar[bool] = False
    chooses_among_repeats: ClassVar[bool] = False

    def needs(self, protocol: FeatureProtocol) -> Mapping[str, Need]:
        """Return the distances of all frames (see `FeatureMetric.needs`)."""
        return {"generated": Need("pair", protocol, protocol.generated)}

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> Measured:
        """Score every video (see `FeatureMetric.measure_features`)."""
        return mean_of([float(np.mean(rows, dtype=np.float64)) for rows in gathered["generated"].rows])
