"""Prints how runs of the canary suite answer each kind of question: `python training/by_kind.py RUN...`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

TASKS = ("msvd_qa", "msrvtt_qa")


def shares(run: Path) -> dict[str, tuple[float, int]]:
    """Return kind -> (share of right answers in percent, how many were asked) over both video tasks of a run."""
    from lavit_eval.demo.language import kind_of
    from lavit_eval.demo.material import demo_data
    from lavit_eval.registry import Catalogue, find

    root = demo_data(Catalogue().suite("canary").size)
    right, asked = Counter[str](), Counter[str]()
    for task in TASKS:
        samples = find("benchmark", task)().read(root, "test").samples
        kinds = {sample.id: kind_of(sample.question) for sample in samples}
        for line in (run / "tasks" / task / "samples.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            kind = kinds[record["sample_id"]]
            asked[kind] += 1
            right[kind] += record["exact_match"]["score"] > 0
    return {kind: (100 * right[kind] / asked[kind], asked[kind]) for kind in asked}


def table(found: dict[str, dict[str, tuple[float, int]]]) -> Iterable[str]:
    """Yield the lines of a Markdown table: kinds, those that need motion first, by runs."""
    from lavit_eval.demo.language import MOTION_KINDS, choices

    kinds = sorted(next(iter(found.values())), key=lambda kind: (kind not in MOTION_KINDS, kind))
    yield "| kind | needs motion | n | chance | " + " | ".join(found) + " |"
    yield "|---" * (4 + len(found)) + "|"
    for kind in kinds:
        motion, chance = "yes" if kind in MOTION_KINDS else "no", 100 / len(choices(kind))  # type: ignore[arg-type]
        cells = [f"{run[kind][0]:.0f}" for run in found.values()]
        asked = next(iter(found.values()))[kind][1]
        yield f"| {kind} | {motion} | {asked} | {chance:.0f} | " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of the runs whose folders are named; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run of the suite canary")
    found: dict[str, dict[str, tuple[float, int]]] = {}
    for folder in parser.parse_args(arguments).runs:
        try:
            label = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["model"]["label"]
            counted = shares(folder)
        except (OSError, KeyError) as error:
            parser.error(f"{folder} is no finished run of the suite canary ({error})")
        if label in found:
            parser.error(f"{folder} is a second run of {label}; name one of them, or give the runs a --label")
        if _sizes(counted) != _sizes(next(iter(found.values()), counted)):
            parser.error(f"{folder} has other questions than the runs before it")
        found[label] = counted
    print("\n".join(table(found)))
    return 0


def _sizes(counted: dict[str, tuple[float, int]]) -> dict[str, int]:
    return {kind: asked for kind, (_, asked) in counted.items()}


if __name__ == "__main__":
    sys.exit(main())
