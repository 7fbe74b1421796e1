"""Codebooks that learn: k-means to begin with, moving means to go on, and a new place for every code that dies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.models.video_lavit.quantiser import VectorQuantiser, nearest_codes

ROUNDS = 12
"""Of k-means."""
PACE = 0.9
"""How much of the moving means stays at each step."""
DEAD = 0.1
"""A code with fewer vectors than this, as a moving mean, gets a new place."""


class CodebookTrainer(nn.Module):
    """Keeps the table of a quantiser at the moving means of the vectors of unit length that fall on its rows.

    Args:
        quantiser: Whose table is trained; it gets no gradient.
    """

    counts: Tensor
    sums: Tensor
    begun: Tensor

    def __init__(self, quantiser: VectorQuantiser) -> None:
        super().__init__()
        self.quantiser = quantiser
        quantiser.requires_grad_(False)
        codes, width = quantiser.embedding.weight.shape
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", torch.zeros(codes, width))
        self.register_buffer("begun", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def begin(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Place the codes by k-means over vectors `[n, width]`, n at least the number of codes."""
        unit = F.normalize(vectors.detach(), dim=-1)
        table = unit[torch.randperm(len(unit), generator=generator)[: len(self.counts)]].clone()
        for _ in range(ROUNDS):
            codes = nearest_codes(unit, table)
            counts = torch.bincount(codes, minlength=len(table)).float()
            sums = torch.zeros_like(table).index_add_(0, codes, unit)
            empty = counts == 0
            table = F.normalize(sums / counts.clamp(min=1)[:, None], dim=-1)
            table[empty] = unit[torch.randint(len(unit), (int(empty.sum()),), generator=generator)]
        self.quantiser.embedding.weight.copy_(table)
        self.counts.fill_(1.0)
        self.sums.copy_(table)
        self.begun.fill_(1)

    def forward(self, vectors: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise `[n, width]`, and move the table.

        Returns:
            The rows with the gradient of the vectors, the loss that holds the vectors to their rows, the codes.
        """
        unit = F.normalize(vectors, dim=-1)
        codes = nearest_codes(unit.detach(), self.quantiser.embedding.weight)
        rows = self.quantiser.lookup(codes)
        self._move(unit.detach(), codes, generator)
        return unit + (rows - unit).detach(), F.mse_loss(unit, rows.detach()), codes

    @torch.no_grad()
    def _move(self, unit: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        found = torch.bincount(codes, minlength=len(self.counts)).float()
        self.counts.mul_(PACE).add_(found, alpha=1 - PACE)
        self.sums.mul_(PACE).add_(torch.zeros_like(self.sums).index_add_(0, codes, unit), alpha=1 - PACE)
        dead = torch.nonzero(self.counts < DEAD).flatten()
        if len(dead):
            # A code is reborn where vectors lie farthest from what stands for them.
            distance = (unit - self.quantiser.lookup(codes)).pow(2).sum(-1) + 1e-6
            chosen = torch.multinomial(distance.cpu(), min(len(dead), len(unit)), generator=generator)
            dead = dead[: len(chosen)]
            self.sums[dead], self.counts[dead] = unit[chosen], 1.0
        self.quantiser.embedding.weight.copy_(F.normalize(self.sums / self.counts[:, None].clamp(min=1e-6), dim=-1))


def usage(codes: Tensor, size: int) -> dict[str, float]:
    """Return how a codebook of a size is used: the share of codes that occur, and the exponential of the entropy."""
    counts = torch.bincount(codes.flatten(), minlength=size).float()
    shares = counts / counts.sum()
    entropy = -(shares[shares > 0] * shares[shares > 0].log()).sum()
    return {"used": float((counts > 0).float().mean()), "perplexity": float(entropy.exp())}
