"""CPU time and size of the report of a run as large as MSRVTT-QA's test split: 72,821 made questions, against BASE.

Both runs are made first, by a model that answers at once; only the report is timed, in this process, without media.

Run: python perf/report.py [--keep DIR]
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

from lavit_eval.compare_sides import side_of_run
from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.report.folder import ReportOptions, write_report
from lavit_eval.rescoring import Again
from lavit_eval.runs import Run

SAMPLES = 72_821
VIDEOS = 2_990
GOAL_SECONDS, GOAL_MEGABYTES = 20.0, 60.0
WORDS = [
    "cat",
    "dog",
    "man",
    "woman",
    "car",
    "ball",
    "street",
    "kitchen",
    "guitar",
    "horse",
    "song",
    "game",
    "child",
    "water",
    "screen",
    "paper",
]


def write_questions(root: Path) -> Path:
    """Write MSVD-QA's official layout with made questions; return the folder of the task that reads it."""
    folder = root / "MSVD-QA"
    (folder / "video").mkdir(parents=True)
    draw = random.Random(0)
    rows = []
    for index in range(SAMPLES):
        asked = f"what is the {draw.choice(WORDS)} doing with the {draw.choice(WORDS)} in part {index}?"
        video = index % VIDEOS + 1
        rows.append({"id": index + 1, "question": asked, "answer": draw.choice(WORDS), "video_id": video})
    for video in range(1, VIDEOS + 1):
        (folder / "video" / f"vid{video}.avi").write_bytes(b"made")
    (folder / "test_qa.json").write_text(json.dumps(rows))
    tasks = root / "tasks"
    tasks.mkdir()
    (tasks / "made_qa.yaml").write_text(json.dumps({"task": "made_qa", "extends": "msvd_qa", "samples": SAMPLES}))
    return tasks


def make_run(root: Path, tasks: Path, answer: str) -> Run:
    """Answer every question with one word."""
    options = RunOptions(
        model="constant",
        label=f"always {answer}",
        tasks=(Catalogue([tasks]).task("made_qa"),),
        data_root=root,
        output=root / "results",
        model_options=ModelOptions(arguments={"answer": answer}),
        run_id=answer,
    )
    run = evaluate(options).run
    _say_more(run)
    return run


def _say_more(run: Run) -> None:
    """Add the counts and times that a real model's journal has, which the page shows too."""
    path = run.task_folder("made_qa") / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["counts"] = {"prompt_tokens": 1177, "new_tokens": 3, "visual_tokens": 1032, "clips_used": 1 + number % 4}
        line["times"] = {"preprocess": 0.1834, "encode": 0.0431 + number * 1e-6, "generate": 0.2203}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def main() -> None:
    """Make two runs, report one against the other, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the report there, to look at it")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tasks = write_questions(root)
        base, run = (make_run(root, tasks, answer) for answer in ("cat", "dog"))
        again = Again(Catalogue([tasks]))
        for said, other in (("alone", None), ("against BASE", side_of_run(base))):
            folder = (keep or root / "report") / ("alone" if other is None else "against")
            began = time.process_time()
            write_report(run, other, folder, ReportOptions(again, media="none"))
            took = time.process_time() - began
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
            print(
                f"{SAMPLES:,} samples {said}: {took:.1f} CPU-s (goal {GOAL_SECONDS:g}), "
                f"{size:.1f} MB without media (goal {GOAL_MEGABYTES:g})"
            )


if __name__ == "__main__":
    main()
