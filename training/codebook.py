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
    def begin(self, vectors: Tensor, generator: torch.Generator, weights: Tensor | None = None) -> None:
        """Place the codes by k-means over vectors `[n, width]`, n at least the number of codes.

        Args:
            vectors: What is to be quantised.
            generator: Draws where the codes begin.
            weights: How much each vector counts, `[n]`, more than 0; all alike where absent.
        """
        unit = F.normalize(vectors.detach(), dim=-1)
        weights = unit.new_ones(len(unit)) if weights is None else weights
        table = unit[torch.multinomial(weights.cpu(), len(self.counts), generator=generator)].clone()
        for _ in range(ROUNDS):
            codes = nearest_codes(unit, table)
            counts, sums = _gathered(unit, codes, weights, len(table))
            empty = counts == 0
            table = F.normalize(sums / counts.clamp(min=1e-6)[:, None], dim=-1)
            table[empty] = unit[torch.randint(len(unit), (int(empty.sum()),), generator=generator)]
        self.quantiser.embedding.weight.copy_(table)
        self.counts.fill_(1.0)
        self.sums.copy_(table)
        self.begun.fill_(1)

    def forward(
        self, vectors: Tensor, generator: torch.Generator, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise `[n, width]`, and move the table; `weights` as in `begin`.

        Returns:
            The rows with the gradient of the vectors, the loss that holds the vectors to their rows, the codes.
        """
        unit = F.normalize(vectors, dim=-1)
        codes = nearest_codes(unit.detach(), self.quantiser.embedding.weight)
        rows = self.quantiser.lookup(codes)
        weights = unit.new_ones(len(unit)) if weights is None else weights
        self._move(unit.detach(), codes, weights, generator)
        apart = ((unit - rows.detach()).pow(2).mean(-1) * weights).sum() / weights.sum()
        return unit + (rows - unit).detach(), apart, codes

    @torch.no_grad()
    def _move(self, unit: Tensor, codes: Tensor, weights: Tensor, generator: torch.Generator) -> None:
        counts, sums = _gathered(unit, codes, weights, len(self.counts))
        self.counts.mul_(PACE).add_(counts, alpha=1 - PACE)
        self.sums.mul_(PACE).add_(sums, alpha=1 - PACE)
        dead = torch.nonzero(self.counts < DEAD).flatten()
        if len(dead):
            # A code is reborn where vectors lie farthest from what stands for them.
            distance = (unit - self.quantiser.lookup(codes)).pow(2).sum(-1) + 1e-6
            chosen = torch.multinomial((distance * weights).cpu(), min(len(dead), len(unit)), generator=generator)
            dead = dead[: len(chosen)]
            self.sums[dead], self.counts[dead] = unit[chosen], 1.0
        self.quantiser.embedding.weight.copy_(F.normalize(self.sums / self.counts[:, None].clamp(min=1e-6), dim=-1))


def _gathered(unit: Tensor, codes: Tensor, weights: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the weight `[size]` and the weighted sum `[size, width]` of the vectors of each code."""
    counts = unit.new_zeros(size).index_add_(0, codes, weights)
    return counts, unit.new_zeros(size, unit.shape[1]).index_add_(0, codes, unit * weights[:, None])


def usage(codes: Tensor, size: int) -> dict[str, float]:
    """Return how a codebook of a size is used: the share of codes that occur, and the exponential of the entropy."""
    counts = torch.bincount(codes.flatten(), minlength=size).float()
    shares = counts / counts.sum()
    entropy = -(shares[shares > 0] * shares[shares > 0].log()).sum()
    return {"used": float((counts > 0).float().mean()), "perplexity": float(entropy.exp())}
