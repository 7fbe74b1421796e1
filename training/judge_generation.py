"""Judges videos of the made world: `python training/judge_generation.py data --out DIR`, then `... runs RUN...`.

`data` writes films and captions that no training shows; `runs` prints, for runs of the task canary_t2v from the least
trained to the most, how often a shape of the asked colour is seen, how often it goes the asked way, and the FVD.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from lavit_eval.runs import Run

TASK = "canary_t2v"
VIDEOS = 64
SEED = 77
"""Of the films that are judged; training films and the demo have others."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen in the videos of a run."""

    label: str
    videos: int
    """Those that were asked for, be they made or not."""
    unmade: int
    """Those that failed; they count as not seen."""
    shapes: int
    ways: int
    fvd: float | None
    """None if the run has no score yet."""


def judged(run: Run) -> Row:
    """Return what is seen in the videos of a run (raises UsageError if it has none of the task, or a file is lost)."""
    from lavit_eval.errors import MediumError, UsageError
    from lavit_eval.video.lossless import read_frames
    from training.detector import judge, read_caption

    responses = [entry.response for entry in run.entries(TASK).values()]
    shapes = ways = unmade = 0
    for response in responses:
        if response.outcome != "answered" or response.medium is None or response.text is None:
            unmade += 1
            continue
        asked = read_caption(json.loads(response.text)["prompt"])
        if asked is None:
            raise UsageError(
                f"{run.folder}: {response.sample_id} asks for no moving shape; write the data anew: {DATA}"
            )
        try:
            seen = judge(read_frames(run.folder / response.medium), asked)
        except MediumError as error:
            raise UsageError(f"{error} Make the videos again: lavit-eval run ... --fresh") from error
        shapes += seen.shape
        ways += seen.way
    if not responses:
        raise UsageError(
            f"{run.folder} has no videos of {TASK}; make them: lavit-eval run --task-dir training/tasks ..."
        )
    scores = run.scores()
    label = run.id if scores is None else scores["model"].get("label") or run.id
    fvd = None if scores is None else scores["tasks"][TASK]["metrics"]["fvd"]["value"]
    return Row(label, len(responses), unmade, shapes, ways, fvd)


DATA = "python training/judge_generation.py data --out DIR"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table, and whether the FVD falls from row to row."""
    yield "| run | videos | not made | asked shape seen, % | and it goes the asked way, % | FVD (demo features) |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        shapes, ways = (100 * count / row.videos for count in (row.shapes, row.ways))
        fvd = "not scored" if row.fvd is None else f"{row.fvd:.4g}"
        yield f"| {row.label} | {row.videos} | {row.unmade} | {shapes:.0f} | {ways:.0f} | {fvd} |"
    names = " > ".join(row.label for row in rows)
    yield f"\nFVD {names}: {'yes' if ranked(rows) else 'no'}"


def ranked(rows: Sequence[Row]) -> bool:
    """Say whether there are several runs, all scored, and each has a lower FVD than the one before."""
    values = [row.fvd for row in rows]
    return len(rows) > 1 and all(
        before is not None and after is not None and before > after for before, after in pairwise(values)
    )


def write_data(root: Path, videos: int) -> None:
    """Write films in MSRVTT-QA's layout and captions in MSR-VTT's (raises UsageError for a folder that has some)."""
    from lavit_eval.demo.layouts import write_msrvtt, write_msrvtt_qa
    from lavit_eval.errors import UsageError

    if (root / "MSRVTT-QA").exists():
        raise UsageError(f"{root} holds films already; name another folder with --out DIR, or use it as it is.")
    write_msrvtt_qa(root, SEED, videos)
    write_msrvtt(root, SEED, videos)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the data, or print the table; the exit code is 1 if several runs do not rank as named, 2 for a mistake."""
    from lavit_eval.errors import UsageError
    from lavit_eval.runs import open_run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    data = actions.add_parser("data", help="write the films and captions to judge on")
    data.add_argument("--out", type=Path, required=True, help="folder, afterwards usable as --data-root")
    data.add_argument(
        "--videos", type=int, default=VIDEOS, help=f"how many (default: {VIDEOS}, which the task expects)"
    )
    runs = actions.add_parser("runs", help="judge runs, from the least trained to the most")
    runs.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run")
    options = parser.parse_args(arguments)
    try:
        if options.action == "data":
            write_data(options.out, options.videos)
            return 0
        rows = [judged(open_run(folder)) for folder in options.runs]
    except UsageError as error:
        print(f"judge_generation: {error}", file=sys.stderr)
        return 2
    print("\n".join(table(rows)))
    return int(len(rows) > 1 and not ranked(rows))


if __name__ == "__main__":
    sys.exit(main())
