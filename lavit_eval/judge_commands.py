"""The command that judges a finished run."""

from __future__ import annotations

import argparse
import sys

from lavit_eval.errors import UsageError
from lavit_eval.evaluate import Outcome, score_run
from lavit_eval.features.equipment import Equipment
from lavit_eval.interruption import Interrupted, Interruption
from lavit_eval.judge_flags import judge_asked_for
from lavit_eval.judgements import judged_metrics
from lavit_eval.judging import judge_run
from lavit_eval.progress import progress_on
from lavit_eval.registry import Catalogue
from lavit_eval.rescoring import Again, prepare_again, today


def judge(options: argparse.Namespace) -> int:
    """Judge a run and print its table; return the exit code."""
    interruption = Interruption()
    try:
        with interruption.handled():
            return _judge(options)
    except Interrupted as interrupted:
        print("lavit-eval: interrupted; repeat the command to go on where it stood.", file=sys.stderr)
        return interrupted.exit_code


def _judge(options: argparse.Namespace) -> int:
    from lavit_eval.running import conclude, find_run

    asked = judge_asked_for(options)
    if asked is None:
        raise UsageError("Say who judges: lavit-eval judge RUN --judge-model NAME (see docs/judges.md)")
    run = find_run(options.run, options.output_dir)
    again = Again(Catalogue(options.task_dir), options.data_root, Equipment(), progress_on())
    tasks = [today(run, name, again.catalogue) for name in run.tasks]
    if not any(judged_metrics(task) for task in tasks):
        raise UsageError(f"Run {run.id} has nothing to judge: none of {', '.join(run.tasks)} has a judged metric.")
    prepared = prepare_again(run, tasks, again)
    for told in judge_run(prepared, run, asked, again.progress):
        print(told, file=sys.stderr)
    scores = score_run(prepared, run, again.equipment, again.progress)
    return conclude([Outcome(run, scores, "finished before")], run.folder.parent.parent)
