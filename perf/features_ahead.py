"""Features extracted beside answering against afterwards: the same run, `--extract-ahead` on and off.

A made text-to-video task, the I3D network with random weights, features of generated and of real videos, nothing kept
from before. Once with the tiny checkpoint in one spawned worker, which shares the cores; once with
a model that sleeps for as long as the features of its batch take here, in the place of a card's work. Both sides in
turn, as often as asked for; whole runs are timed, scores must be equal.

Run: python perf/features_ahead.py [--videos N] [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from lavit_eval import registry
from lavit_eval.engines.options import EngineOptions
from lavit_eval.evaluate import evaluate
from lavit_eval.features.equipment import Equipment
from lavit_eval.metrics.backbones.i3d import I3d
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.tiny import make_tiny
from lavit_eval.prospect import RunOptions
from lavit_eval.runs import Run
from lavit_eval.task import Task
from tests.film_world import film_task, write_benchmark

BATCH = 2
WEIGHTS = "i3d_pretrained_400.pt"


def _task(folder: Path, count: int) -> Task:
    sizes = {"width": 64, "height": 64, "steps": 4, "video_width": 64, "video_height": 64, "video_steps": 2}
    return film_task(
        folder,
        count,
        metrics=["fvd"],
        protocols={"fvd": "tats"},
        features="published",
        generation={**sizes, "min_new_tokens": 8, "max_new_tokens": 150},
    )


def _run(options: RunOptions, ahead: bool, root: Path) -> tuple[float, Run]:
    with tempfile.TemporaryDirectory(dir=root) as cache:
        os.environ["LAVIT_EVAL_CACHE"] = cache
        engine = replace(options.engine, extract_ahead="on" if ahead else "off")
        name = f"{options.run_id}-{'on' if ahead else 'off'}"
        began = time.perf_counter()
        run = evaluate(replace(options, engine=engine, run_id=name)).run
        return time.perf_counter() - began, run


def _both(title: str, make: Callable[[int], RunOptions], rounds: int, root: Path) -> None:
    took: dict[bool, list[float]] = {False: [], True: []}
    waits = []
    for turn in range(rounds):
        runs = {}
        for ahead in (False, True) if turn % 2 == 0 else (True, False):
            seconds, runs[ahead] = _run(make(turn), ahead, root)
            took[ahead].append(seconds)
        assert runs[False].scores_path.read_bytes() == runs[True].scores_path.read_bytes()
        found = re.search(r"waited ([0-9.]+) s", (runs[True].folder / "run.log").read_text())
        assert found is not None
        waits.append(float(found[1]))
    after, beside = (statistics.median(took[ahead]) for ahead in (False, True))
    ratios = sorted(one / other for one, other in zip(took[False], took[True], strict=True))
    print(
        f"{title}: {after:.1f} s with features afterwards, {beside:.1f} s beside, "
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
        f"waited {statistics.median(waits):.1f} s after the last answer",
        flush=True,
    )


def main() -> None:
    """Run both ways with both models and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {given.videos} videos, medians of {given.rounds}")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_benchmark(root / "data", given.videos)
        weights = root / "weights" / WEIGHTS
        weights.parent.mkdir()
        torch.manual_seed(0)
        torch.save(I3d(1e-5).state_dict(), weights)
        equipment = Equipment(weights.parent, frozenset({weights.resolve()}), allow_partial=True)
        base = RunOptions(
            model="video-lavit",
            tasks=(_task(root / "tasks", given.videos),),
            data_root=root / "data",
            output=root / "results",
            equipment=equipment,
            batch_size=BATCH,
            threads=1,
        )
        tiny = ModelOptions(checkpoint=str(make_tiny(root / "tiny")))
        workers = replace(base, model_options=tiny, engine=EngineOptions(workers=1))
        _both("the tiny checkpoint, one worker", lambda turn: replace(workers, run_id=f"w{turn}"), given.rounds, root)
        registry.BUILT_IN["model"]["filmer"] = "tests.filmer:Filmer"  # type: ignore[index]
        registry.targets.cache_clear()
        sleeps = ModelOptions(arguments={"seconds": f"{_seconds_of_a_batch(base, root):.2f}"})
        sleeping = replace(base, model="filmer", model_options=sleeps)
        _both("a model that sleeps", lambda turn: replace(sleeping, run_id=f"s{turn}"), given.rounds, root)


def _seconds_of_a_batch(base: RunOptions, root: Path) -> float:
    """Return how long the features of a batch take here, of generated videos and of real ones."""
    _, run = _run(replace(base, model="filmer", model_options=ModelOptions(), run_id="probe"), False, root)
    found = re.search(r"scored in ([0-9.]+) s", (run.folder / "run.log").read_text())
    assert found is not None
    return float(found[1]) * BATCH / len(run.entries("made_film"))


if __name__ == "__main__":
    main()
