"""The two-layer perceptron of every transformer block."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn


class FeedForward(nn.Module):
    """Linear, exact (erf) GELU, Linear, position by position.

    Args:
        width: Channels of input and output.
        hidden: Channels in between.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., width]` to the same shape."""
        return cast(Tensor, self.fc2(F.gelu(self.fc1(x))))
