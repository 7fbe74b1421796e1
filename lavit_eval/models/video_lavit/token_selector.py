"""Which patches of an image become tokens: scores, and a draw by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gumbel_noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw independent Gumbel(0, 1) values, float32 on CPU, as `torch.nn.functional.gumbel_softmax` does.

    Args:
        shape: Shape of the result, `[n, patches, 2]` for a token selector.
        generator: A CPU generator, advanced by the draw.
    """
    return -torch.empty(tuple(shape), dtype=torch.float32).exponential_(generator=generator).log()


def keep_decision(scores: Tensor, noise: Tensor | None) -> Tensor:
    """Decide which patches are kept.

    A patch is kept with the probability that its scores say: with Gumbel noise G, kept if softmax(scores + G) is no
    smaller for "keep" than for "drop". The softmax stays, and in the scores' dtype: in half precision it rounds to
    ties (0.5, 0.5) which the bare sums do not have, and ties are kept.

    Args:
        scores: Log-probabilities `[..., 2]`: keep, drop.
        noise: Gumbel noise of the same shape, cast to the dtype and device of the scores; without it a patch is kept
            if it is at least as probable as not.

    Returns:
        Booleans `[...]`.
    """
    if noise is not None:
        scores = torch.softmax(scores + noise.to(scores), dim=-1)
    return scores[..., 0] >= scores[..., 1]


class TokenSelector(nn.Module):
    """Scores each patch by its own features and by the mean over the image.

    Args:
        width: Channels of the features, divisible by 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_conv = nn.Sequential(nn.LayerNorm(width, eps=1e-5), nn.Linear(width, width), nn.GELU())
        self.out_conv = nn.Sequential(
            nn.Linear(width, width // 2),
            nn.GELU(),
            nn.Linear(width // 2, width // 4),
            nn.GELU(),
            nn.Linear(width // 4, 2),
        )

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the layer norm's weights: float32 where only matrices are halved."""
        return cast(nn.LayerNorm, self.in_conv[0]).weight.dtype

    def forward(self, features: Tensor) -> Tensor:
        """Map features `[n, patches, width]` to log-probabilities `[n, patches, 2]` of keep and drop."""
        own, shared = self.in_conv(features).chunk(2, dim=-1)
        hidden = torch.cat((own, shared.mean(dim=1, keepdim=True).expand_as(own)), dim=-1)
        return F.log_softmax(self.out_conv(hidden), dim=-1)
