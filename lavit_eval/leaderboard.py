"""Tables over runs, beside the paper's numbers: terminal, Markdown, CSV, JSON.

Values are ranked only within one task, protocol, data and number of samples; the rest of the table is neighbourhood.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic
from lavit_eval.files import write_json as write_json_file
from lavit_eval.published import Beside, beside

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
NOTHING = "–"
SHORT_REASON = 24
"""Characters of a reason that a table's narrow column can hold."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model's value of one metric of one task."""

    task: str
    metric: str
    primary: bool
    """Whether this is the metric that the task is judged by."""
    model: str
    """The model's label; told apart by digest or seed where two runs share one."""
    model_digest: str
    seed: int | None
    value: float | None
    """None where the metric was skipped or nothing could be scored."""
    interval: tuple[float, float] | None
    interval_method: str | None
    n: int
    """Scored responses."""
    task_n: int
    """Samples that the task has in this run."""
    coverage: float
    """Scored responses divided by all, in [0, 1]."""
    higher_is_better: bool
    unit: str
    protocol: str
    """Digest of all that can change the score; tables show its first 8 digits."""
    data: str
    labels: tuple[str, ...]
    """E.g. "partial", "limited to 20", "demo data"."""
    repeats: tuple[float | None, ...]
    skipped: str | None
    paper: Beside | None
    """The paper's number for this task."""
    categories: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict, compare=False)
    """Axis -> category -> {"value", "n", "low", "high"}; in leaderboard.json only."""
    best: bool = False
    """Whether no comparable run is better, and one is worse."""
    run: str = field(default="", compare=False)
    """The run's id, where it is known; runs with equal rows are one row, the first of them."""

    @property
    def group(self) -> tuple[object, ...]:
        """What two rows must share to be ranked together."""
        return self.task, self.metric, self.protocol, self.data, self.task_n

    @property
    def complete(self) -> bool:
        """Whether every sample was scored; a partial value may owe its height to what is missing."""
        return self.value is not None and self.coverage >= 1


