"""Reading and checking the annotations of the two largest sets: made files of the official size and form.

Each side runs in a process of its own: `json.load` of the same files alone, the reader, and all that `lavit-eval data
check --quick` does (counts, ids, every medium looked for). Printed are CPU seconds, the peak of memory above what the
process had after its imports, and the ratio to `json.load`.

Run: python perf/annotations.py
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

GOAL_SECONDS, GOAL_MEGABYTES = 5.0, 900
SIDES = ("json.load alone", "reader", "data check --quick")
WORDS = [
    "what",
    "who",
    "how",
    "many",
    "is",
    "the",
    "man",
    "woman",
    "dog",
    "doing",
    "in",
    "a",
    "on",
    "playing",
    "street",
]


def sentence(draw: random.Random) -> str:
    """Return a made question."""
    return " ".join(draw.choices(WORDS, k=draw.randint(4, 10))) + "?"


def write_msrvtt_qa(root: Path) -> list[Path]:
    """Write 72,821 questions on 2,990 videos."""
    draw = random.Random(0)
    folder = root / "MSRVTT-QA"
    (folder / "video").mkdir(parents=True)
    for number in range(7010, 10000):
        (folder / "video" / f"video{number}.mp4").write_bytes(b"made")
    rows = [
        {
            "answer": draw.choice(WORDS),
            "category_id": index % 20,
            "id": 158_581 + index,
            "question": sentence(draw),
            "video_id": 7010 + index % 2990,
        }
        for index in range(72_821)
    ]
    (folder / "test_qa.json").write_text(json.dumps(rows))
    return [folder / "test_qa.json"]


def write_vqav2(root: Path) -> list[Path]:
    """Write 214,354 questions with ten answers each on 40,504 images."""
    draw = random.Random(0)
    folder = root / "vqav2"
    (folder / "val2014").mkdir(parents=True)
    for image in range(40_504):
        (folder / "val2014" / f"COCO_val2014_{image:012d}.jpg").write_bytes(b"made")
    questions, annotations = [], []
    for index in range(214_354):
        image, question = index % 40_504, (index % 40_504) * 1000 + index // 40_504
        questions.append({"image_id": image, "question": sentence(draw), "question_id": question})
        answers = [
            {"answer": draw.choice(WORDS), "answer_confidence": "yes", "answer_id": number} for number in range(1, 11)
        ]
        annotations.append(
            {
                "question_type": "what is the",
                "multiple_choice_answer": answers[0]["answer"],
                "answers": answers,
                "image_id": image,
                "answer_type": "other",
                "question_id": question,
            }
        )
    paths = [
        folder / "v2_OpenEnded_mscoco_val2014_questions.json",
        folder / "v2_mscoco_val2014_annotations.json",
    ]
    paths[0].write_text(json.dumps({"questions": questions}))
    paths[1].write_text(json.dumps({"annotations": annotations}))
    return paths


SETS: dict[str, Callable[[Path], list[Path]]] = {"msrvtt_qa": write_msrvtt_qa, "vqav2": write_vqav2}


def peak_megabytes() -> float:
    """Return the most memory that this process has held (not `getrusage`, which begins with the parent's peak)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not say how much memory a process has held")


def measure(side: str, name: str, root: Path, paths: list[Path]) -> None:
    """Do one side in this process and print its CPU seconds and its megabytes above the imports."""
    from lavit_eval.data_check import Thoroughness, check_task
    from lavit_eval.preparation import read_samples
    from lavit_eval.registry import Catalogue, find

    task = Catalogue().task(name)
    find("benchmark", task.benchmark)
    before = peak_megabytes()
    began = time.process_time()
    kept: object
    if side == SIDES[0]:
        kept = [json.loads(path.read_text()) for path in paths]
    elif side == SIDES[1]:
        kept = read_samples(task, root)
    else:
        kept = check_task(task, root, Thoroughness(quick=True))
        assert not kept.problems, kept.problems[:3]
    took = time.process_time() - began
    above = peak_megabytes() - before
    print(json.dumps([took, above, bool(kept)]))


def main() -> None:
    """Write both sets and print every side of each."""
    if len(sys.argv) > 1:
        side, name, root, *given = sys.argv[1:]
        measure(side, name, Path(root), [Path(path) for path in given])
        return
    for name, write in SETS.items():
        with tempfile.TemporaryDirectory() as folder:
            paths = write(Path(folder))
            size = sum(path.stat().st_size for path in paths) >> 20
            print(f"{name}, {size} MB of annotations (goal {GOAL_SECONDS:.0f} CPU-s, {GOAL_MEGABYTES} MB)")
            alone = 0.0
            for side in SIDES:
                command = [sys.executable, __file__, side, name, folder, *map(str, paths)]
                done = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
                took, above, _ = min(json.loads(one.stdout) for one in done)
                alone = alone or took
                print(f"{side:>20}: {took:5.2f} CPU-s ({took / alone:4.1f}x), {above:4.0f} MB above the imports")


if __name__ == "__main__":
    main()
