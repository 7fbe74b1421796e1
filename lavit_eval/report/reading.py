"""A finished run read back for people: every response with its sample, its scores and why it failed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lavit_eval.compare_sides import Side
from lavit_eval.errors import UsageError
from lavit_eval.journal import Key
from lavit_eval.paired_samples import scale_of_unit
from lavit_eval.preparation import PreparedTask
from lavit_eval.rescoring import Again, prepare_again
from lavit_eval.runs import Run
from lavit_eval.sample import JSON, Response, Sample
from lavit_eval.task import Task

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One response of a run."""

    response: Response
    sample: Sample | None
    """What was asked; None where the annotation files are not at hand any more."""
    record: Record
    """Metric -> {"score": ..., ...}, beside what the reader chose for the sample."""

    @property
    def key(self) -> Key:
        """(sample id, repeat)."""
        return self.response.key


@dataclass(frozen=True)
class TaskReading:
    """One task of a run."""

    task: Task
    scores: Mapping[str, Any]
    """The task's part of `scores.json`."""
    items: list[Item]
    """By repeat, then in the official order, or that of the journal without the annotation files."""
    without_samples: str | None
    """Why questions and references are not there; None where they are."""

    @cached_property
    def scales(self) -> Mapping[str, float]:
        """Metric -> what brings a response's score to the unit of the score table: 100 where a right answer is 1."""
        return {name: self._scale(name) for name in self.task.metrics}

    def _scale(self, metric: str) -> float:
        records = [item.record[metric] for item in self.items if isinstance(item.record.get(metric), Mapping)]
        score = self.scores["metrics"].get(metric)
        # Samples of a metric with sums come in its own unit.
        if score is None or not records or "sums" in records[0]:
            return 1.0
        known = [one for item in self.items if (one := score_of(item.record, metric)) is not None]
        return scale_of_unit(math.fsum(known) / max(1, len(known)), score)

    @property
    def ordering_metric(self) -> str | None:
        """The primary metric where it scores single responses, else the first that does; None if none does."""
        names = [self.task.primary, *(name for name in self.task.metrics if name != self.task.primary)]
        having = {name for item in self.items for name in names if name in item.record}
        return next((name for name in names if name in having), None)


def read_task(
    run: Run, name: str, scores: Mapping[str, Any], again: Again, *, with_samples: bool = True
) -> TaskReading:
    """Return one task of a finished run.

    Args:
        run: The run.
        name: The task.
        scores: The task's part of `scores.json`.
        again: Where the annotation files lie.
        with_samples: Whether questions and references are looked up at all.

    Raises:
        UsageError: A journal or the per-sample records cannot be read.
    """
    task = Task.model_validate(run.manifest["tasks"][name]["fields"])
    samples: dict[str, Sample] = {}
    reason: str | None = "not looked up"
    if with_samples:
        try:
            samples, reason = {sample.id: sample for sample in _prepared(run, task, again).samples}, None
        except UsageError as error:
            reason = str(error)
    records = _records(run, name)
    entries = run.entries(name)
    place = {sample_id: index for index, sample_id in enumerate(samples)}
    last = len(place)
    keys = sorted(entries, key=lambda key: (key[1], place.get(key[0], last)))
    items = [Item(entries[key].response, samples.get(key[0]), records.get(key, {})) for key in keys]
    return TaskReading(task, scores, items, reason)


def kept_items(side: Side, task: str, keys: Iterable[Key]) -> dict[Key, Item] | None:
    """Return what a baseline keeps of a run's responses: scores by the primary metric, averaged over repeats.

    There are no answers, media or reasons; None where it keeps nothing of the task's samples (a metric of whole sets).

    Args:
        side: A baseline.
        task: One of its tasks.
        keys: The responses to look for.

    Raises:
        UsageError: What it keeps is damaged.
    """
    if task not in side.stored:
        return None
    metric = str(side.task(task)["primary"])
    kept = side.samples(task, metric)
    scores = dict(zip(kept.clusters, kept.scores.tolist(), strict=True))
    return {
        (sample_id, repeat): Item(Response(sample_id, repeat, "answered"), None, {metric: {"score": scores[sample_id]}})
        for sample_id, repeat in keys
        if sample_id in scores
    }


def _prepared(run: Run, task: Task, again: Again) -> PreparedTask:
    return prepare_again(run, [task], again)[0]


def _records(run: Run, name: str) -> dict[Key, Record]:
    if not (run.task_folder(name) / "samples.jsonl").exists():
        return {}
    return {(record["sample_id"], record["repeat"]): record for record in run.records(name)}


def score_of(record: Record, metric: str) -> float | None:
    """Return one metric's score of a response, None where it has none or one that has no place in an order."""
    part = record.get(metric)
    score: JSON = part.get("score") if isinstance(part, Mapping) else None
    return float(score) if isinstance(score, int | float) and math.isfinite(score) else None
