"""The commands that look at finished runs side by side: compare, baseline, explain, history."""

from __future__ import annotations

import argparse
import sys

from lavit_eval.compare import CompareOptions, compare_runs
from lavit_eval.compare_sides import open_side
from lavit_eval.files import write_atomic, write_json
from lavit_eval.registry import Catalogue
from lavit_eval.thresholds import check_names, load_thresholds


def compare(options: argparse.Namespace) -> int:
    """Compare two runs and print what changed; return the exit code."""
    from lavit_eval.compare_output import as_json, junit, plain, render_markdown, render_terminal
    from lavit_eval.gate import exit_code, failures, tested

    thresholds = load_thresholds(options.thresholds)
    base, new = open_side(options.base, options.output_dir), open_side(options.new, options.output_dir)
    check_names(thresholds, sorted({*Catalogue([]).task_files, *base.tasks, *new.tasks}))
    chosen = tuple(name.strip() for name in (options.tasks or "").split(",") if name.strip())
    found = compare_runs(base, new, CompareOptions(thresholds, tuple(options.waive), chosen, options.metric))
    failed = failures(found)
    code = exit_code(failed, options.gate)
    if options.json is not None:
        write_json(options.json, as_json(found, failed, code))
    if options.summary is not None:
        write_atomic(options.summary, render_markdown(found, failed, options.samples).encode())
    if options.junit is not None:
        write_atomic(options.junit, junit(found, failed))
    print(render_terminal(found, failed, options.samples), end="")
    if options.gate:
        print("\n" + plain(f"Gate: {'passed' if code == 0 else f'failed, exit code {code}'}; {tested(found)}"))
    return code


def baseline(options: argparse.Namespace) -> int:
    """Accept a run as the gate's reference; return the exit code."""
    from lavit_eval.baselines import accept

    side = open_side(options.run, options.output_dir)
    path = accept(side, options.name, options.output_dir / "baselines")
    print(f"{path}: {len(side.tasks)} tasks of {side.label}, {path.stat().st_size / 1e3:,.0f} kB", file=sys.stderr)
    return 0


def explain(options: argparse.Namespace) -> int:
    """Say why two runs answered a sample differently; return the exit code."""
    from lavit_eval.compare_output import plain
    from lavit_eval.explain import explain as look

    base, new = (open_side(named, options.output_dir) for named in (options.base, options.new))
    found = look(base, new, options.sample, options.task, options.repeat)
    print(f"{found.task}, sample {plain(found.sample_id)}, repeat {found.repeat}: {found.cause}")
    print(plain(found.sentence))
    print(f"  A  {plain(found.base)}\n  B  {plain(found.new)}")
    for name, state, what in found.stages:
        print(f"  {state:8}{name:14}{what}")
    return 0


def history(options: argparse.Namespace) -> int:
    """Print the history of scores and write its charts; return the exit code."""
    from lavit_eval.compare_output import plain
    from lavit_eval.history import as_json, render
    from lavit_eval.history import history as look
    from lavit_eval.history_chart import page, png
    from lavit_eval.running import find_run
    from lavit_eval.runs import all_runs

    named = [find_run(run, options.output_dir) for run in options.runs]
    series = look(named or all_runs(options.output_dir), options.by, options.task, options.metric)
    if options.html is not None:
        write_atomic(options.html, page(series).encode())
    if options.png is not None:
        write_atomic(options.png, png(series))
    if options.json is not None:
        write_json(options.json, as_json(series))
    print("\n".join(plain(line) for line in render(series).split("\n")), end="")
    return 0
