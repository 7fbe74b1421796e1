"""Findings of a reproduction for a terminal and as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby

from lavit_eval.reproduce import TARGET_TITLES, Finding

NOTHING = "–"


def render_terminal(findings: Sequence[Finding], width: int) -> str:
    """Return claimed, measured, interval and verdict as a table, and under it what was left open."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=width, highlight=False, legacy_windows=False)
    with console.capture() as captured:
        for target, group in groupby(findings, key=lambda one: one.claim.target):
            table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
            table.add_column(TARGET_TITLES.get(target, target), overflow="fold", ratio=4)
            for name in ("claimed", "measured", "95 % interval"):
                table.add_column(name, justify="right", no_wrap=True)
            table.add_column("verdict", overflow="fold", ratio=4)
            for one in group:
                verdict = f"{one.verdict}: {one.why}" if one.why else one.verdict
                table.add_row(*map(Text, [_name(one), one.claim.value, _value(one), _interval(one), verdict]))
            console.print(table)
            console.print()
    wrapped = [textwrap.fill(line, width, subsequent_indent="    ") for line in _open_lines(findings, markdown=False)]
    return _trimmed(captured.get()) + "\n".join(wrapped) + "\n"


def render_markdown(findings: Sequence[Finding]) -> str:
    """Return the same as a Markdown document."""
    lines = ["# Published numbers, measured again", ""]
    for target, group in groupby(findings, key=lambda one: one.claim.target):
        title = TARGET_TITLES.get(target, target)
        lines += [f"## {title[:1].upper()}{title[1:]}", ""]
        lines += ["| number | claimed | measured | 95 % interval | n | verdict |", "|---|---:|---:|---:|---:|---|"]
        for one in group:
            verdict = f"{one.verdict}: {one.why}" if one.why else one.verdict
            cells = [_name(one), one.claim.value, _value(one), _interval(one), str(one.n or NOTHING), verdict]
            lines.append(f"| {' | '.join(map(_escaped, cells))} |")
        lines.append("")
    return "\n".join([*lines, *_open_lines(findings, markdown=True)]) + "\n"


def _open_lines(findings: Sequence[Finding], markdown: bool) -> list[str]:
    """Return what was left open for every number, each number's once, with how far each run's score moves."""
    of_number: dict[tuple[str, str], dict[str, None]] = {}
    for one in findings:
        points = of_number.setdefault((one.claim.task, one.claim.metric), {})
        texts = [
            *(f"{point.unknown} Assumed ({point.confidence}): {point.assumption}" for point in one.left_open),
            *(f"Protocol: {text}" for text in one.assumptions),
            *([f"Moves: {one.model}: {one.moves}."] if one.moves else []),
        ]
        points.update(dict.fromkeys(texts))
    lines: list[str] = []
    for (task, metric), points in of_number.items():
        if points:
            title = f"Left open for {task} {metric}:"
            lines += [_escaped(title), ""] if markdown else [title]
            lines += [f"- {_escaped(text)}" if markdown else f"  {text}" for text in points]
            lines.append("")
    return lines


def _name(one: Finding) -> str:
    claim = one.claim
    table = re.search(r"Table \d+$", claim.source)
    of = f"{claim.task or claim.benchmark} {claim.metric or claim.published_metric}"
    part = f" ({claim.split})" if claim.target == "released_weights" else ""
    measured = f": {one.model}" if one.n else ""
    return f"{of}{part}{f', {table[0]}' if table else ''}{measured}"


def _decimals(one: Finding) -> int:
    return len(one.claim.value.partition(".")[2]) or 1


def _value(one: Finding) -> str:
    return NOTHING if one.value is None else f"{one.value:.{_decimals(one)}f}"


def _interval(one: Finding) -> str:
    digits = _decimals(one)
    return NOTHING if one.interval is None else f"[{one.interval[0]:.{digits}f}, {one.interval[1]:.{digits}f}]"


def _escaped(text: str) -> str:
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return re.sub(r"[\\`*\[\]<>|#~&$]", r"\\\g<0>", plain)


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
