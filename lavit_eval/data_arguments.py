"""What can be typed after `lavit-eval data`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lavit_eval.parsers import WordsAnywhere

SOURCE_HELP = "where the data come from: the data root (default), or the hub ids of the tasks, written into the cache"
Adds = Callable[[Any], None]


def add_data(commands: argparse._SubParsersAction[Any], add_task_dir: Adds, add_output: Adds) -> None:
    """Add `data check` and `data prepare`."""
    data = commands.add_parser("data", help="check a task's data, or unpack its official archives")
    kinds = data.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=WordsAnywhere)
    check = kinds.add_parser("check", help="counts, ids and digests as they should be? does every medium open?")
    check.words = ("tasks", str)
    check.add_argument("tasks", nargs="+", metavar="TASK")
    check.add_argument("--quick", action="store_true", help="look for the media without opening them")
    check.add_argument(
        "--allow-missing", action="store_true", help="absent media are no reason to stop (leave with 3 instead of 2)"
    )
    check.add_argument(
        "--threads", type=_positive, metavar="N", help="media opened at once (default: cores, at most 8)"
    )
    check.add_argument("--source", choices=["local", "hub"], default="local", help=SOURCE_HELP)
    _add_root(check)
    add_output(check)
    add_task_dir(check)
    prepare = kinds.add_parser(
        "prepare", help="unpack official archives into the layout that the readers expect; downloads nothing"
    )
    prepare.words = ("archives", Path)
    prepare.add_argument("task", metavar="TASK")
    prepare.add_argument(
        "archives",
        nargs="*",
        type=Path,
        metavar="ARCHIVE",
        help="zip, tar or tar.gz, or an annotation file; none: say what is needed",
    )
    prepare.add_argument("--into", metavar="FOLDER", help="below the data root, for files that are named otherwise")
    _add_root(prepare)
    add_task_dir(prepare)


def _add_root(parser: Any) -> None:
    parser.add_argument(
        "--data-root", type=Path, metavar="DIR", help="folder of the benchmarks (default $LAVIT_EVAL_DATA or data)"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an internal error")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return int(text)
