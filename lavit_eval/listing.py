"""Plain lists for the terminal: tasks and suites, runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavit_eval.registry import Catalogue
from lavit_eval.task import Suite, Task


def list_tasks(folders: Sequence[Path]) -> int:
    """Print every task with its request, split, size and primary metric, then the suites."""
    catalogue = Catalogue(folders)
    tasks = catalogue.tasks()
    suites = [catalogue.suite(name) for name in sorted(catalogue.suite_files)]
    _print_columns(["task", "asks for", "split", "samples", "primary metric"], [_task_row(task) for task in tasks])
    print()
    _print_columns(["suite", "tasks"], [_suite_row(suite) for suite in suites])
    return 0


def _task_row(task: Task) -> list[str]:
    return [task.task, task.request, task.split, f"{task.samples:,}" if task.samples else "?", task.primary]


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


def _print_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
