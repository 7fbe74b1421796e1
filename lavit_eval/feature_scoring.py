"""From generated media to the value of a metric of features: gather, check that the sets are whole, compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lavit_eval.digests import digest_json
from lavit_eval.features.equipment import Equipment
from lavit_eval.features.extraction import Extracted, Extraction, Memo, Watch
from lavit_eval.features.items import Items, Product, folder_of, items_of
from lavit_eval.features.store import Stored
from lavit_eval.metrics.feature_metric import (
    FeatureRows,
    Need,
    SetMeasured,
    UnmeasurableError,
    prompt_groups,
    recipe_fingerprint,
)
from lavit_eval.metrics.feature_protocol import FeatureProtocol
from lavit_eval.metrics.protocol import Measured
from lavit_eval.preparation import PreparedTask
from lavit_eval.recipes import needs_of, recipe
from lavit_eval.registry import find
from lavit_eval.sample import JSON


@dataclass(slots=True)
class Comparison:
    """What a metric of features found in a task, and what makes it another quantity than its name says."""

    protocol: str
    """Digest of all that can change the value."""
    recipe: dict[str, JSON]
    measured: list[Measured | SetMeasured] = field(default_factory=list)
    """One per repeat; a single one where repeats are candidates, or rows of their own."""
    used: list[list[int]] = field(default_factory=list)
    """For each of them, the indices of the products that it is about."""
    wanted: int = 0
    """How many products a whole set has, over all repeats."""
    skipped: str | None = None
    incomplete: bool = False
    labels: list[str] = field(default_factory=list)
    details: dict[str, JSON] = field(default_factory=dict)

    def label(self, text: str) -> None:
        """Note what makes the value another quantity, once."""
        if text not in self.labels:
            self.labels.append(text)


@dataclass(frozen=True, slots=True)
class _Set:
    """One need with its items and their features."""

    need: Need
    items: Items
    extracted: Extracted

    def of(self, sample_id: str, repeat: int) -> Stored | None:
        item = self.items.get((sample_id, repeat if self.of_products else 0))
        return None if item is None else self.extracted.found.get(item.digest)

    @property
    def of_products(self) -> bool:
        return self.need.role in ("made", "pair")

    def failures(self) -> list[dict[str, JSON]]:
        return [
            {"sample_id": item.sample_id, "repeat": repeat, "set": self.need.role, "reason": reason}
            for (_, repeat), item in self.items.items()
            if (reason := self.extracted.failed.get(item.digest)) is not None
        ]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a comparison works with."""

    equipment: Equipment
    watch: Watch
    memo: Memo
    """What was read in this process already; filled up."""
    weights_before: Mapping[str, str]
    """Name -> digest of the weights by which features were extracted before, where a file is gone."""


