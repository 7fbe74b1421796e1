"""From a journal's responses to scores: values, intervals, coverage, categories, repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic
from lavit_eval.journal import Entry, Key, responses_digest
from lavit_eval.preparation import PreparedTask
from lavit_eval.registry import find
from lavit_eval.runs import Run
from lavit_eval.sample import JSON, Response, Sample, Score
from lavit_eval.task import Task

if TYPE_CHECKING:
    from lavit_eval.metrics.protocol import Made, Measured


@dataclass(frozen=True, slots=True)
class Scored:
    """One answered sample as the metrics see it."""

    sample: Sample
    repeat: int
    text: str
    """Empty where the answer is a file."""
    made: Made | None = None


def score_task(
    prepared: PreparedTask, entries: Mapping[Key, Entry], repeats: int, run: Run, labels: Sequence[str]
) -> dict[str, JSON]:
    """Score one task from its latest entries and store the per-sample records beside the journal.

    Returns:
        The task's part of `scores.json`; n = answered + failed + skipped, so nothing is dropped in silence.
    """
    task = prepared.task
    keys = [(sample, repeat) for repeat in range(repeats) for sample in prepared.samples]
    scored, outcomes, failed = [], {"answered": 0, "failed": 0, "skipped": 0}, []
    for sample, repeat in keys:
        response = entries[(sample.id, repeat)].response
        outcomes[response.outcome] += 1
        if response.outcome == "answered":
            scored.append(_scored(sample, response, run))
            continue
        failed.append({"sample_id": sample.id, "repeat": repeat, "outcome": response.outcome, "reason": response.error})
        if task.failed_samples == "empty answer" and response.outcome == "failed":
            scored.append(Scored(sample, repeat, ""))
    records: list[dict[str, JSON]] = [{"sample_id": one.sample.id, "repeat": one.repeat} for one in scored]
    metrics = {name: asdict(_score(name, task, prepared, scored, len(keys), repeats, records)) for name in task.metrics}
    lines = "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)
    write_atomic(run.task_folder(task.task) / "samples.jsonl", lines.encode())
    coverage = outcomes["answered"] / len(keys)
    return {
        "protocol": prepared.protocol,
        "data": prepared.data,
        "benchmark": task.benchmark,
        "published_as": task.published_task,
        "n": len(keys),
        **outcomes,
        "coverage": coverage,
        "failures": failed,
        "labels": [*labels, *(["partial"] if outcomes["answered"] < len(keys) else [])],
        "primary": task.primary,
        "responses": responses_digest(entries),
        "metrics": metrics,
    }


def _score(
    name: str,
    task: Task,
    prepared: PreparedTask,
    scored: Sequence[Scored],
    total: int,
    repeats: int,
    records: list[dict[str, JSON]],
) -> Score:
    from lavit_eval.statistics import categories, interval, total_value

    metric = find("metric", name)()
    why = prepared.skipped_metrics.get(name)
    of_files = hasattr(metric, "measure_files")
    rows = [index for index, one in enumerate(scored) if of_files or one.sample.references]
    if why is None and scored and not rows:
        why = "the split has no public answers"
    if why is not None or not rows:
        return Score(
            name,
            None,
            None,
            None,
            0,
            0,
            0.0,
            metric.higher_is_better,
            metric.unit,
            skipped=why or "no sample was answered",
        )
    measured = _measured(metric, [scored[index] for index in rows])
    for index, record in zip(rows, measured.per_sample, strict=False):
        records[index][name] = dict(record)
    samples = [scored[index].sample for index in rows]
    found = interval(measured, [sample.cluster for sample in samples], bounds=metric.bounds)
    return Score(
        metric=name,
        value=total_value(measured),
        interval=found.bounds,
        interval_method=found.method,
        n=len(rows),
        clusters=found.clusters,
        coverage=len(rows) / total,
        higher_is_better=metric.higher_is_better,
        unit=metric.unit,
        categories=categories(measured, samples),
        repeats=_per_repeat(measured, [scored[index].repeat for index in rows], repeats),
        details=dict(measured.details),
    )


def _scored(sample: Sample, response: Response, run: Run) -> Scored:
    from lavit_eval.metrics.protocol import Made

    made = None if response.medium is None else Made(run.folder / response.medium, response)
    return Scored(sample, response.repeat, response.text or "", made)


def _measured(metric: Any, scored: Sequence[Scored]) -> Measured:
    samples = [one.sample for one in scored]
    if not hasattr(metric, "measure_files"):
        found: Measured = metric.measure(samples, [one.text for one in scored])
        return found
    made = [one.made for one in scored]
    if None in made:
        raise UsageError(f"{type(metric).__name__} scores files, but the task's answers are texts; mend its metrics.")
    files: Measured = metric.measure_files(samples, made)
    return files


def _per_repeat(measured: Any, of: Sequence[int], repeats: int) -> tuple[float | None, ...]:
    if repeats < 2:
        return ()
    import numpy as np

    which = np.asarray(of)
    return tuple(_finite(measured.reduce(measured.rows[which == repeat].sum(axis=0))) for repeat in range(repeats))


def _finite(value: Any) -> float | None:
    import math

    number = float(value)
    return number if math.isfinite(number) else None
