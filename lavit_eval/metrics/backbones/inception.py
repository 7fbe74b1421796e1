"""Inception-v3 as FID has it since 2017, through torch-fidelity, from a file that is already there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.precision import exact_float32
from lavit_eval.metrics.backbones.tensor_files import read_tensors
from lavit_eval.weights import entry

NAME = "weights-inception-2015-12-05-6726825d.pth"
DIMENSIONS = 2048
BATCH = 16
"""Frames that go through the network together, which bounds the memory."""
Frames = npt.NDArray[np.uint8]


class Inception:
    """TensorFlow's Inception of 2015-12-05 without its classifier; the resize to 299 x 299 belongs to it.

    torch-fidelity resizes as TensorFlow 1 does, without antialias, and so did torchmetrics, which LaVIT's evaluation
    uses, before 1.8; since then torchmetrics smooths by default, which gives another FID.
    """

    def __init__(
        self, path: Path, device: torch.device | str = "cpu", trust: bool = False, antialias: bool = False
    ) -> None:
        """Load the network.

        Args:
            path: torch-fidelity's file of tensors.
            device: Where it computes.
            trust: Accept a file whose digest is not the catalogue's.
            antialias: Resize as torchmetrics does by default, instead of as torch-fidelity.

        Raises:
            UsageError: The file is missing, wrong or untrusted, or holds no Inception of this kind.
        """
        from torchmetrics.image.fid import NoTrainInceptionV3

        self.device = torch.device(device)
        # The constructor unpickles whatever path it gets, and downloads without one: it gets tensors read before.
        tensors = io.BytesIO()
        torch.save(read_tensors(path, NAME, trust), tensors)
        tensors.seek(0)
        try:
            network = NoTrainInceptionV3("inception", [str(DIMENSIONS)], tensors, antialias)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise UsageError(f"{path} holds no Inception of FID; get it anew: {entry(NAME).how_to_get()}") from error
        self._network = network.to(self.device)

    def features(self, frames: Frames) -> Tensor:
        """Return the features before the classifier (Heusel et al. 2017), `[N, 2048]` float32 on the CPU.

        Args:
            frames: `[N, H, W, 3]` uint8 RGB, N >= 1, in any size.

        Raises:
            UsageError: For frames of another kind.
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
            raise UsageError(
                f"Inception takes uint8 RGB frames, [N, H, W, 3], not {frames.dtype} {list(frames.shape)}."
            )
        with exact_float32():
            batches = (torch.from_numpy(frames[start : start + BATCH]) for start in range(0, len(frames), BATCH))
            return torch.cat(
                [self._network(batch.to(self.device).permute(0, 3, 1, 2).contiguous()).cpu() for batch in batches]
            )
