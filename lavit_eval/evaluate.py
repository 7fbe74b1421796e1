"""The one loop: plan -> preflight -> answer -> journal -> score -> save."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lavit_eval.claiming import changed_stack, claimed
from lavit_eval.engines import answer
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.interruption import Interruption
from lavit_eval.journal import Entry, JournalWriter, latest
from lavit_eval.judging import judge_run
from lavit_eval.models.protocol import Model
from lavit_eval.plan import Batch, TaskPlan
from lavit_eval.preparation import PreparedTask
from lavit_eval.progress import Progress, Silence
from lavit_eval.prospect import Prospect, RunOptions, foresee
from lavit_eval.runs import Run
from lavit_eval.scoring import score_task


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    run: Run
    scores: Mapping[str, Any]
    state: Literal["new", "continued", "finished before"]
    notices: tuple[str, ...] = ()
    """How device, packages or code differ from those that the run began with."""
    unjudged: str | None = None
    """Why the judge that was asked for did not judge every answer: it went down meanwhile."""

    @property
    def complete(self) -> bool:
        """Whether every sample of every task was answered."""
        return all(task["answered"] == task["n"] for task in self.scores["tasks"].values())


def evaluate(
    options: RunOptions,
    progress: Progress | None = None,
    interruption: Interruption | None = None,
    prospect: Prospect | None = None,
) -> Outcome:
    """Run one model on some tasks, continuing where an equal run stood.

    Args:
        options: What to run.
        progress: Told how far it is; silent where absent.
        interruption: Holds back SIGTERM and Ctrl-C while a batch is written, if the caller handles them.
        prospect: What `foresee` said of these options, if it was asked already.

    Raises:
        PreflightError: Everything that stands in the way, before the model is loaded.
        UsageError: The run is in use, or is another one, or the disk is full.
    """
    prospect = prospect or foresee(options)
    options = prospect.options
    if prospect.problems:
        raise PreflightError(prospect.problems)
    with claimed(prospect) as (choice, writers):
        stored = choice.scores
        if stored is not None and not writers:
            scores, unjudged = (stored, None) if options.judge is None else _judged(prospect, choice.run, progress)
            return Outcome(choice.run, scores, "finished before", unjudged=unjudged)
        notices = changed_stack(choice.run, options.model_options.device) if choice.exists else []
        for notice in notices:
            choice.run.log(notice)
        # Scores of a run that is answered again are stale from now on; they come back when it is scored.
        choice.run.scores_path.unlink(missing_ok=True)
        _answer_all(prospect, choice.run, writers, progress or Silence(), interruption or Interruption())
    scores, unjudged = _judged(prospect, choice.run, progress)
    return Outcome(choice.run, scores, "continued" if choice.exists else "new", tuple(notices), unjudged)


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
    """Answer what is still to do, then, with `--retry-failed`, what failed."""
    options = prospect.options
    entries = {name: list(writer.log.entries) for name, writer in writers.items()}
    model: Model | None = None
    for retry in (False, True) if options.retry_failed else (False,):
        todo = {name: remaining(plan, entries[name], retry) for name, plan in prospect.plans.items()}
        if not any(todo.values()):
            continue
        if model is None:
            _pin_threads(int(run.manifest["hardware"]["threads"]))
            model = prospect.model_class.load(options.model_options)
        for each in prospect.prepared:
            name = each.task.task
            if todo[name]:
                _answer_task(model, each, prospect, todo[name], writers[name], entries[name], progress, interruption)


def _answer_task(
    model: Model,
    each: PreparedTask,
    prospect: Prospect,
    batches: Sequence[Batch],
    writer: JournalWriter,
    entries: list[Entry],
    progress: Progress,
    interruption: Interruption,
) -> None:
    def note(written: Sequence[Entry]) -> None:
        entries.extend(written)
        progress.advance(len(written))

    name = each.task.task
    requests = len(prospect.plans[name].requests)
    waiting = sum(len(batch.requests) for batch in batches)
    missing = frozenset(each.missing) if getattr(prospect.model_class, "reads_media", True) else frozenset()
    model.prepare(name, each.samples)
    progress.begin(name, requests, max(0, requests - waiting))
    try:
        answer(model, batches, writer, missing, interruption.shielded, note)
    finally:
        progress.end()


def _judged(prospect: Prospect, run: Run, progress: Progress | None) -> tuple[dict[str, Any], str | None]:
    """Judge what was answered, where a judge was asked for, and score the run; return also why it was not judged.

    A judge that goes down costs no other score: the run is then scored without it.
    """
    unjudged = None
    if prospect.options.judge is not None:
        try:
            for judged in judge_run(prospect.prepared, run, prospect.options.judge, progress):
                print(judged, file=sys.stderr)
        except UsageError as error:
            unjudged = str(error)
            run.log(unjudged)
    return score_run(prospect.prepared, run, prospect.options.equipment, progress), unjudged


def _pin_threads(count: int) -> None:
    """Fix the number of threads, on which rounding depends; a model without torch has none to fix."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)


def score_run(
    prepared: Sequence[PreparedTask],
    run: Run,
    equipment: Equipment | None = None,
    progress: Progress | None = None,
    under: str | None = None,
) -> dict[str, Any]:
    """Score tasks of a run from its journals and write `scores.json` (no times, paths or run id in it).

    Args:
        prepared: The tasks.
        run: Every request of theirs is answered.
        equipment: What metrics of features get.
        progress: Told how far the extraction of features is.
        under: The name of a protocol that takes the place of the tasks' own: its scores are kept beside the run's.
    """
    from filelock import FileLock, Timeout

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
                labels = [*_labels(each, identity), *([f"protocol {under}"] if under else [])]
                tasks[name] = score_task(each, entries, identity["repeats"], run, labels, equipment, progress)
            scores = {**_about(run), "tasks": tasks}
            # What was valued under this protocol before is not replaced by a refusal.
            if under is None or _has_values(tasks) or under not in run.protocols_scored:
                run.write_scores(scores, under)
            run.log(f"scored in {time.monotonic() - began:.1f} s")
    except Timeout:
        raise UsageError(f"Another process is scoring run {run.id}; wait for it to end.") from None
    return {"schema": 1, **scores}


def _has_values(tasks: Mapping[str, Any]) -> bool:
    return any(score["value"] is not None for task in tasks.values() for score in task["metrics"].values())


def _about(run: Run) -> dict[str, Any]:
    """Return what `scores.json` says of a run as a whole."""
    identity = run.identity
    model = {"name": identity["model"]["name"], "digest": identity["model"]["digest"]}
    return {
        "model": {**model, "label": run.manifest["model"]["label"]},
        **{name: identity[name] for name in ("seed", "repeats", "demo")},
    }


def _labels(each: PreparedTask, identity: Mapping[str, Any]) -> list[str]:
    labels = ["demo data"] if identity["demo"] else []
    stratified = ", stratified" if each.task.subset is not None else ""
    return [*labels, f"limited to {len(each.samples)}{stratified}"] if each.limited else labels
