"""How much disk a run takes: what stays, and what a model keeps only while a batch is under way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lavit_eval.plan import TaskPlan
from lavit_eval.task import Task

BYTES_PER_RESPONSE = 2000
SPARE_BYTES = 50 << 20
FRAMES_PER_CLIP = 24
LOSSLESS_SHARE = 0.75
"""Of raw frames, that FFV1 and the preview take together for natural ones: about 10 MB a clip of 576x320."""


@dataclass(frozen=True, slots=True)
class Space:
    """What a run takes on disk, in bytes."""

    lasting: int
    """Journals and files of all responses."""
    passing: int = 0
    """What workers keep of the batches that they do, at most at any time, until the files are written."""

    @property
    def most(self) -> int:
        """What is there at most at any time."""
        return self.lasting + self.passing


def space_of(
    plans: Mapping[str, TaskPlan], kept: Callable[[Task], int], together: Callable[[TaskPlan], int], workers: int
) -> Space:
    """Return what a run takes.

    Args:
        plans: Task -> its plan.
        kept: Returns how many bytes a model keeps of a request until its file is written.
        together: Returns how many requests share a planned batch, at most.
        workers: Each does one batch at a time.
    """
    lasting = sum(len(plan.requests) * bytes_per_response(plan.task) for plan in plans.values())
    batches = [min(together(plan), len(plan.requests)) * kept(plan.task) for plan in plans.values()]
    return Space(lasting, workers * max(batches, default=0))


def bytes_per_response(task: Task) -> int:
    """Return about how much disk a response takes: a journal line, and the files where the task makes any."""
    making = task.making
    if not making:
        return BYTES_PER_RESPONSE
    if task.kind == "generate_image":
        return BYTES_PER_RESPONSE + int(making.get("width", 1024)) * int(making.get("height", 1024)) * 3
    pixels = int(making.get("video_width", 576)) * int(making.get("video_height", 320)) * int(making.get("clips", 1))
    copies = 2 if task.kind == "reconstruct_video" else 1
    return BYTES_PER_RESPONSE + copies * int(pixels * FRAMES_PER_CLIP * 3 * LOSSLESS_SHARE)


def disk_problem(output: Path, space: Space) -> str | None:
    """Return a sentence when the output's disk is too small for a run."""
    needed = SPARE_BYTES + space.most
    place = next(parent for parent in (output, *output.resolve().parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        return f"{place} is not a folder that can be written to; choose another --output-dir."
    free = shutil.disk_usage(place).free
    if free >= needed:
        return None
    passing = f", {space.passing >> 20} MB of them only while batches are under way" if space.passing else ""
    return (
        f"{output}: {free >> 20} MB are free, this run needs about {needed >> 20} MB{passing}; "
        "free some or choose another --output-dir."
    )
