"""One side of a comparison: a finished run, or what a baseline keeps of one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavit_eval.data_files import data_folder
from lavit_eval.errors import UsageError
from lavit_eval.journal import entries_of
from lavit_eval.runs import SCORES_KEYS, Run, mending, open_run
from lavit_eval.sample import JSON, MAKING
from lavit_eval.score_file import BaselineFile, wrong_in

if TYPE_CHECKING:
    from lavit_eval.paired_samples import Samples

BASELINE = "lavit-eval baseline"
BASELINE_SCHEMA = 1
MAKE_ANEW = "make it anew: lavit-eval baseline accept RUN"
BASELINE_KEYS = frozenset({"name", "run", "identity", "model", "tasks", "scores", "samples"})


@dataclass(frozen=True)
class Side:
    """What is known of a run, whether its folder is here or not."""

    name: str
    """The run's id, or the baseline's name."""
    identity: Mapping[str, JSON]
    model: Mapping[str, JSON]
    """Name, label and identity, as the manifest holds them."""
    fields: Mapping[str, Mapping[str, JSON]]
    """Task -> its `fields` and the digest of what it asks."""
    scores: Mapping[str, Any]
    """The content of `scores.json`."""
    code: Mapping[str, JSON] = field(default_factory=dict)
    run: Run | None = None
    stored: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Task -> the samples that a baseline keeps, of the primary metric."""
    path: Path | None = None
    """A baseline's file."""
    created: str = ""
    """When the run began (ISO 8601)."""
    hidden: Path | None = None
    """A shipped baseline of the same name that the output folder's hides."""
    by: str | None = None
    """The metric that is looked at in the place of the primary one, in the tasks that have it."""

    @property
    def label(self) -> str:
        """What the model is called, and where its scores come from."""
        return f"{self.model.get('label') or self.model['name']} ({self.name})"

    @property
    def origin(self) -> str:
        """Which folder or file this was read from."""
        found = str(self.run.folder if self.run is not None else self.path or "")
        return f"{found}, which hides the shipped {self.hidden}" if self.hidden is not None else found

    @property
    def mend(self) -> str:
        """What the sentence about a damaged file ends with: the command that mends it."""
        return mending(self.run) if self.run is not None else MAKE_ANEW

    @cached_property
    def tasks(self) -> list[str]:
        """Names of the scored tasks."""
        return list(self.scores["tasks"])

    def task(self, name: str) -> Mapping[str, Any]:
        """Return a task's part of `scores.json`."""
        found: Mapping[str, Any] = self.scores["tasks"][name]
        return found

    def metric(self, task: str) -> str:
        """Return the metric that a task is compared by: its primary one, unless another was named."""
        scored = self.task(task)
        return self.by if self.by is not None and self.by in scored["metrics"] else str(scored["primary"])

    def score(self, task: str) -> Mapping[str, Any]:
        """Return the score of the metric that a task is compared by."""
        found: Mapping[str, Any] = self.task(task)["metrics"][self.metric(task)]
        return found

    def kind(self, task: str) -> str:
        """Return the kind of request that a task makes."""
        try:
            return str(self.fields[task]["fields"]["request"])
        except (KeyError, TypeError):
            raise UsageError(f"{self.origin}: nothing tells what {task} asks; {self.mend}") from None

    def model_for(self, task: str) -> Mapping[str, JSON]:
        """Return what identifies the model where it is asked this task's kind of request alone."""
        by_kind: Mapping[str, Mapping[str, JSON]] = self.model.get("identity_by_kind", {})
        identity: Mapping[str, JSON] = by_kind.get(self.kind(task), self.model.get("identity", {}))
        return {"name": self.model["name"], **identity}

    def batch_size(self, task: str) -> JSON:
        """Return how many requests of a task shared a batch, by buckets where there are several.

        Where the device decided, that stands in the manifest; of a baseline only "auto" is known then.
        """
        planned = {} if self.run is None else self.run.manifest.get("plan", {}).get(task, {})
        return planned.get("buckets") or planned.get("batch_size") or self.identity.get("batch_size")

    def stage_batches(self, task: str) -> JSON:
        """Return how many requests of a task went through each stage of making together, as `batch_size` does."""
        planned = {} if self.run is None else self.run.manifest.get("plan", {}).get(task, {})
        return planned.get("stage_batches") or self.identity.get("stage_batches")

    def samples(self, task: str, metric: str) -> Samples:
        """Return the samples of a task as one metric scored them (raises UsageError when their file is unusable)."""
        from lavit_eval.paired_samples import check_against, samples_of

        if self.run is None:
            return _unpacked(self.stored.get(task), metric, f"{self.name}: {task}")
        records = self.run.records(task)
        if len(records) < self.task(task)["answered"]:
            raise UsageError(
                f"{self.name}: {task}: samples.jsonl holds {len(records)} of {self.task(task)['answered']} samples; "
                f"{self.mend}"
            )
        try:
            found = samples_of(records, metric)
        except (KeyError, TypeError, ValueError) as error:
            path = self.run.task_folder(task) / "samples.jsonl"
            raise UsageError(f"{path}: its records are damaged ({error!r}); {self.mend}") from error
        score, repeats = self.task(task)["metrics"][metric], int(self.identity["repeats"])
        check_against(found, score, repeats, f"{self.name}: {task}", self.mend)
        return found

    def answers(self, task: str, sample_ids: Collection[str]) -> dict[str, str]:
        """Return sample id -> what was answered in the first repeat, as far as it is known here."""
        if self.run is None or self.kind(task) in MAKING:
            return {}
        found = entries_of(self.run.task_folder(task), sample_ids)
        return {sample_id: entry.response.text or "" for (sample_id, repeat), entry in found.items() if repeat == 0}


