"""What a task's metrics say of real media alone: it validates data and weights before a model is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavit_eval.digests import cache_folder, cached_digest, digest_bytes
from lavit_eval.errors import UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.features.extraction import Extraction
from lavit_eval.features.items import FEATURES
from lavit_eval.features.media import Item
from lavit_eval.metrics.feature_metric import (
    FeatureRows,
    Gathered,
    Need,
    SetMeasured,
    UnmeasurableError,
    prompt_groups,
)
from lavit_eval.metrics.protocol import Measured
from lavit_eval.preparation import PreparedTask
from lavit_eval.progress import Progress
from lavit_eval.recipes import feature_metrics, needs_of, recipe
from lavit_eval.sample import Sample
from lavit_eval.statistics import Interval, group_jackknife, interval, total_value

NO_SCORE = 1.05
"""An Inception Score below this is that of a network that answers the same to everything."""


@dataclass(frozen=True, slots=True)
class Check:
    """One metric of real media."""

    metric: str
    protocol: str
    what: str
    """What was compared with what."""
    value: float | None
    interval: Interval | None
    n: int
    expected: str
    """What a sound set gives."""
    suspicious: bool = False
    reason: str | None = None
    """Why there is no value."""
    failures: Mapping[str, str] | None = None
    """Name of a medium -> why it has no features."""


def selfcheck(prepared: PreparedTask, equipment: Equipment, progress: Progress) -> list[Check]:
    """Return what each metric of features gives for the task's real media.

    Distances are taken between two halves of the real set, scores of one set and of pairs with captions as they are.

    Args:
        prepared: A task whose samples have real media.
        equipment: Weights and device.
        progress: Told how far the extraction of features is.

    Raises:
        UsageError: The task has no such metric or no real media, or weights are missing or wrong.
    """
    metrics = {name: found for name, found in feature_metrics(prepared.task).items() if found.network != "lpips"}
    metrics = {name: found for name, found in metrics.items() if not name.endswith(("_first_last", "_best_of_4"))}
    if not metrics:
        raise UsageError(f"{prepared.task.task} has no metric that can be checked on real media alone.")
    if not all(sample.targets for sample in prepared.samples):
        raise UsageError(f"{prepared.task.task} has no real media to check; choose a task whose samples have some.")
    return [_check(name, metric(), prepared, equipment, progress) for name, metric in metrics.items()]


def _check(name: str, metric: Any, prepared: PreparedTask, equipment: Equipment, progress: Progress) -> Check:
    protocol = recipe(prepared.task, name)
    needs = needs_of(prepared.task, name)
    real = needs["real"] if "real" in needs else Need("real", protocol, protocol.generated)
    title = f"{prepared.task.task} {name}: features of real media"
    rows, failures = _rows(real, prepared.samples, equipment, title, progress)
    what, expected = _words(name, metric)
    verified = Extraction(real, equipment, cache_folder() / FEATURES).verified
    named = f"{protocol.protocol}{', demo features' if protocol.demo else '' if verified else ', unverified weights'}"
    try:
        gathered = dict(_halves(rows)) if "real" in needs else {"generated": rows}
        if "captions" in needs:
            gathered |= {"captions": _captions(needs["captions"], rows, prepared.samples, equipment, progress)}
        measured = metric.measure_features(protocol, gathered, True)
    except UnmeasurableError as error:
        return Check(name, named, what, None, None, len(rows.ids), expected, True, str(error), failures)
    value, found = _valued(measured, metric, rows)
    limit = (measured.details.get("extrapolated") or {}).get("limit")
    # The extrapolation goes down to half of a half, which must still be more than there are dimensions.
    if limit is not None and len(rows.ids) // 4 > np.shape(rows.rows[0])[-1]:
        expected += f" (tends to {limit:.3g} with ever more)"
    suspicious = _suspicious(name, value, found)
    return Check(name, named, what, value, found, len(rows.ids), expected, suspicious, None, failures)


def _words(name: str, metric: Any) -> tuple[str, str]:
    """Return what is compared with what, and what a sound set gives."""
    if metric.network == "c3d":
        return "real clips", "more than any generated set gives at this number"
    if not metric.of_sets:
        return "real pairs", "a little more than generated videos, of which papers print 0.29 to 0.31"
    if name == "kvd":
        return "real halves", "0 within its interval"
    return "real halves", "the floor at this number, which no model can beat"


def _rows(
    need: Need, samples: Sequence[Sample], equipment: Equipment, title: str, progress: Progress
) -> tuple[FeatureRows, dict[str, str]]:
    """Return the features of the samples' real media, and name -> reason of those that have none."""
    items = []
    failures: dict[str, str] = {}
    for sample in samples:
        path = Path(sample.targets[0].path)
        try:
            items.append(Item(sample.id, cached_digest(path), path))
        except OSError as error:
            failures[sample.targets[0].name] = f"cannot be read: {error.strerror}"
    found = Extraction(need, equipment, cache_folder() / FEATURES).run(items, title, progress)
    names = {sample.id: sample.targets[0].name for sample in samples}
    failures |= {names[item.sample_id]: found.failed[item.digest] for item in items if item.digest in found.failed}
    kept = [item for item in items if item.digest in found.found]
    groups = prompt_groups({sample.id: sample.cluster for sample in samples})
    return FeatureRows(
        tuple(item.sample_id for item in kept),
        np.array([groups[item.sample_id] for item in kept], dtype=np.int64),
        tuple(found.found[item.digest].features for item in kept),
    ), failures


