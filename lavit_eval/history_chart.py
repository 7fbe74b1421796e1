"""Charts of score histories: SVG in one HTML page that needs nothing else, and a PNG."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from lavit_eval.history import Series, absences, noise_of

WIDTH, HEIGHT = 880, 240
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 34, 46
BETTER, WORSE, LINE, VALUE, GRID = "#1a7f37", "#cf222e", "#0969da", "#8c959f", "#d0d7de"
LONGEST_LABEL = 18
STYLE = """
:root { color-scheme: light dark; } body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem; } svg { width: 100%; height: auto; } svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
"""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values lie in a chart."""

    low: float
    high: float
    count: int

    def x(self, place: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / self.count

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * part / 4 for part in range(5)]


def page(series: Sequence[Series]) -> str:
    """Return one HTML page with a chart per series; every name is escaped."""
    parts = []
    for one in series:
        title = f"{one.task} · {one.metric}"
        told = [*([f"commits of {one.follows}"] if one.follows is not None else []), noise_of(one), *absences(one)]
        notes = "".join(f"<p>{html.escape(line)}</p>" for line in told)
        parts.append(f"<section><h2>{html.escape(title)}</h2>{svg(one)}{notes}</section>")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
    return (
        f"<!doctype html><html lang=en><head>{head}<title>History</title></head><body>{''.join(parts)}</body></html>\n"
    )


def svg(one: Series) -> str:
    """Return a series as SVG: every value a dot, means joined, steps marked with their size."""
    if not one.points:
        return "<p>No complete run.</p>"
    frame = _frame(one)
    title = html.escape(f"{one.task}, {one.metric}: {len(one.points)} points, {len(one.steps)} steps")
    drawn = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">']
    for tick in frame.ticks:
        y = frame.y(tick)
        drawn.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    line = " ".join(f"{frame.x(place):.1f},{frame.y(point.mean):.1f}" for place, point in enumerate(one.points))
    drawn.append(f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    for place, point in enumerate(one.points):
        x = frame.x(place)
        drawn += [f'<circle cx="{x:.1f}" cy="{frame.y(v):.1f}" r="2.5" fill="{VALUE}"/>' for v in point.values]
        said = html.escape(f"{point.label}: {point.mean:.6g} ({point.when:%Y-%m-%d %H:%M})")
        drawn.append(
            f'<circle cx="{x:.1f}" cy="{frame.y(point.mean):.1f}" r="4" fill="{LINE}"><title>{said}</title></circle>'
        )
        if _shows_label(place, frame.count):
            label = html.escape(_short(point.label))
            drawn.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>')
    for step in one.steps:
        x, colour = (frame.x(step.at - 1) + frame.x(step.at)) / 2, BETTER if step.better else WORSE
        drawn.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="{colour}"/>'
            f'<text x="{x:.1f}" y="{TOP - 6}" text-anchor="middle" style="fill:{colour}">{step.change:+.4g}</text>'
        )
    return "".join([*drawn, "</svg>"])


def png(series: Sequence[Series]) -> bytes:
    """Return the charts one below the other as a PNG."""
    from PIL import Image, ImageDraw, ImageFont

    drawn = [one for one in series if one.points]
    picture = Image.new("RGB", (WIDTH, max(1, len(drawn)) * (HEIGHT + 20)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for number, one in enumerate(drawn):
        top, frame = number * (HEIGHT + 20) + 20, _frame(one)
        noise = "" if one.noise is not None else ": noise unknown, no step is looked for"
        draw.text((10, top - 16), _drawable(f"{one.task} / {one.metric}{noise}"), "black", font)
        for tick in frame.ticks:
            y = top + frame.y(tick)
            draw.line([(LEFT, y), (WIDTH - RIGHT, y)], GRID)
            draw.text((LEFT - 6, y), f"{tick:.4g}", "black", font, anchor="rm")
        means = [(frame.x(place), top + frame.y(point.mean)) for place, point in enumerate(one.points)]
        draw.line(means, LINE, 2)
        for place, point in enumerate(one.points):
            x = frame.x(place)
            for value in point.values:
                draw.circle((x, top + frame.y(value)), 2, VALUE)
            draw.circle(means[place], 4, LINE)
            if _shows_label(place, frame.count):
                draw.text((x, top + HEIGHT - BOTTOM + 8), _drawable(_short(point.label)), "black", font, anchor="ma")
        for step in one.steps:
            x, colour = (frame.x(step.at - 1) + frame.x(step.at)) / 2, BETTER if step.better else WORSE
            draw.line([(x, top + TOP), (x, top + HEIGHT - BOTTOM)], colour)
            draw.text((x, top + TOP - 4), f"{step.change:+.4g}", colour, font, anchor="mb")
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _frame(one: Series) -> _Frame:
    values = [value for point in one.points for value in point.values]
    low, high = min(values), max(values)
    margin = 0.1 * (high - low) or max(abs(high) * 0.05, 0.5)
    return _Frame(low - margin, high + margin, len(one.points))


def _shows_label(place: int, count: int) -> bool:
    """Say whether a point's label has room; the last one always has."""
    every = max(1, -(-count // 6))
    return (count - 1 - place) % every == 0


def _short(label: str) -> str:
    # The end tells checkpoints of one name apart.
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 10]}…{label[-9:]}"


def _drawable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
