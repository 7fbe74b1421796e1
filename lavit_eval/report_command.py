"""The command that writes a run as a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lavit_eval.compare_sides import Side, open_side
from lavit_eval.progress import progress_on
from lavit_eval.registry import Catalogue
from lavit_eval.rescoring import Again
from lavit_eval.running import find_run
from lavit_eval.runs import Run


def report(options: argparse.Namespace) -> int:
    """Write the report of a run and print where it lies; return the exit code."""
    from lavit_eval.report.folder import ReportOptions, write_report

    run = find_run(options.run, options.output_dir)
    base = open_side(options.base, options.output_dir) if options.base is not None else None
    again = Again(Catalogue(options.task_dir), options.data_root)
    folder = options.out or default_folder(options.output_dir, run, base)
    written = write_report(run, base, folder, ReportOptions(again, options.media, progress_on()))
    for notice in written.notices:
        print(notice, file=sys.stderr)
    print(written.page)
    return 0


def default_folder(output: Path, run: Run, base: Side | None = None) -> Path:
    """Return where a report goes when nothing else is said: `reports/` beside `runs/`, named by what it shows."""
    return output / "reports" / (run.id if base is None else f"{run.id}-against-{base.name.replace(' ', '-')}")