def _captions(
    need: Need, rows: FeatureRows, samples: Sequence[Sample], equipment: Equipment, progress: Progress
) -> FeatureRows:
    questions = {sample.id: sample.question for sample in samples}
    items = [
        Item(one, digest_bytes(f"caption\x1f{questions[one]}".encode()), None, text=questions[one]) for one in rows.ids
    ]
    found = Extraction(need, equipment, cache_folder() / FEATURES).run(items, "captions", progress)
    return FeatureRows(rows.ids, rows.groups, tuple(found.found[item.digest].features for item in items))


def _halves(rows: FeatureRows) -> Gathered:
    """Return two halves of a set that have no medium in common, chosen by the samples' ids alone."""
    ranked = sorted(range(len(rows.ids)), key=lambda place: digest_bytes(rows.ids[place].encode()))

    def part(places: list[int]) -> FeatureRows:
        return FeatureRows(
            tuple(rows.ids[place] for place in places), rows.groups[places], tuple(rows.rows[place] for place in places)
        )

    return {"generated": part(sorted(ranked[0::2])), "real": part(sorted(ranked[1::2]))}


def _valued(measured: Measured | SetMeasured, metric: Any, rows: FeatureRows) -> tuple[float | None, Interval]:
    if isinstance(measured, SetMeasured):
        found = group_jackknife([measured], len(rows.ids), bounds=metric.bounds)
        return found.value, found.interval
    return total_value(measured), interval(measured, list(rows.ids), bounds=metric.bounds)


def _suspicious(name: str, value: float | None, found: Interval) -> bool:
    """Say whether a distance whose expectation is 0 lies away from it, or a classifier tells no clips apart."""
    if name.startswith("is_c3d"):
        return value is not None and value < NO_SCORE
    return name == "kvd" and found.low is not None and found.high is not None and not found.low <= 0 <= found.high


def render_checks(checks: Sequence[Check], width: int) -> str:
    """Return the checks as a table for a terminal of that many columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for name in ("metric", "protocol", "of"):
        table.add_column(name, no_wrap=True)
    for name in ("value", "95 % interval", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what to expect", overflow="fold", ratio=1)
    for one in checks:
        value = "–" if one.value is None else f"{one.value:.4g}"
        bounds = one.interval.bounds if one.interval is not None else None
        ends = "–" if bounds is None else f"[{bounds[0]:.4g}, {bounds[1]:.4g}]"
        told = one.reason or (f"SUSPICIOUS: {one.expected}" if one.suspicious else one.expected)
        table.add_row(*map(Text, [one.metric, one.protocol, one.what, value, ends, str(one.n), told]))
    console = Console(width=width, highlight=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
