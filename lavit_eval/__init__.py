"""lavit-eval: evaluation of models that understand and generate video, beginning with Video-LaVIT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lavit_eval.compare import compare_runs
    from lavit_eval.evaluate import evaluate
    from lavit_eval.models.protocol import ModelOptions
    from lavit_eval.prospect import RunOptions
    from lavit_eval.registry import Catalogue
    from lavit_eval.runs import Run, as_frame, open_run

__version__ = "0.1.0"
__all__ = ["Catalogue", "ModelOptions", "Run", "RunOptions", "as_frame", "compare_runs", "evaluate", "open_run"]

_HOMES = {
    "Catalogue": "lavit_eval.registry",
    "ModelOptions": "lavit_eval.models.protocol",
    "Run": "lavit_eval.runs",
    "RunOptions": "lavit_eval.prospect",
    "as_frame": "lavit_eval.runs",
    "compare_runs": "lavit_eval.compare",
    "evaluate": "lavit_eval.evaluate",
    "open_run": "lavit_eval.runs",
}


def __getattr__(name: str) -> Any:
    """Import the public API when it is first used, so that the command line starts at once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lavit_eval' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
