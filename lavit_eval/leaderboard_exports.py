"""The leaderboard for papers, pages and other tools: LaTeX, HTML, model cards, lmms-eval's results."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from lavit_eval.errors import UsageError
from lavit_eval.leaderboard import Row, decimals_of, origins_of, rounded
from lavit_eval.published import PublishedNumber, published

NOTHING = "–"
HUB_TASKS: Mapping[str, str] = {
    "answer": "visual-question-answering",
    "choose": "visual-question-answering",
    "caption": "image-to-text",
    "generate_image": "text-to-image",
    "generate_video": "text-to-video",
    "reconstruct_video": "video-to-video",
}
"""Kind of request -> the hub's name of such tasks."""
STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #888; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; white-space: nowrap; }
tr.group td { padding-top: 1.2rem; font-weight: 600; }
tr.published td, small { color: var(--dim); }
"""


def render_latex(rows: Sequence[Row], every_published: bool = False) -> str:
    """Return a booktabs table of the rows; the best of comparable ones is bold, published numbers follow in grey.

    Args:
        rows: As `leaderboard.rows` orders them.
        every_published: Add the numbers of all published models, not only those of the paper.
    """
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage{xcolor}",
        "\\begin{tabular}{llrrr}",
        "\\toprule",
        "Task and metric & Model & Value & 95\\,\\% interval & $n$ \\\\",
    ]
    origins, groups = origins_of(rows), grouped(rows)
    met = Counter((group[0].task, group[0].metric) for group in groups)
    for group in groups:
        lines.append("\\midrule")
        arrow = "$\\uparrow$" if group[0].higher_is_better else "$\\downarrow$"
        several = met[group[0].task, group[0].metric] > 1
        for place, row in enumerate(group):
            title = f"{_latex(row.task)} {_latex(row.metric)} {arrow}" if place == 0 else ""
            # What may not be ranked together must not look as if it were one thing measured twice.
            title += f", {_latex(f'protocol {origins[row]}')}" if place == 0 and several else ""
            value = rounded(row.value, decimals_of(group))
            shown = f"\\textbf{{{value}}}" if row.best else value
            interval = _interval(row, decimals_of(group))
            lines.append(f"{title} & {_latex(_named(row))} & {shown} & {interval} & {row.n} \\\\")
        for other in _published(group, every_published):
            grey = "\\textcolor{gray}{%s}"
            lines.append(f" & {grey % _latex(other.model)} & {grey % _latex(other.value)} & & \\\\")
    lines += ["\\bottomrule", "\\end{tabular}", ""]
    return "\n".join(lines)


def render_html(rows: Sequence[Row], every_published: bool = False) -> str:
    """Return a page of its own with one table; arguments as in `render_latex`. All text is escaped."""
    body = []
    origins = origins_of(rows)
    for group in grouped(rows):
        first = group[0]
        arrow = "↑" if first.higher_is_better else "↓"
        title = _html(f"{first.task} · {first.metric} {arrow}")
        body.append(f'<tr class="group"><td colspan="5">{title} <small>protocol {_html(origins[first])}</small>')
        for row in group:
            value = _html(rounded(row.value, decimals_of(group)))
            shown = f"<strong>{value}</strong>" if row.best else value
            labels = _html(", ".join([*row.labels, *([row.skipped] if row.skipped else [])]))
            cells = f'<td class="n">{shown}<td class="n">{_html(_interval(row, decimals_of(group)))}'
            body.append(
                f'<tr><td>{_html(row.model)}{cells}<td class="n">{row.n}/{row.task_n}<td><small>{labels}</small>'
            )
        for other in _published(group, every_published):
            body.append(
                f'<tr class="published"><td>{_html(other.model)}<td class="n">{_html(other.value)}<td><td>'
                f"<td><small>{_html(other.source)}{_html(f'; {other.note}' if other.note else '')}</small>"
            )
    head = '<tr><th>model<th class="n">value<th class="n">95 % interval<th class="n">n<th>'
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Leaderboard</title>'
        f"<style>{STYLE}</style>\n<h1>Leaderboard</h1>\n<table>\n<thead>{head}\n<tbody>\n"
        + "\n".join(body)
        + "\n</table>\n<p><small>Bold: the best of the runs that share task, protocol and data, with every sample "
        "scored. Published numbers are never ranked.</small>\n</html>\n"
    )


def model_index(rows: Sequence[Row], kinds: Mapping[str, str]) -> str:
    """Return the `model-index` block of a hub model card, as YAML.

    Args:
        rows: Those with a value are taken; values that are partial or of demo data are left out.
        kinds: Task -> kind of request.

    Raises:
        UsageError: Nothing is left to publish.
    """
    import yaml
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    entries: list[Any] = []
    for model, of_model in groupby(sorted(_publishable(rows), key=lambda row: row.model), key=lambda row: row.model):
        results = [
            EvalResult(
                task_type=HUB_TASKS.get(kinds.get(row.task, ""), "other"),
                dataset_type=row.task,
                dataset_name=row.task,
                dataset_args={"protocol": row.protocol[:16], "n": row.n},
                metric_type=row.metric,
                metric_value=row.value,
                metric_name=f"{row.metric} ({row.unit})",
                metric_args={"interval": list(row.interval)} if row.interval else None,
            )
            for row in of_model
        ]
        entries += eval_results_to_model_index(model, results)
    if not entries:
        raise UsageError("No run has a whole score on its benchmark's own data; a model card needs one.")
    return yaml.safe_dump({"model-index": entries}, sort_keys=False, allow_unicode=True)


def lmms_results(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's scores in the form of lmms-eval's and lm-evaluation-harness's results files.

    The standard error is the half width of the 95 % interval by 1.96; "N/A" where there is none.
    """
    results: dict[str, Any] = {}
    for task, scored in document["tasks"].items():
        found: dict[str, Any] = {"alias": task}
        for metric, score in scored["metrics"].items():
            bounds = score.get("interval")
            found[f"{metric},none"] = score.get("value")
            found[f"{metric}_stderr,none"] = (bounds[1] - bounds[0]) / 2 / 1.96 if bounds else "N/A"
        results[task] = found
    tasks = document["tasks"].items()
    return {
        "results": results,
        "configs": {
            task: {
                "task": task,
                "protocol": scored["protocol"],
                "data": scored["data"],
                "labels": list(scored.get("labels", ())),
            }
            for task, scored in tasks
        },
        "higher_is_better": {
            task: {metric: score["higher_is_better"] for metric, score in scored["metrics"].items()}
            for task, scored in tasks
        },
        "n-samples": {task: {"original": scored["n"], "effective": scored["answered"]} for task, scored in tasks},
        "config": {
            "model": document["model"]["name"],
            "model_name": document["model"]["label"],
            "seed": document["seed"],
        },
        "model_name": document["model"]["label"],
    }


def grouped(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows by what may be ranked together."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row.group)]


def _publishable(rows: Iterable[Row]) -> list[Row]:
    private = ("demo", "partial", "limited")
    return [row for row in rows if row.complete and not any(label.startswith(private) for label in row.labels)]


def _published(group: Sequence[Row], every: bool) -> list[PublishedNumber]:
    numbers = published(group[0].task, group[0].metric)
    return [one for one in numbers if every or one.target == "main"]


def _named(row: Row) -> str:
    return f"{row.model} ({', '.join(row.labels)})" if row.labels else row.model


def _interval(row: Row, decimals: int) -> str:
    return NOTHING if row.interval is None else f"[{row.interval[0]:.{decimals}f}, {row.interval[1]:.{decimals}f}]"


LATEX_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
}  # fmt: skip


def _latex(text: str) -> str:
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return re.sub(r"[\\{}$&#%_~^–]", lambda found: LATEX_SIGNS[found[0]], plain)


def _html(text: str) -> str:
    return html.escape("".join(sign if sign.isprintable() else " " for sign in text))
