"""Scoring a run again from its journals, without its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lavit_eval.digests import digest_json
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import Outcome, score_run
from lavit_eval.features.equipment import Equipment
from lavit_eval.metrics.feature_metric import Need
from lavit_eval.metrics.feature_protocol import FeatureProtocol, load_protocol
from lavit_eval.preparation import PreparedTask, prepare
from lavit_eval.progress import Progress
from lavit_eval.recipes import feature_metrics
from lavit_eval.registry import Catalogue, piece_versions
from lavit_eval.runs import Run
from lavit_eval.task import Subset, Task


@dataclass(frozen=True, slots=True)
class Again:
    """How a run is scored again."""

    catalogue: Catalogue
    """Where the tasks are looked up; a task that is gone is taken from the run's manifest."""
    data_root: Path | None = None
    """The data root, when it moved since the run."""
    equipment: Equipment = field(default_factory=Equipment)
    progress: Progress | None = None


def score_again(run: Run, again: Again) -> Outcome:
    """Score a run by today's metrics, provided that its tasks still ask the same of the same data.

    Raises:
        UsageError: A task asks otherwise today, or the data are others, or responses are absent.
    """
    tasks = [today(run, name, again.catalogue) for name in run.tasks]
    prepared = prepare_again(run, tasks, again)
    return Outcome(run, score_run(prepared, run, again.equipment, again.progress), "finished before")


def score_under(run: Run, named: str, again: Again) -> Outcome:
    """Score those metrics of a run that a protocol applies to under it; the run's own scores stay as they are.

    Args:
        run: A run whose every request is answered.
        named: The name of a protocol, or a YAML file of one.
        again: As in `score_again`.

    Raises:
        UsageError: As `score_again`; or the protocol is unknown, or applies to no metric of the run.
    """
    protocol = load_protocol(named)
    tasks = [under(today(run, name, again.catalogue), protocol, named) for name in run.tasks]
    chosen = [task for task in tasks if task is not None]
    if not chosen:
        raise UsageError(
            f"The protocol {protocol.protocol} (features of {protocol.network}) applies to no metric of run {run.id}; "
            f"its tasks are {', '.join(run.tasks)}."
        )
    prepared = prepare_again(run, chosen, again)
    scores = score_run(prepared, run, again.equipment, again.progress, under=protocol.protocol)
    return Outcome(run, scores, "finished before")


def under(task: Task, protocol: FeatureProtocol, named: str) -> Task | None:
    """Return a task with those metrics alone that a protocol applies to, under it; None where there are none."""
    fitting = [
        name
        for name, metric in feature_metrics(task).items()
        if metric.network == protocol.network
        and metric.weights in (None, protocol.weights)
        # A metric that compares with real media takes no recipe without them, and the other way round.
        and (protocol.real is not None) == ("real" in {need.role for need in _default_needs(metric)})
    ]
    if not fitting:
        return None
    primary = task.primary if task.primary in fitting else fitting[0]
    changed = {"metrics": tuple(fitting), "primary": primary, "protocols": dict.fromkeys(fitting, named)}
    return task.model_copy(update=changed)


def _default_needs(metric: Any) -> list[Need]:
    found = metric()
    return list(found.needs(load_protocol(found.default_protocol)).values())


def today(run: Run, name: str, catalogue: Catalogue) -> Task:
    """Return a run's task as it is today (raises UsageError when it asks otherwise than it did)."""
    stored = run.manifest["tasks"][name]
    task = catalogue.task(name) if name in catalogue.task_files else Task.model_validate(stored["fields"])
    if digest_json(task.asking(piece_versions([task]))) != stored["asking"]:
        raise UsageError(
            f"Task {name} asks otherwise today than run {run.id} did (data reader, prompt or decoding); "
            "run it again with lavit-eval run."
        )
    # A suite may have taken a part of the samples, which the task by itself does not say.
    part = stored["fields"].get("subset")
    return task.model_copy(update={"subset": part and Subset.model_validate(part)})


def prepare_again(run: Run, tasks: Sequence[Task], again: Again) -> list[PreparedTask]:
    """Return the tasks with their samples, which must be those that the run saw (raises UsageError)."""
    root = again.data_root or Path(run.manifest["data_root"])
    hub = {} if again.data_root is not None else run.manifest.get("hub", {})
    roots = {name: Path(copy["root"]) for name, copy in hub.items()}
    limit, counts = run.identity["limit"], run.manifest["counts"]
    prepared, problems = prepare(tasks, root, limit, counts, allow_missing=True, roots=roots)
    if problems:
        raise PreflightError(problems)
    for each in prepared:
        if each.data != run.identity["tasks"][each.task.task]["data"]:
            raise UsageError(
                f"The data of {each.task.task} are others than those that run {run.id} saw; "
                f"give the folder that holds them with --data-root (it was {run.manifest['data_root']})."
            )
    return prepared
