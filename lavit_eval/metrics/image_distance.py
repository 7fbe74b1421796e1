"""FID of images and of video frames: Frechet distances of CLIP and Inception features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from lavit_eval.metrics.clipsim import best_candidate
from lavit_eval.metrics.feature_metric import (
    FeatureRows,
    Gathered,
    Need,
    SetMeasured,
    UnmeasurableError,
)
from lavit_eval.metrics.feature_protocol import FeatureProtocol, Network, load_protocol
from lavit_eval.metrics.video_distance import SetDistance, frechet_measured, frechet_of

CANDIDATES = 4


class _FrameDistance(SetDistance):
    network: ClassVar[Network] = "clip"
    weights: ClassVar[str | None] = "ViT-B-32.pt"
    default_protocol: ClassVar[str] = "fid-clip"


class FidClip(_FrameDistance):
    """Frechet distance of CLIP features (Kynkaanniemi et al. 2023) of all frames of all videos in one pool."""

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Compare the sets (see `FeatureMetric.measure_features`)."""
        return pooled_distance(protocol, gathered, extrapolate)


class FidClipByFrame(_FrameDistance):
    """The mean over frame indices of the Frechet distance of all videos' frames with that index."""

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Compare the sets (see `FeatureMetric.measure_features`)."""
        counts = {len(rows) for one in gathered.values() for rows in one.rows}
        if len(counts) > 1:
            raise UnmeasurableError(
                f"videos have between {min(counts)} and {max(counts)} frames, so no frame index is shared"
            )
        found = [
            frechet_measured({name: _at(one, index) for name, one in gathered.items()}, protocol)
            for index in range(max(counts, default=1))
        ]
        left_out = np.mean([one.left_out for one in found], axis=0)
        by_frame = [one.value for one in found]
        return SetMeasured(float(np.mean(by_frame)), left_out, found[0].groups, {"by_frame": by_frame})


class FidInception(_FrameDistance):
    """FID (Heusel et al. 2017) of images, Inception-V3 features."""

    network: ClassVar[Network] = "inception"
    weights: ClassVar[str | None] = None
    default_protocol: ClassVar[str] = "fid-inception"

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Compare the sets (see `FeatureMetric.measure_features`)."""
        return pooled_distance(protocol, gathered, extrapolate)


class FidInceptionBestOf4(_FrameDistance):
    """FID of the best of four images per caption by CLIP ViT-L/14, as LaVIT's code chose them; it lowers the value.

    The candidates are the first four repeats of a sample: run with `--repeats 4`.
    """

    network: ClassVar[Network] = "inception"
    weights: ClassVar[str | None] = None
    default_protocol: ClassVar[str] = "fid-30k"
    chooses_among_repeats: ClassVar[bool] = True

    def needs(self, protocol: FeatureProtocol) -> Mapping[str, Need]:
        """Return the sets to compare, and what the choice looks at."""
        chooser = load_protocol("clip-vitl14")
        if protocol.demo:
            chooser = chooser.with_demo_features()
        return {
            **super().needs(protocol),
            "candidates": Need("made", chooser, chooser.generated),
            "captions": Need("caption", chooser, chooser.generated),
        }

    def measure_features(self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False) -> SetMeasured:
        """Choose, then compare (see `FeatureMetric.measure_features`)."""
        made, candidates = gathered["generated"], gathered["candidates"]
        captions = dict(zip(gathered["captions"].ids, gathered["captions"].rows, strict=True))
        places: dict[str, list[int]] = {}
        for place, one in enumerate(made.ids):
            places.setdefault(one, []).append(place)
        short = [one for one, found in places.items() if len(found) < CANDIDATES]
        if short:
            raise UnmeasurableError(
                f"{len(short)} of {len(places)} captions have fewer than {CANDIDATES} images; "
                f"run with --repeats {CANDIDATES}"
            )
        chosen = []
        for one, found in places.items():
            images = np.stack([candidates.rows[place][0] for place in found[:CANDIDATES]])
            chosen.append(found[best_candidate(images, captions[one])])
        best = FeatureRows(
            tuple(made.ids[place] for place in chosen),
            made.groups[chosen],
            tuple(made.rows[place] for place in chosen),
        )
        return pooled_distance(protocol, {"generated": best, "real": gathered["real"]}, extrapolate)


def pooled_distance(protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool) -> SetMeasured:
    """Return the Frechet distance of all frames of both sets in one pool each; groups leave with all their frames."""
    made, real = gathered["generated"], gathered["real"]
    counts = [sum(map(len, one.rows)) for one in (made, real)]
    if min(counts) < 2:
        raise UnmeasurableError(f"a distance needs 2 images on each side, there are {counts[0]} and {counts[1]}")
    return frechet_of(made.pooled(), real.pooled(), protocol, extrapolate)


def _at(rows: FeatureRows, index: int) -> FeatureRows:
    return FeatureRows(rows.ids, rows.groups, tuple(one[index] for one in rows.rows))
