"""Removing generated files of a finished run, whose scores stay."""

from __future__ import annotations

from typing import Literal

from lavit_eval.errors import UsageError
from lavit_eval.runs import Run

Keep = Literal["all", "preview", "none"]
VIEWABLE = (".preview.mp4", ".png")


def prune(run: Run, keep: Keep) -> int:
    """Remove lossless videos (`preview`: previews and images stay) or all generated files (`none`); return bytes freed.

    Raises:
        UsageError: The run is not finished: its files are still needed.
    """
    if keep == "all":
        return 0
    if not run.scores_path.is_file():
        raise UsageError(f"Run {run.id} is not scored yet, which needs its files; finish it first.")
    freed = 0
    for folder in (run.task_folder(task) / "media" for task in run.tasks):
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            if path.is_file() and not (keep == "preview" and path.name.endswith(VIEWABLE)):
                freed += path.stat().st_size
                path.unlink()
    if freed:
        run.log(f"removed generated files (kept: {keep}), {freed} bytes")
    return freed
