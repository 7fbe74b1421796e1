"""What can be typed about a judge, and what it means."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavit_eval.errors import UsageError

if TYPE_CHECKING:
    from lavit_eval.judges.protocol import JudgeOptions

DTYPES = ("float32", "bfloat16", "float16")
MOST_IN_FLIGHT = 512


def add_judge(commands: Any, *common: Callable[[argparse._ActionsContainer], None]) -> None:
    """Add the command `judge` to the others.

    Args:
        commands: Where commands are added.
        common: Add the flags that it shares with others.
    """
    judge = commands.add_parser("judge", help="let a language model judge a finished run's answers, and score it")
    judge.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or its id")
    add_judge_flags(judge)
    judge.add_argument("--retry-failed", action="store_true", help="ask again where a judgement failed")
    judge.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the benchmarks, if it moved")
    judge.add_argument("--debug", action="store_true", help="show the traceback of an internal error")
    for add in common:
        add(judge)


def add_judge_flags(parser: argparse._ActionsContainer) -> None:
    """Add the flags that say who judges, and how."""
    parser.add_argument(
        "--judge-model", metavar="NAME", help="the model that judges, as its endpoint calls it; or a folder"
    )
    parser.add_argument(
        "--judge-url", metavar="URL", help="an OpenAI-compatible endpoint (default https://api.openai.com/v1)"
    )
    parser.add_argument(
        "--judge-kind",
        choices=["endpoint", "transformers"],
        default="endpoint",
        help="who runs it: an endpoint (default), or this process, from a local folder",
    )
    parser.add_argument(
        "--judge-key-env",
        metavar="VARIABLE",
        help="environment variable with the endpoint's key (default OPENAI_API_KEY for api.openai.com, else none)",
    )
    _add_how(parser)


def _add_how(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--judge-concurrency", type=_in_flight, default=16, metavar="N", help="requests in flight (default 16)"
    )
    parser.add_argument(
        "--judge-timeout", type=_seconds, default=60.0, metavar="S", help="seconds for one request (default 60)"
    )
    parser.add_argument(
        "--judge-attempts", type=_attempts, default=5, metavar="N", help="how often one request is sent (default 5)"
    )
    parser.add_argument(
        "--judge-max-tokens", type=_attempts, metavar="N", help="of a reply, e.g. for a judge that thinks first"
    )
    parser.add_argument(
        "--judge-template",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a template of your own, in the place of the shipped one for the same judgement",
    )
    parser.add_argument(
        "--judge-prices",
        type=_prices,
        metavar="IN,OUT",
        help="of a million tokens, to note the cost (default: unknown)",
    )
    parser.add_argument(
        "--judge-device",
        type=_device,
        default="cpu",
        metavar="DEVICE",
        help="of a judge in this process: cpu or cuda:N (default cpu)",
    )
    parser.add_argument("--judge-dtype", choices=DTYPES, default="bfloat16", help="the same (default bfloat16)")


def judge_asked_for(options: argparse.Namespace) -> JudgeOptions | None:
    """Return the judge that a command line names, None where it names none (raises UsageError for half of one)."""
    if options.judge_model is None:
        if options.judge_url or options.judge_template or options.judge_key_env or options.judge_kind != "endpoint":
            raise UsageError("A judge needs a name: add --judge-model NAME.")
        return None
    from lavit_eval.judges.protocol import OPENAI, OPENAI_KEY, JudgeOptions

    local = options.judge_kind == "transformers"
    if local and (options.judge_url or options.judge_key_env):
        raise UsageError("--judge-kind transformers asks no endpoint; leave out --judge-url and --judge-key-env.")
    url = OPENAI
    if not local:
        from lavit_eval.judges.endpoint import checked_url

        url = checked_url(options.judge_url or OPENAI)
    return JudgeOptions(
        model=options.judge_model,
        kind=options.judge_kind,
        url=url,
        # The key of one provider is never sent to another: only its own address takes it without being told.
        key_variable=options.judge_key_env or (OPENAI_KEY if url == OPENAI and not local else None),
        concurrency=options.judge_concurrency,
        timeout=options.judge_timeout,
        attempts=options.judge_attempts,
        max_tokens=options.judge_max_tokens,
        templates=tuple(options.judge_template),
        prices=options.judge_prices,
        device=options.judge_device,
        dtype=options.judge_dtype,
        retry_failed=options.retry_failed,
    )


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither cpu nor cuda:N")
    return text


def _whole(text: str, most: int) -> int:
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {most:,}, not {text!r}")
    return int(text)


def _in_flight(text: str) -> int:
    return _whole(text, MOST_IN_FLIGHT)


def _attempts(text: str) -> int:
    return _whole(text, 100_000)


def _seconds(text: str) -> float:
    number = _number(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"expected seconds, not {text!r}")
    return number


def _prices(text: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) != 2 or any(_number(part) < 0 for part in parts):
        raise argparse.ArgumentTypeError(
            f"expected the prices of a million prompt and reply tokens, IN,OUT, not {text!r}"
        )
    return _number(parts[0]), _number(parts[1])


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a number, not {text!r}")
    return number
