"""The command line: each command is a few lines over the API."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lavit_eval.command_line import build_parser
from lavit_eval.errors import UsageError
from lavit_eval.parsers import Parser


class Crash:
    """Turns an exception that nobody foresaw into exit code 5, its traceback kept in a file."""

    def __init__(self, debug: bool, output: Path) -> None:
        self._debug, self._output = debug, output
        self.crashed = False

    def __enter__(self) -> Crash:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        import traceback

        text = "".join(traceback.format_exception(error))
        log = self._output / "run.log"
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with open(log, "a", encoding="utf-8") as stream:
                stream.write(text)
            kept = f"its traceback is at the end of {log}"
        except OSError:
            kept = "its traceback could not be written; repeat with --debug"
        if self._debug:
            print(text, file=sys.stderr)
        print(
            f"lavit-eval: an internal error ({kind.__name__ if kind else 'unknown'}: {_line(error)}); {kept}.",
            file=sys.stderr,
        )
        self.crashed = True
        return True


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    try:
        options = parser.parse_args(given)
        if options.version or options.command is None:
            return _bare(parser, options.version)
        crash = Crash(getattr(options, "debug", False), getattr(options, "output_dir", Path("results")))
        with crash:
            try:
                return _dispatch(options, given)
            except UsageError as error:
                return _say_usage(error)
            except BrokenPipeError:
                # Whoever read our output, such as `head`, has seen enough.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 128 + 13
        return 5
    except UsageError as error:
        return _say_usage(error)
    except KeyboardInterrupt:
        return 130


def _say_usage(error: UsageError) -> int:
    for line in str(error).splitlines():
        print(f"lavit-eval: {line}", file=sys.stderr)
    return 2


def _bare(parser: Parser, version: bool) -> int:
    if version:
        from lavit_eval import __version__

        print(f"lavit-eval {__version__}")
    else:
        parser.print_help()
    return 0


def _dispatch(options: argparse.Namespace, given: Sequence[str]) -> int:
    if options.command in ("tasks", "data"):
        return _dispatch_data(options)
    if options.command == "weights":
        return _dispatch_weights(options)
    if options.command == "checkpoint":
        from lavit_eval import checkpoints

        if options.action == "inspect":
            return checkpoints.inspect(options.folder)
        return checkpoints.make_tiny(options.folder, options.seed)
    if options.command == "runs":
        if options.action == "prune":
            from lavit_eval.running import prune_run

            return prune_run(options.run, options.output_dir, options.keep)
        if options.action == "export":
            from lavit_eval.running import export_run

            return export_run(options)
        from lavit_eval.listing import list_runs, show_costs

        if options.action == "cost":
            from lavit_eval.running import find_run

            return show_costs(find_run(options.run, options.output_dir))
        return list_runs(options.output_dir)
    if options.command == "reproduce":
        from lavit_eval.running import show_reproduction

        return show_reproduction(options)
    if options.command == "leaderboard":
        from lavit_eval.running import show_leaderboard

        return show_leaderboard(options)
    if options.command in ("compare", "baseline", "explain", "history"):
        from lavit_eval import compare_commands

        command: Callable[[argparse.Namespace], int] = getattr(compare_commands, options.command)
        return command(options)
    if options.command == "report":
        from lavit_eval.report_command import report

        return report(options)
    if options.command in ("score", "judge", "sweep", "selfcheck"):
        return _dispatch_scoring(options, given)
    from lavit_eval import running

    return running.run(options, given)


def _dispatch_data(options: argparse.Namespace) -> int:
    if options.command == "tasks":
        from lavit_eval.listing import list_tasks

        return list_tasks(options.task_dir, options.names, options.json)
    from lavit_eval import data_commands

    return data_commands.check(options) if options.action == "check" else data_commands.prepare(options)


def _dispatch_scoring(options: argparse.Namespace, given: Sequence[str]) -> int:
    if options.command == "judge":
        from lavit_eval.judge_commands import judge

        return judge(options)
    from lavit_eval import score_commands

    if options.command == "score":
        return score_commands.score(options, given)
    return score_commands.sweep(options) if options.command == "sweep" else score_commands.selfcheck(options)


def _dispatch_weights(options: argparse.Namespace) -> int:
    from lavit_eval import weight_commands

    if options.action == "list":
        return weight_commands.list_weights(options.weights_dir)
    if options.action == "check":
        return weight_commands.check_weights(options.names, options.weights_dir)
    if options.action == "fetch":
        return weight_commands.fetch_weights(options.names, options.all, options.weights_dir)
    return weight_commands.add_weights(options.file, options.name, options.trust, options.weights_dir)


if __name__ == "__main__":
    sys.exit(main())
