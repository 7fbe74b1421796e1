"""Plain lists for the terminal: tasks and suites, runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavit_eval.registry import Catalogue
from lavit_eval.task import Suite, Task

if TYPE_CHECKING:
    from lavit_eval.runs import Run


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


def show_costs(run: Run) -> int:
    """Print what each task of a run took."""
    from lavit_eval.costs import costs

    found = costs(run)
    rows = [_cost_row(task, cost) for task, cost in found.items()]
    head = ["task", "responses", "device-s", "waited-s", "samples/s", "tokens/s", "peak memory", "energy"]
    _print_columns(head, rows)
    reasons = {cost["energy_unknown"]: None for cost in found.values() if cost.get("energy_unknown")}
    for reason in reasons:
        print(f"Energy is not known: {reason}.")
    for task in run.tasks:
        if task not in found:
            print(f"{task}: no times were kept; it was not answered here, or by an earlier version.")
    return 0


def _cost_row(task: str, cost: Mapping[str, Any]) -> list[str]:
    memory, joules, tokens = cost["peak_memory_bytes"], cost["joules"], cost["new_tokens_per_second"]
    of = "" if cost["peak_memory_of"] == "cuda" else " of the process"
    waited = ", ".join(f"{what} {seconds:.1f}" for what, seconds in cost["waited_seconds"].items())
    return [
        task,
        f"{cost['responses']:,}",
        f"{cost['device_seconds']:,.1f}",
        waited or "-",
        f"{cost['samples_per_second']:,.2f}" if cost["samples_per_second"] else "-",
        f"{tokens:,.1f}" if tokens else "-",
        f"{memory / 1e9:,.2f} GB{of}" if memory else "-",
        f"{joules / 3600:,.3f} Wh" if joules is not None else "-",
    ]


def _print_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
