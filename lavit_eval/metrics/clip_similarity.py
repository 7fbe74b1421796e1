"""CLIPSIM with its captions, and the likeness of consecutive frames, from stored CLIP embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from lavit_eval.metrics.clipsim import clipsim, frame_consistency, frame_cosines
from lavit_eval.metrics.feature_metric import Gathered, Need, UnmeasurableError
from lavit_eval.metrics.feature_protocol import FeatureProtocol, Network
from lavit_eval.metrics.protocol import Measured, mean_of


class ClipsimVitb16:
    """CLIPSIM (Wu et al. 2021): raw cosine of every frame with the caption, mean over frames, then over videos."""

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "x1"
    bounds: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    network: ClassVar[Network] = "clip"
    weights: ClassVar[str | None] = "ViT-B-16.pt"
    default_protocol: ClassVar[str] = "clipsim-vitb16"
    of_sets: ClassVar[bool] = False
    chooses_among_repeats: ClassVar[bool] = False

    def needs(self, protocol: FeatureProtocol) -> Mapping[str, Need]:
        """Return the frames' and the captions' embeddings (see `FeatureMetric.needs`)."""
        return {
            "generated": Need("made", protocol, protocol.generated),
            "captions": Need("caption", protocol, protocol.generated),
        }

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> Measured:
        """Score every video (see `FeatureMetric.measure_features`)."""
        pairs = zip(gathered["generated"].rows, gathered["captions"].rows, strict=True)
        return clipsim([frame_cosines(frames, caption) for frames, caption in pairs])


class ClipsimVitb32(ClipsimVitb16):
    """The same with ViT-B/32."""

    weights: ClassVar[str | None] = "ViT-B-32.pt"
    default_protocol: ClassVar[str] = "clipsim-vitb32"


class ClipsimFrameConsistency(ClipsimVitb16):
    """The mean cosine of consecutive frames' embeddings, mean over videos: what long-video papers print as CLIPSIM."""

    weights: ClassVar[str | None] = None

    def needs(self, protocol: FeatureProtocol) -> Mapping[str, Need]:
        """Return the frames' embeddings (see `FeatureMetric.needs`)."""
        return {"generated": Need("made", protocol, protocol.generated)}

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> Measured:
        """Score every video (see `FeatureMetric.measure_features`)."""
        short = sum(len(rows) < 2 for rows in gathered["generated"].rows)
        if short:
            raise UnmeasurableError(f"{short} videos have fewer than 2 frames")
        return mean_of([frame_consistency(rows) for rows in gathered["generated"].rows])
