"""The one loop: plan -> preflight -> answer -> journal -> score -> save."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lavit_eval.digests import digest_json
from lavit_eval.engines import answer
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.interruption import Interruption
from lavit_eval.journal import Entry, JournalWriter, latest
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.plan import Batch, TaskPlan, VisualNoise
from lavit_eval.preparation import PreparedTask, check_capabilities, disk_problem, model_digest, plan_tasks, prepare
from lavit_eval.progress import Progress, Silence
from lavit_eval.provenance import code_revision, hardware, package_versions
from lavit_eval.registry import find
from lavit_eval.runs import Run, differing, equal_run
from lavit_eval.sample import JSON
from lavit_eval.scoring import score_task
from lavit_eval.task import Task

DEFAULT_BATCH_SIZE = 8


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

    @property
    def warnings(self) -> list[str]:
        """Metrics that will be skipped, one sentence per reason."""
        reasons: dict[str, list[str]] = {}
        for each in self.prepared:
            for metric, why in each.skipped_metrics.items():
                reasons.setdefault(why, []).append(f"{each.task.task}/{metric}")
        return [f"Will be skipped ({why}): {', '.join(metrics)}" for why, metrics in reasons.items()]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    run: Run
    scores: Mapping[str, Any]
    state: Literal["new", "continued", "finished before"]

    @property
    def complete(self) -> bool:
        """Whether every sample of every task was answered."""
        return all(task["answered"] == task["n"] for task in self.scores["tasks"].values())


def foresee(options: RunOptions) -> Prospect:
    """Prepare and check everything that needs no model: annotations, media, model files, disk; nothing is written."""
    model_class = find("model", options.model)
    problems = check_capabilities(options.model, model_class, options.tasks)
    model_problems = list(model_class.preflight(options.model_options))
    model_identity = {} if model_problems else dict(model_class.identify(options.model_options))
    prepared, data_problems = prepare(
        options.tasks, options.data_root, options.limit, options.counts, options.allow_missing
    )
    batch_size = options.batch_size or int(getattr(model_class, "default_batch_size", DEFAULT_BATCH_SIZE))
    plans = plan_tasks(
        prepared, seed=options.seed, repeats=options.repeats, batch_size=batch_size, visual_noise=options.visual_noise
    )
    disk = disk_problem(options.output, sum(len(plan.requests) for plan in plans.values()))
    identity = {
        "model": {"name": options.model, "digest": model_digest(options.model, model_identity)},
        "tasks": {each.task.task: {"protocol": each.protocol, "data": each.data} for each in prepared},
        "seed": options.seed,
        "repeats": options.repeats,
        "limit": options.limit,
        "batch_size": batch_size,
        "visual_noise": options.visual_noise,
        "demo": options.demo,
    }
    everything = (*problems, *model_problems, *data_problems, *([disk] if disk else []))
    return Prospect(options, tuple(prepared), plans, identity, model_class, model_identity, everything)


def choose_run(prospect: Prospect) -> tuple[Run, bool]:
    """Return the run to continue or to begin, and whether it exists already.

    Raises:
        UsageError: The run id belongs to a run of another model, data, protocol or seed.
    """
    options = prospect.options
    folder = options.output / "runs"
    if options.run_id is None:
        found = None if options.fresh else equal_run(options.output, prospect.identity)
        return (found, True) if found is not None else (Run(_new_folder(folder, options.model)), False)
    run = Run(folder / options.run_id)
    if not (run.folder / "manifest.json").is_file():
        return run, False
    if options.fresh:
        run.folder.rename(folder / f"before-{datetime.now(UTC):%Y%m%d-%H%M%S}-{options.run_id}")
        return Run(run.folder), False
    names = differing(run.identity, prospect.identity)
    if names:
        raise UsageError(
            f"Run {options.run_id} is of another kind: it differs in {', '.join(names)}; "
            "choose another --run-id, or begin it anew with --fresh."
        )
    return run, True


def _new_folder(runs: Path, model: str) -> Path:
    base = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{model}"
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    return next(runs / name for name in names if not (runs / name).exists())


def evaluate(
    options: RunOptions, progress: Progress | None = None, interruption: Interruption | None = None
) -> Outcome:
    """Run one model on some tasks, continuing where an equal run stood.

    Args:
        options: What to run.
        progress: Told how far it is; silent where absent.
        interruption: Holds back SIGTERM and Ctrl-C while a batch is written, if the caller handles them.

    Raises:
        PreflightError: Everything that stands in the way, before the model is loaded.
        UsageError: The run is in use, or is another one, or the disk is full.
    """
    prospect = foresee(options)
    if prospect.problems:
        raise PreflightError(prospect.problems)
    run, exists = choose_run(prospect)
    stored = run.scores() if exists else None
    if stored is not None and not (options.retry_failed and any(task["failed"] for task in stored["tasks"].values())):
        return Outcome(run, stored, "finished before")
    if not exists:
        run.write_manifest(_manifest(prospect, run))
    _check_plan(prospect, run)
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(JournalWriter(run.task_folder(name) / "journal.jsonl")) for name in prospect.plans
        }
        _answer_all(prospect, run, writers, progress or Silence(), interruption or Interruption())
    scores = score_run(prospect.prepared, run)
    return Outcome(run, scores, "continued" if exists else "new")


def _check_plan(prospect: Prospect, run: Run) -> None:
    for name, plan in prospect.plans.items():
        if run.manifest["plan"][name]["digest"] != plan.digest():
            raise UsageError(f"Run {run.id} was planned otherwise (task {name}); begin it anew with --fresh.")


def _manifest(prospect: Prospect, run: Run) -> dict[str, JSON]:
    options = prospect.options
    return {
        "run_id": run.id,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "command": list(options.command),
        "identity": dict(prospect.identity),
        "identity_digest": digest_json(prospect.identity),
        "model": {
            "name": options.model,
            "label": options.label or options.model,
            "identity": dict(prospect.model_identity),
        },
        "data_root": str(options.data_root.resolve()),
        "tasks": {
            each.task.task: {"fields": each.task.model_dump(mode="json"), "asking": each.asking}
            for each in prospect.prepared
        },
        "counts": dict(options.counts),
        "plan": {
            name: {"batch_size": plan.batch_size, "requests": len(plan.requests), "digest": plan.digest()}
            for name, plan in prospect.plans.items()
        },
        "code": code_revision(),
        "packages": package_versions(),
        "hardware": hardware(options.model_options.device, options.threads),
    }


def remaining(plan: TaskPlan, entries: Sequence[Entry], retry_failed: bool) -> list[Batch]:
    """Return the batches still to do; a retry that was interrupted is finished before another begins."""
    done = {(entry.attempt, entry.batch) for entry in entries}
    todo = [batch for batch in plan.batches() if (1, batch.number) not in done]
    if todo or not retry_failed:
        return todo
    attempt = max((entry.attempt for entry in entries), default=1)
    for candidate in (attempt, attempt + 1):
        if candidate == 1:
            continue
        before = latest([entry for entry in entries if entry.attempt < candidate])
        failed = {key for key, entry in before.items() if entry.response.outcome == "failed"}
        todo = [batch for batch in plan.retry(failed, candidate) if (candidate, batch.number) not in done]
        if todo:
            return todo
    return []


def _answer_all(
    prospect: Prospect, run: Run, writers: Mapping[str, JournalWriter], progress: Progress, interruption: Interruption
) -> None:
    options = prospect.options
    todo = {
        name: remaining(plan, writers[name].log.entries, options.retry_failed) for name, plan in prospect.plans.items()
    }
    if not any(todo.values()):
        return
    _pin_threads(int(run.manifest["hardware"]["threads"]))
    model = prospect.model_class.load(options.model_options)
    for each in prospect.prepared:
        name = each.task.task
        plan, batches = prospect.plans[name], todo[name]
        if not batches:
            continue
        model.prepare(name, each.samples)
        waiting = sum(len(batch.requests) for batch in batches)
        progress.begin(name, len(plan.requests), max(0, len(plan.requests) - waiting))
        try:
            answer(
                model,
                batches,
                writers[name],
                frozenset(each.missing) if getattr(prospect.model_class, "reads_media", True) else frozenset(),
                interruption.shielded,
                lambda entries: progress.advance(len(entries)),
            )
        finally:
            progress.end()


def _pin_threads(count: int) -> None:
    """Fix the number of threads, on which rounding depends; a model without torch has none to fix."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)


