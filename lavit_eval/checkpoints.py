"""The commands that look into checkpoints."""

from __future__ import annotations

from pathlib import Path


def inspect(folder: Path) -> int:
    """Print what a checkpoint folder holds and what is missing; 2 when it cannot be evaluated."""
    from lavit_eval.models.video_lavit.inspect import inspect_checkpoint, render

    report = inspect_checkpoint(folder)
    print(render(report))
    return 0 if report.usable or report.generates else 2


def make_tiny(folder: Path, seed: int) -> int:
    """Write a tiny checkpoint with random weights."""
    from lavit_eval.models.video_lavit.tiny import make_tiny as write_tiny

    write_tiny(folder, seed=seed)
    print(f"{folder} holds a tiny checkpoint with random weights (seed {seed}).")
    print(f"Look into it: lavit-eval checkpoint inspect {folder}")
    return 0
