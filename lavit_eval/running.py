"""The commands that carry out runs and print tables over them."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lavit_eval.answering import lacking_shards
from lavit_eval.claiming import choose_run
from lavit_eval.committed import committed_beside
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import Outcome, answer_run, evaluate
from lavit_eval.files import write_atomic
from lavit_eval.interruption import Interrupted, Interruption
from lavit_eval.judging import say_judged
from lavit_eval.progress import progress_on
from lavit_eval.prospect import Prospect, RunOptions, foresee
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
                return _dry_run(wanted, options.probe)
            if options.probe:
                raise UsageError("--probe belongs to --dry-run; give both.")
            return run_all(wanted, interruption, options.keep_media)
    except Interrupted as interrupted:
        without = " without --fresh" if options.fresh else ""
        print(f"lavit-eval: interrupted; repeat the command{without} to go on where it stood.", file=sys.stderr)
        return interrupted.exit_code


def run_all(wanted: Sequence[RunOptions], interruption: Interruption, keep: Keep = "all", again: str = RETRY) -> int:
    """Carry out runs one after the other and print their table; return the exit code (raises PreflightError)."""
    prospects = [foresee(options) for options in wanted]
    problems = list(dict.fromkeys(problem for prospect in prospects for problem in prospect.problems))
    if problems:
        raise PreflightError(problems)
    for warning in dict.fromkeys(warning for prospect in prospects for warning in prospect.warnings):
        print(warning, file=sys.stderr)
    if wanted[0].engine.shard is not None:
        return _answer_shards(prospects, interruption)
    outcomes = []
    for prospect in prospects:
        outcome = evaluate(prospect.options, progress_on(), interruption, prospect)
        _say_state(outcome)
        prune(outcome.run, keep)
        outcomes.append(outcome)
    code = conclude(outcomes, wanted[0].output, again)
    if wanted[0].demo:
        _write_demo_report(outcomes[0].run, wanted[0].output)
    return code


def _answer_shards(prospects: Sequence[Prospect], interruption: Interruption) -> int:
    """Answer this shard's part of each run, without scoring; return 0."""
    for prospect in prospects:
        found, shard = answer_run(prospect, progress_on(), interruption), prospect.options.engine.shard
        for notice in found.notices:
            print(f"  {notice}", file=sys.stderr)
        if found.scores is not None:
            print(f"Was finished before: {found.run.folder}", file=sys.stderr)
            continue
        lacking = lacking_shards(found.run, prospect.prepared)
        print(f"Shard {shard} is answered: {found.run.folder}", file=sys.stderr)
        then = f"shards {', '.join(lacking)} lack still; then score" if lacking else "all shards are answered; score"
        print(f"  {then}: lavit-eval score {found.run.folder}", file=sys.stderr)
    return 0


def _write_demo_report(run: Run, output: Path) -> None:
    """Write the page of a demo run, so that a first look at the project ends with something to look at."""
    from lavit_eval.report.folder import ReportOptions, write_report
    from lavit_eval.report_command import default_folder
    from lavit_eval.rescoring import Again

    written = write_report(run, None, default_folder(output, run), ReportOptions(Again(Catalogue())))
    print(f"Report: {written.page}", file=sys.stderr)


def _say_state(outcome: Outcome) -> None:
    said = {"new": "Finished", "continued": "Continued and finished", "finished before": "Was finished before"}
    print(f"{said[outcome.state]}: {outcome.run.folder}", file=sys.stderr)
    for notice in outcome.notices:
        print(f"  {notice}", file=sys.stderr)


