"""Where the demo suite's data and checkpoint lie: in the cache, made when they are first needed on a machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from filelock import FileLock

from lavit_eval.demo.data import DEMO_VERSION, make_demo_data
from lavit_eval.digests import cache_folder
from lavit_eval.errors import UsageError

CHECKPOINT_SEED = 0
CHECKPOINT_VERSION = 2
"""Rises when the same seed would give another checkpoint."""


def demo_data() -> Path:
    """Return the data root of the demo."""
    root = cache_folder() / "demo" / f"data-{DEMO_VERSION}"
    if not root.is_dir():
        print(f"Making the demo's videos and images in {root} ...", file=sys.stderr, flush=True)
    return make_demo_data(root)


def demo_checkpoint() -> Path:
    """Return the tiny checkpoint of the demo."""
    from lavit_eval.models.video_lavit.tiny import make_tiny

    folder = cache_folder() / "demo" / f"checkpoint-{CHECKPOINT_VERSION}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                begun = folder.with_name(f".checkpoint.{os.getpid()}")
                shutil.rmtree(begun, ignore_errors=True)
                make_tiny(begun, seed=CHECKPOINT_SEED)
                begun.rename(folder)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror or error}); name a folder for caches: LAVIT_EVAL_CACHE=DIR"
        ) from error
    return folder
