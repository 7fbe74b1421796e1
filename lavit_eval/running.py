"""The commands that make scores: run, score, leaderboard."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lavit_eval.errors import UsageError
from lavit_eval.evaluate import Outcome, RunOptions, choose_run, evaluate, foresee
from lavit_eval.interruption import Interrupted, Interruption
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.progress import progress_on
from lavit_eval.registry import Catalogue, find
from lavit_eval.runs import Run, all_runs, open_run
from lavit_eval.task import Suite, SuiteRun, Task

DEMO = "demo"


def run(options: argparse.Namespace, given: Sequence[str]) -> int:
    """Evaluate what was asked for; return the exit code."""
    interruption = Interruption()
    try:
        with interruption.handled():
            wanted = runs_asked_for(options, given)
            if options.dry_run:
                return _dry_run(wanted)
            return _run_all(wanted, interruption)
    except Interrupted as interrupted:
        print("lavit-eval: interrupted; repeat the command to go on where it stood.", file=sys.stderr)
        return interrupted.exit_code


def runs_asked_for(options: argparse.Namespace, given: Sequence[str]) -> list[RunOptions]:
    """Return the runs that a command line asks for: one, or one per model of a suite that names models."""
    catalogue = Catalogue(options.task_dir)
    if options.tasks and options.suite:
        raise UsageError("Give either --tasks or --suite, not both.")
    if options.model is not None:
        find("model", options.model)
    suite_name = options.suite or (None if options.tasks or options.model or options.checkpoint else DEMO)
    suite = catalogue.suite(suite_name) if suite_name else None
    tasks = _tasks(options, suite, catalogue)
    models = suite.models if suite and suite.models and options.model is None else (_single_model(options),)
    base = RunOptions(
        model="",
        tasks=tasks,
        data_root=options.data_root or Path(os.environ.get("LAVIT_EVAL_DATA", "data")),
        output=options.output_dir,
        seed=options.seed,
        repeats=options.repeats,
        limit=options.limit,
        batch_size=options.batch_size,
        visual_noise=options.visual_noise,
        fresh=options.fresh,
        retry_failed=options.retry_failed,
        allow_missing=options.allow_missing,
        command=tuple(given),
        **({"threads": options.threads} if options.threads else {}),
    )
    if suite is not None and suite.data == "demo":
        base = _with_demo_data(base, threads_given=options.threads is not None)
    return [_one(base, model, options, several=len(models) > 1) for model in models]


def _tasks(options: argparse.Namespace, suite: Suite | None, catalogue: Catalogue) -> tuple[Task, ...]:
    if suite is not None:
        return tuple(catalogue.task(name) for name in suite.tasks)
    names = [name.strip() for name in (options.tasks or "").split(",") if name.strip()]
    if not names:
        raise UsageError("No task was named; give --tasks A,B or --suite NAME (list them: lavit-eval tasks)")
    if len(set(names)) != len(names):
        raise UsageError("A task stands twice in --tasks; name each once.")
    return tuple(catalogue.task(name) for name in names)


def _single_model(options: argparse.Namespace) -> SuiteRun:
    if options.model is None:
        raise UsageError(
            "No model was named; give --model video-lavit --checkpoint DIR, or a baseline such as --model constant"
        )
    return SuiteRun(model=options.model, label=options.label, checkpoint=options.checkpoint)


def _with_demo_data(base: RunOptions, threads_given: bool) -> RunOptions:
    from lavit_eval.demo import DEMO_COUNTS
    from lavit_eval.demo.material import demo_data

    # The tiny model gains little from a second thread and loses much where the cores are shared.
    threads = base.threads if threads_given else 1
    return dataclasses.replace(base, data_root=demo_data(), demo=True, counts=DEMO_COUNTS, threads=threads)


def _one(base: RunOptions, model: SuiteRun, options: argparse.Namespace, several: bool) -> RunOptions:
    checkpoint = options.checkpoint or model.checkpoint
    if base.demo and model.model == "video-lavit" and checkpoint in (None, "tiny"):
        from lavit_eval.demo.material import demo_checkpoint

        checkpoint = str(demo_checkpoint())
    run_id = options.run_id
    return dataclasses.replace(
        base,
        model=model.model,
        label=options.label or model.label,
        run_id=f"{run_id}-{model.model}" if run_id and several else run_id,
        model_options=ModelOptions(
            checkpoint=checkpoint,
            device=options.device,
            dtype=options.dtype,
            arguments={**model.arguments, **_arguments(options.model_args)},
        ),
    )


def _arguments(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise UsageError(f"--model-args holds {part!r}; write K=V,K=V.")
        if key in pairs:
            raise UsageError(f"--model-args names {key!r} twice; name it once.")
        pairs[key] = value
    return pairs


def _run_all(wanted: Sequence[RunOptions], interruption: Interruption) -> int:
    outcomes = []
    for options in wanted:
        for warning in foresee_warnings(options):
            print(warning, file=sys.stderr)
        outcome = evaluate(options, progress_on(), interruption)
        _say_state(outcome)
        outcomes.append(outcome)
    return _conclude(outcomes, wanted[0].output)


def foresee_warnings(options: RunOptions) -> list[str]:
    """Return what will be skipped, so that it is said before the run."""
    lines: list[str] = []
    reasons: dict[str, list[str]] = {}
    for task in options.tasks:
        for name in task.metrics:
            why = find("metric", name)().skipped_because()
            if why is not None:
                reasons.setdefault(why, []).append(f"{task.task}/{name}")
    lines += [f"Will be skipped ({why}): {', '.join(names)}" for why, names in reasons.items()]
    return lines


def _say_state(outcome: Outcome) -> None:
    said = {"new": "Finished", "continued": "Continued and finished", "finished before": "Was finished before"}
    print(f"{said[outcome.state]}: {outcome.run.folder}", file=sys.stderr)


def _conclude(outcomes: Sequence[Outcome], output: Path) -> int:
    _print_table([outcome.run for outcome in outcomes])
    _write_leaderboard(output)
    failed = [
        f"{task}: {scores['failed'] + scores['skipped']} of {scores['n']} samples have no answer ({outcome.run.id})"
        for outcome in outcomes
        for task, scores in outcome.scores["tasks"].items()
        if scores["answered"] < scores["n"]
    ]
    for line in failed:
        print(line, file=sys.stderr)
    if failed:
        print(
            'The reasons stand in scores.json under "failures"; ask again: the same command with --retry-failed',
            file=sys.stderr,
        )
    return 3 if failed else 0


def _print_table(runs: Sequence[Run]) -> None:
    from lavit_eval.leaderboard import render_terminal, rows

    table = rows([scores for run in runs if (scores := run.scores()) is not None])
    width = shutil.get_terminal_size((100, 24)).columns
    print(render_terminal(table, max(width, 80), color=sys.stdout.isatty()), end="")


def _write_leaderboard(output: Path) -> None:
    from lavit_eval.leaderboard import write_leaderboard

    documents = [scores for run in latest_runs(all_runs(output)) if (scores := run.scores()) is not None]
    write_leaderboard(documents, output)
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
        print(
            f"{options.model}: {len(prospect.plans)} tasks, {requests} requests "
            f"in batches of {prospect.identity['batch_size']}"
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
        found, exists = choose_run(prospect)
        print(f"  would {'continue' if exists else 'begin'} {found.folder}")
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
    return _run_all([wanted], Interruption())


def _find_run(named: Path, output: Path) -> Run:
    return open_run(named if (named / "manifest.json").is_file() else output / "runs" / named)


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
