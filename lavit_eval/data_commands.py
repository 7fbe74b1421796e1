"""The commands about data: check a task's data, unpack its official archives."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lavit_eval.cards import card_of
from lavit_eval.data_check import Findings, Thoroughness, check_task
from lavit_eval.data_prepare import errands, run_errand
from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic
from lavit_eval.progress import progress_on
from lavit_eval.registry import Catalogue
from lavit_eval.task_pages import archive_line
from lavit_eval.wanted import copies_of

SHOWN = 20
"""Problems of one task that are printed; all of them go into a file where there are more."""
MOST_THREADS = 8
SECONDS_BETWEEN = 10.0


def check(options: argparse.Namespace) -> int:
    """Check the data of some tasks, print all that is wrong, and return the exit code.

    0: fine; 2: a run would stop; 3: a run would go on, but some samples would fail.
    """
    catalogue = Catalogue(options.task_dir)
    tasks = [catalogue.task(name) for name in dict.fromkeys(options.tasks)]
    root = _root(options)
    copies = copies_of(tasks, root) if options.source == "hub" else {}
    how = Thoroughness(options.quick, options.allow_missing, options.threads or min(os.cpu_count() or 1, MOST_THREADS))
    codes = []
    for number, task in enumerate(tasks):
        own = copies[task.task].root if task.task in copies else root
        found = check_task(task, own, how, progress_on(), rewritten=task.task in copies)
        print("\n" * bool(number), end="")
        _print_findings(found, own, options.output_dir)
        codes.append(found.exit_code)
    return 2 if 2 in codes else max(codes)


def _print_findings(found: Findings, root: Path, output: Path) -> None:
    task = found.task
    print(f"{task.task}: split {task.split} below {root.absolute()}")
    for fact in found.facts:
        print(f"  {fact}")
    for note in found.notes:
        print(f"  note: {note}")
    lines = [f"problem: {one}" for one in found.problems] + [
        f"this sample's medium fails: {one}" for one in found.failures
    ]
    for line in lines[:SHOWN]:
        print(f"  {line}")
    if len(lines) > SHOWN:
        path = output / "data-check" / f"{task.task}.txt"
        write_atomic(path, "".join(f"{line}\n" for line in lines).encode())
        print(f"  and {len(lines) - SHOWN:,} more; all {len(lines):,} are in {path}")
    if found.absent:
        _print_sources(found)
    if found.problems:
        plural = "s" if len(found.problems) > 1 else ""
        print(f"  {len(found.problems):,} problem{plural}: a run would stop")
    elif found.failures:
        print(f"  {len(found.failures):,} media fail: a score would be of the other samples, labelled partial")
    else:
        print("  fine")


def _print_sources(found: Findings) -> None:
    if found.card is None:
        return
    print(f"  where to get what is missing ({found.card.licence}):")
    for archive in found.card.archives_of(found.task.split):
        print(f"    {archive_line(archive)}")
    if found.card.gated:
        print(f"    by hand: {found.card.gated}")
    print(f"  then: lavit-eval data prepare {found.task.task} FILE... --data-root DATA")


def prepare(options: argparse.Namespace) -> int:
    """Put the given archives and files in their places, or say which are needed; return the exit code."""
    task = Catalogue(options.task_dir).task(options.task)
    root, card = _root(options), card_of(task)
    if not options.archives:
        if card is None:
            raise UsageError(f"{task.task}: its benchmark has no card; give archives and --into FOLDER")
        print(
            f"{card.title}: give these to `lavit-eval data prepare {task.task} FILE...`; nothing is downloaded for you"
        )
        for archive in card.archives_of(task.split):
            print(f"  {archive_line(archive)}".replace("DATA/", f"{root}/"))
        print(f"  licence: {card.licence}")
        if card.gated:
            print(f"  by hand: {card.gated}")
        return 0
    for errand in errands(card, options.archives, root, options.into):
        print(run_errand(errand, _Teller()))
    _say_rest(check_task(task, root, Thoroughness(quick=True)), root, options.archives)
    return 0


class _Teller:
    """Says how many files are done, not oftener than every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        if time.monotonic() - self._last >= SECONDS_BETWEEN:
            self._last = time.monotonic()
            print(f"{done:,} files", file=sys.stderr, flush=True)


def _say_rest(found: Findings, root: Path, given: Sequence[Path]) -> None:
    if found.problems:
        print(
            f"not ready yet: {found.problems[0]}"
            + (f" (and {len(found.problems) - 1:,} more)" if len(found.problems) > 1 else "")
        )
    print(f"next: lavit-eval data check {found.task.task} --data-root {root}")


def _root(options: argparse.Namespace) -> Path:
    return options.data_root or Path(os.environ.get("LAVIT_EVAL_DATA", "data"))
