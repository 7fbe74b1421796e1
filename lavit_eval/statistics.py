"""How sure a value is: 95 % intervals clustered on the medium, the spread of repeats, values by category.

Questions on one video share what the model saw of it, so they are not independent: what is resampled, left out or
averaged here is always the cluster (`Sample.cluster`), never the single response. No result depends on the order of the
samples, on the run's seed or on a thread count: rows are summed in sorted order, and resamples come from a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lavit_eval.metrics.feature_metric import SetMeasured
from lavit_eval.metrics.protocol import Floats, Measured

RESAMPLES = 2000
FEW_CLUSTERS = 15
"""Below this number of clusters the bootstrap distribution is too coarse, and a t interval takes its place."""

DRAWS_AT_ONCE = 65536
"""How many draws one step of the bootstrap holds: small enough for the processor's cache."""

Bounds = tuple[float, float]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval and the way it was found; `low` and `high` are None where none can be given."""

    low: float | None
    high: float | None
    method: str
    """A short readable name, or the reason why there is no interval."""
    clusters: int

    @property
    def bounds(self) -> Bounds | None:
        """(low, high), or None where there is no interval; never two equal numbers."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the values of several repeats lie apart."""

    mean: float
    sd: float | None
    """Standard deviation with n - 1 in the denominator; None for a single value."""
    n: int


@dataclass(frozen=True, slots=True)
class _Clustered:
    """What the interval methods look at."""

    sums: Floats
    """[m, k] sum of the rows of each cluster, clusters sorted by name."""
    values: Floats
    """[m] the metric within each cluster, NaN where undefined."""
    estimate: float
    """The value that the interval belongs to."""
    shift: float
    """What is added to `reduce` of a sum so that the total gives `estimate`."""
    bounds: Bounds | None
    """The metric's range, where known."""
    is_mean: bool

    @property
    def count(self) -> int:
        return len(self.sums)

    @property
    def range(self) -> float | None:
        """How far the least and the greatest value that the metric can take lie apart, where both are known."""
        return None if self.bounds is None or math.isinf(found := self.bounds[1] - self.bounds[0]) else found

    @property
    def all_equal(self) -> bool:
        """Equal for all that a table shows: the tiny constants in BLEU keep zeros a millionth apart."""
        known = self.values[np.isfinite(self.values)]
        if known.size == 0:
            return True
        scale = max(1.0, float(np.abs(known).max()))
        allowed = 1e-12 * scale if self.range is None else 1e-5 * self.range
        return bool(np.ptp(known) <= allowed)


def interval(
    measured: Measured,
    clusters: Sequence[str],
    seed: int = 0,
    level: float = 0.95,
    bounds: Bounds | None = None,
    quick: bool = False,
) -> Interval:
    """Return the confidence interval of a metric's value, clustered on the medium.

    - 15 clusters or more: percentile bootstrap over clusters (2,000 resamples), the percentiles widened for the number
      of clusters as Hesterberg does (2015, "What Teachers Should Know About the Bootstrap", section 3.4).
    - fewer, a mean: t interval on the cluster means; with clusters of unequal size on those of the ratio estimator.
    - fewer, another metric (BLEU): t interval by the delete-one-cluster jackknife; with `quick`, for any number.
    - every cluster has the same value: Clopper-Pearson, with each cluster as one trial, over the metric's range.

    Args:
        measured: n rows. Where `measured.value` is set, the interval is shifted as far as it lies from `reduce`.
        clusters: [n] the cluster of each row (`Sample.cluster`).
        seed: Seeds the resamples; fixed, so that two runs with equal answers have equal intervals.
        level: Confidence, in (0, 1).
        bounds: The lowest and highest value that the metric can take. Without it, a percentage of scores in [0, 1] is
            known to lie in [0, 100]; other metrics are then neither clipped nor given a Clopper-Pearson interval.
        quick: Do without the bootstrap.

    Raises ValueError if rows and clusters do not match or the level is out of range.
    """
    if len(clusters) != len(measured.rows):
        raise ValueError(f"{len(measured.rows)} rows, but {len(clusters)} cluster names")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    if not len(clusters):
        return Interval(None, None, "no scored responses", 0)
    found = _clustered(measured, clusters, bounds)
    if not math.isfinite(found.estimate):
        return Interval(None, None, "the value is undefined", found.count)
    if found.count == 1:
        return _exact(found, level, otherwise="needs 2 clusters")
    if found.all_equal:
        return _exact(found, level, otherwise=f"{found.count} equal clusters, range unknown")
    if found.count >= FEW_CLUSTERS and not quick:
        ends, method = _bootstrap(found, measured, seed, level)
    elif found.is_mean:
        ends, method = _t_on_means(found, level)
    else:
        ends, method = _jackknife(found, measured, level)
    low, high = _clip(ends, found.bounds)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return _exact(found, level, otherwise=f"undefined or without variation on part of {found.count} clusters")
    return Interval(low, high, method, found.count)