def rows(documents: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the leaderboard's rows from the content of `scores.json` files, in the order in which they are shown.

    The primary metric of every task comes first, then the other metrics; within one group the best value comes first,
    and equal runs stand once. Raises UsageError for a document of another schema.
    """
    found: dict[Row, None] = {}
    for document in documents:
        if document.get("schema") != SCHEMA:
            raise UsageError(
                f"A document of scores has schema {document.get('schema')!r}, expected {SCHEMA}; "
                "score that run again: lavit-eval score with its folder"
            )
        found.update(dict.fromkeys(_rows_of(document)))
    by_group: dict[tuple[object, ...], list[Row]] = {}
    for row in found:
        by_group.setdefault(row.group, []).append(row)
    ordered = sorted(by_group.values(), key=lambda group: (not group[0].primary, group[0].task))
    return [row for group in ordered for row in _ranked(group)]


def render_terminal(table_rows: Sequence[Row], console_width: int = 100, *, color: bool = False) -> str:
    """Return the leaderboard as text for a terminal of that many columns.

    With `color` the best value is bold and what cannot be compared is dim; without, the best carries an asterisk.
    """
    from rich.console import Console

    if not table_rows:
        return "No scores yet.\n"
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=console_width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        highlight=False,
    )
    everywhere = [label for label in table_rows[0].labels if all(label in row.labels for row in table_rows)]
    if everywhere:
        console.print(f"All values: {', '.join(map(_plain, everywhere))}.", markup=False)
    origins = origins_of(table_rows)
    for primary, part in groupby(table_rows, key=lambda row: row.primary):
        groups = [list(group) for _, group in groupby(part, key=lambda row: row.group)]
        valueless = [] if primary else [group for group in groups if all(row.skipped is not None for row in group)]
        table = _terminal_table("primary metrics" if primary else "other metrics")
        for group in groups:
            if group not in valueless:
                _add_group(table, group, origins, everywhere, color)
        console.print()
        if table.row_count:
            console.print(table)
        for line in _valueless_lines(valueless):
            console.print(line, markup=False)
    if not color and any(row.best for row in table_rows):
        console.print("\n* best of the runs that can be compared")
    lines = "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n") + "\n"


def _valueless_lines(groups: Sequence[Sequence[Row]]) -> list[str]:
    """Return one line for each reason why metrics have no value in any run, with the names of the metrics."""
    names: dict[str, list[str]] = {}
    for group in groups:
        reasons = "; ".join(dict.fromkeys(row.skipped or "" for row in group))
        names.setdefault(reasons, []).append(f"{group[0].task} {group[0].metric}")
    return [_plain(f"No value ({reason}): {', '.join(named)}.") for reason, named in names.items()]


def render_markdown(table_rows: Sequence[Row]) -> str:
    """Return the leaderboard as a Markdown document with one table; the best of comparable runs is bold."""
    names = ["task", "metric", "model", "value", "95 % interval", "n", "coverage", "protocol", "labels", "paper"]
    lines = ["# Leaderboard", "", _markdown_line(names), "|" + "|".join(["---"] * 3 + ["---:"] * 4 + ["---"] * 3) + "|"]
    origins = origins_of(table_rows)
    for _, grouped in groupby(table_rows, key=lambda row: row.group):
        group = list(grouped)
        decimals = decimals_of(group)
        for row in group:
            value = rounded(row.value, decimals)
            text = [row.task, f"{row.metric} {_arrow(row)}", row.model]
            numbers = [f"**{value}**" if row.best else value, _interval(row, decimals), _count(row), _coverage(row)]
            rest = [origins[row], ", ".join(row.labels), str(row.paper) if row.paper else NOTHING]
            lines.append(_markdown_line([*map(_markdown, text), *numbers, *map(_markdown, rest)]))
    lines += ["", "Bold: the best of the runs that share task, protocol and data, with every sample scored.", ""]
    return "\n".join(lines)


def write_csv(table_rows: Sequence[Row], path: Path) -> None:
    """Write one line per row with all digits, atomically."""
    stream = io.StringIO()
    records = [_record(row) for row in table_rows]
    names = list(records[0]) if records else ["task", "metric", "model", "value"]
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _plain(cell) if isinstance(cell, str) else cell for name, cell in record.items()})
    write_atomic(path, stream.getvalue().encode())


def write_json(table_rows: Sequence[Row], path: Path) -> None:
    """Write the rows with all their fields, atomically."""
    records = [{**asdict(row), "paper": _paper_record(row.paper)} for row in table_rows]
    write_json_file(path, {"schema": SCHEMA, "rows": records})


def write_leaderboard(documents: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Write leaderboard.md, leaderboard.csv and leaderboard.json of the documents to a folder, each atomically."""
    table_rows = rows(documents)
    write_atomic(folder / "leaderboard.md", render_markdown(table_rows).encode())
    write_csv(table_rows, folder / "leaderboard.csv")
    write_json(table_rows, folder / "leaderboard.json")


def _rows_of(document: Mapping[str, Any]) -> Iterable[Row]:
    model = document["model"]
    for task, scored in document["tasks"].items():
        labels = tuple(scored.get("labels", ()))
        if document.get("demo") and "demo data" not in labels:
            labels = (*labels, "demo data")
        for metric, score in scored["metrics"].items():
            primary = metric == scored["primary"]
            bounds = score.get("interval")
            own = (*labels, *score.get("labels", ()))
            paper = beside(task, metric, primary=primary, labels=own)
            # A variant says itself beside which task's numbers it belongs; scores of earlier versions do not.
            published = scored.get("published_as") or scored.get("benchmark", "")
            paper = paper or beside(published, metric, primary=primary, labels=own)
            yield Row(
                task=task,
                metric=metric,
                primary=primary,
                model=model.get("label") or model["name"],
                model_digest=model.get("digest") or "",
                seed=document.get("seed"),
                value=score.get("value"),
                interval=(bounds[0], bounds[1]) if bounds else None,
                interval_method=score.get("interval_method"),
                categories=score.get("categories", {}),
                n=score["n"],
                task_n=scored["n"],
                coverage=score["coverage"],
                higher_is_better=score["higher_is_better"],
                unit=score["unit"],
                protocol=score.get("protocol") or scored["protocol"],
                data=_data_of(scored, score),
                labels=own,
                repeats=tuple(score.get("repeats") or ()),
                skipped=score.get("skipped"),
                paper=paper,
                run=str(document.get("run", "")),
            )


def _data_of(scored: Mapping[str, Any], score: Mapping[str, Any]) -> str:
    """Return the digest of what a score is about: the task's data, with what was in its real set where it has one."""
    real_set = (score.get("recipe") or {}).get("real_set")
    return digest_json([scored["data"], real_set]) if real_set else str(scored["data"])


def _ranked(group: Sequence[Row]) -> list[Row]:
    """Return the rows of one group, best value first, the best of the complete ones marked."""
    sign = -1 if group[0].higher_is_better else 1
    ranked = [sign * row.value for row in group if row.value is not None and row.complete]
    marked = []
    for row in _told_apart(group):
        best = bool(ranked) and row.complete and row.value is not None and sign * row.value == min(ranked) < max(ranked)
        marked.append(replace(row, best=best))
    return sorted(marked, key=lambda row: (row.value is None, sign * (row.value or 0.0), row.model))


def _told_apart(group: Sequence[Row]) -> list[Row]:
    """Return the rows with digest and seed in the labels of models that share one, and the run where both are equal."""
    apart = []
    for row in group:
        same = [other for other in group if other.model == row.model]
        digest = f" @{row.model_digest[:8]}" if len({other.model_digest for other in same}) > 1 else ""
        seed = f", seed {row.seed}" if len({other.seed for other in same}) > 1 else ""
        twins = [other for other in same if (other.model_digest, other.seed) == (row.model_digest, row.seed)]
        run = f", run {row.run}" if len(twins) > 1 and row.run else ""
        apart.append(replace(row, model=f"{row.model}{digest}{seed}{run}"))
    return apart


def _terminal_table(title: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), expand=True, header_style="bold")
    table.add_column(title, ratio=5, overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("coverage", justify="right", no_wrap=True)
    table.add_column("", ratio=3, overflow="fold")
    return table


def _add_group(
    table: Table, group: Sequence[Row], origins: Mapping[Row, str], everywhere: Sequence[str], color: bool
) -> None:
    """Add a line for the task, one per model, and the paper's number.

    Args:
        table: The table of `_terminal_table`.
        group: Rows that can be compared.
        origins: What `origins_of` returns.
        everywhere: Labels that all rows of the leaderboard share; they are said once, above it.
        color: Whether bold and dim carry meaning; else an asterisk does.
    """
    from rich.text import Text

    first, decimals = group[0], decimals_of(group)
    shared = [label for label in first.labels if all(label in row.labels for row in group)]
    about = [f"protocol {origins[first]}", *(label for label in shared if label not in everywhere)]
    unit = {"percent": ", %", "nats": ", nats"}.get(first.unit, "")
    title = f"{_plain(first.task)} · {_plain(first.metric)}{unit} {_arrow(first)}"
    table.add_row(Text(title, "bold cyan"), "", "", "", "", Text(", ".join(map(_plain, about)), "cyan"))
    for row in group:
        value = Text(rounded(row.value, decimals), "bold" if row.best else "")
        mark = Text("" if color else "*" if row.best else " ")
        own = ", ".join(_plain(label) for label in row.labels if label not in shared)
        if row.skipped is not None and len(row.skipped) > SHORT_REASON:
            own = f"{_plain(row.skipped)}{', ' if own else ''}{own}"
        cells = [_interval(row, decimals), _count(row), _coverage(row), own]
        table.add_row(Text(f"  {_plain(row.model)}"), value + mark, *map(Text, cells))
    papers = [row.paper for row in group if row.paper is not None]
    if papers:
        paper = min(papers, key=lambda paper: len(paper.obstacles))
        style = "" if paper.comparable else "dim"
        value = Text(paper.value if color else f"{paper.value} ", style)
        table.add_row(Text(f"  {paper.model}, paper", style), value, "", "", "", Text(paper.remark, style))
    table.add_row("")


def origins_of(table_rows: Sequence[Row]) -> dict[Row, str]:
    """Return the short protocol digest of each row, with that of the data where runs of one protocol differ in it."""
    data: dict[tuple[str, str], set[str]] = {}
    for row in table_rows:
        data.setdefault((row.task, row.protocol), set()).add(row.data)
    return {
        row: row.protocol[:8] + (f", data {row.data[:8]}" if len(data[row.task, row.protocol]) > 1 else "")
        for row in table_rows
    }


def _plain(text: str) -> str:
    """Return the text with every control, format or line-breaking character spelled out as its escape."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _markdown(text: str) -> str:
    """Return the text as Markdown shows it literally within a table's cell."""
    # An underscore within a word is never emphasis, and task names are full of them.
    return re.sub(r"[\\`*\[\]<>|#~&$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", _plain(text))


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _arrow(row: Row) -> str:
    return "↑" if row.higher_is_better else "↓"


def decimals_of(group: Sequence[Row]) -> int:
    """Return how many decimals a group's values need: 1 on a scale of 100, 3 of nats, else 2, or 4 within [-1, 1]."""
    if group[0].unit in ("percent", "x100"):
        return 1
    if group[0].unit == "nats":
        return 3
    sizes = [abs(number) for row in group for number in (row.value, *(row.interval or ())) if number is not None]
    return 4 if sizes and max(sizes) <= 1 else 2


def rounded(value: float | None, decimals: int) -> str:
    """Return a value with so many decimals, a dash where there is none."""
    # Adding 0 to what is rounded already turns a negative zero into a plain one.
    return NOTHING if value is None else f"{round(value, decimals) + 0.0:.{decimals}f}"


def _interval(row: Row, decimals: int) -> str:
    if row.skipped:
        return f"skipped ({_plain(row.skipped)})" if len(row.skipped) <= SHORT_REASON else "skipped"
    if row.interval is None:
        return NOTHING
    return f"[{rounded(row.interval[0], decimals)}, {rounded(row.interval[1], decimals)}]"


def _count(row: Row) -> str:
    return f"{row.n}/{row.task_n}" if row.n < row.task_n else str(row.n)


def _coverage(row: Row) -> str:
    """Return the share of scored samples in percent, rounded down so that 100 % means all."""
    return f"{int(row.coverage * 100)} %"


def _record(row: Row) -> dict[str, Any]:
    """Return a row as flat cells."""
    record = asdict(row)
    low, high = row.interval or (None, None)
    del record["interval"], record["paper"], record["categories"]
    return record | {
        "labels": "; ".join(row.labels),
        "repeats": "; ".join(map(repr, row.repeats)),
        "low": low,
        "high": high,
        "paper_value": row.paper.value if row.paper else None,
        "paper_remark": row.paper.remark if row.paper else None,
    }


def _paper_record(paper: Beside | None) -> dict[str, Any] | None:
    return None if paper is None else {**asdict(paper), "comparable": paper.comparable}
