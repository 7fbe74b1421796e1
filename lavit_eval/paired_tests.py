"""Whether one run is worse than another on the same samples: paired tests, and what they could have seen.

Every test is about the drop: how much worse NEW is than BASE, positive where it is worse, whichever direction of the
metric is better. Samples that share a medium are not independent, so whole clusters are flipped, resampled or left out.
No result depends on the order of the samples, and resamples come from a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lavit_eval.metrics.protocol import Floats
from lavit_eval.statistics import FEW_CLUSTERS, Bounds, jackknife_error, paired_jackknife, resampled_sums, t_quantile

FLIPS = 10_000
EXACT_UP_TO = 20
"""Clusters with a difference, of which all sign patterns (a million) are still counted."""
POWER = 0.8
FLIPS_AT_ONCE = 1 << 21
SEED = 0


@dataclass(frozen=True, slots=True)
class PairedTest:
    """How much worse NEW is, and how likely that would be by chance."""

    drop: float
    """In the metric's unit; negative where NEW is better."""
    interval: Bounds | None
    """95 % interval of the drop; None where none can be given."""
    p: float | None
    """Probability of a drop at least as large if nothing had changed (one-sided); None where it cannot be said."""
    method: str
    """Name of the test, or the reason why there is none."""
    clusters: int
    error: float | None
    """Standard error of the drop."""
    degrees: int | None = None
    """Of freedom of Student's t, where the test rests on it."""
    least: float | None = None
    """Of a sign-flip test: the drop of one sample by the smallest step that the scores take, in the metric's unit."""
    smallest: float = 0.0
    """The least p that so many clusters allow, whatever their drops; 0 where Student's t sets no limit."""
    drawn: bool = False
    """Whether that limit is the number of resamples, not that of clusters."""

    def detectable(self, alpha: float, size: float = 0.0) -> float | None:
        """Return the smallest true drop that this comparison finds 8 times of 10; None where it can find none.

        Args:
            alpha: The level at which a drop counts, after the correction for several tasks.
            size: The least estimated drop that counts.
        """
        if self.p is None or self.error is None:
            return None
        if self.degrees is not None:
            luck = _t(POWER, self.degrees) * self.error
            return None if self.error == 0 else max(_t(1 - alpha, self.degrees) * self.error, size) + luck
        needed = clusters_needed(alpha) if self.least is not None else 0
        bar, luck = _normal(1 - alpha), _normal(POWER)
        if self.clusters < needed or self.clusters <= bar**2 or self.error == self.least == 0:
            return None
        # A drop shared by all clusters also widens the distribution of flips, hence the quadratic equation.
        spare = self.clusters - bar**2
        root = math.sqrt(luck**2 * self.clusters - spare * (luck**2 - bar**2))
        flips = math.sqrt(self.clusters) * (luck * math.sqrt(self.clusters) + root) / spare
        reach = (flips if self.least is not None else bar + luck) * self.error
        return max(reach, size + luck * self.error, needed * (self.least or 0.0))


def clusters_needed(alpha: float) -> int:
    """Return how many clusters must all drop before a sign-flip test can call that a drop: 2^-k < alpha."""
    return max(1, math.floor(-math.log2(alpha) + 1e-9) + 1)


def sign_flip(drops: Floats, count: int, scale: float, step: float) -> PairedTest:
    """Return the sign-flip test of the mean drop: if nothing changed, each cluster's drop is as likely as its opposite.

    Exact up to 20 clusters that differ, else 10,000 seeded flips, the observed signs counted among them.

    Args:
        drops: [m] the drop of each cluster, summed over its samples.
        count: Samples over all clusters; the estimate is `scale` times the sum over `count`.
        scale: 100 for a percentage of scores in [0, 1].
        step: The least that one sample can drop by.
    """
    drops = np.sort(np.asarray(drops, dtype=np.float64))
    clusters, factor = len(drops), scale / count
    total = math.fsum(drops)
    differing = drops[drops != 0]
    if len(differing) <= EXACT_UP_TO:
        p, method = _all_flips(differing, total), f"exact sign-flip over {clusters} clusters"
    else:
        p, method = _drawn_flips(differing, total), f"sign-flip over {clusters} clusters, {FLIPS} flips"
    interval, error = None, 0.0
    if clusters > 1:
        error = math.sqrt(math.fsum((drops - total / clusters) ** 2) * clusters / (clusters - 1)) * factor
        reach = t_quantile(0.95, clusters) * error
        interval = (total * factor - reach, total * factor + reach) if reach > 0 else None
    drawn = clusters > EXACT_UP_TO
    smallest = 1 / (FLIPS + 1) if drawn else 0.5**clusters
    return PairedTest(
        total * factor, interval, p, method, clusters, error, least=step * factor, smallest=smallest, drawn=drawn
    )


def _all_flips(drops: Floats, total: float) -> float:
    sums = np.zeros(1)
    for drop in drops:
        sums = np.concatenate([sums - drop, sums + drop])
    return float(np.mean(sums >= total - _rounding(drops)))


