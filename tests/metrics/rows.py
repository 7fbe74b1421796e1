"""Made features for the tests of metrics that compare sets."""

from __future__ import annotations

import numpy as np

from lavit_eval.metrics.feature_metric import FeatureRows
from lavit_eval.metrics.feature_protocol import FeatureProtocol, load_protocol


def normal(seed: int, *shape: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Seeded float32 features, as they come out of the store."""
    drawn = np.random.Generator(np.random.PCG64(seed)).normal(shift, scale, shape)
    return drawn.astype(np.float32)


def rows(features: np.ndarray | list[np.ndarray], groups: np.ndarray | None = None, repeats: int = 1) -> FeatureRows:
    """One entry per feature; the samples are asked `repeats` times, one repeat behind the other."""
    count = len(features) // repeats
    ids = [f"sample {place % count}" for place in range(len(features))]
    labels = np.arange(len(features)) % count if groups is None else groups
    return FeatureRows(tuple(ids), np.asarray(labels, dtype=np.int64), tuple(features))


def taken(one: FeatureRows, places: np.ndarray) -> FeatureRows:
    """Return the entries at some places, or where a mask holds, in that order."""
    chosen = np.arange(len(one.ids))[places]
    return FeatureRows(
        tuple(one.ids[place] for place in chosen), one.groups[chosen], tuple(one.rows[place] for place in chosen)
    )


def changed(name: str, **fields: object) -> FeatureProtocol:
    """Return a shipped protocol with other fields."""
    return FeatureProtocol.model_validate(load_protocol(name).model_dump() | fields)
