"""What the user gives to those metrics that need networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Equipment:
    """Where weights lie, which files are vouched for, and on what features are computed."""

    weights_dir: Path | None = None
    """Looked through before `$LAVIT_EVAL_WEIGHTS` and the cache."""
    trusted: frozenset[Path] = frozenset()
    """Resolved paths of weight files with another digest than the published one, or with none that is known."""
    device: str = "cpu"
    allow_partial: bool = False
    """Compare sets that lack videos or hold copies; the score is labelled then."""
    extrapolate: bool = False
    """Add to biased distances where they tend with ever more samples."""
