"""Scores over checkpoints or commits, and where they made a step that run-to-run noise does not explain.

A point is everything that was measured of one checkpoint (or commit). What differs within a point is noise: other
seeds, repeats. Steps are looked for against that noise alone, since all runs saw the same samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from lavit_eval.errors import UsageError, nearest
from lavit_eval.runs import Run, as_frame

if TYPE_CHECKING:
    import pandas

By = Literal["model", "commit"]
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Point:
    """One checkpoint or commit."""

    label: str
    key: str
    """Digest of the model, or the revision."""
    when: datetime
    """Of its first run."""
    runs: tuple[str, ...]
    values: tuple[float, ...]
    """One per seed and repeat."""

    @property
    def mean(self) -> float:
        """The mean over seeds and repeats."""
        return math.fsum(self.values) / len(self.values)


@dataclass(frozen=True, slots=True)
class Noise:
    """How far values of one checkpoint lie apart."""

    sd: float
    degrees: int
    """Of freedom: values minus points."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change that noise does not explain."""

    at: int
    """Index of the first point after it."""
    change: float
    """This point minus the mean of those since the last step."""
    better: bool
    p: float
    """Two-sided, corrected for the number of points."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that would be no history of the others."""

    run: str
    why: str


@dataclass(frozen=True, slots=True)
class Series:
    """The history of one metric of one task."""

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    points: tuple[Point, ...]
    """Oldest first."""
    noise: Noise | None
    """None where every point has a single value."""
    steps: tuple[Step, ...]
    left_out: tuple[LeftOut, ...]
    """Runs under another protocol or on other data than the newest, partial ones, and models without weights."""
    follows: str | None = None
    """Over commits: the one checkpoint whose runs these are."""


def history(runs: Sequence[Run], by: By, task: str | None = None, metric: str | None = None) -> list[Series]:
    """Return one series per task, of its primary metric or of the one named.

    Args:
        runs: Unfinished ones are passed over.
        by: Whether checkpoints move, or commits of the code (then of the checkpoint alone that was run last).
        task: Only this one.
        metric: This one instead of each task's primary metric; tasks without it are left out.

    Raises:
        UsageError: No run is finished, or none has this task or metric.
    """
    frame = as_frame(runs)
    if frame.empty:
        raise UsageError("There is no finished run to make a history of; make one: lavit-eval run")
    for column, named in (("task", task), ("metric", metric)):
        known = sorted(frame[column].unique())
        if named is not None and named not in known:
            raise UsageError(f"No run has the {column} {named!r}.{nearest(named, known)}")
    chosen = frame[frame["primary"]] if metric is None else frame[frame["metric"] == metric]
    if task is not None:
        chosen = chosen[chosen["task"] == task]
    chosen = chosen.sort_values(["created", "run"])
    return [_series(rows, by) for _, rows in chosen.groupby(["task", "metric"], sort=True)]


def _series(rows: pandas.DataFrame, by: By) -> Series:
    whole = rows[rows["value"].notna() & (rows["coverage"] >= 1)]
    # What a model without weights answers is no stage of any other; alone, it has a history of its own.
    learned = whole[~whole["prior"]]
    newest = next(found for found in (learned, whole, rows) if len(found)).iloc[-1]
    reasons = [_left_out_because(row, newest, by) for row in rows.to_dict("records")]
    kept = rows[[reason is None for reason in reasons]]
    points = _points(kept, by)
    noise = _noise(points)
    higher = bool(newest["higher_is_better"])
    return Series(
        task=str(newest["task"]),
        metric=str(newest["metric"]),
        unit=str(newest["unit"]),
        higher_is_better=higher,
        points=tuple(points),
        noise=noise,
        steps=tuple(steps(points, noise, higher)),
        left_out=tuple(
            LeftOut(str(run), why) for run, why in zip(rows["run"], reasons, strict=True) if why is not None
        ),
        follows=f"{newest['model']} @{str(newest['task_model'])[:8]}" if by == "commit" else None,
    )


def _left_out_because(row: Mapping[str, Any], newest: Mapping[str, Any], by: By) -> str | None:
    """Return why a run is no part of the history that ends with the newest one; None where it is."""
    if math.isnan(row["value"]):
        return f"no value: {row['skipped'] or 'nothing was scored'}"
    if row["coverage"] < 1:
        return f"partial: {row['n']} scored, {math.floor(1000 * row['coverage']) / 10:g} %"
    if row["prior"] and not newest["prior"]:
        return f"a model without weights: {row['model']}"
    for field, said in (("protocol", "another protocol"), ("data", "other data")):
        if row[field] != newest[field]:
            return f"{said}: {row[field][:8]}, not {newest[field][:8]}"
    if by == "commit" and row["task_model"] != newest["task_model"]:
        return f"another checkpoint: {row['model']} @{row['task_model'][:8]}"
    return None


