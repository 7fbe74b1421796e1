"""Trains the motion tokenizer as an autoencoder: encoder and codebook first, then the decoder on the codes they give.

The first half reads each code's own eight frames of 4 x 4 blocks off the code by one linear map, which is thrown away:
the decoder costs three times what the encoder does and teaches it less. A second such map reads how what moves there is
displaced, and in which row of codes that is: as pictures of motion a little of a fast shape and much of a slow one are
near each other, and only where a code says its row can it be told in which half something moves.
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
ROWS = torch.linspace(-1.0, 1.0, CODE_GRID[1])[None, :, None].expand(CODE_GRID).flatten()
"""In which row each of the 135 codes stands, from -1 at the top to 1 at the bottom."""
STILL = 0.05
"""How much a code's share counts in the codebook where nothing moves, beside one where something does."""
DISPLACEMENT, ROW = 8.0, 2.0
"""Weights of what is read off codes where something moves."""


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


def _cells(motion: Tensor) -> Tensor:
    """Return what each code stands for: motion `[n, 2, 24, 20, 36]` as `[n * 135, 2, 8, 4, 4]`."""
    (t, h, w), (frames, rows, columns) = CODE_GRID, CELL
    parts = motion.view(-1, 2, t, frames, h, rows, w, columns)
    return parts.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(0, 3)


@torch.no_grad()
def rows_shown(motions: Tensor, codes: Tensor, size: int) -> Tensor:
    """Return in which row what each of `size` codes shows moves, on the mean of its cells, `[size]`.

    From -1 (all its cells move and lie at the top) to 1; 0 for a code that shows no motion, or any row alike.

    Args:
        motions: `[n, 2, 24, 20, 36]`.
        codes: Those of these motions, int64 `[n, 135]`.
        size: Of the codebook.
    """
    rows, counts = torch.zeros(size), torch.bincount(codes.flatten(), minlength=size)
    for motion, found in zip(motions, codes, strict=True):
        moves = (_cells(motion[None]).abs() > MOVING).flatten(1).any(1)
        rows.index_add_(0, found, ROWS * moves)
    return rows / counts.clamp(min=1)


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
        self.reader = nn.Linear(tokenizer.config.code_dim, 3)

    def work(
        self, motions: Tensor, batch: int, done: float, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step, `done` being the share of the stage that is over."""
        motion = _draw(motions, batch, generator)
        vectors = self.tokenizer.encode_task_layer(self.tokenizer.encoder(motion)).flatten(0, 3)
        cells = _cells(motion)
        blocks = (cells.abs() > MOVING).any(1).flatten(1)
        moves = blocks.any(1)
        weights = torch.where(moves, 1.0, STILL)
        facts: dict[str, float] = {}
        if done < CODES_FROM:
            rows, commitment = F.normalize(vectors, dim=-1), torch.zeros(())
        else:
            if not self.codebook.begun:
                self.codebook.begin(vectors, generator, weights)
            rows, commitment, codes = self.codebook(vectors, generator, weights)
            facts |= usage(codes[moves], len(self.codebook.counts))
        miss = _miss(self.linear(rows).view_as(cells), cells)
        facts["still"] = float(_miss(torch.zeros_like(cells), cells))
        displaced = (cells.flatten(2) * blocks[:, None]).sum(2) / blocks.sum(1, keepdim=True).clamp(min=1)
        wanted = torch.cat([displaced, ROWS.repeat(batch)[:, None]], dim=1)
        apart = ((self.reader(rows) - wanted).pow(2) * moves[:, None]).sum(0) / moves.sum().clamp(min=1)
        off, row = apart[:2].mean(), apart[2]
        facts |= {"miss": float(miss.detach()), "displacement": float(off.detach()), "row": float(row.detach())}
        return miss + DISPLACEMENT * off + ROW * row + 0.1 * commitment, facts


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
