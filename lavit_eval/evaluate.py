"""The one loop: plan -> preflight -> answer -> journal -> score -> save."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lavit_eval.answering import answer_all, lacking_shards
from lavit_eval.batch_sizes import settled
from lavit_eval.claiming import changed_stack, claimed
from lavit_eval.costs import write_costs
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.interruption import Interruption
from lavit_eval.journal import Merged
from lavit_eval.judging import judge_run
from lavit_eval.preparation import PreparedTask
from lavit_eval.progress import Progress, Silence
from lavit_eval.prospect import Prospect, RunOptions, adopted, foresee
from lavit_eval.runs import Run
from lavit_eval.scoring import score_task

MOST_LISTED = 100


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


@dataclass(frozen=True, slots=True)
class Answered:
    """A run, or one shard of it, whose requests are answered but not scored."""

    run: Run
    existed: bool
    """Whether it was begun before."""
    scores: Mapping[str, Any] | None
    """Of a run that was finished before, which was left alone."""
    notices: tuple[str, ...] = ()


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
        UsageError: The run is in use, or is another one, or the disk is full, or a shard was asked for: `answer_run`.
    """
    if options.engine.shard is not None:
        raise UsageError("A shard answers its part and does not score; use answer_run, then score_run.")
    prospect = prospect or foresee(options)
    found = answer_run(prospect, progress, interruption)
    if found.scores is not None and prospect.options.judge is None:
        return Outcome(found.run, found.scores, "finished before")
    scores, unjudged = _judged(prospect, found.run, progress)
    if found.scores is not None:
        return Outcome(found.run, scores, "finished before", unjudged=unjudged)
    return Outcome(found.run, scores, "continued" if found.existed else "new", found.notices, unjudged)


def answer_run(
    prospect: Prospect, progress: Progress | None = None, interruption: Interruption | None = None
) -> Answered:
    """Answer what a run, or the shard of it that was asked for, still lacks; score nothing (raises as `evaluate`)."""
    if prospect.problems:
        raise PreflightError(prospect.problems)
    prospect = settled(prospect)
    with claimed(prospect) as (choice, writers):
        # Whoever began the run has settled what was left to the device.
        prospect = adopted(prospect, choice.run)
        if choice.scores is not None and not writers:
            return Answered(choice.run, True, choice.scores)
        notices = changed_stack(choice.run, prospect.options.model_options.device) if choice.exists else []
        for notice in notices:
            choice.run.log(notice)
        # Scores of a run that is answered again are stale from now on; they come back when it is scored.
        choice.run.scores_path.unlink(missing_ok=True)
        answer_all(prospect, choice.run, writers, progress or Silence(), interruption or Interruption())
    return Answered(choice.run, choice.exists, None, tuple(notices))


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
                merged = run.merged(name)
                entries = merged.entries
                absent = len(each.samples) * identity["repeats"] - len(entries)
                if absent:
                    raise UsageError(_unanswered(run, name, absent, prepared))
                labels = [*_labels(each, identity), *([f"protocol {under}"] if under else [])]
                tasks[name] = score_task(each, entries, identity["repeats"], run, labels, equipment, progress)
                tasks[name] |= _duplicates(run, name, merged)
                run.remove_leftovers(name)
            scores = {**_about(run), "tasks": tasks}
            # What was valued under this protocol before is not replaced by a refusal.
            if under is None or _has_values(tasks) or under not in run.protocols_scored:
                run.write_scores(scores, under)
            write_costs(run)
            run.log(f"scored in {time.monotonic() - began:.1f} s")
    except Timeout:
        raise UsageError(f"Another process is scoring run {run.id}; wait for it to end.") from None
    return {"schema": 1, **scores}


def _unanswered(run: Run, task: str, absent: int, prepared: Sequence[PreparedTask]) -> str:
    shards = lacking_shards(run, prepared)
    who = f" (of shards {', '.join(map(str, shards))})" if shards else ""
    return (
        f"Run {run.id} has no response to {absent} requests of {task} yet{who}; "
        "continue it with the command that began it."
    )


def _duplicates(run: Run, task: str, merged: Merged) -> dict[str, Any]:
    """Return what `scores.json` says of requests that two writers answered; nothing where all answers are equal."""
    if merged.duplicates:
        run.log(f"{task}: {merged.duplicates} responses stand twice, {len(merged.differing)} of them differ")
    if not merged.differing:
        return {}
    listed = [{"sample_id": name, "repeat": repeat, "attempt": attempt} for name, repeat, attempt in merged.differing]
    return {"differing_duplicates": {"count": len(listed), "first_counts": listed[:MOST_LISTED]}}


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
