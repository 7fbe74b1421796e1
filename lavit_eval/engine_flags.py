"""The flags that say who answers a run."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def add_engine(how: argparse._ActionsContainer, positive: Callable[[str], int]) -> None:
    """Add the flags of engines, workers and shards; `positive` reads a whole number of at least 1."""
    how.add_argument(
        "--engine", choices=["local", "ray"], default="local", help="processes of this machine (default), or Ray actors"
    )
    how.add_argument(
        "--workers", type=positive, metavar="N", help="processes or actors (default: one per device, on Ray per GPU)"
    )
    how.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="a batch that takes longer costs its worker (default: none)"
    )
    how.add_argument(
        "--shard", metavar="I/N", help="answer only share I of N (auto: of torchrun or a Slurm array); do not score"
    )
    how.add_argument(
        "--ray-address", metavar="HOST:PORT", help="head of a Ray cluster, or auto (default: start Ray on this machine)"
    )
    how.add_argument(
        "--extract-ahead",
        choices=["auto", "on", "off"],
        default="auto",
        help="features that metrics need while answering goes on (default auto: on a card beside a given --batch-size)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, not {text!r}")
    return seconds
