"""A report as a folder: which one may be written to, and what is put there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from lavit_eval.compare_sides import Side
from lavit_eval.costs import CostRow, energy_reasons, written_costs
from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic, write_json
from lavit_eval.journal import Key
from lavit_eval.progress import Progress, Silence
from lavit_eval.report.media import MediaMode, place_media
from lavit_eval.report.overview import Board, TaskOverview, runs_of_the_model, task_overview
from lavit_eval.report.reading import Item, kept_items, read_task
from lavit_eval.report.samples import TaskPages, media_files, write_task
from lavit_eval.report.script_data import write_script
from lavit_eval.rescoring import Again
from lavit_eval.runs import Run
from lavit_eval.sample import MediumKind

SCHEMA = 1
MARK = "report.json"
"""Says that a folder is a report, which may be written anew."""
STYLES = ("report.css", "samples.css")
SCRIPTS = ("store.js", "query.js", "list.js", "player.js", "detail.js", "browser.js")
"""In the order in which the page loads them."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How a report is made."""

    again: Again
    """Where tasks and annotation files are looked up."""
    media: MediaMode = "previews"
    progress: Progress = field(default_factory=Silence)


@dataclass(frozen=True, slots=True)
class Written:
    """A report that was written."""

    page: Path
    notices: tuple[str, ...]
    """What the page lacks, one sentence each."""


def write_report(run: Run, base: Side | None, folder: Path, options: ReportOptions) -> Written:
    """Write the report of a finished run, beside another run or a baseline where given, into a folder.

    A report that stands in the folder is replaced; media that it holds already are not written again.

    Raises:
        UsageError: The run is not finished, a file of it is damaged, the folder holds something else, or it cannot be
            written.
    """
    board, (costs, without_costs) = _board(run, base), _costs(run)
    _claim(folder)
    tasks = [_pages(number, name, run, base, board, options) for number, name in enumerate(board.run["tasks"])]
    wanted: dict[Path, MediumKind] = {}
    beside = base.run if base is not None else None
    for pages in tasks:
        wanted |= media_files(pages, run, beside)
    media = place_media(wanted, folder, options.media, options.progress)
    shutil.rmtree(folder / "data", ignore_errors=True)
    overviews = []
    for pages in tasks:
        write_task(pages, folder, media, run, beside)
        overviews.append(task_overview(pages, board))
    write_script(folder / "data" / "tasks.js", "tasks", _about(tasks, run, base))
    _copy_assets(folder / "assets")
    page = folder / "index.html"
    write_atomic(page, _page(run, base, tasks, overviews, costs).encode())
    lacking = sorted({shown.note for shown in media.values() if shown.source is None and options.media != "none"})
    notices = [f"{one.name}: without questions and references: {one.without_samples}" for one in overviews]
    kept = [notice for notice, one in zip(notices, overviews, strict=True) if one.without_samples is not None]
    gone = sum(shown.source is None for shown in media.values()) if lacking else 0
    kept += [_kept_of(base, tasks)] if base is not None and base.run is None else []
    kept += [without_costs] if without_costs is not None else []
    return Written(page, (*kept, *([f"{gone} media cannot be shown, e.g.: {lacking[0]}"] if lacking else [])))


def _costs(run: Run) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Return what the run cost, and in a sentence why that is not known, where its file is damaged."""
    try:
        return written_costs(run), None
    except UsageError as error:
        return {}, f"without what it cost: {error}"


def _kept_of(base: Side, tasks: list[TaskPages]) -> str:
    """Return the sentence that says what a baseline cannot show."""
    said = f"BASE is the {base.name}: of each sample it keeps the score by the primary metric, no answer and no media"
    without = [pages.reading.task.task for pages in tasks if pages.base is None]
    return f"{said}; nothing of the samples of {', '.join(without)}." if without else f"{said}."


def _board(run: Run, base: Side | None) -> Board:
    scores = _finished(run)
    return Board(scores, base.scores if base is not None else None, run.scores_under(), runs_of_the_model(run))


def _finished(run: Run) -> dict[str, Any]:
    scores = run.scores()
    if scores is None:
        raise UsageError(f"Run {run.id} is not finished; continue it with the command that began it, then report it.")
    return scores


def _claim(folder: Path) -> None:
    """Make the folder, or make sure that it is a report (raises UsageError)."""
    try:
        held = [path.name for path in folder.iterdir()] if folder.exists() else []
        if held and not _is_report(folder / MARK):
            raise UsageError(
                f"{folder} holds something else ({sorted(held)[0]}, ...); choose an empty folder with --out."
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be a report's folder ({error.strerror}); choose another --out.") from error
    write_json(folder / MARK, {"schema": SCHEMA, "made_by": "lavit-eval report"})


def _is_report(mark: Path) -> bool:
    try:
        found = json.loads(mark.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("made_by") == "lavit-eval report"


def _pages(number: int, name: str, run: Run, base: Side | None, board: Board, options: ReportOptions) -> TaskPages:
    reading = read_task(run, name, board.run["tasks"][name], options.again)
    others: dict[Key, Item] | None = None
    if base is not None and name in base.tasks:
        if base.run is None:
            others = kept_items(base, name, [item.key for item in reading.items])
        else:
            theirs = read_task(base.run, name, base.task(name), options.again, with_samples=False)
            others = {item.key: item for item in theirs.items}
    return TaskPages(number, reading, others)


def _named(run: Run, base: Side | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the two models as the page calls them: BASE is called so everywhere, this run where both share a label."""
    model = _finished(run)["model"]
    other = base.scores["model"] if base is not None else None
    alike = other is not None and model["label"] == other["label"]
    return {**model, "label": f"{model['label']} (this run)" if alike else model["label"]}, other


def _about(tasks: list[TaskPages], run: Run, base: Side | None) -> dict[str, Any]:
    """Return what the sample browser knows of the run before a task is opened."""
    model, other = _named(run, base)
    return {
        "model": model["label"],
        "base": other["label"] if other is not None else None,
        "tasks": [
            {
                "name": pages.reading.task.task,
                "request": pages.reading.task.request,
                "prompt": pages.reading.task.prompt,
                "n": len(pages.reading.items),
                "base": pages.base is not None,
            }
            for pages in tasks
        ],
    }


def _copy_assets(folder: Path) -> None:
    for name in (*STYLES, *SCRIPTS):
        write_atomic(folder / name, (files("lavit_eval.report") / "assets" / name).read_bytes())


def _page(
    run: Run,
    base: Side | None,
    tasks: list[TaskPages],
    overviews: list[TaskOverview],
    costs: Mapping[str, Mapping[str, Any]],
) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lavit_eval.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    model, other = _named(run, base)
    everywhere = [label for label in overviews[0].labels if all(label in one.labels for one in overviews)]
    return environment.get_template("index.html").render(
        run=run,
        base=base,
        kept=_kept_of(base, tasks) if base is not None and base.run is None else "",
        model=model,
        base_model=other,
        labels=everywhere,
        tasks=overviews,
        costs=[CostRow.of(task, costs[task]) for task in run.tasks if task in costs],
        device_seconds=sum(cost["device_seconds"] for cost in costs.values()),
        without_costs=[task for task in run.tasks if task not in costs] if costs else [],
        energy_reasons=energy_reasons(costs),
        styles=STYLES,
        scripts=SCRIPTS,
        failures=sum(one.failed + one.skipped for one in overviews),
    )
