"""What a benchmark reader must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from lavit_eval.sample import Sample


@dataclass(frozen=True, slots=True)
class Found:
    """What reading a benchmark's annotation files gave."""

    samples: tuple[Sample, ...]
    """In the official order, each id once. Media are named, not opened; they may be missing."""
    annotations: Mapping[str, Path]
    """Name within the benchmark -> annotation file that was read; their content digests are part of the data digest."""


class Benchmark(Protocol):
    """Reads one official layout.

    Class attributes: `version` rises when the same files would give other Samples (a test guards it). A reader may take
    further keyword arguments in `read`, each with a default: a task sets them by its `options`.
    """

    version: ClassVar[int]

    def read(self, root: Path, split: str) -> Found:
        """Read the annotations of a split under the data root (the folder given as `--data-root`).

        Raises UsageError, in one sentence that names the file (and line or sample id), when an annotation file is
        missing (all places tried are named, and where to get it), malformed, or holds an id twice. Counts are checked
        by the caller, against the task.
        """
        ...