@dataclass(frozen=True, slots=True)
class Jackknifed:
    """A value of whole sets, with its values without each group."""

    value: float
    interval: Interval
    left_out: tuple[float, ...]
    """[G] what two runs of the same samples are compared by; empty where none could be left out."""
    groups: tuple[int, ...] = ()
    """[G] which group each is without."""


def group_jackknife(
    repeats: Sequence[SetMeasured], count: int, level: float = 0.95, bounds: Bounds | None = None
) -> Jackknifed:
    """Return the mean over repeats with its t interval by the delete-a-group jackknife over samples.

    It is an interval for the expectation at this number of samples: a Frechet distance or Inception Score of so many
    samples is biased, and the bias stays in it. (A bootstrap would not do: sets with copies have other distances.)

    Args:
        repeats: What was found in each repeat, all with the same groups.
        count: Samples per repeat, for the method's name.
        level: Confidence, in (0, 1).
        bounds: The metric's range.

    Source: Efron and Tibshirani (1993), chapter 11, with groups in the place of single observations.
    """
    value = math.fsum(one.value for one in repeats) / len(repeats)
    fewest = min(len(one.left_out) for one in repeats)
    if fewest < 2 or len({(one.groups, len(one.left_out)) for one in repeats}) > 1:
        reason = "too few samples to leave a group out" if fewest < 2 else "the repeats lack different groups"
        return Jackknifed(value, Interval(None, None, reason, fewest), ())
    left_out = np.mean([one.left_out for one in repeats], axis=0)
    groups, named = len(left_out), repeats[0].groups
    error = jackknife_error(left_out)
    reach = t_quantile(level, groups) * error
    method = f"{groups}-group jackknife over samples, for the expectation at {count:,}"
    low, high = _clip((value - reach, value + reach), bounds)
    if not low < high:
        return Jackknifed(
            value, Interval(None, None, "no variation between groups", groups), tuple(left_out.tolist()), named
        )
    return Jackknifed(value, Interval(low, high, method, groups), tuple(left_out.tolist()), named)


def paired_jackknife(
    base: tuple[float, Sequence[float]], new: tuple[float, Sequence[float]], level: float = 0.95
) -> Interval:
    """Return the interval of the difference (new minus base) of a metric of sets over the same samples.

    What the two runs share, the prompts and the real set, leaves both at once, so most of the single intervals' width
    cancels.

    Args:
        base: The value and its values without each group, as `Jackknifed` and `scores.json` hold them; both runs must
            have left out the same groups.
        new: The same of the other run.
        level: Confidence, in (0, 1).

    Raises ValueError if the groups do not match.
    """
    if len(base[1]) != len(new[1]):
        raise ValueError(f"{len(base[1])} and {len(new[1])} groups cannot be paired")
    if len(base[1]) < 2:
        return Interval(None, None, "too few samples to leave a group out", len(base[1]))
    differences = np.asarray(new[1], dtype=np.float64) - np.asarray(base[1], dtype=np.float64)
    middle, reach = new[0] - base[0], t_quantile(level, len(differences)) * jackknife_error(differences)
    method = f"paired {len(differences)}-group jackknife over samples"
    return Interval(middle - reach, middle + reach, method, len(differences))


