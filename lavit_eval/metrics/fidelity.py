"""How close a reconstructed video is to the frames it was made from: PSNR and SSIM through torchmetrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lavit_eval.errors import UsageError
from lavit_eval.metrics.protocol import Made, Measured, mean_of
from lavit_eval.sample import Sample
from lavit_eval.video.lossless import read_frames

if TYPE_CHECKING:
    from torch import Tensor


class Psnr:
    """Peak signal-to-noise ratio in dB on 8-bit RGB (peak 255), mean over frames, then over videos.

    An error of 0 in a frame would be infinite; it counts as that of one grey level in one value.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "dB"
    bounds: ClassVar[tuple[float, float] | None] = None

    def skipped_because(self) -> str | None:
        """Need nothing."""
        return None

    def measure_files(self, samples: Sequence[Sample], made: Sequence[Made]) -> Measured:
        """Score reconstructions against their sources (see `FileMetric.measure_files`)."""
        return _mean_over_videos(made, _psnr)


class Ssim:
    """Structural similarity on 8-bit RGB (11x11 Gaussian window, sigma 1.5), mean over frames, then over videos."""

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "x1"
    bounds: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)

    def skipped_because(self) -> str | None:
        """Need nothing."""
        return None

    def measure_files(self, samples: Sequence[Sample], made: Sequence[Made]) -> Measured:
        """Score reconstructions against their sources (see `FileMetric.measure_files`)."""
        return _mean_over_videos(made, _ssim)


def _psnr(found: Tensor, source: Tensor) -> list[float]:
    least = 1.0 / found[0].numel()
    errors = ((found - source) ** 2).mean(dim=(1, 2, 3)).clamp(min=least)
    return [float(10.0 * np.log10(255.0**2 / error)) for error in errors.tolist()]


def _ssim(found: Tensor, source: Tensor) -> list[float]:
    from torchmetrics.functional.image import structural_similarity_index_measure

    scores = structural_similarity_index_measure(found, source, data_range=255.0, reduction="none")
    if isinstance(scores, tuple):
        raise TypeError("torchmetrics returned more than the scores")
    return [float(score) for score in scores]


def _mean_over_videos(made: Sequence[Made], score: Callable[[Tensor, Tensor], list[float]]) -> Measured:
    return mean_of([float(np.mean(score(*_pair(one)))) for one in made])


def _pair(one: Made) -> tuple[Tensor, Tensor]:
    """Return the frames made and their sources, float64 `[frames, 3, height, width]` in 0..255."""
    import torch

    pair = []
    for path in (one.path, one.source):
        if not path.is_file():
            raise UsageError(
                f"{path.name} was removed (by --keep-media or runs prune), so this cannot be scored again; "
                "make it anew: the command of the run with --fresh."
            )
        pair.append(torch.from_numpy(read_frames(path)).permute(0, 3, 1, 2).double())
    found, source = pair
    if found.shape != source.shape:
        raise UsageError(f"{one.path.name} has {tuple(found.shape)} values, its source {tuple(source.shape)}.")
    return found, source
