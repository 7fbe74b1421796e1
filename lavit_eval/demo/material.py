"""Where the demo suite's data and checkpoint lie: in the cache, made when they are first needed on a machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from filelock import FileLock

from lavit_eval.data_files import data_folder
from lavit_eval.demo.data import DEMO_VERSION, make_demo_data
from lavit_eval.digests import cache_folder
from lavit_eval.errors import UsageError, nearest
from lavit_eval.models.video_lavit.checkpoint import UNDERSTANDING_FOLDER

CHECKPOINT_SEED = 0
CHECKPOINT_VERSION = 5
"""Rises when the same seed would give another checkpoint."""
DEMO_SIZE = 16
"""Videos of each benchmark, and images, unless a suite says otherwise."""
CANARY = "canary/"
"""How the name of a stage of the shipped trained checkpoint begins, e.g. canary/final."""


def demo_data(size: int = DEMO_SIZE) -> Path:
    """Return the data root of the demo with `size` videos of each benchmark and `size` images."""
    name = f"data-{DEMO_VERSION}" + ("" if size == DEMO_SIZE else f"-{size}")
    root = cache_folder() / "demo" / name
    if not root.is_dir():
        print(f"Making the demo's videos and images in {root} ...", file=sys.stderr, flush=True)
    return make_demo_data(root, videos=size, images=size)


def canary_checkpoint(name: str) -> Path:
    """Return a stage of the shipped trained checkpoint, `canary/early`, `canary/middle` or `canary/final`.

    Raises UsageError for any other.
    """
    folder = data_folder("checkpoints/canary")
    stages = sorted(path.name for path in folder.iterdir() if path.is_dir())
    stage = name.removeprefix(CANARY)
    if stage not in stages:
        raise UsageError(f"There is no checkpoint {name}: choose canary/{'|'.join(stages)}.{nearest(stage, stages)}")
    return folder / stage


def demo_checkpoint() -> Path:
    """Return the checkpoint of the demo: the canary's final stage answers, what generates has random weights."""
    from lavit_eval.models.video_lavit.tiny import make_tiny

    folder = cache_folder() / "demo" / f"checkpoint-{CHECKPOINT_VERSION}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                begun = folder.with_name(f".checkpoint.{os.getpid()}")
                shutil.rmtree(begun, ignore_errors=True)
                make_tiny(begun, seed=CHECKPOINT_SEED)
                # The two halves have weights of their own, so they need not have the same sizes.
                shutil.rmtree(begun / UNDERSTANDING_FOLDER)
                shutil.copytree(
                    canary_checkpoint(f"{CANARY}final") / UNDERSTANDING_FOLDER, begun / UNDERSTANDING_FOLDER
                )
                begun.rename(folder)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror or error}); name a folder for caches: LAVIT_EVAL_CACHE=DIR"
        ) from error
    return folder
