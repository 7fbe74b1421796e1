"""Small seeded random networks in the places of the published ones, so that the demo needs no weight files."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor
from torch.nn import functional

from lavit_eval.metrics.backbones.precision import exact_float32

FEATURES = 16
CLASSES = 101
GRID = (4, 8, 8)
"""Time, height and width to which a clip is averaged."""
HIDDEN = 64


class DemoNetwork:
    """Two random layers on a clip or picture averaged to a coarse grid; what they give means nothing.

    Args:
        name: Of the network that it stands in for; each has weights of its own.
        eps: Added to the variance of the hidden layer, where that network has batch norm.
    """

    def __init__(self, name: str, eps: float | None = None) -> None:
        seed = int.from_bytes(hashlib.sha256(f"demo {name}".encode()).digest()[:8], "big") >> 1
        generator = torch.Generator().manual_seed(seed)
        self._clip = _layers(math.prod(GRID) * 3, FEATURES, generator)
        self._frame = _layers(math.prod(GRID[1:]) * 3, FEATURES, generator)
        self._classes = torch.randn(FEATURES, CLASSES, generator=generator)
        self._scale = torch.rand(HIDDEN, generator=generator) * 1e-2
        self._eps = 1e-3 if eps is None else eps

    def clip(self, frames: Tensor) -> Tensor:
        """Return 16 values of a clip, float32 `[3, T, H, W]` in [-1, 1]."""
        return self._apply(functional.adaptive_avg_pool3d(frames, GRID).reshape(1, -1), True)[0]

    def probabilities(self, frames: Tensor) -> Tensor:
        """Return the probabilities of 101 classes of a clip, float32 `[3, T, H, W]` in [-1, 1]."""
        with exact_float32():
            return torch.softmax(2 * self.clip(frames) @ self._classes, dim=0)

    def frames(self, frames: Tensor) -> Tensor:
        """Return 16 values of each frame, float32 `[3, T, H, W]` in [-1, 1]."""
        return self._apply(functional.adaptive_avg_pool2d(frames.transpose(0, 1), GRID[1:]).flatten(1), False)

    def caption(self, text: str) -> Tensor:
        """Return 16 values of a text."""
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
        return torch.randn(FEATURES, generator=torch.Generator().manual_seed(seed))

    def distances(self, frames: Tensor, others: Tensor) -> Tensor:
        """Return how far the values of two sets of frames lie apart, one number per frame."""
        return (self.frames(frames) - self.frames(others)).square().mean(dim=1)

    def _apply(self, rows: Tensor, of_clip: bool) -> Tensor:
        first, second = self._clip if of_clip else self._frame
        with exact_float32():
            hidden = torch.tanh(rows @ first) / torch.sqrt(self._scale + self._eps) / 10
            return hidden @ second


def _layers(inputs: int, outputs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    first = torch.randn(inputs, HIDDEN, generator=generator) / math.sqrt(inputs) * 8
    return first, torch.randn(HIDDEN, outputs, generator=generator) / math.sqrt(HIDDEN)
