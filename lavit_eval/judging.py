"""Judging the answers of a run: what is stored already is not asked again, what is asked is stored at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from lavit_eval.errors import UsageError
from lavit_eval.judgements import NO_JUDGE, Bench, judged_metrics, verdict
from lavit_eval.judges.asking import Asking, Question, Tally
from lavit_eval.judges.log import Judgement, JudgementLog, all_judgements, cache_path, read_judgements
from lavit_eval.judges.opening import open_judge
from lavit_eval.judges.protocol import Case, Judge, JudgeOptions
from lavit_eval.judges.templates import Template, templates_for
from lavit_eval.preparation import PreparedTask
from lavit_eval.progress import Progress, Silence
from lavit_eval.runs import Run
from lavit_eval.sample import JSON
from lavit_eval.scoring import answered

WHAT = "judgements"


@dataclass(slots=True)
class TaskJudging:
    """What judging one task came to."""

    task: str
    judgements: int
    """Distinct things to be judged: equal answers to equal questions are judged once."""
    asked: int = 0
    from_cache: int = 0
    tally: Tally = field(default_factory=Tally)
    usage: dict[str, JSON] = field(default_factory=dict)
    """Of the run's whole file, earlier commands included."""

    def __str__(self) -> str:
        had = self.judgements - self.asked - self.from_cache
        parts = [f"{self.asked:,} asked"]
        parts += [f"{self.from_cache:,} from the cache"] if self.from_cache else []
        parts += [f"{had:,} there already"] if had else []
        lost = {"could not be read": self.tally.unreadable, "refused": self.tally.refused}
        lost |= {"not answered": len(self.tally.unanswered)}
        parts += [f"{count:,} {what}" for what, count in lost.items() if count]
        return f"{self.task}: {self.judgements:,} judgements ({', '.join(parts)})"


