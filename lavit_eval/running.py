"""The commands that make scores: run, score, leaderboard."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lavit_eval.claiming import choose_run
from lavit_eval.committed import committed_beside
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import Outcome, evaluate
from lavit_eval.interruption import Interrupted, Interruption
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.preparation import bytes_per_response
from lavit_eval.progress import progress_on
from lavit_eval.prospect import RunOptions, foresee
from lavit_eval.pruning import Keep, prune
from lavit_eval.registry import Catalogue
from lavit_eval.runs import Run, all_runs, open_run
from lavit_eval.wanted import runs_asked_for

RETRY = "ask again: the same command with --retry-failed"


def run(options: argparse.Namespace, given: Sequence[str]) -> int:
    """Evaluate what was asked for; return the exit code."""
    interruption = Interruption()
    try:
        with interruption.handled():
            wanted = runs_asked_for(options, given)
            if options.dry_run:
                return _dry_run(wanted)
            return _run_all(wanted, interruption, options.keep_media)
    except Interrupted as interrupted:
        without = " without --fresh" if options.fresh else ""
        print(f"lavit-eval: interrupted; repeat the command{without} to go on where it stood.", file=sys.stderr)
        return interrupted.exit_code


def _run_all(wanted: Sequence[RunOptions], interruption: Interruption, keep: Keep = "all", again: str = RETRY) -> int:
    prospects = [foresee(options) for options in wanted]
    problems = list(dict.fromkeys(problem for prospect in prospects for problem in prospect.problems))
    if problems:
        raise PreflightError(problems)
    for warning in dict.fromkeys(warning for prospect in prospects for warning in prospect.warnings):
        print(warning, file=sys.stderr)
    outcomes = []
    for prospect in prospects:
        outcome = evaluate(prospect.options, progress_on(), interruption, prospect)
        _say_state(outcome)
        prune(outcome.run, keep)
        outcomes.append(outcome)
    return _conclude(outcomes, wanted[0].output, again)


def _say_state(outcome: Outcome) -> None:
    said = {"new": "Finished", "continued": "Continued and finished", "finished before": "Was finished before"}
    print(f"{said[outcome.state]}: {outcome.run.folder}", file=sys.stderr)
    for notice in outcome.notices:
        print(f"  {notice}", file=sys.stderr)


def _conclude(outcomes: Sequence[Outcome], output: Path, again: str = RETRY) -> int:
    _print_table([outcome.run for outcome in outcomes])
    _write_leaderboard(output)
    failed = [
        f"{task}: {scores['failed'] + scores['skipped']} of {scores['n']} responses are missing ({outcome.run.id})"
        for outcome in outcomes
        for task, scores in outcome.scores["tasks"].items()
        if scores["answered"] < scores["n"]
    ]
    for line in failed:
        print(line, file=sys.stderr)
    if failed:
        print(f'The reasons stand in scores.json under "failures"; {again}', file=sys.stderr)
    return 3 if failed else 0


def _print_table(runs: Sequence[Run]) -> None:
    from lavit_eval.leaderboard import render_terminal, rows

    documents = [scores for run in runs if (scores := run.scores()) is not None]
    table = rows([*documents, *committed_beside(documents)])
    width = shutil.get_terminal_size((100, 24)).columns
    print(render_terminal(table, max(width, 80), color=sys.stdout.isatty()), end="")


def _write_leaderboard(output: Path) -> None:
    from lavit_eval.leaderboard import write_leaderboard

    documents = [scores for run in latest_runs(all_runs(output)) if (scores := run.scores()) is not None]
    write_leaderboard([*documents, *committed_beside(documents)], output)
    print(f"Leaderboard: {output / 'leaderboard.md'} (also .csv and .json)", file=sys.stderr)


def latest_runs(runs: Sequence[Run]) -> list[Run]:
    """Return the finished runs, the newest of those that are equal in model, data, protocol and seed."""
    finished = {run.manifest["identity_digest"]: run for run in runs if run.scores_path.is_file()}
    return list(finished.values())


def _dry_run(wanted: Sequence[RunOptions]) -> int:
    bad = False
    for options in wanted:
        prospect = foresee(options)
        requests = sum(len(plan.requests) for plan in prospect.plans.values())
        space = sum(len(plan.requests) * bytes_per_response(plan.task) for plan in prospect.plans.values())
        print(
            f"{options.model}: {len(prospect.plans)} tasks, {requests} requests "
            f"in batches of {prospect.identity['batch_size']}, about {space / 1e6:.1f} MB on disk"
        )
        for each in prospect.prepared:
            limited = f" of {each.official}" if each.limited else ""
            print(
                f"  {each.task.task}: {len(each.samples)}{limited} samples, "
                f"{len(each.missing)} media missing, protocol {each.protocol[:8]}"
            )
        for line in (*prospect.warnings, *prospect.problems):
            print(f"  {line}")
        if prospect.problems:
            bad = True
            continue
        choice = choose_run(prospect)
        begun = "would continue" if choice.exists else "would begin"
        print(f"  {'was finished before:' if choice.scores is not None else begun} {choice.run.folder}")
    return 2 if bad else 0


def score(options: argparse.Namespace, given: Sequence[str]) -> int:
    """Score a run again, or answers that were made elsewhere; return the exit code."""
    catalogue = Catalogue(options.task_dir)
    if options.run is not None:
        if options.answers or options.task:
            raise UsageError("Give either a run's folder or --task with --answers, not both.")
        from lavit_eval.rescoring import score_again

        found = _find_run(options.run, options.output_dir)
        return _conclude([score_again(found, catalogue, options.data_root)], found.folder.parent.parent)
    if not options.answers or not options.task:
        raise UsageError("Give a run's folder, or --task T with --answers FILE.jsonl")
    wanted = RunOptions(
        model="external",
        label=options.label,
        tasks=(catalogue.task(options.task),),
        data_root=options.data_root or Path(os.environ.get("LAVIT_EVAL_DATA", "data")),
        output=options.output_dir,
        limit=options.limit,
        repeats=options.repeats,
        run_id=options.run_id,
        allow_missing=True,
        model_options=ModelOptions(arguments={"answers": str(options.answers)}),
        command=tuple(given),
    )
    return _run_all([wanted], Interruption(), again="complete the file of answers and score it again")


def _find_run(named: Path, output: Path) -> Run:
    """Return the run that is named by its folder or its id (raises UsageError that names both places)."""
    for folder in (named, output / "runs" / named):
        if (folder / "manifest.json").is_file():
            return open_run(folder.resolve())
    raise UsageError(f"There is no run at {named}, nor at {output / 'runs' / named}; list them: lavit-eval runs")


def prune_run(named: Path, output: Path, keep: Keep) -> int:
    """Remove generated files of a finished run and say what that freed."""
    found = _find_run(named, output)
    print(f"{found.id}: {prune(found, keep) / 1e3:,.0f} kB freed, its scores stay")
    return 0


def show_leaderboard(folders: Sequence[Path], output: Path) -> int:
    """Write and print the leaderboard over finished runs."""
    chosen = [_find_run(folder, output) for folder in folders] if folders else latest_runs(all_runs(output))
    unfinished = [found.id for found in chosen if not found.scores_path.is_file()]
    if unfinished or not chosen:
        raise UsageError(
            f"Run {unfinished[0]} is not finished; continue it first."
            if unfinished
            else f"No finished run under {output / 'runs'}; make one: lavit-eval run"
        )
    _print_table(chosen)
    _write_leaderboard(output)
    return 0
