"""Where the data files that belong to the package lie: tasks, published numbers, baselines, the canary."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lavit_eval.errors import UsageError

PACKAGE = Path(__file__).resolve().parent


def data_folder(name: Literal["tasks", "results/paper", "results/baselines", "checkpoints/canary"]) -> Path:
    """Return the folder of the shipped files of that name.

    An installed package carries them in itself; in a checkout they lie beside it. Raises UsageError where neither does.
    """
    for folder in (PACKAGE / "shipped" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise UsageError(
        f"The folder {name} is missing from this installation of lavit-eval; "
        "install it again: pip install --force-reinstall lavit-eval"
    )
