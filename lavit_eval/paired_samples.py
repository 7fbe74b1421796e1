"""The samples that two runs share, as arrays: scores or sums per sample, with the cluster of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lavit_eval.errors import UsageError
from lavit_eval.metrics.protocol import Floats
from lavit_eval.statistics import Indices

SCALES: Mapping[str, float] = {"percent": 100.0, "x100": 100.0}
"""Unit -> what the mean of the samples' scores is multiplied by; 1 where the unit is not listed."""


INVISIBLE = 1e-9
"""Share of the range of scores below which two of them count as equal."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What a metric says of each sample of a run, averaged over repeats."""

    clusters: Mapping[str, str]
    """Sample id -> cluster, in the task's order."""
    scores: Floats
    """[n] in the order of the ids."""
    sums: Floats | None
    """[n, k] rows of a metric that is no mean and can turn their sums into its value."""
    parts: Floats | None = None
    """[n] pseudo-values of another metric that is no mean, in its own unit."""


@dataclass(frozen=True, slots=True)
class Paired:
    """The samples that both runs answered."""

    ids: tuple[str, ...]
    groups: Indices
    """[n] the number of each sample's cluster, 0 .. m - 1."""
    base: Samples
    new: Samples
    base_n: int
    """Samples that BASE has scored, shared or not."""
    new_n: int


def samples_of(records: Sequence[Mapping[str, Any]], metric: str) -> Samples:
    """Return a run's samples as one metric sees them; those that it did not score are left out."""
    held = [record for record in records if "score" in record.get(metric, ())]
    places: dict[str, int] = {}
    clusters: dict[str, str] = {}
    for record in held:
        if places.setdefault(record["sample_id"], len(places)) == len(clusters):
            clusters[record["sample_id"]] = record["cluster"]
    where = np.fromiter((places[record["sample_id"]] for record in held), dtype=np.int64, count=len(held))
    scores = np.fromiter((record[metric]["score"] for record in held), dtype=np.float64, count=len(held))
    times = np.bincount(where, minlength=len(places)) if held else np.zeros(0)
    sums = parts = None
    if held and all("part" in record[metric] for record in held):
        part = np.fromiter((record[metric]["part"] for record in held), dtype=np.float64, count=len(held))
        parts = np.bincount(where, weights=part, minlength=len(places)) / times
    if held and "sums" in held[0][metric]:
        rows = np.asarray([record[metric]["sums"] for record in held], dtype=np.float64)
        sums = np.stack([np.bincount(where, weights=column) / times for column in rows.T], axis=1)
    mean = np.bincount(where, weights=scores, minlength=len(places)) / times if held else scores
    return Samples(clusters, mean, sums, parts)


def check_against(samples: Samples, score: Mapping[str, Any], repeats: int, where: str, mend: str) -> None:
    """Raise UsageError where a run's samples do not give its score: one of the two files was changed.

    Args:
        samples: Of one task, as one metric scored them.
        score: That metric's score in `scores.json`.
        repeats: How often each sample was asked.
        where: Begins the sentence: which run and task.
        mend: Ends it: the command that mends this.
    """
    value = score["value"]
    if (
        samples.sums is not None
        or samples.parts is not None
        or value is None
        or len(samples.scores) * repeats != score["n"]
    ):
        return
    mean = math.fsum(samples.scores) / max(len(samples.scores), 1)
    found = mean * scale_in(samples, score)
    if not _close(found, value):
        raise UsageError(f"{where}: the samples' scores give {found:.6g}, but the score is {value:.6g}; {mend}")


def scale_in(samples: Samples, score: Mapping[str, Any]) -> float:
    """Return what the mean of the samples' scores is multiplied by to give the score.

    That is 100 for percentages of scores in [0, 1], unless a metric's samples come in percent themselves.
    """
    return scale_of_unit(math.fsum(samples.scores) / max(len(samples.scores), 1), score)


def scale_of_unit(mean: float, score: Mapping[str, Any]) -> float:
    """Return the same, given the mean of the samples' scores."""
    usual, value = SCALES.get(score["unit"], 1.0), score["value"]
    return 1.0 if value is not None and _close(mean, value) and not _close(mean * usual, value) else usual


def _close(mean: float, value: float) -> bool:
    return math.isclose(mean, value, rel_tol=1e-6, abs_tol=1e-9)


def paired(base: Samples, new: Samples) -> Paired:
    """Return what both runs have, in BASE's order."""
    places = {sample_id: place for place, sample_id in enumerate(new.clusters)}
    kept = [(place, places[one]) for place, one in enumerate(base.clusters) if one in places]
    mine = np.array([place for place, _ in kept], dtype=np.int64)
    theirs = np.array([place for _, place in kept], dtype=np.int64)
    known = list(base.clusters)
    ids = tuple(known[place] for place in mine)
    names = sorted({base.clusters[one] for one in ids})
    numbers = {name: number for number, name in enumerate(names)}
    groups = np.fromiter((numbers[base.clusters[one]] for one in ids), dtype=np.int64, count=len(ids))
    return Paired(ids, groups, _part(base, mine), _part(new, theirs), len(base.scores), len(new.scores))


def _part(samples: Samples, places: Indices) -> Samples:
    sums = None if samples.sums is None else samples.sums[places]
    return Samples({}, samples.scores[places], sums, None if samples.parts is None else samples.parts[places])


def per_cluster(values: Floats, groups: Indices) -> Floats:
    """Return [m] or [m, k] sums of [n] or [n, k] values over their clusters."""
    if values.ndim == 1:
        return np.asarray(np.bincount(groups, weights=values), dtype=np.float64)
    return np.stack([np.bincount(groups, weights=column) for column in values.T], axis=1)


def without_rounding(differences: Floats, size: float) -> Floats:
    """Return differences with 0 for those that no table shows: CIDEr knows scores of 1e-54.

    Args:
        differences: [n].
        size: What scores of this metric are measured by (`scale_of`).
    """
    return np.where(np.abs(differences) <= INVISIBLE * size, 0.0, differences)


def scale_of(scores: Floats, bounds: tuple[float, float] | None, scale: float) -> float:
    """Return the range of a metric's scores; where it has no bounds, the largest score that occurs."""
    if bounds is not None and math.isfinite(bounds[1] - bounds[0]):
        return (bounds[1] - bounds[0]) / scale
    return float(np.abs(scores).max()) if scores.size else 0.0


def least_step(scores: Floats, size: float, differ: bool) -> float:
    """Return the least that one sample can drop by.

    It is the smallest difference between two scores that occur. Where the runs do not differ, nothing is known of how
    scores move: then it is the largest difference that occurs, and the whole range where all scores are equal.
    """
    steps = np.diff(np.unique(scores))
    steps = steps[steps > INVISIBLE * size]
    if not steps.size:
        return size
    return float(steps.min()) if differ else float(np.ptp(scores))