class Workshop:
    """Compares what was made for a task with any metric of features.

    Args:
        prepared: The task with its samples.
        products: What was generated, without what failed, in the task's order, repeat after repeat.
        repeats: How often each sample was asked.
        folder: The task's folder in the run, in which features of generated media are kept.
        tools: Weights, device, and what is allowed.
    """

    def __init__(
        self, prepared: PreparedTask, products: Sequence[Product], repeats: int, folder: Path, tools: Tools
    ) -> None:
        self.prepared, self.products, self.repeats, self.folder = prepared, products, repeats, folder
        self.tools, self.equipment = tools, tools.equipment
        self._groups = prompt_groups({sample.id: sample.cluster for sample in prepared.samples})

    def compare(self, name: str) -> Comparison:
        """Return what a metric finds; sets that are not whole are refused in `skipped` unless that is allowed.

        Raises:
            UsageError: Weights are missing or wrong, or a feature is not finite.
        """
        metric, protocol = find("metric", name)(), recipe(self.prepared.task, name)
        needs = needs_of(self.prepared.task, name)
        extractions = {title: self._extraction(need) for title, need in needs.items()}
        found = self._begun(name, metric, needs, extractions)
        if not self.products:
            found.skipped = "no sample was answered"
            return found
        sets = {}
        for title, need in needs.items():
            items = items_of(need, self.prepared.samples, self.products)
            about = f"{self.prepared.task.task} {name}: features of {title}"
            extracted = extractions[title].run(list(items.values()), about, self.tools.watch, self.tools.memo)
            sets[title] = _Set(need, items, extracted)
        failures = [one for each in sets.values() for one in each.failures()]
        if failures:
            found.details["without_features"] = failures
        self._note_sizes(sets, found)
        try:
            self._measure(metric, protocol, sets, found)
        except UnmeasurableError as error:
            found.skipped, found.incomplete = str(error), True
            found.measured, found.used = [], []
        return found

    def _extraction(self, need: Need) -> Extraction:
        known = self.tools.weights_before.get(need.protocol.weights)
        return Extraction(need, self.equipment, folder_of(need, self.folder), known)

    def _begun(
        self, name: str, metric: Any, needs: Mapping[str, Need], extractions: Mapping[str, Extraction]
    ) -> Comparison:
        weights = {one.need.protocol.weights: one.weights for one in extractions.values()}
        fingerprint = recipe_fingerprint(needs)
        what = {"asking": self.prepared.asking, "metric": [name, int(metric.version)]}
        found = Comparison(
            protocol=digest_json({**what, "recipe": fingerprint, "weights": weights}),
            recipe={
                "protocol": recipe(self.prepared.task, name).protocol,
                "fingerprint": fingerprint,
                "weights": weights,
            },
        )
        for one in extractions.values():
            if one.need.protocol.demo:
                found.label("demo features")
            elif not one.verified:
                found.label("unverified weights")
        return found

    def _measure(self, metric: Any, protocol: FeatureProtocol, sets: Mapping[str, _Set], found: Comparison) -> None:
        everything = list(range(len(self.products)))
        parts = [everything]
        if metric.of_sets and not metric.chooses_among_repeats:
            parts = [[place for place in everything if self.products[place].repeat == r] for r in range(self.repeats)]
        chosen = self._chosen(protocol, protocol.generated.videos)
        found.wanted = (protocol.generated.videos or len(chosen)) * self.repeats
        for part in parts:
            used = [place for place in part if self._whole(place, chosen, sets)]
            if metric.of_sets:
                self._note_copies(used, found)
            real = self._real(protocol, sets, frozenset(self.products[place].sample.id for place in used), found)
            if metric.of_sets:
                self._check_whole(protocol, metric, used, real, found)
            if not used:
                raise UnmeasurableError(f"none of the files gives features{_first_reason(found)}")
            gathered = {title: self._rows(each, used, real) for title, each in sets.items()}
            found.measured.append(metric.measure_features(protocol, gathered, self.equipment.extrapolate))
            found.used.append(used)
        lacking = found.wanted - sum(map(len, found.used))
        if lacking > 0 and not metric.of_sets:
            found.label(f"partial: lacks {lacking:,} generated")
            found.incomplete = not self.equipment.allow_partial

    def _chosen(self, protocol: FeatureProtocol, videos: int | None) -> frozenset[str]:
        """Return the ids of the samples that count: all, or as many as the protocol says, by its seed."""
        ids = [sample.id for sample in self.prepared.samples]
        if videos is None or videos >= len(ids):
            return frozenset(ids)
        generator = np.random.Generator(np.random.PCG64(protocol.sampling_seed))
        return frozenset(ids[place] for place in generator.permutation(len(ids))[:videos])

    def _whole(self, place: int, chosen: frozenset[str], sets: Mapping[str, _Set]) -> bool:
        """Say whether a product counts and has all its features."""
        one = self.products[place]
        if one.sample.id not in chosen:
            return False
        return all(each.of(one.sample.id, one.repeat) is not None for each in sets.values() if each.need.role != "real")

    def _real(
        self, protocol: FeatureProtocol, sets: Mapping[str, _Set], made: frozenset[str], found: Comparison
    ) -> list[str]:
        """Return the ids of the samples whose real media count; with equal counts, only those of generated ones."""
        against = next((each for each in sets.values() if each.need.role == "real"), None)
        if against is None:
            return []
        chosen = self._chosen(protocol, against.need.selection.videos)
        wanted = against.need.selection.videos or len(chosen)
        with_features = [
            sample.id
            for sample in self.prepared.samples
            if sample.id in chosen and against.of(sample.id, 0) is not None
        ]
        if len(with_features) < wanted:
            found.details["real_missing"] = wanted - len(with_features)
        used = [one for one in with_features if one in made or not protocol.equal_counts]
        # Names and sizes of real media are in the data's digest; what was in them is in this one.
        found.recipe["real_set"] = digest_json([[one, against.items[one, 0].digest] for one in sorted(used)])
        return used

    def _check_whole(
        self, protocol: FeatureProtocol, metric: Any, used: list[int], real: list[str], found: Comparison
    ) -> None:
        """Refuse, or label, sets that lack videos (raises UnmeasurableError)."""
        per_set = found.wanted if metric.chooses_among_repeats else found.wanted // self.repeats
        lacking = {"generated": per_set - len(used), "real": int(found.details.get("real_missing", 0))}
        told = " and ".join(f"{count:,} {which}" for which, count in lacking.items() if count > 0)
        if not told:
            return
        if not self.equipment.allow_partial:
            have, asked = len(self.prepared.samples), protocol.generated.videos or 0
            if have < asked:
                wants = f"the protocol wants {asked:,} files, the task has {have:,}"
                raise UnmeasurableError(f"{wants}; take another protocol, or add --allow-partial")
            raise UnmeasurableError(
                f"of {per_set:,} files, {told} lack features{_first_reason(found)}; mend that, or add --allow-partial"
            )
        found.label(f"partial: lacks {told}")
        if protocol.equal_counts and not metric.chooses_among_repeats and len(used) != len(real):
            # Of a pair that is not whole neither half may count.
            used[:] = [place for place in used if self.products[place].sample.id in set(real)]

    def _rows(self, each: _Set, used: Sequence[int], real: Sequence[str]) -> FeatureRows:
        keys = [(self.products[place].sample.id, self.products[place].repeat) for place in used]
        if each.need.role == "real":
            keys = [(one, 0) for one in real]
        stored = [one for key in keys if (one := each.of(*key)) is not None]
        groups = np.array([self._groups[sample_id] for sample_id, _ in keys], dtype=np.int64)
        return FeatureRows(tuple(sample_id for sample_id, _ in keys), groups, tuple(one.features for one in stored))

    def _note_copies(self, used: Sequence[int], found: Comparison) -> None:
        counts = Counter(self.products[place].made.response.medium_digest for place in used)
        copies = sum(count - 1 for count in counts.values())
        if copies:
            found.label(f"holds {copies} {'copy' if copies == 1 else 'copies'}")

    def _note_sizes(self, sets: Mapping[str, _Set], found: Comparison) -> None:
        made = [each for each in sets.values() if each.of_products]
        sizes = Counter(
            f"{stored.width}x{stored.height}" for each in made[:1] for stored in each.extracted.found.values()
        )
        if len(sizes) > 1:
            found.label("mixed sizes")
            found.details["sizes"] = dict(sorted(sizes.items()))


def _first_reason(found: Comparison) -> str:
    """Return in brackets why files have no features; empty where they were not made at all."""
    failures = found.details.get("without_features") or []
    if not failures:
        return ""
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f" ({str(failures[0]['reason']).rstrip('.')}{more})"
