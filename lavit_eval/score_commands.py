"""The commands that score without a model: score, sweep, selfcheck."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lavit_eval.engines.options import EngineOptions
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import Outcome
from lavit_eval.interruption import Interrupted, Interruption
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.progress import progress_on
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.rescoring import Again
from lavit_eval.running import conclude, find_run, run_all
from lavit_eval.runs import Run
from lavit_eval.wanted import equipment_of

WIDEST = 160


def score(options: argparse.Namespace, given: Sequence[str]) -> int:
    """Score a run again, or what was made elsewhere; return the exit code."""
    return _interruptible(lambda interruption: _score(options, given, interruption))


def _score(options: argparse.Namespace, given: Sequence[str], interruption: Interruption) -> int:
    catalogue = Catalogue(options.task_dir)
    if options.run is not None:
        if options.answers or options.media or options.task:
            raise UsageError("Give either a run's folder or --task with --answers or --media, not both.")
        found = find_run(options.run, options.output_dir)
        return conclude([_score_run(options, catalogue, found)], found.folder.parent.parent)
    if options.protocol:
        raise UsageError("--protocol scores a run again; give its folder, or name the protocol in a task of your own.")
    if not options.task or bool(options.answers) == bool(options.media):
        raise UsageError("Give a run's folder, or --task T with --answers FILE.jsonl or --media DIR")
    wanted = _external(options, catalogue, given)
    mended = "complete the file of answers" if options.answers else "complete the files"
    return run_all([wanted], interruption, again=f"{mended} and score again")


def _score_run(options: argparse.Namespace, catalogue: Catalogue, found: Run) -> Outcome:
    from lavit_eval.rescoring import score_again, score_under

    again = Again(catalogue, options.data_root, equipment_of(options), progress_on())
    return score_under(found, options.protocol, again) if options.protocol else score_again(found, again)


def _external(options: argparse.Namespace, catalogue: Catalogue, given: Sequence[str]) -> RunOptions:
    if options.answers:
        arguments = {"answers": str(options.answers)}
    else:
        arguments = {"media": str(options.media), **({"copies": "allowed"} if options.allow_partial else {})}
    return RunOptions(
        model="external",
        label=options.label,
        tasks=(catalogue.task(options.task),),
        data_root=options.data_root or Path(os.environ.get("LAVIT_EVAL_DATA", "data")),
        output=options.output_dir,
        limit=options.limit,
        repeats=options.repeats,
        run_id=options.run_id,
        allow_missing=True,
        model_options=ModelOptions(arguments=arguments),
        # There is no model beside which features could be extracted.
        engine=EngineOptions(extract_ahead="off"),
        equipment=equipment_of(options),
        command=tuple(given),
    )


def sweep(options: argparse.Namespace) -> int:
    """Print a task's distances under every protocol; return the exit code."""
    return _interruptible(lambda _: _sweep(options))


def _sweep(options: argparse.Namespace) -> int:
    from lavit_eval.sweep import render_sweep, write_sweep
    from lavit_eval.sweep import sweep as compute

    found = find_run(options.run, options.output_dir)
    again = Again(Catalogue(options.task_dir), options.data_root, equipment_of(options), progress_on())
    rows = compute(found, options.task, again, options.protocol)
    print(render_sweep(rows, _width(), options.extrapolate), end="")
    path = found.task_folder(options.task) / "sweep.json"
    write_sweep(rows, path)
    print(f"With all digits, assumptions and fingerprints: {path}", file=sys.stderr)
    return 0 if any(row.scores for row in rows) else 2


def selfcheck(options: argparse.Namespace) -> int:
    """Print what a task's metrics give for its real media; return the exit code."""
    return _interruptible(lambda _: _selfcheck(options))


def _selfcheck(options: argparse.Namespace) -> int:
    from lavit_eval.preparation import prepare_task
    from lavit_eval.selfcheck import render_checks
    from lavit_eval.selfcheck import selfcheck as check

    task = Catalogue(options.task_dir).task(options.task)
    equipment = equipment_of(options)
    root, counts = options.data_root or Path(os.environ.get("LAVIT_EVAL_DATA", "data")), {}
    if task.features == "demo" and options.data_root is None:
        from lavit_eval.demo import DEMO_COUNTS
        from lavit_eval.demo.material import demo_data

        root, counts = demo_data(), dict(DEMO_COUNTS)
    # Halves of a set are never as large as a protocol wants them.
    whole = dataclasses.replace(equipment, allow_partial=True)
    prepared, problems = prepare_task(task, root, options.limit, counts, equipment=whole)
    if problems:
        raise PreflightError(problems)
    checks = check(prepared, equipment, progress_on())
    print(render_checks(checks, _width()), end="")
    failures = {name: reason for one in checks for name, reason in (one.failures or {}).items()}
    for name, reason in failures.items():
        print(f"{name}: {reason}", file=sys.stderr)
    if failures or any(one.value is None for one in checks):
        return 3
    return 1 if any(one.suspicious for one in checks) else 0


def _width() -> int:
    return max(80, min(WIDEST, shutil.get_terminal_size((140, 24)).columns))


def _interruptible(work: Callable[[Interruption], int]) -> int:
    interruption = Interruption()
    try:
        with interruption.handled():
            return work(interruption)
    except Interrupted as interrupted:
        print("lavit-eval: interrupted; repeat the command to go on where it stood.", file=sys.stderr)
        return interrupted.exit_code
