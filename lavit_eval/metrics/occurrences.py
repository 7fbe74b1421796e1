"""Which responses belong together where a metric looks at several questions at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from lavit_eval.sample import Sample


def grouped(samples: Sequence[Sample], names: Sequence[str]) -> list[list[int]]:
    """Return the places of samples that share a name, sorted by sample id, one list per name and repeat.

    The k-th time a sample stands in the list counts as its k-th repeat, so that no group mixes repeats (it could only
    where different questions of a group failed in different repeats).
    """
    seen: Counter[str] = Counter()
    groups: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for place, (sample, name) in enumerate(zip(samples, names, strict=True)):
        groups[(name, seen[sample.id])].append(place)
        seen[sample.id] += 1
    return [sorted(places, key=lambda place: samples[place].id) for places in groups.values()]
