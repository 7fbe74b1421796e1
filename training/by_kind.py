"""Prints how runs of the canary suite answer each kind of question: `python training/by_kind.py RUN...`."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
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


def main(arguments: Sequence[str]) -> int:
    """Print the table of the runs whose folders are named."""
    found: defaultdict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
    for folder in map(Path, arguments):
        label = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["model"]["label"]
        found[label] = shares(folder)
    print("\n".join(table(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
