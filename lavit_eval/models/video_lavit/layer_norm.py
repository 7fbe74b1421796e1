"""Layer normalisation in float32, whatever the dtype around it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class UpcastLayerNorm(nn.LayerNorm):
    """Normalises in float32 and returns the dtype of the input, as the published generation modules do."""

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., width]` to the same shape and dtype."""
        normed = F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)
        return normed.to(x.dtype)
