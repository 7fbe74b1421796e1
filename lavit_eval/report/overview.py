"""What stands above the samples: the leaderboard, charts, history, failures, and why the paper's number is apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lavit_eval.leaderboard import NOTHING, Row, decimals_of, rounded, rows
from lavit_eval.published import Beside
from lavit_eval.report.charts import Estimate, History, Strip, history, strip
from lavit_eval.report.samples import TaskPages
from lavit_eval.runs import Run, all_runs

MOST_FAILURES = 100
"""Failures of a task that the page lists; the sample browser finds the others."""
MOST_RUNS = 40
MOST_CATEGORIES = 30


@dataclass(frozen=True, slots=True)
class Cell:
    """One run's value in the table."""

    value: str
    interval: str
    count: str
    coverage: str
    partial: bool
    skipped: str | None
    labels: tuple[str, ...]
    method: str | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One category."""

    name: str
    value: str
    interval: str
    """Its 95 % interval, empty where there is none."""
    n: int
    width: float
    """In percent of the whole."""
    base: float | None
    """The same of BASE."""


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of one task, with all that stands beside it."""

    task: str
    metric: str
    primary: bool
    unit: str
    arrow: str
    protocol: str
    run: Cell
    base: Cell | None
    difference: str
    verdict: str
    """`better`, `worse` or `same`; empty where the two cannot be compared."""
    apart: str
    """Why the two cannot be compared; empty where they can."""
    paper: Beside | None
    chart: Strip | None
    axes: list[tuple[str, list[Bar]]]
    more_categories: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One response that is not there."""

    sample_id: str
    repeat: int
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskOverview:
    """One task's part of the page."""

    number: int
    name: str
    request: str
    prompt: str
    about: str
    n: int
    answered: int
    failed: int
    skipped: int
    labels: tuple[str, ...]
    lines: list[Line]
    changes: Mapping[str, int] | None
    """How many samples are better, worse or the same as in BASE by the ordering metric."""
    ordering: str | None
    apart: str
    """Why the samples' scores say nothing against BASE's; empty where they do, and without BASE."""
    failures: list[Failure]
    history: History | None
    without_samples: str | None
    other: list[Line] = field(default_factory=list)
    """The same task under other protocols."""


@dataclass(frozen=True, slots=True)
class Past:
    """One run in a history."""

    id: str
    created: str
    scores: Mapping[str, Any]
    here: bool
    """Whether it is the report's own."""


@dataclass(frozen=True, slots=True)
class Board:
    """The scores that the page shows."""

    run: Mapping[str, Any]
    """Content of the run's `scores.json`."""
    base: Mapping[str, Any] | None
    under: Sequence[Mapping[str, Any]]
    """The run's scores under other protocols."""
    past: Sequence[Past]
    """Runs of the same model, oldest first, the report's own among them."""


def task_overview(pages: TaskPages, board: Board) -> TaskOverview:
    """Return everything that the page says of one task as a whole."""
    reading = pages.reading
    task, scores = reading.task, reading.scores
    lines = _lines(task.task, board.run, board.base)
    apart = next((line.apart for line in lines if line.metric == (pages.ordering or task.primary)), "")
    failures = [
        Failure(one["sample_id"], one["repeat"], one["outcome"], one["reason"] or "no reason was given")
        for one in scores["failures"][:MOST_FAILURES]
    ]
    return TaskOverview(
        number=pages.number,
        name=task.task,
        request=task.request.replace("_", " "),
        prompt=task.prompt,
        about=task.description,
        n=scores["n"],
        answered=scores["answered"],
        failed=scores["failed"],
        skipped=scores["skipped"],
        labels=tuple(scores["labels"]),
        lines=lines,
        changes=_changes(pages) if not apart else None,
        ordering=pages.ordering,
        apart=apart,
        failures=failures,
        history=_history(task.task, board),
        without_samples=reading.without_samples,
        other=[line for document in board.under for line in _lines(task.task, document, None)],
    )


def _lines(task: str, document: Mapping[str, Any] | None, base: Mapping[str, Any] | None) -> list[Line]:
    theirs = {row.metric: row for row in _rows_of(task, base)}
    return [_line(row, theirs.get(row.metric), document or {}, base) for row in _rows_of(task, document)]


def _rows_of(task: str, document: Mapping[str, Any] | None) -> list[Row]:
    if document is None or task not in document["tasks"]:
        return []
    return rows([{**document, "tasks": {task: document["tasks"][task]}}])


def _line(row: Row, other: Row | None, document: Mapping[str, Any], base: Mapping[str, Any] | None) -> Line:
    both = [row, *([other] if other is not None else [])]
    decimals = decimals_of(both)
    apart = _apart(row, other)
    difference, verdict = NOTHING, ""
    if other is not None and row.value is not None and other.value is not None and not apart:
        gap = round(row.value - other.value, decimals) + 0.0
        difference = f"{gap:+.{decimals}f}" if gap else "±0"
        verdict = "same" if not gap else "better" if (gap > 0) == row.higher_is_better else "worse"
    axes, more = _categories(row, document, base if other is not None and not apart else None)
    return Line(
        task=row.task,
        metric=row.metric,
        primary=row.primary,
        unit={"percent": "%", "x1": "", "x100": "× 100"}.get(row.unit, row.unit),
        arrow="↑" if row.higher_is_better else "↓",
        protocol=row.protocol[:8],
        run=_cell(row, decimals),
        base=_cell(other, decimals) if other is not None else None,
        difference=difference,
        verdict=verdict,
        apart=apart,
        paper=row.paper,
        chart=_chart(row, other, row.unit in ("percent", "x100")),
        axes=axes,
        more_categories=more,
    )