def conclude(outcomes: Sequence[Outcome], output: Path, again: str = RETRY) -> int:
    """Print the table of runs, write the leaderboard, and say what is missing; return the exit code."""
    print_table([outcome.scores for outcome in outcomes])
    try:
        write_board(output)
    except UsageError as error:
        # Another run's damaged file is no fault of these, whose scores are written.
        print(f"The leaderboard is not written: {error}", file=sys.stderr)
    _say_submissions(outcomes)
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
    held_back = [
        f"{metric} of {task} is held back ({score['skipped']})"
        if score["value"] is None
        else f"{metric} of {task} is over {score['n']} of {scores['n']} samples"
        for outcome in outcomes
        for task, scores in outcome.scores["tasks"].items()
        for metric, score in scores["metrics"].items()
        if score.get("incomplete")
    ]
    for line in held_back:
        print(line, file=sys.stderr)
    if held_back:
        print(
            'The reasons stand in scores.json ("failures", "without_features"); mend them and repeat the command, '
            "or take what is there: with --allow-partial",
            file=sys.stderr,
        )
    judged = [say_judged(outcome.run, outcome.scores, outcome.unjudged) for outcome in outcomes]
    return 3 if failed or held_back or not all(judged) else 0


def _say_submissions(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        for task, scores in outcome.scores["tasks"].items():
            submission = scores.get("submission")
            if submission is not None:
                written = outcome.run.folder / submission["file"] if submission["file"] else None
                said = f"none is written, {submission['reason']}" if written is None else written
                print(f"Submission of {task}: {said}", file=sys.stderr)
                if submission.get("undecided"):
                    print(
                        f"  {submission['undecided']:,} answers name no option and stand there as -1", file=sys.stderr
                    )


def print_table(documents: Sequence[Mapping[str, Any]]) -> None:
    """Print the leaderboard's rows of the content of `scores.json` files."""
    from lavit_eval.leaderboard import render_terminal, rows

    table = rows([*documents, *committed_beside(documents)])
    width = shutil.get_terminal_size((100, 24)).columns
    print(render_terminal(table, max(width, 80), color=sys.stdout.isatty()), end="")


def write_board(output: Path) -> None:
    """Write the leaderboard over the finished runs under the output folder, other protocols' scores included."""
    from lavit_eval.leaderboard import write_leaderboard

    runs = latest_runs(all_runs(output))
    documents = [document for run in runs for document in documents_of(run)]
    write_leaderboard([*documents, *committed_beside(documents)], output)
    print(f"Leaderboard: {output / 'leaderboard.md'} (also .csv and .json)", file=sys.stderr)


def latest_runs(runs: Sequence[Run]) -> list[Run]:
    """Return the finished runs, the newest of those that are equal in model, data, protocol and seed."""
    finished = {run.manifest["identity_digest"]: run for run in runs if run.scores_path.is_file()}
    return list(finished.values())


def documents_of(run: Run) -> list[dict[str, Any]]:
    """Return the scores of a run, with its id: those under its tasks' own protocols, then those under others."""
    scores = run.scores()
    found = [*([scores] if scores is not None else []), *run.scores_under()]
    return [{**document, "run": run.id} for document in found]


def _dry_run(wanted: Sequence[RunOptions], probed: bool) -> int:
    bad = False
    for options in wanted:
        prospect = foresee(options)
        requests = sum(len(plan.requests) for plan in prospect.plans.values())
        space = prospect.space
        passing = f", and {space.passing / 1e6:.1f} MB while batches are under way" if space.passing else ""
        print(
            f"{options.model}: {len(prospect.plans)} tasks, {requests} requests "
            f"in batches of {prospect.identity['batch_size']}, about {space.lasting / 1e6:.1f} MB on disk{passing}"
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
        if probed:
            from lavit_eval.probing import probe

            for line in probe(prospect).lines():
                print(f"  {line}")
    return 2 if bad else 0


def find_run(named: Path, output: Path) -> Run:
    """Return the run that is named by its folder or its id (raises UsageError that names both places)."""
    for folder in (named, output / "runs" / named):
        if (folder / "manifest.json").is_file():
            return open_run(folder.resolve())
    raise UsageError(f"There is no run at {named}, nor at {output / 'runs' / named}; list them: lavit-eval runs")


def prune_run(named: Path, output: Path, keep: Keep) -> int:
    """Remove generated files of a finished run and say what that freed."""
    found = find_run(named, output)
    print(f"{found.id}: {prune(found, keep) / 1e3:,.0f} kB freed, its scores stay")
    return 0


def export_run(options: argparse.Namespace) -> int:
    """Write a run's videos for an official scorer and say what to do with them; return the exit code."""
    from lavit_eval.media_export import export_media

    found = find_run(options.run, options.output_dir)
    done = export_media(found, options.form, options.folder, options.task, options.repeat, options.allow_missing)
    print(f"{done.count:,} videos in {done.videos}; score them: {done.scorer}")
    if done.lacking:
        print(f"{done.lacking:,} videos are lacking; the scorer leaves them out of its means", file=sys.stderr)
    return 3 if done.lacking else 0


def show_leaderboard(options: argparse.Namespace) -> int:
    """Write and print the leaderboard over finished runs, and export it where asked for."""
    folders, output = options.runs, options.output_dir
    chosen = [find_run(folder, output) for folder in folders] if folders else latest_runs(all_runs(output))
    unfinished = [found.id for found in chosen if not found.scores_path.is_file()]
    if unfinished or not chosen:
        raise UsageError(
            f"Run {unfinished[0]} is not finished; continue it first."
            if unfinished
            else f"No finished run under {output / 'runs'}; make one: lavit-eval run"
        )
    # All is made before anything is written or printed: one refusal leaves nothing half done.
    exports = _exports(options, chosen)
    for path, text in exports.items():
        write_atomic(path, text.encode())
    print_table([document for run in chosen for document in documents_of(run)])
    write_board(output)
    for path in exports:
        print(f"Written: {path}", file=sys.stderr)
    return 0


def _exports(options: argparse.Namespace, chosen: Sequence[Run]) -> dict[Path, str]:
    """Return file -> content of every export asked for (raises UsageError for one that cannot be made)."""
    if not any((options.latex, options.html, options.model_index, options.lmms_eval)):
        return {}
    from lavit_eval.files import json_text
    from lavit_eval.leaderboard import rows
    from lavit_eval.leaderboard_exports import lmms_results, model_index, render_html, render_latex

    table = rows([document for run in chosen for document in documents_of(run)])
    exports: dict[Path, str] = {}
    if options.latex:
        exports[options.latex] = render_latex(table, options.published)
    if options.html:
        exports[options.html] = render_html(table, options.published)
    if options.model_index:
        catalogue = Catalogue(options.task_dir)
        known = {row.task for row in table} & set(catalogue.task_files)
        exports[options.model_index] = model_index(table, {name: catalogue.task(name).kind for name in known})
    if options.lmms_eval:
        if len(chosen) != 1:
            raise UsageError(f"--lmms-eval writes the scores of one run, not of {len(chosen)}; name the run.")
        exports[options.lmms_eval] = json_text(lmms_results(chosen[0].scores() or {}))
    asked = [options.latex, options.html, options.model_index, options.lmms_eval]
    if len(exports) < sum(path is not None for path in asked):
        raise UsageError("Two exports go into the same file; name a file for each.")
    return exports


def show_reproduction(options: argparse.Namespace) -> int:
    """Print published numbers beside those of runs, and write them where asked for."""
    from lavit_eval.files import write_json
    from lavit_eval.reproduce import as_json, claims, reproduce
    from lavit_eval.reproduction_tables import render_markdown, render_terminal

    catalogue = Catalogue(options.task_dir)
    what, named = _what_and_runs(options.what, options.output_dir)
    suites = {name: catalogue.suite(name).tasks for name in sorted(catalogue.suite_files)}
    runs = [find_run(Path(name), options.output_dir) for name in named] or latest_runs(all_runs(options.output_dir))
    documents = [document for run in runs for document in documents_of(run)]
    findings = reproduce(claims(what, suites), documents)
    width = shutil.get_terminal_size((120, 24)).columns
    if options.markdown:
        write_atomic(options.markdown, render_markdown(findings).encode())
    if options.json:
        write_json(options.json, as_json(findings))
    print(render_terminal(findings, max(width, 80)), end="")
    return 0


def _what_and_runs(given: Sequence[str], output: Path) -> tuple[str | None, Sequence[str]]:
    """Take apart the words of `reproduce`: the first one names numbers, unless it is a run."""
    if not given:
        return None, ()
    first = any((folder / "manifest.json").is_file() for folder in (Path(given[0]), output / "runs" / given[0]))
    return (None, given) if first else (given[0], given[1:])
