"""Geometry of the small charts: numbers to coordinates, drawn by the template as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 320
"""Of every chart, in its own units; the page scales it."""
MARGIN = 12
HISTORY_HEIGHT = 96
_TOP, _BOTTOM = 10, 22


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, as drawn."""

    name: str
    value: float
    interval: tuple[float, float] | None
    role: str
    """`run`, `base` or `paper`."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One estimate within a strip."""

    name: str
    role: str
    x: float
    left: float | None
    right: float | None
    y: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Values of one metric on one axis."""

    marks: list[Mark]
    ticks: list[Tick]
    height: float


@dataclass(frozen=True, slots=True)
class Point:
    """One run in a history."""

    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    here: bool
    """Whether this is the run that the report is about."""


@dataclass(frozen=True, slots=True)
class History:
    """One metric over runs."""

    points: list[Point]
    ticks: list[Tick]
    path: str
    """The line through the points, as an SVG `points` attribute."""


def strip(estimates: Sequence[Estimate], *, hundred: bool) -> Strip | None:
    """Return the estimates on one axis, each on its own line; None without any.

    Args:
        estimates: In the order from above.
        hundred: Whether the metric's scale is 0 to 100, which the axis then shows whole.
    """
    if not estimates:
        return None
    low, high = (0.0, 100.0) if hundred else _span(estimates)
    ends: list[float] = [end for one in estimates for end in (one.value, *(one.interval or ()))]
    low, high = min(low, *ends), max(high, *ends)
    ticks = _ticks(low, high)

    def x(value: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low), 1)

    marks = []
    for line, one in enumerate(estimates):
        left, right = (x(one.interval[0]), x(one.interval[1])) if one.interval else (None, None)
        marks.append(Mark(one.name, one.role, x(one.value), left, right, _TOP + 14.0 * line))
    return Strip(marks, [Tick(x(tick), f"{tick:g}") for tick in ticks], _TOP + 14.0 * len(marks) + 14)


def history(estimates: Sequence[Estimate], here: int) -> History:
    """Return estimates as points from left to right; `here` is the place of the report's own run."""
    low, high = _span(estimates)

    def y(value: float) -> float:
        return round(_TOP + (HISTORY_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low), 1)

    step = (WIDTH - 60) / max(1, len(estimates) - 1)
    points = []
    for place, one in enumerate(estimates):
        lower, upper = (y(one.interval[0]), y(one.interval[1])) if one.interval else (None, None)
        x = round(48 + step * place, 1)
        points.append(Point(one.name, x, y(one.value), lower, upper, place == here))
    ticks = [Tick(y(tick), f"{tick:g}") for tick in _ticks(low, high)]
    return History(points, ticks, " ".join(f"{point.x},{point.y}" for point in points))


def _span(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """Return the least and greatest drawn value with some room around; never two equal numbers."""
    ends: list[float] = [end for one in estimates for end in (one.value, *(one.interval or ()))]
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return (0.0 if low >= 0 > low - room else low - room), high + room


def _ticks(low: float, high: float) -> list[float]:
    """Return two to six round numbers from low to high."""
    rough = (high - low) / 4
    power = float(10.0 ** math.floor(math.log10(rough)))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{number * step:.6g}") + 0.0 for number in range(first, last + 1)]
