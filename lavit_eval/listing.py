"""Plain lists for the terminal: tasks and suites, runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from lavit_eval.registry import Catalogue
from lavit_eval.sample import JSON
from lavit_eval.task import Suite
from lavit_eval.task_pages import HEAD, page_data, render_page, summary_of, table_rows, tasks_by_kind

if TYPE_CHECKING:
    from lavit_eval.runs import Run


def list_tasks(folders: Sequence[Path], names: Sequence[str] = (), as_json: bool = False) -> int:
    """Print the tasks by kind with size, primary metric, the paper's number and licence, then the suites.

    Args:
        folders: The user's own tasks.
        names: Print the page of each of these instead.
        as_json: Print JSON instead: a list of the tasks, or the page of each that is named.
    """
    catalogue = Catalogue(folders)
    if names:
        tasks = [catalogue.task(name) for name in names]
        print(_json([page_data(task) for task in tasks]) if as_json else "\n".join(map(render_page, tasks)), end="")
        return 0
    tasks = catalogue.tasks()
    if as_json:
        print(_json([summary_of(task) for task in tasks]), end="")
        return 0
    kinds = tasks_by_kind(tasks)
    # One table cut into parts, so that its columns stand below each other.
    blocks = {kind: table_rows(members) for kind, members in kinds.items()}
    widths = _widths([HEAD, *(row for rows in blocks.values() for row in rows)])
    for kind, rows in blocks.items():
        print(kind.upper())
        _print_rows([HEAD, *rows], widths)
        print()
    suites = [catalogue.suite(name) for name in sorted(catalogue.suite_files)]
    _print_columns(["suite", "tasks"], [_suite_row(suite) for suite in suites])
    print("\nA task's data, licence, prompt and traps: lavit-eval tasks TASK")
    return 0


def _json(value: JSON) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _suite_row(suite: Suite) -> list[str]:
    return [suite.suite, ", ".join(suite.tasks)]


def list_runs(output: Path) -> int:
    """Print every run under the output folder, oldest first, with its model, tasks and how far it is."""
    from lavit_eval.runs import all_runs

    rows = []
    for run in all_runs(output):
        planned = sum(plan["requests"] for plan in run.manifest["plan"].values())
        answered = sum(len(run.entries(task)) for task in run.tasks)
        state = "finished" if run.scores_path.is_file() else f"{answered} of {planned}"
        rows.append([run.id, str(run.manifest["model"]["label"]), ", ".join(run.tasks), state])
    if not rows:
        print(f"No runs under {output / 'runs'}.")
        return 0
    _print_columns(["run", "model", "tasks", "state"], rows)
    return 0


def show_costs(run: Run) -> int:
    """Print what each task of a run took."""
    from lavit_eval.costs import CostRow, costs, energy_reasons

    found = costs(run)
    rows = [list(astuple(CostRow.of(task, cost))) for task, cost in found.items()]
    head = ["task", "responses", "device-s", "waited-s", "samples/s", "tokens/s", "peak memory", "energy"]
    _print_columns(head, rows)
    for reason in energy_reasons(found):
        print(f"Energy is not known: {reason}.")
    for task in run.tasks:
        if task not in found:
            print(f"{task}: no times were kept; it was not answered here, or by an earlier version.")
    return 0


def _print_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    _print_rows([head, *rows], _widths([head, *rows]))


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[column]) for row in table) for column in range(len(table[0]))]


def _print_rows(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