def judge_run(
    prepared: Sequence[PreparedTask], run: Run, options: JudgeOptions, progress: Progress | None = None
) -> list[TaskJudging]:
    """Judge every answer of a run that its judged metrics want judged; note judge, tokens and cost in its manifest.

    Args:
        prepared: The tasks; those without judged metrics are passed over.
        run: Every request is answered.
        options: Which judge, and how it is asked.
        progress: Told how far it is.

    Raises:
        UsageError: Another process judges the run, a template is bad, or the judge answers nobody (what it said before
            is kept).
    """
    wanted = [each for each in prepared if judged_metrics(each.task)]
    if not wanted:
        return []
    judgements = {metric.judgement for each in wanted for metric in judged_metrics(each.task).values()}
    templates = templates_for(judgements, options.templates)
    judge = open_judge(options)
    try:
        bench = Bench(judge.identity(), {name: template.about() for name, template in templates.items()})
        with _alone(run):
            bailiffs = [_Bailiff(each, run, bench, templates, judge, options) for each in wanted]
            found = [bailiff.judge(progress or Silence()) for bailiff in bailiffs]
            _note(run, bench, options, found)
    finally:
        judge.close()
    for one in found:
        run.log(str(one))
    return found


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Let one process at a time judge a run."""
    from filelock import FileLock, Timeout

    lock = FileLock(run.folder / "judging.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(f"Another process is judging run {run.id}; wait for it to end.") from None
    except OSError as error:
        raise UsageError(f"{run.folder} cannot be written ({error.strerror}); mend that and repeat.") from error
    try:
        yield
    finally:
        lock.release()


class _Bailiff:
    """Judges one task."""

    def __init__(
        self,
        prepared: PreparedTask,
        run: Run,
        bench: Bench,
        templates: Mapping[str, Template],
        judge: Judge,
        options: JudgeOptions,
    ) -> None:
        self._prepared, self._run, self._bench = prepared, run, bench
        self._templates, self._judge, self._options = templates, judge, options
        self._path = bench.path(run, prepared.task.task)

    def judge(self, progress: Progress) -> TaskJudging:
        cases = {self._bench.key(case): case for case in self._cases()}
        found = TaskJudging(self._prepared.task.task, len(cases))
        stored = read_judgements(self._path)
        with JudgementLog(self._path) as log:
            before = self._elsewhere()
            for key, case in cases.items():
                if key not in stored and key in before and not self._wants(before[key], case):
                    stored[key] = replace(before[key], cached=True)
                    log.append(stored[key])
                    found.from_cache += 1
            todo = [key for key, case in cases.items() if self._wants(stored.get(key), case)]
            found.asked = len(todo)
            if todo:
                progress.begin(found.task, len(cases), len(cases) - len(todo), WHAT)
                try:
                    found.tally = self._ask([self._question(key, cases[key]) for key in todo], log, progress)
                finally:
                    progress.end()
        found.usage = _usage(all_judgements(self._path))
        return found

    def _cases(self) -> Iterable[Case]:
        scored = answered(self._prepared, self._run)
        samples, texts = [one.sample for one in scored], [one.text for one in scored]
        seen = set()
        for metric in judged_metrics(self._prepared.task).values():
            # Metrics that look at the same replies differ in what they count only, not in their cases.
            if (of := (metric.judgement, metric.cases)) not in seen:
                seen.add(of)
                yield from (case for case in metric().cases(samples, texts) if case is not None)

    def _wants(self, stored: Judgement | None, case: Case) -> bool:
        return stored is None or (self._options.retry_failed and verdict(stored, case).failed is not None)

    def _elsewhere(self) -> dict[str, Judgement]:
        """Return what this judge said in other runs, or in this one by other templates."""
        found = read_judgements(cache_path(self._bench.judge), strict=False)
        for path in sorted(self._path.parent.glob("judgements-*.jsonl")):
            if path != self._path:
                found |= read_judgements(path, strict=False)
        return found

    def _question(self, key: str, case: Case) -> Question:
        template = self._templates[case.judgement]
        return Question(key, template.messages(case), self._options.max_tokens or template.max_tokens, template.reading)

    def _ask(self, questions: Sequence[Question], log: JudgementLog, progress: Progress) -> Tally:
        cache = _opened_cache(self._bench.judge)

        def keep(judgement: Judgement) -> None:
            log.append(judgement)
            if cache is not None:
                # A cache that cannot be written costs later runs, not this one.
                with suppress(UsageError):
                    cache.append(judgement)

        try:
            return Asking(self._judge, self._options.attempts, keep).ask(questions, progress.advance)
        finally:
            if cache is not None:
                cache.close()


def _opened_cache(judge: str) -> JudgementLog | None:
    try:
        return JudgementLog(cache_path(judge))
    except UsageError:
        return None


def _usage(every: Sequence[Judgement]) -> dict[str, JSON]:
    """Return what the lines of a file cost; those from the cache nothing, those that were asked again every time."""
    paid = [one for one in every if not one.cached]
    return {
        "judgements": len({one.key for one in every}),
        "from_cache": len(every) - len(paid),
        "requests": sum(one.requests for one in paid),
        "prompt_tokens": sum(one.prompt_tokens or 0 for one in paid),
        "completion_tokens": sum(one.completion_tokens or 0 for one in paid),
        "judgements_without_count": sum(one.prompt_tokens is None or one.completion_tokens is None for one in paid),
    }


def _note(run: Run, bench: Bench, options: JudgeOptions, found: Sequence[TaskJudging]) -> None:
    """Write judge, templates, tokens and cost into the manifest; nothing that is secret is known here."""
    judging: dict[str, Any] = run.manifest.get("judging") or {"judges": {}}
    former = judging["judges"].get(bench.digest, {})
    usage = {**former.get("usage", {}), **{one.task: one.usage for one in found}}
    prices = options.prices or former.get("prices_per_million_tokens")
    entry = {
        "identity": dict(bench.identity),
        "url": options.url if options.kind == "endpoint" else None,
        "templates": {name: dict(about) for name, about in bench.templates.items()},
        "concurrency": options.concurrency,
        "attempts": options.attempts,
        "usage": usage,
        "prices_per_million_tokens": list(prices) if prices else None,
        "cost": _cost(usage.values(), prices),
        "judged": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    run.add_to_manifest({"judging": {"current": bench.digest, "judges": {**judging["judges"], bench.digest: entry}}})


def _cost(usage: Iterable[Mapping[str, Any]], prices: Sequence[float] | None) -> float | None:
    """Return the sum in the user's currency; None without prices, or where the server did not count every token."""
    parts = list(usage)
    if prices is None or any(part["judgements_without_count"] for part in parts):
        return None
    tokens = [sum(part[name] for part in parts) for name in ("prompt_tokens", "completion_tokens")]
    return float(sum(count * price / 1e6 for count, price in zip(tokens, prices, strict=True)))


def say_judged(run: Run, scores: Mapping[str, Any], unjudged: str | None = None) -> bool:
    """Say which judgements failed, and what has not been judged; return whether those that were asked for succeeded.

    Args:
        run: Was scored.
        scores: The content of its `scores.json`.
        unjudged: Why the judge that was asked for did not judge.
    """
    if unjudged:
        print(unjudged, file=sys.stderr)
    failed: dict[str, list[str]] = {}
    for task, scored in scores["tasks"].items():
        for metric, score in scored["metrics"].items():
            lacks = score.get("details", {}).get("judgements") or {}
            if lacks.get("failed"):
                count = f"{lacks['failed']:,} of {lacks['wanted']:,} judgements failed ({lacks['why']})"
                failed.setdefault(f"{task}: {count}", []).append(metric)
    lacking = [f"{', '.join(metrics)} of {said}" for said, metrics in failed.items()]
    for line in lacking:
        print(line, file=sys.stderr)
    if lacking:
        print(f"Ask again: lavit-eval judge {run.folder} --retry-failed --judge-model ...", file=sys.stderr)
    tasks = [
        task
        for task, scored in scores["tasks"].items()
        if any(score.get("skipped") == NO_JUDGE for score in scored["metrics"].values())
    ]
    if tasks and not scores.get("demo"):
        command = f"lavit-eval judge {run.folder} --judge-model NAME"
        print(f"Not judged: {', '.join(tasks)}; judge it: {command}", file=sys.stderr)
    return not lacking and not unjudged
