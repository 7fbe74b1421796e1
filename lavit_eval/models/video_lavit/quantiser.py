"""The nearest row of a learned table, for visual and for motion codes."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VECTORS_AT_ONCE = 2048
"""Bounds the matrix of distances: 128 MiB in float32 against 16384 codes."""


def nearest_codes(z: Tensor, codebook: Tensor) -> Tensor:
    """Return the number of the nearest row of `codebook` `[codes, d]` for each vector of `z` `[n, d]`: int64 `[n]`.

    The distance is (|z|^2 + |e|^2) - 2 z.e, in this order: in half precision many distances are equal, so the order
    of rounding decides between codes. Ties go to the lowest code.
    """
    lengths = codebook.pow(2).sum(dim=1)
    found = [
        torch.argmin((part.pow(2).sum(dim=1, keepdim=True) + lengths) - 2 * (part @ codebook.t()), dim=1)
        for part in torch.split(z, VECTORS_AT_ONCE)
    ]
    return torch.cat(found)


class VectorQuantiser(nn.Module):
    """Maps vectors to codes and back.

    Vectors are brought to length 1 before the search, the table's rows are used as stored.

    Args:
        n_code: Rows of the table.
        code_dim: Width of a row.
    """

    def __init__(self, n_code: int, code_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_code, code_dim)

    @torch.no_grad()
    def forward(self, z: Tensor) -> Tensor:
        """Return the codes, int64 `[...]`, of vectors `[..., code_dim]`; no gradient passes."""
        unit = F.normalize(z, p=2.0, dim=-1, eps=1e-12)
        return nearest_codes(unit.flatten(0, -2), self.embedding.weight).view(z.shape[:-1])

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the table's rows `[..., code_dim]` of codes `[...]`."""
        return cast(Tensor, self.embedding(codes))