def _drawn_flips(drops: Floats, total: float) -> float:
    generator = np.random.default_rng(SEED)
    width = math.ceil(len(drops) / 8)
    as_large, at_once = 1, max(1, FLIPS_AT_ONCE // len(drops))
    # A flip takes twice the cluster's drop from the total.
    most = (math.fsum(drops) - total + _rounding(drops)) / 2
    for start in range(0, FLIPS, at_once):
        size = min(at_once, FLIPS - start)
        packed = generator.integers(0, 256, size=(size, width), dtype=np.uint8)
        flipped = np.unpackbits(packed, axis=1, count=len(drops))
        as_large += int((np.einsum("bm,m->b", flipped, drops) <= most).sum())
    return as_large / (FLIPS + 1)


def _rounding(drops: Floats) -> float:
    """Return by how much sums of these numbers may differ by rounding alone: ties must count as ties."""
    return 1e-10 * math.fsum(np.abs(drops))


def resampled(base: Floats, new: Floats, reduce: Callable[[Floats], Floats], higher_is_better: bool) -> PairedTest:
    """Return the test of a metric that is no mean (BLEU, METEOR), from the sums of each cluster.

    15 clusters or more: paired cluster bootstrap (10,000 resamples), centred at no change; fewer: Student's t by the
    paired delete-one-cluster jackknife.

    Args:
        base: [m, k] sums of BASE's rows per cluster.
        new: The same of NEW, the clusters in the same order.
        reduce: The metric's `reduce`.
        higher_is_better: The metric's direction.

    Source: the shift method of Riezler and Maxwell (2005), on clusters in the place of sentences.
    """
    order = np.lexsort((*new.T, *base.T))
    base, new = base[order], new[order]
    sign, width, clusters = 1.0 if higher_is_better else -1.0, base.shape[1], len(base)

    def drops(sums: Floats) -> Floats:
        return np.asarray(sign * (reduce(sums[..., :width]) - reduce(sums[..., width:])), dtype=np.float64)

    both = np.concatenate([base, new], axis=1)
    drop = float(drops(both.sum(axis=0)))
    if not math.isfinite(drop):
        return PairedTest(drop, None, None, "the value is undefined", clusters, None)
    if clusters < 2:
        return PairedTest(drop, None, None, "needs 2 clusters", clusters, None)
    if clusters < FEW_CLUSTERS:
        kept = ~np.eye(clusters, dtype=bool)
        left_out = drops(np.stack([both[rest].sum(axis=0) for rest in kept]))
        return _student(drop, jackknife_error(left_out), clusters, f"paired jackknife over {clusters} clusters")
    found = drops(resampled_sums(both, FLIPS, SEED))
    # A resample of m clusters varies by (m - 1) / m too little.
    centred = (found[np.isfinite(found)] - drop) * math.sqrt(clusters / (clusters - 1))
    p = (1 + int((centred >= drop - 1e-12 * (1 + abs(drop))).sum())) / (len(centred) + 1)
    low, high = (drop + np.quantile(centred, [0.025, 0.975])).tolist()
    error = float(centred.std())
    method = f"paired bootstrap over {clusters} clusters, {FLIPS} resamples"
    bounds = (low, high) if low < high else None
    return PairedTest(drop, bounds, p, method, clusters, error, smallest=1 / (len(centred) + 1), drawn=True)


def of_sets(
    base: tuple[float, Sequence[float]], new: tuple[float, Sequence[float]], higher_is_better: bool
) -> PairedTest:
    """Return the test of a metric of whole sets (FVD, KVD, FID, IS): Student's t by the paired jackknife over prompts.

    Args:
        base: The value and its values without each group.
        new: The same of NEW.
        higher_is_better: The metric's direction.
    """
    sign = 1.0 if higher_is_better else -1.0
    drop = sign * (base[0] - new[0])
    if len(base[1]) != len(new[1]):
        return PairedTest(drop, None, None, "the runs lack different groups of samples", 0, None)
    interval = paired_jackknife(base, new)
    if interval.bounds is None:
        return PairedTest(drop, None, None, interval.method, interval.clusters, None)
    error = jackknife_error(np.asarray(new[1], dtype=np.float64) - np.asarray(base[1], dtype=np.float64))
    return _student(drop, error, interval.clusters, interval.method)


def _student(drop: float, error: float, count: int, method: str) -> PairedTest:
    if error == 0:
        # Equal everywhere is no drop; a drop without any variation cannot be weighed.
        return PairedTest(drop, None, 1.0 if drop <= 0 else None, method, count, 0.0, count - 1)
    from scipy.special import stdtr

    reach = t_quantile(0.95, count) * error
    return PairedTest(
        drop, (drop - reach, drop + reach), float(stdtr(count - 1, -drop / error)), method, count, error, count - 1
    )


def holm(values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (1979), in the order given: valid whatever the dependence between tests."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda place: values[place])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted


def unable(least: Sequence[float], levels: Sequence[float]) -> list[int]:
    """Return, per test, 0 where it can find something, else over how many tests its least p had to be corrected.

    A test that no data could make significant would only make the others' correction harder, so those whose least p,
    corrected over the tests kept, is not below their level are left out. That depends on the numbers of clusters alone
    and not on what was measured, so Holm's correction over the others stays valid.

    Args:
        least: The least p that each test can have (`PairedTest.smallest`).
        levels: What its adjusted p must stay below.

    Source: Tarone (1990), "A modified Bonferroni method for discrete data".
    """
    shares = [p / level for p, level in zip(least, levels, strict=True)]
    # Equals go together: which of them comes first must not matter.
    families = [sum(other <= share for other in shares) for share in shares]
    return [
        family if all(other * size >= 1 for other, size in zip(shares, families, strict=True) if other >= share) else 0
        for share, family in zip(shares, families, strict=True)
    ]


def _normal(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))


def _t(probability: float, degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))
