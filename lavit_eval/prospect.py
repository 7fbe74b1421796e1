"""What a run would be: everything that is known and checked before its model is loaded; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lavit_eval.disk_space import Space, disk_problem, space_of
from lavit_eval.engines.options import EngineOptions
from lavit_eval.engines.ray_cluster import cluster_problems
from lavit_eval.features.equipment import Equipment
from lavit_eval.hub.copies import HubCopy
from lavit_eval.judgements import judge_problems, judged_metrics
from lavit_eval.judges.protocol import JudgeOptions
from lavit_eval.models.protocol import MOST_MADE_TOGETHER, ModelOptions
from lavit_eval.plan import BatchSizes, TaskPlan, VisualNoise
from lavit_eval.preparation import (
    PreparedTask,
    check_capabilities,
    media_places,
    model_digest,
    plan_tasks,
    prepare,
)
from lavit_eval.registry import find
from lavit_eval.runs import Run
from lavit_eval.sample import JSON, RequestKind
from lavit_eval.task import Task

DEFAULT_BATCH_SIZE = 8
WITHOUT_JUDGE = "no judge: name one with --judge-model, or judge the finished run: lavit-eval judge RUN"
AUTO = "auto"
"""The batch size in the identity of a run whose sizes are found on the device, once, and stand in its manifest."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """One model on some tasks, as the user asked for it."""

    model: str
    tasks: tuple[Task, ...]
    data_root: Path
    output: Path = Path("results")
    label: str | None = None
    """How the model is called in tables; its registered name by default."""
    model_options: ModelOptions = field(default_factory=ModelOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    """Who answers: this process, workers, a cluster; all of the run or a share of it."""
    equipment: Equipment = field(default_factory=Equipment)
    """Weights and device of those metrics that need networks."""
    judge: JudgeOptions | None = None
    """Who gives the scores of judged metrics; None leaves them for later."""
    seed: int = 42
    repeats: int = 1
    limit: int | None = None
    batch_size: int | None = None
    """None takes the model's own default ("auto")."""
    visual_noise: VisualNoise = "per-medium"
    run_id: str | None = None
    fresh: bool = False
    retry_failed: bool = False
    allow_missing: bool = False
    demo: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    """Task -> sample count of made data, in the place of the official one."""
    copies: Mapping[str, HubCopy] = field(default_factory=dict)
    """Task -> its data from the hub, which stand in for the data root."""
    threads: int = field(
        default_factory=lambda: (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
    )
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prospect:
    """All that is known of a run before its model is loaded."""

    options: RunOptions
    prepared: tuple[PreparedTask, ...]
    plans: Mapping[str, TaskPlan]
    identity: Mapping[str, JSON]
    model_class: Any
    model_identity: Mapping[str, JSON]
    problems: tuple[str, ...]
    identity_by_kind: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    """Kind of request -> what identifies the model where it is asked that alone: equal in runs that ask other kinds
    besides."""
    space: Space = field(default_factory=lambda: Space(0))
    """What it takes on disk; at most, where batch sizes are not found yet."""
    loaded: Any = None
    """The model, where it was loaded to find the batch sizes; else None."""

    @property
    def warnings(self) -> list[str]:
        """What makes a score less than it could be: metrics that will be skipped, media that are missing."""
        reasons: dict[str, list[str]] = {}
        for each in self.prepared:
            for metric, why in each.skipped_metrics.items():
                reasons.setdefault(why, []).append(f"{each.task.task}/{metric}")
            if self.options.judge is None and not self.options.demo:
                for metric in judged_metrics(each.task):
                    reasons.setdefault(WITHOUT_JUDGE, []).append(f"{each.task.task}/{metric}")
        skipped = [f"Will be skipped ({why}): {', '.join(metrics)}" for why, metrics in reasons.items()]
        return [*skipped, *filter(None, map(self._lacking, self.prepared))]

    def _lacking(self, each: PreparedTask) -> str | None:
        if not each.missing or not getattr(self.model_class, "reads_media", True):
            return None
        total = len(media_places(each.samples))
        return (
            f"{each.task.task}: {total - len(each.missing):,} of {total:,} media are there; the samples of the others "
            "fail and the score is labelled partial"
        )


def foresee(options: RunOptions) -> Prospect:
    """Prepare and check everything that needs no model: annotations, media, model files, disk; nothing is written."""
    model_class = find("model", options.model)
    kinds = frozenset(task.kind for task in options.tasks)
    options = replace(options, model_options=replace(options.model_options, kinds=kinds))
    problems = check_capabilities(options.model, model_class, options.tasks)
    model_problems = list(model_class.preflight(_checked_here(options)))
    model_identity = {} if model_problems else dict(model_class.identify(options.model_options))
    roots = {name: copy.root for name, copy in options.copies.items()}
    prepared, data_problems = prepare(
        options.tasks, options.data_root, options.limit, options.counts, options.allow_missing, options.equipment, roots
    )
    fits = options.batch_size is None and not model_problems and _found_on_device(model_class, options)
    default = int(getattr(model_class, "default_batch_size", DEFAULT_BATCH_SIZE))
    even = BatchSizes.even(options.batch_size or default)
    if not model_problems and hasattr(model_class, "check_samples"):
        for each in prepared:
            model_problems += model_class.check_samples(
                options.model_options, each.task.task, each.known, options.repeats
            )
    if not model_problems and hasattr(model_class, "check_making"):
        for task in (each.task for each in prepared if each.task.making):
            model_problems += model_class.check_making(options.model_options, task.task, task.kind, task.making)
    plans = _plans(options, prepared, lambda _: even)
    space = _space(model_class, options, plans, fits)
    disk = disk_problem(options.output, space)
    identity = {
        "model": {"name": options.model, "digest": model_digest(options.model, model_identity)},
        "tasks": {each.task.task: {"protocol": each.protocol, "data": each.data} for each in prepared},
        "seed": options.seed,
        "repeats": options.repeats,
        "limit": options.limit,
        "batch_size": AUTO if fits else even.largest,
        "visual_noise": options.visual_noise,
        "demo": options.demo,
    }
    judge = judge_problems(options.judge, options.tasks) if options.judge is not None else []
    if not model_problems and hasattr(model_class, "stage_batches"):
        identity |= model_class.stage_batches(options.model_options, fits)
    engine_problems = cluster_problems(options.engine) if options.engine.engine == "ray" else []
    everything = (*engine_problems, *problems, *model_problems, *data_problems, *([disk] if disk else []), *judge)
    by_kind: dict[str, Mapping[str, JSON]] = {}
    if not problems and not model_problems:
        by_kind |= {kind: _identity_of_kind(model_class, options, kind) for kind in sorted(kinds)}
    return Prospect(options, tuple(prepared), plans, identity, model_class, model_identity, everything, by_kind, space)


def adopted(prospect: Prospect, run: Run) -> Prospect:
    """Return what a run would be with the batch sizes that were settled when it was begun, if it was."""
    if prospect.identity["batch_size"] != AUTO or not run.has_begun:
        return prospect
    planned = run.manifest["plan"]
    return planned_anew(prospect, {name: BatchSizes.of_manifest(planned[name]) for name in prospect.plans})


def planned_anew(prospect: Prospect, sizes: Mapping[str, BatchSizes]) -> Prospect:
    """Return what a run would be with other batch sizes, by task."""
    plans = _plans(prospect.options, prospect.prepared, lambda task: sizes[task.task])
    return replace(prospect, plans=plans)


def _plans(
    options: RunOptions, prepared: Sequence[PreparedTask], sizes: Callable[[Task], BatchSizes]
) -> dict[str, TaskPlan]:
    return plan_tasks(
        prepared, seed=options.seed, repeats=options.repeats, sizes=sizes, visual_noise=options.visual_noise
    )


def _space(model_class: Any, options: RunOptions, plans: Mapping[str, TaskPlan], fits: bool) -> Space:
    """Return what a run takes on disk; every shard may be under way at once, each with workers of its own."""
    keeps = getattr(model_class, "kept_bytes", None)
    engine = options.engine
    workers = engine.workers or max(1, len(engine.devices))
    return space_of(
        plans,
        kept=lambda task: keeps(task.kind, task.making) if keeps is not None and task.making else 0,
        together=lambda plan: MOST_MADE_TOGETHER if fits else plan.sizes.largest,
        workers=workers * (1 if engine.shard is None else engine.shard.of),
    )


def _found_on_device(model_class: Any, options: RunOptions) -> bool:
    """Say whether the model finds its batch sizes by trying: on a card, of this machine or of a cluster."""
    return options.model_options.device != "cpu" and hasattr(model_class, "fit_batches")


def _checked_here(options: RunOptions) -> ModelOptions:
    """Return what a driver can check of a model: where workers are on other machines, those check their own devices."""
    if options.engine.on_one_machine:
        return options.model_options
    arguments = {name: value for name, value in options.model_options.arguments.items() if name != "attention"}
    return replace(options.model_options, device="cpu", arguments=arguments)


def _identity_of_kind(model_class: Any, options: RunOptions, kind: RequestKind) -> dict[str, JSON]:
    alone = replace(options.model_options, kinds=frozenset({kind}))
    return dict(model_class.identify(alone))