def jackknife_error(left_out: Floats) -> float:
    """Return the standard error from values without each of G groups of equal size."""
    groups = len(left_out)
    mean = math.fsum(left_out) / groups
    return math.sqrt(math.fsum((left_out - mean) ** 2) * (groups - 1) / groups)


def total_value(measured: Measured) -> float | None:
    """Return the metric's value over all rows, whatever their order; None where it is undefined."""
    if measured.value is not None:
        return measured.value
    if not len(measured.rows):
        return None
    value = float(measured.reduce(group_sums(measured.rows, np.zeros(len(measured.rows), dtype=np.int64)))[0])
    return value if math.isfinite(value) else None


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation of the values of several repeats (raises ValueError without values)."""
    if not values:
        raise ValueError("no values to take the spread of")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, None, 1)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean, math.sqrt(squares / (len(values) - 1)), len(values))


def clopper_pearson(right: float, trials: int, level: float = 0.95) -> Bounds:
    """Return the exact binomial interval of a proportion, in [0, 1].

    Args:
        right: Successes, in [0, trials]; a fraction (cluster means that add up to no whole number) is allowed.
        trials: How many, at least 1.
        level: Confidence, in (0, 1).

    Source: Clopper and Pearson (1934), in its form with quantiles of the beta distribution.
    """
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if right <= 0 else float(betaincinv(right, trials - right + 1, tail))
    high = 1.0 if right >= trials else float(betaincinv(right + 1, trials - right, 1 - tail))
    return low, high


def numbered(names: Sequence[str]) -> tuple[list[str], Indices]:
    """Return the distinct names sorted, and the place of each given name among them."""
    distinct = sorted(set(names))
    places = {name: place for place, name in enumerate(distinct)}
    return distinct, np.fromiter((places[name] for name in names), dtype=np.int64, count=len(names))


def group_sums(rows: Floats, groups: Indices) -> Floats:
    """Return [m, k] sums of the rows of groups 0 .. m - 1, none of them empty.

    Rows are sorted by content within their group first: floating-point sums depend on the order.
    """
    order = np.lexsort((*rows.T, groups))
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    return np.asarray(np.add.reduceat(rows[order], starts, axis=0), dtype=np.float64)


def _clustered(measured: Measured, clusters: Sequence[str], bounds: Bounds | None) -> _Clustered:
    rows = np.asarray(measured.rows, dtype=np.float64)
    sums = group_sums(rows, numbered(clusters)[1])
    plain = float(measured.reduce(sums.sum(axis=0)))
    estimate = plain if measured.value is None else float(measured.value)
    shift = estimate - plain if measured.value is not None and math.isfinite(plain) else 0.0
    scale = scale_of_mean(measured, rows)
    is_proportion = scale == 100.0 and rows[:, 0].min() >= 0 and rows[:, 0].max() <= 1
    return _Clustered(
        sums=sums,
        values=np.asarray(measured.reduce(sums), dtype=np.float64),
        estimate=estimate,
        shift=shift,
        bounds=bounds if bounds is not None or not is_proportion else (0.0, 100.0),
        is_mean=scale is not None,
    )


def scale_of_mean(measured: Measured, rows: Floats) -> float | None:
    """Return s where the metric is s times the plain mean of column 0 (rows [score, 1]), else None."""
    if measured.value is not None or rows.shape[1] != 2 or not (rows[:, 1] == 1).all():
        return None
    nothing, one, half = measured.reduce(np.asarray([[0.0, 1.0], [1.0, 1.0], [1.0, 2.0]])).tolist()
    return float(one) if nothing == 0 and math.isclose(2 * half, one) else None


def _bootstrap(found: _Clustered, measured: Measured, seed: int, level: float) -> tuple[Bounds, str]:
    from scipy.special import ndtr

    totals = resampled_sums(found.sums, RESAMPLES, seed)
    values = measured.reduce(totals) + found.shift
    values = values[np.isfinite(values)]
    if not values.size:
        return (math.nan, math.nan), ""
    # A resample of m clusters varies by (m - 1) / m too little, and the normal tail is too short for few of them.
    tail = float(ndtr(-t_quantile(level, found.count) * math.sqrt(found.count / (found.count - 1))))
    low, high = np.quantile(values, [tail, 1 - tail]).tolist()
    return (low, high), f"cluster bootstrap, {RESAMPLES} resamples"


def resampled_sums(sums: Floats, resamples: int, seed: int) -> Floats:
    """Return [resamples, k] totals of m clusters drawn with replacement from their [m, k] sums.

    The same seed draws the same clusters whatever the columns hold.
    """
    columns, count = np.ascontiguousarray(sums.T), len(sums)
    generator = np.random.default_rng(seed)
    totals = np.empty((resamples, len(columns)))
    at_once = max(1, DRAWS_AT_ONCE // count)
    for start in range(0, resamples, at_once):
        part = totals[start : start + at_once]
        drawn = generator.integers(0, count, size=(len(part), count))
        drawn += np.arange(len(part))[:, None] * count
        # Counts of equally likely draws are the multinomial weights, ten times faster than Generator.multinomial;
        # einsum rather than a BLAS product, whose sums may depend on the number of threads.
        weights = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        part[:] = np.einsum("bm,km->bk", weights, columns)
    return totals


def _t_on_means(found: _Clustered, level: float) -> tuple[Bounds, str]:
    """Return the t interval of a mean; with clusters of equal size, that of the cluster means."""
    sizes = found.sums[:, 1]
    # Each cluster's distance from the value, weighted by its size relative to the average (ratio estimator).
    distances = (found.values - found.estimate) * sizes / (math.fsum(sizes) / found.count)
    error = math.sqrt(math.fsum(distances**2) / (found.count - 1) / found.count)
    equal = bool((sizes == sizes[0]).all())
    method = f"t on {found.count} cluster means" + ("" if equal else ", weighted by size")
    return _around(found, error, level), method


def _jackknife(found: _Clustered, measured: Measured, level: float) -> tuple[Bounds, str]:
    """Return the t interval of any metric from its values without one cluster each (Efron and Tibshirani, ch. 11)."""
    if found.count < FEW_CLUSTERS:
        sums = np.stack([found.sums[rest].sum(axis=0) for rest in ~np.eye(found.count, dtype=bool)])
    else:
        # Whole minus one costs some rounding, but no square of the work.
        sums = found.sums.sum(axis=0) - found.sums
    values = measured.reduce(sums)
    return _around(found, jackknife_error(values), level), f"jackknife t on {found.count} clusters"


def _around(found: _Clustered, error: float, level: float) -> Bounds:
    reach = t_quantile(level, found.count) * error
    return found.estimate - reach, found.estimate + reach


def t_quantile(level: float, count: int) -> float:
    """Return the two-sided quantile of Student's t with `count` - 1 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, 1 - (1 - level) / 2))


def _clip(ends: Bounds, bounds: Bounds | None) -> Bounds:
    return ends if bounds is None else (max(ends[0], bounds[0]), min(ends[1], bounds[1]))


def _exact(found: _Clustered, level: float, otherwise: str) -> Interval:
    """Return Clopper-Pearson with each cluster as one trial, or no interval, for the reason `otherwise`.

    A variable in [0, 1] never varies more than the 0/1 variable of its mean, so the interval is not too short.
    """
    if found.bounds is None or found.range is None:
        return Interval(None, None, otherwise, found.count)
    plural = "" if found.count == 1 else "s"
    bottom, top = found.bounds
    share = min(max((found.estimate - bottom) / (top - bottom), 0.0), 1.0)
    low, high = clopper_pearson(share * found.count, found.count, level)
    method = f"Clopper-Pearson on {found.count} cluster{plural}"
    return Interval(bottom + low * (top - bottom), bottom + high * (top - bottom), method, found.count)
