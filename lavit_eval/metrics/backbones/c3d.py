"""C3D fine-tuned on UCF-101 (Saito et al. 2020, TGANv2): the classifier of the video Inception Score."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.precision import exact_float32
from lavit_eval.metrics.backbones.scripted import load_scripted

NAME = "c3d_ucf101.pt"
FRAMES = 16
CLASSES = 101


class C3d:
    """StyleGAN-V's TorchScript port of TGANv2's network.

    The file does its own preprocessing as TGANv2 does: each frame is resized to 112 x 112, the channels are swapped to
    BGR and the training mean is subtracted. So frames go in as they are, in any size.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu", trust: bool = False) -> None:
        """Load the file (raises UsageError for a missing, wrong or untrusted one)."""
        self.path, self.device = path, torch.device(device)
        self._network = load_scripted(path, NAME, trust).to(self.device)

    def probabilities(self, clips: Tensor) -> Tensor:
        """Return the class probabilities of clips, `[B, 101]` float32 on the CPU.

        Args:
            clips: `[B, 16, H, W, 3]` uint8 RGB.

        Raises:
            UsageError: For clips of another kind, or if the file gives no probabilities: then it is another network.
        """
        if clips.dtype != torch.uint8 or clips.ndim != 5 or clips.shape[1] != FRAMES or clips.shape[4] != 3:
            raise UsageError(
                f"C3D takes {FRAMES} uint8 RGB frames, [B, {FRAMES}, H, W, 3], not {clips.dtype} {list(clips.shape)}."
            )
        with exact_float32():
            found = self._network(clips.permute(0, 4, 1, 2, 3).contiguous().to(self.device)).float().cpu()
        if found.shape != (len(clips), CLASSES) or not torch.allclose(found.sum(dim=1), torch.ones(1), atol=1e-3):
            raise UsageError(f"{self.path} gives no probabilities of {CLASSES} classes: it is not TGANv2's C3D.")
        return torch.as_tensor(found)
