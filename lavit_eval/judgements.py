"""Which judge a run was judged by, and what its stored replies say of each answer; nobody is asked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from lavit_eval.digests import digest_json
from lavit_eval.judges.log import Judgement, read_judgements
from lavit_eval.judges.parsing import PARSER_VERSION, read
from lavit_eval.judges.protocol import Case, JudgeOptions, Verdict, case_key, judge_digest
from lavit_eval.judges.templates import READINGS, templates_for
from lavit_eval.registry import find
from lavit_eval.runs import Run
from lavit_eval.sample import JSON
from lavit_eval.task import Task

NO_JUDGE = "no judge"
"""Why a judged metric has no value in a run that was not judged."""
SHORT = 16
"""Digits of the digest in a file's name."""


def is_judged(metric: Any) -> bool:
    """Say whether a language model gives the scores of a metric (class or object)."""
    return hasattr(metric, "measure_judged")


def judged_metrics(task: Task) -> dict[str, Any]:
    """Return name -> class of the task's metrics whose scores a judge gives, in the task's order."""
    found = {name: find("metric", name) for name in task.metrics}
    return {name: metric for name, metric in found.items() if is_judged(metric)}


@dataclass(frozen=True)
class Bench:
    """A judge with the templates by which it was asked."""

    identity: Mapping[str, JSON]
    """Of the judge: all that can change a reply, beside the messages."""
    templates: Mapping[str, Mapping[str, JSON]]
    """Judgement -> name, version and content digest of its template."""

    @cached_property
    def judge(self) -> str:
        """What stands for the judge alone."""
        return judge_digest(self.identity)

    @cached_property
    def digest(self) -> str:
        """What stands for the judge and its templates."""
        return digest_json({"judge": dict(self.identity), "templates": {n: dict(t) for n, t in self.templates.items()}})

    def key(self, case: Case) -> str:
        """Return what the judgement of a case is stored under."""
        return case_key(self.judge, str(self.templates[case.judgement]["digest"]), case)

    def path(self, run: Run, task: str) -> Path:
        """Return the file of a task's judgements."""
        return run.task_folder(task) / f"judgements-{self.digest[:SHORT]}.jsonl"

    def about(self, judgement: str) -> dict[str, JSON]:
        """Return what must be equal for two judged scores to be compared."""
        template = self.templates[judgement]
        return {
            **self.identity,
            "template": template["template"],
            "template_version": template["version"],
            "template_digest": template["digest"],
        }


def bench_of(run: Run) -> Bench | None:
    """Return the judge that a run was judged by last, None where it was not."""
    judging = run.manifest.get("judging")
    if not judging:
        return None
    entry = judging["judges"][judging["current"]]
    return Bench(entry["identity"], entry["templates"])


def judgements_of(bench: Bench, run: Run, task: str, cases: Sequence[Case | None]) -> list[Judgement | None]:
    """Return what is stored of each case; None where there is no case, or nothing is stored."""
    stored = _stored(bench.path(run, task))
    return [None if case is None else stored.get(bench.key(case)) for case in cases]


def verdict(judgement: Judgement | None, case: Case) -> Verdict:
    """Return what one stored reply says."""
    if judgement is None:
        return Verdict(failed="not judged", missing=True)
    if judgement.refused is not None:
        return Verdict(failed=f"the judge {judgement.refused}", missing=True)
    return read(judgement.reply, READINGS[case.judgement])


def _stored(path: Path) -> Mapping[str, Judgement]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return {}
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, changed: int, size: int) -> Mapping[str, Judgement]:
    """Read a file once for all metrics of a task."""
    return read_judgements(path)


def judged_protocol(task_protocol: str, name: str, version: int, bench: Bench, judgement: str) -> str:
    """Return the digest of all that can change a judged score: task, metric, judge, template, and how replies are read.

    Args:
        task_protocol: Of the task, which judged metrics are no part of: they change no other score.
        name: Of the metric.
        version: Of the metric.
        bench: Who judged, and how.
        judgement: What the metric asks for.
    """
    read_as = {"parser": PARSER_VERSION, "reading": READINGS[judgement]}
    return digest_json([task_protocol, name, version, bench.about(judgement), read_as])


def judge_problems(options: JudgeOptions, tasks: Sequence[Task]) -> list[str]:
    """Return why a judge that was asked for cannot judge these tasks, one sentence each; it is asked one question."""
    from lavit_eval.errors import UsageError
    from lavit_eval.judges.asking import ping
    from lavit_eval.judges.opening import open_judge

    judgements = {metric.judgement for task in tasks for metric in judged_metrics(task).values()}
    if not judgements:
        return ["--judge-model names a judge, but none of these tasks has a judged metric; leave it out."]
    try:
        templates_for(judgements, options.templates)
        judge = open_judge(options)
    except UsageError as error:
        return [str(error)]
    try:
        # A local model is loaded only when it judges; that it is there was checked when it was opened.
        problem = ping(judge) if options.kind == "endpoint" else None
    finally:
        judge.close()
    return [problem] if problem else []
