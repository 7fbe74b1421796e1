"""What can be typed: every command with its arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from lavit_eval.data_arguments import SOURCE_HELP, add_data
from lavit_eval.engine_flags import add_engine
from lavit_eval.judge_flags import add_judge, add_judge_flags
from lavit_eval.parsers import Parser

EPILOG = """exit codes: 0 fine; 1 a gate failed; 2 bad usage or input; 3 finished, but some samples have no answer;
4 runs are not comparable; 5 internal error; 130/143 interrupted (repeat the command to go on)"""


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="lavit-eval",
        description="Evaluate Video-LaVIT: from a video file to a leaderboard beside the paper's numbers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    _add_run(commands)
    _add_score(commands)
    add_judge(commands, _add_output, _add_task_dir)
    _add_sweep(commands)
    _add_selfcheck(commands)
    tasks = commands.add_parser("tasks", help="list the tasks and suites, or say all of some: data, licence, prompt")
    tasks.add_argument("names", nargs="*", metavar="TASK", help="print the page of each (default: list all)")
    tasks.add_argument("--json", action="store_true", help="print JSON for machines")
    _add_task_dir(tasks)
    add_data(commands, _add_task_dir, _add_output)
    board = commands.add_parser("leaderboard", help="write and print the table over finished runs")
    board.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="run folders (default: all under the output folder)"
    )
    board.add_argument("--latex", type=Path, metavar="FILE", help="write a booktabs table")
    board.add_argument("--html", type=Path, metavar="FILE", help="write a page of its own")
    board.add_argument("--model-index", type=Path, metavar="FILE", help="write a hub model card's metadata")
    board.add_argument("--lmms-eval", type=Path, metavar="FILE", help="write one run's scores in lmms-eval's form")
    board.add_argument("--published", action="store_true", help="LaTeX and HTML: the numbers of all published models")
    board.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_output(board)
    _add_task_dir(board)
    _add_reproduce(commands)
    _add_compare(commands)
    _add_baseline(commands)
    _add_explain(commands)
    _add_history(commands)
    _add_report(commands)
    _add_runs(commands)
    _add_weights(commands)
    _add_checkpoint(commands)
    return parser


def _add_compare(commands: argparse._SubParsersAction[Parser]) -> None:
    compared = commands.add_parser("compare", help="one run against another: comparable? worse? since which samples?")
    compared.add_argument(
        "base", type=Path, metavar="BASE", help="folder or id of a run, or name or file of a baseline"
    )
    compared.add_argument("new", type=Path, metavar="NEW", help="the same; the run that may have become worse")
    compared.add_argument(
        "--gate", action="store_true", help="leave with 1 for a regression, 3 if something is missing"
    )
    compared.add_argument(
        "--waive", action="append", default=[], metavar="FIELD", help="compare although this field differs; recorded"
    )
    compared.add_argument("--tasks", metavar="A,B", help="only these (default: all of BASE's)")
    compared.add_argument("--metric", metavar="M", help="by this metric, in the tasks that have it (default: primary)")
    compared.add_argument(
        "--thresholds", type=Path, metavar="FILE", help="which drop counts, per task (default: the shipped YAML file)"
    )
    compared.add_argument(
        "--samples", type=_positive, default=5, metavar="N", help="how many samples per task are shown, worst first"
    )
    compared.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found")
    compared.add_argument("--summary", type=Path, metavar="FILE", help="write the table as Markdown")
    compared.add_argument("--junit", type=Path, metavar="FILE", help="write one JUnit case per task")
    compared.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_output(compared)


def _add_baseline(commands: argparse._SubParsersAction[Parser]) -> None:
    baseline = commands.add_parser("baseline", help="the gate's reference")
    kinds = baseline.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    accepted = kinds.add_parser("accept", help="keep a run's scores as the reference that `compare` takes by name")
    accepted.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or its id")
    accepted.add_argument("--name", default="nightly", help="of the baseline (default nightly)")
    accepted.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_output(accepted)


def _add_explain(commands: argparse._SubParsersAction[Parser]) -> None:
    explained = commands.add_parser(
        "explain", help="why two runs answered a sample differently: input, seed or weights"
    )
    explained.add_argument("base", type=Path, metavar="RUN_A", help="folder of a run, or its id")
    explained.add_argument("new", type=Path, metavar="RUN_B", help="the same")
    explained.add_argument("sample", metavar="SAMPLE", help="the sample's id, as `compare` prints it")
    explained.add_argument("--task", metavar="T", help="whose sample it is, where several tasks have such an id")
    explained.add_argument("--repeat", type=int, default=0, metavar="N", help="which repeat (default 0)")
    explained.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_output(explained)


def _add_history(commands: argparse._SubParsersAction[Parser]) -> None:
    history = commands.add_parser("history", help="scores over checkpoints or commits, and where they made a step")
    history.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="default: all under the output folder")
    history.add_argument("--task", metavar="T", help="only this task (default: all)")
    history.add_argument("--metric", metavar="M", help="this metric (default: each task's primary one)")
    history.add_argument(
        "--by", choices=["model", "commit"], default="model", help="what moves: checkpoints (default) or code commits"
    )
    history.add_argument("--html", type=Path, metavar="FILE", help="write a page with a chart per task")
    history.add_argument("--png", type=Path, metavar="FILE", help="write the charts as a picture")
    history.add_argument("--json", type=Path, metavar="FILE", help="write the points and steps")
    history.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_output(history)


def _add_reproduce(commands: argparse._SubParsersAction[Parser]) -> None:
    again = commands.add_parser("reproduce", help="published numbers beside measured ones, and what was left open")
    again.add_argument(
        "what",
        nargs="*",
        metavar="TABLE|SUITE|TASK RUN",
        help="e.g. table4, then run folders or ids (default: all numbers, all finished runs)",
    )
    again.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    again.add_argument("--json", type=Path, metavar="FILE", help="write all digits as JSON")
    again.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_output(again)
    _add_task_dir(again)


def _add_runs(commands: argparse._SubParsersAction[Parser]) -> None:
    runs = commands.add_parser("runs", help="list the runs and how far they are; export or remove generated files")
    _add_output(runs)
    kinds = runs.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    _add_export(kinds)
    cost = kinds.add_parser(
        "cost", help="what each task of a run took: seconds, samples and tokens a second, memory, energy"
    )
    cost.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or its id")
    pruned = kinds.add_parser("prune", help="remove generated files of a finished run; its scores stay")
    pruned.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or its id")
    pruned.add_argument("--keep", choices=["preview", "none"], required=True, help="what stays")


def _add_export(kinds: argparse._SubParsersAction[Parser]) -> None:
    export = kinds.add_parser("export", help="write a run's videos under the names that an official scorer looks for")
    export.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or its id")
    export.add_argument(
        "--as", dest="form", choices=["vbench", "vbench_i2v", "evalcrafter"], required=True, help="whose names"
    )
    export.add_argument("folder", type=Path, metavar="DIR", help="gets videos/ and export.json")
    export.add_argument("--task", metavar="T", help="which task, where the run has several that fit")
    export.add_argument("--repeat", type=int, default=0, metavar="N", help="which repeat (default 0)")
    export.add_argument("--allow-missing", action="store_true", help="export what is there, though videos are lacking")
    export.add_argument("--debug", action="store_true", help="show the traceback of an internal error")


def _add_report(commands: argparse._SubParsersAction[Parser]) -> None:
    report = commands.add_parser("report", help="write a finished run as a page: scores, charts and every sample")
    report.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or its id")
    report.add_argument("base", nargs="?", type=Path, metavar="BASE", help="a run or a baseline to set beside it")
    report.add_argument("--out", type=Path, metavar="DIR", help="folder of the page (default OUTPUT/reports/RUN)")
    report.add_argument(
        "--media",
        choices=["none", "previews", "copy"],
        default="previews",
        help="none; small copies that browsers play (default); or whole files where browsers play them",
    )
    report.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the benchmarks, if it moved")
    report.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_output(report)
    _add_task_dir(report)


def _add_weights(commands: argparse._SubParsersAction[Parser]) -> None:
    files = commands.add_parser("weights", help="list, check, fetch or add the public weight files that metrics need")
    kinds = files.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    listed = kinds.add_parser("list", help="print every file, what needs it and whether it is here")
    checked = kinds.add_parser("check", help="read the files that are here from end to end and verify their digests")
    checked.add_argument("names", nargs="*", metavar="NAME", help="files that must be here (default: all that are)")
    fetched = kinds.add_parser("fetch", help="download files into the weights folder and verify them")
    fetched.add_argument("names", nargs="*", metavar="NAME", help="file names, as `weights list` prints them")
    fetched.add_argument("--all", action="store_true", help="every file that is missing or wrong")
    added = kinds.add_parser("add", help="verify a file that was downloaded elsewhere and copy it to the others")
    added.add_argument("file", type=Path, metavar="FILE", help="recognised by its digest, or else by its name")
    added.add_argument("--as", dest="name", metavar="NAME", help="what it is, where neither tells")
    added.add_argument(
        "--trust", action="store_true", help="you vouch for this very file, though its digest is another or unknown"
    )
    for kind in (listed, checked, fetched, added):
        _add_weights_dir(kind)


def _add_checkpoint(commands: argparse._SubParsersAction[Parser]) -> None:
    checkpoint = commands.add_parser("checkpoint", help="look into a checkpoint, or write a tiny one")
    kinds = checkpoint.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    inspect = kinds.add_parser("inspect", help="print what each file holds, and what is missing")
    inspect.add_argument("folder", type=Path, metavar="DIR")
    tiny = kinds.add_parser(
        "make-tiny", help="write a checkpoint of the real layout with small widths and random weights"
    )
    tiny.add_argument("folder", type=Path, metavar="DIR")
    tiny.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")


def _add_run(commands: argparse._SubParsersAction[Parser]) -> None:
    run = commands.add_parser("run", help="evaluate a model on tasks (default: the demo suite)")
    _add_what(run.add_argument_group("what"))
    _add_how(run.add_argument_group("how"))
    _add_where(run.add_argument_group("where"))
    add_judge_flags(run.add_argument_group("judge"))


def _add_what(what: argparse._ActionsContainer) -> None:
    what.add_argument("--model", help="video-lavit, constant, most-common-answer, ... ")
    what.add_argument("--checkpoint", help="a checkpoint folder, or a hub id that is in the local cache")
    what.add_argument("--model-args", action="append", default=[], metavar="K=V,...", help="arguments of the model")
    what.add_argument("--attention", choices=["sdpa", "xformers"], help="short for --model-args attention=...")
    what.add_argument("--low-memory", action="store_true", help="short for --model-args low_memory=on")
    what.add_argument("--keyframe-pipeline", metavar="DIR", help="short for --model-args keyframe_pipeline=DIR")
    what.add_argument("--label", help="the model's name in tables")
    what.add_argument("--tasks", metavar="A,B", help="task names, separated by commas")
    what.add_argument("--suite", help="a named list of tasks")
    _add_task_dir(what)
    what.add_argument(
        "--data-root", type=Path, metavar="DIR", help="folder of the benchmarks (default $LAVIT_EVAL_DATA or data)"
    )
    what.add_argument("--source", choices=["local", "hub"], default="local", help=SOURCE_HELP)
    what.add_argument(
        "--limit", type=_positive, metavar="N", help="only the first N samples of each task; the score is labelled"
    )
    what.add_argument(
        "--allow-missing", action="store_true", help="samples whose media are missing fail instead of stopping the run"
    )


def _add_how(how: argparse._ActionsContainer) -> None:
    how.add_argument(
        "--batch-size", type=_batch_size, default=None, metavar="N|auto", help="requests per batch (default auto)"
    )
    how.add_argument(
        "--device", default="cpu", help="cpu, cuda:N, several as cuda:0,cuda:1 or cuda:all (a worker each; default cpu)"
    )
    add_engine(how, _positive)
    _add_equipment(how)
    how.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (default float32)")
    how.add_argument("--seed", type=int, default=42, help="of all that is drawn (default 42)")
    how.add_argument(
        "--repeats", type=_positive, default=1, metavar="N", help="ask every sample N times, each with its own seeds"
    )
    how.add_argument(
        "--visual-noise",
        choices=["per-medium", "per-question"],
        default="per-medium",
        help="who shares a draw of visual patches",
    )
    how.add_argument(
        "--threads",
        type=_positive,
        metavar="N",
        help="CPU threads of each worker (default: all cores); recorded, since rounding depends on it",
    )


def _add_where(where: argparse._ActionsContainer) -> None:
    _add_output(where)
    where.add_argument("--run-id", metavar="ID", help="name of the run's folder; the same id continues the same run")
    where.add_argument("--fresh", action="store_true", help="begin anew even if an equal run exists (which is kept)")
    where.add_argument("--retry-failed", action="store_true", help="ask again what failed")
    where.add_argument(
        "--keep-media",
        choices=["all", "preview", "none"],
        default="all",
        help="which generated files stay once they are scored (default all)",
    )
    where.add_argument("--dry-run", action="store_true", help="check everything, say what would be done, and stop")
    where.add_argument("--probe", action="store_true", help="with --dry-run: answer 10 samples, estimate time and disk")
    where.add_argument("--debug", action="store_true", help="show the traceback of an internal error")


def _add_score(commands: argparse._SubParsersAction[Parser]) -> None:
    score = commands.add_parser("score", help="score a run again without its model, or what was made elsewhere")
    score.add_argument("run", nargs="?", type=Path, metavar="RUN", help="folder of a run, or its id")
    score.add_argument(
        "--protocol", metavar="P", help="score under this protocol (a name, or a YAML file) and keep that beside RUN's"
    )
    score.add_argument("--task", metavar="T", help="the task that --answers or --media belong to")
    score.add_argument("--answers", type=Path, metavar="FILE.jsonl", help='lines {"sample_id": ..., "text": "..."}')
    score.add_argument(
        "--media", type=Path, metavar="DIR|CSV", help="videos or images named by sample id, or a list of id,path"
    )
    score.add_argument("--device", default="cpu", help="of feature networks: cpu or cuda:N (default cpu)")
    score.add_argument("--extrapolate", action="store_true", help="add where biased distances tend with more samples")
    _add_equipment(score)
    score.add_argument("--label", help="the model's name in tables (default: external)")
    score.add_argument("--limit", type=_positive, metavar="N", help="only the first N samples of the task")
    score.add_argument("--repeats", type=_positive, default=1, metavar="N", help="how many repeats the answers hold")
    score.add_argument("--run-id", metavar="ID")
    score.add_argument("--data-root", type=Path, metavar="DIR")
    score.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_output(score)
    _add_task_dir(score)


def _add_sweep(commands: argparse._SubParsersAction[Parser]) -> None:
    sweep = commands.add_parser("sweep", help="one task's generated videos under every protocol of FVD and KVD")
    sweep.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or its id")
    sweep.add_argument("task", metavar="TASK")
    sweep.add_argument(
        "--protocol", action="append", default=[], metavar="FILE.yaml", help="a protocol of your own beside the shipped"
    )
    sweep.add_argument("--device", default="cpu", help="of feature networks: cpu or cuda:N (default cpu)")
    sweep.add_argument("--extrapolate", action="store_true", help="add a column: the distance with ever more videos")
    sweep.add_argument("--data-root", type=Path, metavar="DIR", help="where the real videos lie, if they moved")
    sweep.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_equipment(sweep)
    _add_output(sweep)
    _add_task_dir(sweep)


def _add_selfcheck(commands: argparse._SubParsersAction[Parser]) -> None:
    check = commands.add_parser("selfcheck", help="a task's metrics on its real media alone, to try data and weights")
    check.add_argument("task", metavar="TASK")
    check.add_argument(
        "--data-root", type=Path, metavar="DIR", help="folder of the benchmarks (default $LAVIT_EVAL_DATA or data)"
    )
    check.add_argument("--limit", type=_positive, metavar="N", help="only the first N samples")
    check.add_argument("--device", default="cpu", help="of feature networks: cpu or cuda:N (default cpu)")
    check.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    _add_equipment(check)
    _add_task_dir(check)


def _add_equipment(parser: argparse._ActionsContainer) -> None:
    _add_weights_dir(parser)
    parser.add_argument(
        "--trust",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a weight file that you vouch for, though its digest is another than the published one or unknown",
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="compare sets that lack videos or hold copies; the score is labelled",
    )


def _add_output(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="holds runs/ and leaderboard.* (default results)",
    )


def _add_weights_dir(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--weights-dir",
        type=Path,
        metavar="DIR",
        help="folder of the weight files (default $LAVIT_EVAL_WEIGHTS, then the cache)",
    )


def _add_task_dir(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--task-dir", type=Path, action="append", default=[], metavar="DIR", help="a folder of your own task files"
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return int(text)


def _batch_size(text: str) -> int | None:
    return None if text == "auto" else _positive(text)