def score_run(prepared: Sequence[PreparedTask], run: Run) -> dict[str, Any]:
    """Score every task of a run from its journals and write `scores.json` (no times, paths or run id in it)."""
    from filelock import FileLock, Timeout

    manifest = run.manifest
    identity = run.identity
    try:
        with FileLock(run.folder / "scoring.lock", timeout=0):
            began = time.monotonic()
            tasks = {}
            for each in prepared:
                name = each.task.task
                entries = run.entries(name)
                absent = len(each.samples) * identity["repeats"] - len(entries)
                if absent:
                    raise UsageError(
                        f"Run {run.id} has no response to {absent} requests of {name} yet; "
                        "continue it with the command that began it."
                    )
                tasks[name] = score_task(each, entries, identity["repeats"], run, _labels(each, identity))
            scores = {
                "model": {
                    "name": identity["model"]["name"],
                    "digest": identity["model"]["digest"],
                    "label": manifest["model"]["label"],
                },
                "seed": identity["seed"],
                "repeats": identity["repeats"],
                "demo": identity["demo"],
                "tasks": tasks,
            }
            run.write_scores(scores)
            _log(run, f"scored in {time.monotonic() - began:.1f} s")
    except Timeout:
        raise UsageError(f"Another process is scoring run {run.id}; wait for it to end.") from None
    return {"schema": 1, **scores}


def _labels(each: PreparedTask, identity: Mapping[str, Any]) -> list[str]:
    labels = ["demo data"] if identity["demo"] else []
    return [*labels, f"limited to {len(each.samples)}"] if each.limited else labels


def _log(run: Run, text: str) -> None:
    with open(run.folder / "run.log", "a", encoding="utf-8") as stream:
        stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")
