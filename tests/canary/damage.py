"""Injects each fault, runs the chain, and says who saw it: `make canary`.

The table goes to docs/canary.md, between its two marks.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch

from lavit_eval.demo.material import canary_checkpoint, demo_data
from lavit_eval.registry import Catalogue
from tests.canary.chain import LIKELIHOODS, Chain, Outcome, seen_in_digests, seen_in_parity, seen_in_scores
from tests.canary.faults import READING, Fault
from tests.canary.model_faults import MODEL

FAULTS = (*READING, *MODEL)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "canary.md"
SIZE = Catalogue().suite("canary").size
"""Videos of each benchmark, and images."""
SHOWN = 6
"""Scores that the table names of a fault."""
BEGIN, END = "<!-- damage: begin -->\n", "<!-- damage: end -->\n"


@dataclass(frozen=True)
class Sighting:
    """Who saw a fault; empty texts where nobody did."""

    fault: str
    scores: str
    digests: str
    parity: str

    @property
    def anywhere(self) -> bool:
        """Whether anything saw it."""
        return bool(self.scores or self.digests or self.parity)


def examine(fault: Fault, chain: Chain, whole: Outcome) -> Sighting:
    """Have a fault, run everything, and compare."""
    with fault.injected():
        parity = seen_in_parity()
        try:
            damaged = chain.run(cached=not fault.reads)
        except Exception as error:  # a chain that stops is a sighting too
            return Sighting(fault.name, f"stops: {type(error).__name__}", "", parity)
    return Sighting(fault.name, seen_in_scores(whole, damaged), seen_in_digests(whole, damaged), parity)


def table(found: Sequence[Sighting], whole: Outcome, size: int) -> str:
    """Return the Markdown of the sightings, with what was missed."""
    scores = sum(bool(one.scores) for one in found)
    anywhere = sum(one.anywhere for one in found)
    lines = [
        f"{len(found)} faults, {size} videos of each benchmark and {size} images: {scores} seen in the scores, "
        f"{anywhere} in scores, input digests or parity cases. Undamaged: "
        + ", ".join(f"{task} {value:.{3 if task in LIKELIHOODS else 1}f}" for task, value in whole.values.items())
        + ".",
        "",
        "| fault | seen in the scores | seen in scores, input digests or parity cases |",
        "|---|---|---|",
    ]
    for one in found:
        parts = [one.scores and "scores", one.digests, one.parity and f"parity: {one.parity}"]
        lines.append(
            f"| {one.fault} | {_shortened(one.scores) or 'no'} | {'; '.join(filter(None, parts)) or '**no**'} |"
        )
    return "\n".join([*lines, ""])


def _shortened(scores: str) -> str:
    """Return the first of the scores that fell, and how many others did."""
    every = scores.split(", ")
    return scores if len(every) <= SHOWN else ", ".join(every[:SHOWN]) + f" and {len(every) - SHOWN} more"


def main() -> int:
    """Run the command line; return the exit code, 1 where too few faults are seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--size", type=int, default=SIZE, help="videos of each benchmark, and images, at most those of the suite canary"
    )
    parser.add_argument("--only", default="", help="faults whose name contains this text")
    parser.add_argument("--jobs", type=int, default=2, help="faults at once, each in a process with one thread")
    parser.add_argument(
        "--log", type=Path, help="append a line of JSON per fault, and skip the faults that stand there"
    )
    options = parser.parse_args()
    if why := seen_in_parity():
        raise SystemExit(f"A parity case fails without any fault: {why}")
    whole = _undamaged(options.size)[1]
    known = _known(options.log)
    chosen = [fault.name for fault in FAULTS if options.only in fault.name]
    for seconds, one in _seen([name for name in chosen if name not in known], options.size, options.jobs):
        known[one.fault] = one
        print(f"{seconds:5.1f} s  {one}", flush=True)
        if options.log:
            with options.log.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(one)) + "\n")
    found = [known[name] for name in chosen]
    text = table(found, whole, options.size)
    print(text)
    if not options.only:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.partition(END)[2], encoding="utf-8")
    return int(not options.only and not enough(found))


def enough(found: Sequence[Sighting]) -> bool:
    """Say whether the scores see 28 of 40 faults or a larger share, and scores, digests or parity cases 38 of 40."""
    scores, anywhere = sum(bool(one.scores) for one in found), sum(one.anywhere for one in found)
    return 40 * scores >= 28 * len(found) and 40 * anywhere >= 38 * len(found)


@cache
def _undamaged(size: int) -> tuple[Chain, Outcome]:
    """Return the chain and what it gives without a fault, once per process."""
    torch.set_num_threads(1)
    chain = Chain(demo_data(SIZE), canary_checkpoint("canary/final"), size)
    return chain, chain.run(cached=True)


def _examine_named(name: str, size: int) -> tuple[float, Sighting]:
    chain, whole = _undamaged(size)
    began = time.monotonic()
    one = examine(next(fault for fault in FAULTS if fault.name == name), chain, whole)
    return time.monotonic() - began, one


def _seen(names: Sequence[str], size: int, jobs: int) -> Iterator[tuple[float, Sighting]]:
    """Yield the seconds and the sighting of each fault, in the order given; each process has one fault at a time."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_examine_named, names, [size] * len(names))


def _known(log: Path | None) -> dict[str, Sighting]:
    if log is None or not log.is_file():
        return {}
    rows = [Sighting(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
    return {one.fault: one for one in rows}


if __name__ == "__main__":
    raise SystemExit(main())