def _points(rows: pandas.DataFrame, by: By) -> list[Point]:
    key = "task_model" if by == "model" else "revision"
    known = rows.assign(**{key: rows[key].fillna("unknown")})
    points = []
    for name, group in known.groupby(key, sort=False):
        # A run that repeats another's numbers with the same seed says nothing new: counted twice, it would make noise
        # look small. Where the same seed gave other numbers, that is noise as well.
        values = {}
        for row in group.to_dict("records"):
            repeats = [value for value in row["repeats"] if value is not None] or [row["value"]]
            values.update({(row["seed"], repeat, f"{value:.9g}"): value for repeat, value in enumerate(repeats)})
        first = group.iloc[0]
        label = str(first["model"]) if by == "model" else str(name)[:8]
        points.append(
            Point(label, str(name), first["created"].to_pydatetime(), tuple(group["run"]), tuple(values.values()))
        )
    return _told_apart(sorted(points, key=lambda point: (point.when, point.key)))


def _told_apart(points: list[Point]) -> list[Point]:
    from dataclasses import replace

    labels = [point.label for point in points]
    return [
        replace(point, label=f"{point.label} @{point.key[:8]}") if labels.count(point.label) > 1 else point
        for point in points
    ]


def _noise(points: Sequence[Point]) -> Noise | None:
    degrees = sum(len(point.values) - 1 for point in points)
    if degrees == 0:
        return None
    squares = math.fsum((value - point.mean) ** 2 for point in points for value in point.values)
    return Noise(math.sqrt(squares / degrees), degrees)


def steps(points: Sequence[Point], noise: Noise | None, higher_is_better: bool) -> list[Step]:
    """Return where a point differs from those since the last step by more than the noise explains.

    Student's t with the pooled noise, two-sided at 5 % over all points (Bonferroni).
    """
    if noise is None:
        return []
    found: list[Step] = []
    level: list[float] = []
    for at, point in enumerate(points):
        if level:
            change = point.mean - math.fsum(level) / len(level)
            p = min(1.0, _two_sided(change, noise, len(level), len(point.values)) * (len(points) - 1))
            if p < ALPHA:
                found.append(Step(at, change, (change > 0) == higher_is_better, p))
                level = []
        level += point.values
    return found


def _two_sided(change: float, noise: Noise, before: int, here: int) -> float:
    from scipy.special import stdtr

    error = noise.sd * math.sqrt(1 / before + 1 / here)
    if error <= 1e-12 * max(1.0, abs(change)):
        return 1.0 if abs(change) <= 1e-9 else 0.0
    return float(2 * stdtr(noise.degrees, -abs(change) / error))


def render(series: Sequence[Series]) -> str:
    """Return the series as text for the terminal."""
    lines: list[str] = []
    for one in series:
        of = f", commits of {one.follows}" if one.follows is not None else ""
        lines += [f"{one.task} · {one.metric} {'↑' if one.higher_is_better else '↓'}{of}"]
        at = {step.at: step for step in one.steps}
        width = max((len(point.label) for point in one.points), default=0)
        for place, point in enumerate(one.points):
            count = f"{len(point.values)} value{'s' if len(point.values) > 1 else ''}"
            about = f"{point.when:%Y-%m-%d %H:%M}  {point.label:{width}}  {point.mean:10.4f}"
            lines.append(f"  {about}  {count}{_marked(at.get(place))}")
        lines += [f"  {noise_of(one)}", *(f"  {line}" for line in absences(one)), ""]
    return "\n".join(lines)


def noise_of(one: Series) -> str:
    """Return what is known of the noise, in a sentence, and what follows for steps."""
    if one.noise is None:
        return (
            "NO STEP IS LOOKED FOR: each point has one value, so nothing is known of run-to-run noise; "
            "run with --repeats N, or again with another --seed"
        )
    known = f"run-to-run noise: sd {one.noise.sd:.4f} ({one.noise.degrees} degrees of freedom)"
    if one.noise.sd == 0:
        known += "; no spread was seen, so every change is called a step, which so few values hardly bear"
    return known if one.steps or len(one.points) < 2 else f"{known}; no change beyond it"


def absences(one: Series) -> list[str]:
    """Return which runs were left out, one line per reason."""
    by_reason: dict[str, list[str]] = {}
    for absent in one.left_out:
        by_reason.setdefault(absent.why, []).append(absent.run)
    return [f"left out ({why}): {', '.join(runs)}" for why, runs in by_reason.items()]


def _marked(step: Step | None) -> str:
    if step is None:
        return ""
    p = f"p {step.p:.2g}" if step.p > 0 else "no spread to weigh it by"
    return f"  STEP {step.change:+.4f} {'better' if step.better else 'worse'} ({p})"


def as_json(series: Sequence[Series]) -> dict[str, Any]:
    """Return the series with all points and steps."""
    from dataclasses import asdict

    records = []
    for one in series:
        record = asdict(one) | {"said": noise_of(one)}
        for point, stored in zip(one.points, record["points"], strict=True):
            stored |= {"when": point.when.isoformat(), "mean": point.mean}
        records.append(record)
    return {"schema": 1, "series": records}