def side_of_run(run: Run) -> Side:
    """Return a finished run as a side (raises UsageError when it is not finished)."""
    scores, manifest = run.scores(), run.manifest
    if scores is None:
        raise UsageError(f"Run {run.id} is not finished; continue it with the command that began it.")
    _check_tasks(scores, manifest["tasks"], f"{run.scores_path}", mending(run))
    return Side(
        name=run.id,
        identity=run.identity,
        model=manifest["model"],
        fields=manifest["tasks"],
        scores=scores,
        code=manifest.get("code", {}),
        run=run,
        created=manifest["created"],
    )


def open_side(named: Path, output: Path) -> Side:
    """Return the run or the baseline of that name.

    Args:
        named: A run's folder or id, or a baseline's file or name.
        output: Folder of `runs/` and `baselines/`; baselines that ship with the package are found as well.

    Raises:
        UsageError: There is none, or it is unfinished or of another version.
    """
    for folder in (named, output / "runs" / named):
        if (folder / "manifest.json").is_file():
            return side_of_run(open_run(folder.resolve()))
    shipped = data_folder("results/baselines") / f"{named}.json"
    files = [named, output / "baselines" / f"{named}.json", shipped]
    for path in files:
        if path.is_file():
            hides = path == files[1] and shipped.is_file() and not path.samefile(shipped)
            return replace(read_baseline(path), hidden=shipped if hides else None)
    raise UsageError(
        f"There is no run at {named} or {output / 'runs' / named}, and no baseline {files[1]}; "
        "list the runs: lavit-eval runs, or make a baseline: lavit-eval baseline accept RUN"
    )


def read_baseline(path: Path) -> Side:
    """Read a baseline (raises UsageError for anything else)."""
    mend = MAKE_ANEW
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); {mend}") from error
    if not isinstance(document, dict) or document.get("kind") != BASELINE:
        raise UsageError(f"{path} is no baseline; {mend}")
    scores = document.get("scores")
    known = document.get("schema") == BASELINE_SCHEMA and document.keys() >= BASELINE_KEYS
    if not known or not isinstance(scores, dict) or not scores.keys() >= SCORES_KEYS:
        raise UsageError(f"{path} was written by another version of lavit-eval; {mend}")
    wrong = wrong_in(BaselineFile, document)
    if wrong is not None:
        raise UsageError(f"{path} is damaged ({wrong}); {mend}")
    _check_tasks(scores, document["tasks"], str(path), mend)
    return Side(
        name=f"baseline {document['name']}",
        identity=document["identity"],
        model=document["model"],
        fields=document["tasks"],
        scores=scores,
        code=document["run"].get("code", {}),
        stored=document["samples"],
        path=path,
        created=document["run"]["created"],
    )


def _check_tasks(scores: Mapping[str, Any], fields: Mapping[str, JSON], where: str, mend: str) -> None:
    """Raise UsageError where the scores are of tasks that nothing else is known of."""
    for task in scores["tasks"]:
        if task not in fields:
            raise UsageError(f"{where}: the scores of {task} are damaged (nothing tells what was asked); {mend}")


def packed(samples: Samples, metric: str) -> dict[str, JSON]:
    """Return samples as a baseline keeps them: lists, each cluster's name once."""
    names = list(dict.fromkeys(samples.clusters.values()))
    places = {name: place for place, name in enumerate(names)}
    return {
        "metric": metric,
        "ids": list(samples.clusters),
        "cluster_names": names,
        "clusters": [places[name] for name in samples.clusters.values()],
        "scores": samples.scores.tolist(),
        **({} if samples.sums is None else {"sums": samples.sums.tolist()}),
        **({} if samples.parts is None else {"parts": samples.parts.tolist()}),
    }


def _unpacked(stored: Mapping[str, Any] | None, metric: str, where: str) -> Samples:
    import numpy as np

    from lavit_eval.paired_samples import Samples

    if stored is None or stored["metric"] != metric:
        kept = "nothing" if stored is None else stored["metric"]
        raise UsageError(f"{where}: it keeps the samples of {kept}, not of {metric}; accept a run anew.")
    try:
        names = stored["cluster_names"]
        clusters = {sample_id: names[place] for sample_id, place in zip(stored["ids"], stored["clusters"], strict=True)}
        scores = np.asarray(stored["scores"], dtype=np.float64)
        sums = np.asarray(stored["sums"], dtype=np.float64) if "sums" in stored else None
        parts = np.asarray(stored["parts"], dtype=np.float64) if "parts" in stored else None
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UsageError(f"{where}: its samples are damaged ({error}); accept a run anew.") from error
    lengths = {len(one) for one in (scores, sums, parts) if one is not None}
    if lengths != {len(clusters)} or (sums is not None and sums.ndim != 2):
        raise UsageError(f"{where}: its samples are damaged (lists of different lengths); accept a run anew.")
    return Samples(clusters, scores, sums, parts)
