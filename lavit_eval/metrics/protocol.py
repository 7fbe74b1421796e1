"""What a metric must be: sufficient statistics per sample, and how their sum becomes the value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from lavit_eval.sample import JSON, Response, Sample

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a metric found on n responses.

    The value over any group of responses is `reduce(rows[group].sum(axis=0))`; that is all that intervals, categories
    and repeats need. A mean is rows [[score, 1], ...] with reduce = sums[..., 0] / sums[..., 1].
    """

    rows: Floats
    """[n, k] float64, one row per response, in the order given."""
    reduce: Callable[[Floats], Floats]
    """[..., k] sums -> [...] values; vectorised over leading axes; NaN where undefined."""
    value: float | None = None
    """The corpus value where it is not `reduce` of the total (METEOR); intervals are then shifted to it."""
    per_sample: Sequence[Mapping[str, JSON]] = ()
    """One readable record per response, e.g. {"score": 1.0, "answer": "two"}; stored beside the scores."""
    details: Mapping[str, JSON] = field(default_factory=dict)


def mean_of(scores: Sequence[float] | Floats, scale: float = 1.0) -> Measured:
    """Return the Measured of a plain mean of per-sample scores, times `scale`."""
    column = np.asarray(scores, dtype=np.float64)
    rows = np.stack([column, np.ones_like(column)], axis=1) if column.size else np.zeros((0, 2))

    def reduce(sums: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(scale * sums[..., 0] / sums[..., 1], dtype=np.float64)

    return Measured(rows=rows, reduce=reduce, per_sample=[{"score": float(score)} for score in column])


class Metric(Protocol):
    """A metric of texts.

    Class attributes: `version` rises when the same input would give another value (a test guards it); `unit` is one of
    "percent", "x100" and the like; `bounds` are the least and greatest value in that unit, None where there are none.
    A metric that is no mean of its samples' scores has `reduce` (see `Measured`) as a static method: its rows are then
    kept with every sample, and two runs are compared by them.
    """

    version: ClassVar[int]
    higher_is_better: ClassVar[bool]
    unit: ClassVar[str]
    bounds: ClassVar[tuple[float, float] | None]

    def skipped_because(self) -> str | None:
        """Return why this metric cannot be computed on this machine, e.g. "no Java", else None."""
        ...

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score the texts of n answered samples (the same sample may stand more than once, one per repeat)."""
        ...


@dataclass(frozen=True, slots=True)
class Made:
    """A generated image or video as a metric sees it."""

    path: Path
    """The lossless file: frames of a video (Matroska), or a PNG."""
    response: Response
    """What the model said of it: counts, digests."""

    @property
    def source(self) -> Path:
        """The frames that a reconstruction was made from, in its size and rate."""
        return self.path.with_suffix(".source.mkv")


class FileMetric(Protocol):
    """A metric of generated images or videos; class attributes as in `Metric`."""

    version: ClassVar[int]
    higher_is_better: ClassVar[bool]
    unit: ClassVar[str]
    bounds: ClassVar[tuple[float, float] | None]

    def skipped_because(self) -> str | None:
        """Return why this metric cannot be computed on this machine, else None."""
        ...

    def measure_files(self, samples: Sequence[Sample], made: Sequence[Made]) -> Measured:
        """Score what was made for n samples, in the order given (raises UsageError when a file was removed)."""
        ...
