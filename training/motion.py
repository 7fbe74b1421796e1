"""Trains the motion tokenizer as an autoencoder: encoder and codebook first, then the decoder on the codes they give.

The first half reads each code's own eight frames of 4 x 4 blocks off the code by one linear map, which is thrown away:
the decoder costs three times what the encoder does and teaches it less.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.models.video_lavit.motion_tokenizer import CODE_GRID, MotionTokenizer
from training.codebook import CodebookTrainer, usage

LIMIT = 2.0
"""What is larger, in the tokenizer's units, is an encoder's stray vector."""
MOVING, WEIGHT = 0.05, 8.0
"""From which displacement on a block moves, and how much more it counts than one that does not."""
CODES_FROM = 0.35
"""Share of the steps after which the codes begin."""
CELL = (8, 4, 4)
"""Frames, rows and columns that a code stands for."""


def turned(motion: Tensor, across: bool, over: bool) -> Tensor:
    """Return motion `[..., 2, 24, 20, 36]` mirrored left to right and/or upside down."""
    if across:
        motion = motion.flip(-1) * motion.new_tensor([-1.0, 1.0])[:, None, None, None]
    if over:
        motion = motion.flip(-2) * motion.new_tensor([1.0, -1.0])[:, None, None, None]
    return motion


def _draw(motions: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    rows = torch.randint(len(motions), (batch,), generator=generator)
    chances = torch.rand(batch, 2, generator=generator) < 0.5
    drawn = [turned(motions[row], bool(across), bool(over)) for row, (across, over) in zip(rows, chances, strict=True)]
    return torch.stack(drawn).clamp(-LIMIT, LIMIT)


def _miss(found: Tensor, wanted: Tensor) -> Tensor:
    weights = torch.where(wanted.abs() > MOVING, WEIGHT, 1.0)
    return ((found - wanted).pow(2) * weights).sum() / weights.sum()


class MotionStage(nn.Module):
    """Encoder and codebook of the motion tokenizer."""

    def __init__(self, tokenizer: MotionTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        tokenizer.requires_grad_(True)
        tokenizer.decoder.requires_grad_(False)
        tokenizer.decode_task_layer.requires_grad_(False)
        self.codebook = CodebookTrainer(tokenizer.quantize)
        self.linear = nn.Linear(tokenizer.config.code_dim, 2 * CELL[0] * CELL[1] * CELL[2])

    def work(
        self, motions: Tensor, batch: int, done: float, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step, `done` being the share of the stage that is over."""
        motion = _draw(motions, batch, generator)
        vectors = self.tokenizer.encode_task_layer(self.tokenizer.encoder(motion)).flatten(0, 3)
        facts: dict[str, float] = {}
        if done < CODES_FROM:
            rows, commitment = F.normalize(vectors, dim=-1), torch.zeros(())
        else:
            if not self.codebook.begun:
                self.codebook.begin(vectors, generator)
            rows, commitment, codes = self.codebook(vectors, generator)
            facts |= usage(codes, len(self.codebook.counts))
        t, h, w = CODE_GRID
        cells = self.linear(rows).view(batch, t, h, w, 2, *CELL).permute(0, 4, 1, 5, 2, 6, 3, 7)
        found = cells.reshape(motion.shape)
        facts["still"] = float(_miss(torch.zeros_like(motion), motion))
        return _miss(found, motion) + 0.1 * commitment, facts


class DecoderStage(nn.Module):
    """The decoder, on codes that stay as they are."""

    def __init__(self, tokenizer: MotionTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        tokenizer.requires_grad_(False)
        tokenizer.decoder.requires_grad_(True)
        tokenizer.decode_task_layer.requires_grad_(True)

    def work(self, motions: Tensor, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step."""
        motion = _draw(motions, batch, generator)
        with torch.no_grad():
            codes = self.tokenizer.encode(motion)
        found = self.tokenizer.decode(codes)
        return _miss(found, motion), {"still": float(_miss(torch.zeros_like(motion), motion))}