def _apart(row: Row, other: Row | None) -> str:
    if other is None:
        return ""
    names = {"protocol": "protocol", "data": "data", "task_n": "number of samples"}
    differing = [said for name, said in names.items() if getattr(row, name) != getattr(other, name)]
    return f"another {' and '.join(differing)}" if differing else ""


def _cell(row: Row, decimals: int) -> Cell:
    bounds = row.interval
    return Cell(
        value=rounded(row.value, decimals),
        interval=f"{rounded(bounds[0], decimals)} to {rounded(bounds[1], decimals)}" if bounds else "",
        count=f"{row.n:,}" if row.n == row.task_n else f"{row.n:,} of {row.task_n:,}",
        # Rounded down, so that 100 % means all.
        coverage=f"{int(row.coverage * 100)} %",
        partial=row.coverage < 1,
        skipped=row.skipped,
        labels=row.labels,
        method=row.interval_method,
    )


def _chart(row: Row, other: Row | None, hundred: bool) -> Strip | None:
    found = [_estimate(one, role) for one, role in ((row, "run"), (other, "base")) if one is not None]
    shown = [one for one in found if one is not None]
    if shown and row.paper is not None and row.paper.comparable:
        shown.append(Estimate(f"{row.paper.model}, paper", float(row.paper.value), None, "paper"))
    return strip(shown, hundred=hundred)


def _estimate(row: Row, role: str) -> Estimate | None:
    if row.value is None:
        return None
    decimals = decimals_of([row])
    name = f"{row.model}: {rounded(row.value, decimals)}"
    if row.interval is not None:
        name += f", 95 % interval {rounded(row.interval[0], decimals)} to {rounded(row.interval[1], decimals)}"
    return Estimate(name, row.value, row.interval, role)


def _categories(
    row: Row, document: Mapping[str, Any], base: Mapping[str, Any] | None
) -> tuple[list[tuple[str, list[Bar]]], int]:
    """Return the bars of each axis, and how many categories were left out."""
    own = document["tasks"][row.task]["metrics"][row.metric]["categories"]
    theirs = base["tasks"][row.task]["metrics"][row.metric]["categories"] if base else {}
    found: list[tuple[str, list[Bar]]] = []
    left_out = 0
    for axis, categories in own.items():
        parts = [(name, part) for name, part in categories.items() if part.get("value") is not None]
        parts.sort(key=lambda part: (-part[1]["n"], part[0]))
        left_out += max(0, len(parts) - MOST_CATEGORIES)
        most = 100.0 if row.unit in ("percent", "x100") else max((abs(part["value"]) for _, part in parts), default=1.0)
        bars = []
        for name, part in parts[:MOST_CATEGORIES]:
            other = theirs.get(axis, {}).get(name, {}).get("value")
            share = None if other is None else _share(other, most)
            decimals = decimals_of([row])
            ends = [rounded(part[end], decimals) for end in ("low", "high") if end in part]
            value, width = rounded(part["value"], decimals), _share(part["value"], most)
            bars.append(Bar(name, value, " to ".join(ends), int(part["n"]), width, share))
        if bars:
            found.append((axis.replace("_", " "), bars))
    return found, left_out


def _share(value: float, most: float) -> float:
    return round(min(100.0, 100 * max(0.0, value) / most), 1) if most else 0.0


def _changes(pages: TaskPages) -> dict[str, int] | None:
    if pages.base is None or pages.ordering is None:
        return None
    sign = 1 if pages.reading.scores["metrics"][pages.ordering]["higher_is_better"] else -1
    counts = {"better": 0, "same": 0, "worse": 0}
    for one, other in pages.pairs():
        if one is not None and other is not None:
            gap = sign * (one - other)
            counts["better" if gap > 0 else "worse" if gap < 0 else "same"] += 1
    return counts


def runs_of_the_model(run: Run) -> list[Past]:
    """Return the finished runs beside this one of a model of the same name, oldest first, this one among them."""
    beside = all_runs(run.folder.parent.parent) if run.folder.parent.name == "runs" else []
    name = run.identity["model"]["name"]
    found = [other for other in beside if other.scores_path.is_file() and other.identity["model"]["name"] == name]
    kept = found[-MOST_RUNS:]
    if all(other.folder != run.folder for other in kept):
        kept = [*kept, run]
    return [
        Past(other.id, str(other.manifest["created"]), other.scores() or {"tasks": {}}, other.folder == run.folder)
        for other in kept
    ]


def _history(task: str, board: Board) -> History | None:
    """Return the task's primary value over the runs that can be compared with this one; None for fewer than two."""
    mine = next((row for row in _rows_of(task, board.run) if row.primary), None)
    if mine is None or mine.value is None:
        return None
    shown: list[Estimate] = []
    here = -1
    for past in board.past:
        row = next((row for row in _rows_of(task, past.scores) if row.primary and row.group == mine.group), None)
        estimate = _estimate(row, "run") if row is not None else None
        if estimate is not None:
            here = len(shown) if past.here else here
            named = f"{past.created[:16].replace('T', ' ')}, {past.id}, {estimate.name}"
            shown.append(Estimate(named, estimate.value, estimate.interval, "run"))
    return history(shown, here) if len(shown) > 1 else None
