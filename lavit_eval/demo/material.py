"""Where the demo suite's data and checkpoint lie, made when they are first needed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from filelock import FileLock

from lavit_eval.demo.data import make_demo_data

CHECKPOINT_SEED = 0


def demo_data(output: Path) -> Path:
    """Return the data root of the demo, made under the output folder unless it is there already."""
    root = output / "demo" / "data"
    if not root.is_dir():
        print(f"Making the demo's videos and images in {root} ...", file=sys.stderr, flush=True)
    return make_demo_data(root)


def demo_checkpoint(output: Path) -> Path:
    """Return the tiny checkpoint of the demo, made under the output folder unless it is there already."""
    from lavit_eval.models.video_lavit.tiny import make_tiny

    folder = output / "demo" / "checkpoint"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            begun = folder.with_name(f".checkpoint.{os.getpid()}")
            shutil.rmtree(begun, ignore_errors=True)
            make_tiny(begun, seed=CHECKPOINT_SEED)
            begun.rename(folder)
    return folder
