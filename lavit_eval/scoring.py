"""From a journal's responses to scores: values, intervals, coverage, categories, repeats."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lavit_eval.errors import UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.files import write_atomic
from lavit_eval.journal import Entry, Key, responses_digest
from lavit_eval.judgements import is_judged
from lavit_eval.preparation import PreparedTask
from lavit_eval.progress import Progress, Silence
from lavit_eval.recipes import needs_features
from lavit_eval.registry import find
from lavit_eval.runs import Run
from lavit_eval.sample import JSON, Likelihoods, Response, Sample, Score
from lavit_eval.submissions import write_submission
from lavit_eval.task import Task

if TYPE_CHECKING:
    from lavit_eval.feature_scoring import Comparison
    from lavit_eval.features.extraction import Memo
    from lavit_eval.metrics.protocol import Made, Measured


@dataclass(frozen=True, slots=True)
class Scored:
    """One answered sample as the metrics see it."""

    sample: Sample
    repeat: int
    text: str
    """Empty where the answer is a file."""
    made: Made | None = None
    likelihoods: Likelihoods | None = None
    """Of the options, where they were ranked."""


def score_task(
    prepared: PreparedTask,
    entries: Mapping[Key, Entry],
    repeats: int,
    run: Run,
    labels: Sequence[str],
    equipment: Equipment | None = None,
    progress: Progress | None = None,
) -> dict[str, JSON]:
    """Score one task from its latest entries and store the per-sample records beside the journal.

    Args:
        prepared: The task with its samples.
        entries: (sample id, repeat) -> entry, of every sample and repeat.
        repeats: How often each sample was asked.
        run: Holds the files that were made.
        labels: What the whole run is labelled with.
        equipment: What metrics of features get.
        progress: Told how far the extraction of features is.

    Returns:
        The task's part of `scores.json`; n = answered + failed + skipped, so nothing is dropped in silence.
    """
    task = prepared.task
    keys = [(sample, repeat) for repeat in range(repeats) for sample in prepared.samples]
    scored, outcomes, failed = _sorted_out(task, keys, entries, run)
    ground = _Ground(prepared, scored, len(keys), repeats, run, equipment or Equipment(), progress or Silence(), {})
    records = [_record(one) for one in scored]
    metrics = {name: asdict(_score(name, ground, records)) for name in task.metrics}
    lines = "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)
    write_atomic(run.task_folder(task.task) / "samples.jsonl", lines.encode())
    coverage = outcomes["answered"] / len(keys)
    return {
        "protocol": prepared.protocol,
        "data": prepared.data,
        "benchmark": task.benchmark,
        "published_as": task.published_task,
        "shows": sorted({medium.kind for sample in prepared.samples for medium in sample.media}),
        "n": len(keys),
        **outcomes,
        "coverage": coverage,
        "failures": failed,
        "labels": [*labels, *(["partial"] if outcomes["answered"] < len(keys) else [])],
        "primary": task.primary,
        "responses": responses_digest(entries),
        "metrics": metrics,
        **({"submission": write_submission(prepared, entries, run)} if task.submission else {}),
    }


def answered(prepared: PreparedTask, run: Run) -> list[Scored]:
    """Return what the metrics of a task get, repeat after repeat (raises UsageError where responses are absent)."""
    entries, repeats = run.entries(prepared.task.task), int(run.identity["repeats"])
    keys = [(sample, repeat) for repeat in range(repeats) for sample in prepared.samples]
    absent = sum((sample.id, repeat) not in entries for sample, repeat in keys)
    if absent:
        raise UsageError(
            f"Run {run.id} has no response to {absent} requests of {prepared.task.task} yet; "
            "continue it with the command that began it."
        )
    return _sorted_out(prepared.task, keys, entries, run)[0]


def _sorted_out(
    task: Task, keys: Sequence[tuple[Sample, int]], entries: Mapping[Key, Entry], run: Run
) -> tuple[list[Scored], dict[str, int], list[dict[str, JSON]]]:
    """Return what the metrics get, how many responses had each outcome, and why those that failed did."""
    scored: list[Scored] = []
    outcomes, failed = {"answered": 0, "failed": 0, "skipped": 0}, []
    for sample, repeat in keys:
        response = entries[(sample.id, repeat)].response
        outcomes[response.outcome] += 1
        if response.outcome == "answered":
            scored.append(_scored(sample, response, run))
            continue
        failed.append({"sample_id": sample.id, "repeat": repeat, "outcome": response.outcome, "reason": response.error})
        if task.failed_samples == "empty answer" and response.outcome == "failed":
            scored.append(Scored(sample, repeat, ""))
    return scored, outcomes, failed


def _record(one: Scored) -> dict[str, JSON]:
    """Begin a sample's record, with what makes it dependent on others, and what its reader chose for it.

    (E.g. which of a video's captions.)
    """
    extra = {"extra": dict(one.sample.extra)} if one.sample.extra else {}
    return {"sample_id": one.sample.id, "repeat": one.repeat, "cluster": one.sample.cluster, **extra}


def score_features(
    name: str,
    prepared: PreparedTask,
    entries: Mapping[Key, Entry],
    repeats: int,
    run: Run,
    equipment: Equipment,
    progress: Progress,
    memo: Memo | None = None,
) -> Score:
    """Return the score of one metric of features; arguments as in `score_task`. Nothing but features is written.

    The memo holds what was read in this process already.
    """
    keys = [(sample, repeat) for repeat in range(repeats) for sample in prepared.samples]
    answered = [(sample, entries[(sample.id, repeat)].response) for sample, repeat in keys]
    scored = [_scored(sample, response, run) for sample, response in answered if response.outcome == "answered"]
    ground = _Ground(prepared, scored, len(keys), repeats, run, equipment, progress, {} if memo is None else memo)
    return _score_of_features(name, find("metric", name)(), ground, [{} for _ in scored])


@dataclass(frozen=True, slots=True)
class _Ground:
    """What all metrics of a task stand on."""

    prepared: PreparedTask
    scored: Sequence[Scored]
    total: int
    repeats: int
    run: Run
    equipment: Equipment
    progress: Progress
    memo: Memo


def _score(name: str, ground: _Ground, records: list[dict[str, JSON]]) -> Score:
    from lavit_eval.metrics.feature_metric import UnmeasurableError

    metric = find("metric", name)()
    if needs_features(metric):
        return _score_of_features(name, metric, ground, records)
    if is_judged(metric):
        return _score_of_judgements(name, metric, ground, records)
    why = ground.prepared.skipped_metrics.get(name)
    of_files = hasattr(metric, "measure_files")
    rows = [index for index, one in enumerate(ground.scored) if of_files or one.sample.references]
    if why is None and ground.scored and not rows:
        why = "the split has no public answers"
    if why is not None or not rows:
        return _without_value(name, metric, why or "no sample was answered")
    try:
        measured = _measured(metric, [ground.scored[index] for index in rows])
    except UnmeasurableError as error:
        return _without_value(name, metric, str(error))
    return _of_samples(name, metric, measured, rows, ground, records)


def _without_value(name: str, metric: Any, why: str) -> Score:
    return Score(name, None, None, None, 0, 0, 0.0, metric.higher_is_better, metric.unit, skipped=why)


def _of_samples(
    name: str,
    metric: Any,
    measured: Measured,
    rows: Sequence[int],
    ground: _Ground,
    records: list[dict[str, JSON]],
) -> Score:
    """Return the score of a metric of samples and note each one's part of it."""
    from lavit_eval.category_scores import categories
    from lavit_eval.statistics import interval, total_value

    parts = _parts(metric, measured)
    for place, (index, record) in enumerate(zip(rows, measured.per_sample, strict=False)):
        records[index][name] = {**record, **({} if parts is None else parts[place])}
    samples = [ground.scored[index].sample for index in rows]
    found = interval(measured, [sample.cluster for sample in samples], bounds=metric.bounds)
    return Score(
        metric=name,
        value=total_value(measured),
        interval=found.bounds,
        interval_method=found.method,
        n=len(rows),
        clusters=found.clusters,
        coverage=len(rows) / ground.total,
        higher_is_better=metric.higher_is_better,
        unit=metric.unit,
        # Points that add up over categories, as MME's, have another range in each.
        categories=categories(measured, samples, metric.bounds if metric.bounds == (0.0, 100.0) else None),
        repeats=_per_repeat(measured, [ground.scored[index].repeat for index in rows], ground.repeats),
        details=dict(measured.details),
    )


def _parts(metric: Any, measured: Measured) -> list[dict[str, JSON]] | None:
    """Return what another run is compared by, of each sample of a metric that is no mean of their scores.

    `sums` where the metric can turn sums into a value again; else `part`, the sample's jackknife pseudo-value, whose
    mean is the value up to its bias (Efron and Tibshirani 1993, chapter 11.5).
    """
    from lavit_eval.statistics import scale_of_mean

    if hasattr(metric, "reduce"):
        return [{"sums": row} for row in measured.rows.tolist()]
    if not len(measured.rows) or scale_of_mean(measured, measured.rows) is not None:
        return None
    count, total = len(measured.rows), measured.rows.sum(axis=0)
    whole, without = float(measured.reduce(total)), measured.reduce(total - measured.rows)
    # Without the only sample of a subset the value is undefined: what that sample is worth cannot be said.
    known = [one if math.isfinite(one) else whole for one in without.tolist()]
    return [{"part": count * whole - (count - 1) * one} for one in known] if math.isfinite(whole) else None


def _score_of_judgements(name: str, metric: Any, ground: _Ground, records: list[dict[str, JSON]]) -> Score:
    from lavit_eval.judged_scoring import judge_stored

    samples, texts = [one.sample for one in ground.scored], [one.text for one in ground.scored]
    found = judge_stored(name, metric, ground.prepared, samples, texts, ground.run)
    if found.judged is None:
        score = _without_value(name, metric, found.skipped or "no judgement succeeded")
    else:
        score = _of_samples(name, metric, found.judged.measured, found.judged.places, ground, records)
        answered_share = len(samples) / ground.total
        score = replace(score, coverage=answered_share * len(found.judged.places) / found.judged.wanted)
    for place, note in found.notes.items():
        records[place][name] = dict(note)
    details = {**score.details, **found.details}
    return replace(score, labels=found.labels, protocol=found.protocol, details=details)


def _score_of_features(name: str, metric: Any, ground: _Ground, records: list[dict[str, JSON]]) -> Score:
    from lavit_eval.feature_scoring import Tools, Workshop
    from lavit_eval.features.items import Product
    from lavit_eval.metrics.feature_metric import SetMeasured

    products = [Product(one.sample, one.repeat, one.made) for one in ground.scored if one.made is not None]
    if len(products) < len(ground.scored):
        raise UsageError(f"{name} scores files, but the task's answers are texts; mend its metrics.")
    _pin_threads(ground.run)
    folder = ground.run.task_folder(ground.prepared.task.task)
    tools = Tools(ground.equipment, ground.progress, ground.memo, _weights_before(ground))
    found = Workshop(ground.prepared, products, ground.repeats, folder, tools).compare(name)
    if found.skipped is not None:
        score = _without_value(name, metric, found.skipped)
    elif isinstance(found.measured[0], SetMeasured):
        score = _of_sets(name, metric, found)
    else:
        score = _of_samples(name, metric, found.measured[0], found.used[0], ground, records)
    return replace(
        score,
        coverage=min(1.0, sum(map(len, found.used)) / found.wanted) if found.wanted and found.used else 0.0,
        incomplete=found.incomplete,
        labels=tuple(found.labels),
        protocol=found.protocol,
        recipe=found.recipe,
        details={**score.details, **found.details},
    )


def _weights_before(ground: _Ground) -> dict[str, str]:
    """Return name -> digest of the weights that made the features which a run keeps, by its scores."""
    task, found = ground.prepared.task.task, {}
    for document in ground.run.readable_scores():
        for score in document["tasks"].get(task, {}).get("metrics", {}).values():
            found.update((score.get("recipe") or {}).get("weights", {}))
    return found


def _of_sets(name: str, metric: Any, found: Comparison) -> Score:
    """Return the score of a metric of whole sets: the mean over repeats, with a jackknife over groups of prompts."""
    from lavit_eval.metrics.feature_metric import SetMeasured
    from lavit_eval.statistics import group_jackknife

    each = [one for one in found.measured if isinstance(one, SetMeasured)]
    used = sum(map(len, found.used))
    spread = group_jackknife(each, len(found.used[0]), bounds=metric.bounds)
    return Score(
        metric=name,
        value=spread.value,
        interval=spread.interval.bounds,
        interval_method=spread.interval.method,
        n=used,
        clusters=spread.interval.clusters,
        coverage=1.0,
        higher_is_better=metric.higher_is_better,
        unit=metric.unit,
        repeats=tuple(one.value for one in each) if len(each) > 1 else (),
        details={**each[0].details, "left_out": list(spread.left_out), "groups": list(spread.groups)},
    )


def _pin_threads(run: Run) -> None:
    """Fix the number of threads, on which the rounding of features depends, to that of the run."""
    import torch

    torch.set_num_threads(int(run.manifest["hardware"]["threads"]))


def _scored(sample: Sample, response: Response, run: Run) -> Scored:
    from lavit_eval.metrics.protocol import Made

    made = None if response.medium is None else Made(run.folder / response.medium, response)
    return Scored(sample, response.repeat, response.text or "", made, response.likelihoods)


def _measured(metric: Any, scored: Sequence[Scored]) -> Measured:
    samples = [one.sample for one in scored]
    if hasattr(metric, "measure_ranked"):
        ranked: Measured = metric.measure_ranked(
            samples, [one.text for one in scored], [one.likelihoods for one in scored]
        )
        return ranked
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
    number = float(value)
    return number if math.isfinite(number) else None
