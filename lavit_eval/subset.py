"""A fixed part of a benchmark that looks like the whole: so many samples, drawn alike from every category."""

from __future__ import annotations

from collections.abc import Sequence

from lavit_eval.digests import digest_json
from lavit_eval.sample import Sample
from lavit_eval.task import Subset


def chosen(samples: Sequence[Sample], subset: Subset) -> list[Sample]:
    """Return the samples of a subset in the official order; all of them where it asks for as many or more.

    Samples are sorted by stratum (their categories along the axes of the subset) and, within it, by a hash of the
    subset's seed and their id; then every k-th is taken. So each stratum has its share, up to one sample, and who is
    taken within it depends on the ids alone: never on the run's seed or the order of the file. What belongs together
    (`Sample.group`, or with `unit: medium` all questions on one medium) counts as one and is taken whole.

    Source: systematic sampling with proportional allocation (Cochran 1977, Sampling Techniques, chapter 8).
    """
    units: dict[str, list[Sample]] = {}
    for sample in samples:
        units.setdefault(sample.cluster if subset.unit == "medium" else sample.group or sample.id, []).append(sample)
    if subset.count >= len(units):
        return list(samples)
    ordered = sorted(units, key=lambda name: (_stratum(units[name][0], subset), digest_json([subset.seed, name])))
    count, total = subset.count, len(units)
    # The middle of each of `count` equal parts, in whole numbers.
    taken = {ordered[(2 * place + 1) * total // (2 * count)] for place in range(count)}
    kept = {sample.id for name in taken for sample in units[name]}
    return [sample for sample in samples if sample.id in kept]


def _stratum(sample: Sample, subset: Subset) -> tuple[tuple[str, str], ...]:
    axes = sorted(sample.categories) if subset.by is None else subset.by
    return tuple((axis, sample.categories.get(axis, "")) for axis in axes)
