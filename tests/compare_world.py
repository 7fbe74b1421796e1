"""Made runs to compare: questions on made videos, answered as told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lavit_eval.cli import main
from lavit_eval.compare import CompareOptions, RunComparison, compare_runs
from lavit_eval.compare_sides import open_side
from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.runs import Run
from tests.tiny_world import msvd_task, options_for, write_msvd

VIDEOS, QUESTIONS = 12, 4
Wrong = Callable[[int, int], bool]
"""(video, number of its question) -> whether it is answered wrongly."""


def nothing(_video: int, _number: int) -> bool:
    """Answer everything rightly."""
    return False


def one_wrong(_video: int, number: int) -> bool:
    """Answer the first question of every video wrongly."""
    return number == 0


def compared(root: Path, base: str = "base", new: str = "new", **options: object) -> RunComparison:
    """Compare two runs under `root`/out."""
    sides = [open_side(Path(name), root / "out") for name in (base, new)]
    return compare_runs(sides[0], sides[1], CompareOptions(**options))  # type: ignore[arg-type]


def code(root: Path, *arguments: str, base: str = "base", new: str = "new") -> int:
    """Return the exit code of `lavit-eval compare` on runs under `root`/out."""
    return main(["compare", base, new, "--output-dir", str(root / "out"), *arguments])


def edited(run: Path, file: str, old: str, new: str) -> None:
    """Replace a text that stands in a file of a run's folder."""
    text = (run / file).read_text()
    assert old in text
    (run / file).write_text(text.replace(old, new))


def made_run(root: Path, run_id: str, wrong: Wrong = nothing, skip: str | None = None, **fields: Any) -> Run:
    """Run the model `external` on made MSVD-QA under `root`/out and return the run.

    Args:
        root: Holds data, tasks and runs.
        run_id: Of the run.
        wrong: Which questions are answered wrongly.
        skip: The sample that has no answer.
        fields: Of the task (`prompt`, ...), or `seed`, `repeats`, `limit` of the run.
    """
    if not (root / "data").exists():
        write_msvd(root / "data", VIDEOS, QUESTIONS)
    run_fields = {name: fields.pop(name) for name in ("seed", "repeats", "limit") if name in fields}
    task = msvd_task(VIDEOS * QUESTIONS, root / "tasks", **fields)
    answers = root / f"{run_id}.jsonl"
    lines = []
    for video in range(1, VIDEOS + 1):
        for number in range(QUESTIONS):
            right = "cat" if number % 2 else "dog"
            sample = str(video * 100 + number)
            if sample != skip:
                lines += [
                    json.dumps(
                        {"sample_id": sample, "text": "bird" if wrong(video, number) else right, "repeat": repeat}
                    )
                    for repeat in range(run_fields.get("repeats", 1))
                ]
    answers.write_text("\n".join(lines) + "\n")
    options = options_for(
        task,
        root / "data",
        root / "out",
        model="external",
        model_options=ModelOptions(arguments={"answers": str(answers)}),
        run_id=run_id,
        **run_fields,
    )
    return evaluate(options).run
