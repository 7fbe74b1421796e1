"""Values by category, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lavit_eval.metrics.protocol import Measured
from lavit_eval.sample import Sample
from lavit_eval.statistics import Bounds, group_sums, interval, numbered


def categories(
    measured: Measured, samples: Sequence[Sample], bounds: Bounds | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """Return axis -> category -> {"value", "n", "low", "high"} over the rows' samples, both levels sorted by name.

    `low` and `high` are the ends of the 95 % interval as `interval` gives it without the bootstrap, clustered on the
    medium; absent where there is none. A category whose value is undefined has its "n" only.

    Args:
        measured: n rows.
        samples: [n] their samples.
        bounds: The metric's range, where every category has it too.

    Raises ValueError if rows and samples do not match.
    """
    if len(samples) != len(measured.rows):
        raise ValueError(f"{len(measured.rows)} rows, but {len(samples)} samples")
    clusters = [sample.cluster for sample in samples]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for axis in sorted({axis for sample in samples for axis in sample.categories}):
        held = np.asarray([index for index, sample in enumerate(samples) if axis in sample.categories])
        names, groups = numbered([samples[index].categories[axis] for index in held])
        values = measured.reduce(group_sums(measured.rows[held], groups))
        order = np.argsort(groups, kind="stable")
        parts = np.split(held[order], np.flatnonzero(np.diff(groups[order])) + 1)
        found[axis] = {}
        for name, value, part in zip(names, values, parts, strict=True):
            known = {"value": float(value)} if math.isfinite(value) else {}
            one = Measured(measured.rows[part], measured.reduce)
            ends = interval(one, [clusters[index] for index in part], bounds=bounds, quick=True).bounds
            limits = {} if ends is None or not known else {"low": ends[0], "high": ends[1]}
            found[axis][name] = {**known, "n": len(part), **limits}
    return found
