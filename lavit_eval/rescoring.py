"""Scoring a run again from its journals, without its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavit_eval.digests import digest_json
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import Outcome, score_run
from lavit_eval.preparation import PreparedTask, prepare
from lavit_eval.registry import Catalogue, piece_versions
from lavit_eval.runs import Run
from lavit_eval.task import Task


def score_again(run: Run, catalogue: Catalogue, data_root: Path | None) -> Outcome:
    """Score a run by today's metrics, provided that its tasks still ask the same of the same data.

    Args:
        run: A run whose every request is answered.
        catalogue: Where the tasks are looked up; a task that is gone is taken from the run's manifest.
        data_root: The data root, when it moved since the run.

    Raises:
        UsageError: A task asks otherwise today, or the data are others, or responses are absent.
    """
    root = data_root or Path(run.manifest["data_root"])
    tasks = [_task(run, name, catalogue) for name in run.tasks]
    prepared, problems = prepare(tasks, root, run.identity["limit"], run.manifest["counts"], allow_missing=True)
    if problems:
        raise PreflightError(problems)
    _check_data(run, prepared)
    return Outcome(run, score_run(prepared, run), "finished before")


def _task(run: Run, name: str, catalogue: Catalogue) -> Task:
    stored = run.manifest["tasks"][name]
    task = catalogue.task(name) if name in catalogue.task_files else Task.model_validate(stored["fields"])
    if digest_json(task.asking(piece_versions([task]))) != stored["asking"]:
        raise UsageError(
            f"Task {name} asks otherwise today than run {run.id} did (data reader, prompt or decoding); "
            "run it again with lavit-eval run."
        )
    return task


def _check_data(run: Run, prepared: Sequence[PreparedTask]) -> None:
    for each in prepared:
        if each.data != run.identity["tasks"][each.task.task]["data"]:
            raise UsageError(
                f"The data of {each.task.task} are others than those that run {run.id} saw; "
                f"give the folder that holds them with --data-root (it was {run.manifest['data_root']})."
            )
