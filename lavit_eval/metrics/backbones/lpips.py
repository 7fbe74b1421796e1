"""LPIPS (Zhang et al. 2018) with AlexNet through torchmetrics, from a file that is already there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.precision import exact_float32
from lavit_eval.metrics.backbones.tensor_files import read_tensors
from lavit_eval.metrics.video_input import planes, to_unit
from lavit_eval.weights import entry

NAME = "alexnet-owt-7be5be79.pth"
LEAST_SIDE = 31
"""Thirty pixels leave two before the second pooling over three."""
BATCH = 16
"""Pairs of frames that go through the network together."""
Frames = npt.NDArray[np.uint8]


class Lpips:
    """Version 0.1 of the distance: torchvision's AlexNet, and the linear heads that torchmetrics carries."""

    def __init__(self, path: Path, device: torch.device | str = "cpu", trust: bool = False) -> None:
        """Load the network.

        Args:
            path: torchvision's AlexNet, of whose tensors those of the convolutions are used.
            device: Where it computes.
            trust: Accept a file whose digest is not the catalogue's.

        Raises:
            UsageError: The file is missing, wrong or untrusted, or holds no AlexNet.
        """
        from torchmetrics.functional.image.lpips import _LPIPS

        self.device = torch.device(device)
        tensors = read_tensors(path, NAME, trust)
        network = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
        # "slice2.3.weight" is the third layer's: torchmetrics deals the layers out in order and keeps their numbers.
        names = {name: f"features.{name.partition('.')[2]}" for name in network.net.state_dict()}
        try:
            network.net.load_state_dict({name: tensors[theirs] for name, theirs in names.items()})
        except (KeyError, RuntimeError) as error:
            raise UsageError(f"{path} holds no AlexNet; get it anew: {entry(NAME).how_to_get()}") from error
        self._network = network.to(self.device)

    def distances(self, found: Frames, source: Frames) -> Tensor:
        """Return the distance of each frame from its source, `[F]` float32 on the CPU, 0 for equal frames.

        Args:
            found: `[F, H, W, 3]` uint8 RGB, F >= 1, sides of 31 or more; mapped to [-1, 1], not resized.
            source: The same shape.

        Raises:
            UsageError: For frames of another kind, of different shapes, or too small.
        """
        for frames in (found, source):
            if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
                raise UsageError(
                    f"LPIPS takes uint8 RGB frames, [F, H, W, 3], not {frames.dtype} {list(frames.shape)}."
                )
        if found.shape != source.shape:
            raise UsageError(f"LPIPS compares frames of one shape, not {list(found.shape)} and {list(source.shape)}.")
        if min(found.shape[1:3]) < LEAST_SIDE:
            raise UsageError(
                f"LPIPS needs frames of {LEAST_SIDE} x {LEAST_SIDE} or more, not {found.shape[1]} x {found.shape[2]}; "
                "leave it out or make larger ones."
            )
        with exact_float32():
            parts = (slice(start, start + BATCH) for start in range(0, len(found), BATCH))
            distances = [self._network(self._prepared(found[part]), self._prepared(source[part])) for part in parts]
            return torch.cat(distances).flatten().cpu()

    def _prepared(self, frames: Frames) -> Tensor:
        return to_unit(planes(torch.from_numpy(frames).to(self.device)))
