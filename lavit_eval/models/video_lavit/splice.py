"""Puts what the model sees between the embeddings of what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lavit_eval.models.video_lavit.understanding import UnderstandingModel

PAD = 0
"""The id `<unk>`; the reference masks it, so it is left out of a prompt wherever it stands."""


class Spliced(NamedTuple):
    """A batch of prompts as the language model takes it, padded on the left."""

    embeds: Tensor
    """`[rows, length, hidden]`, zero on padding, in the model's dtype."""
    mask: Tensor
    """bool `[rows, length]`, false on padding."""
    positions: Tensor
    """int64 `[rows, length]`: 0, 1, ... on real positions, 0 on padding."""


@torch.no_grad()
def image_block(model: UnderstandingModel, kept: Tensor) -> Tensor:
    """Return the kept tokens of an image (`[k, hidden]`, k may be 0) between the image marks: `[k + 2, hidden]`."""
    marks = model.embed(torch.tensor([model.tokens.image_start, model.tokens.image_end]))
    return torch.cat([marks[:1], kept.to(marks), marks[1:]])


@torch.no_grad()
def motion_block(model: UnderstandingModel, codes: Tensor) -> Tensor:
    """Return the embeddings of a clip's motion codes (int64 `[135]`) between the motion marks: `[137, hidden]`."""
    tokens = model.tokens
    marks = codes.new_tensor([tokens.motion_start, tokens.motion_end])
    return model.embed(torch.cat([marks[:1], codes + tokens.motion_offset, marks[1:]]))


@torch.no_grad()
def clip_blocks(model: UnderstandingModel, keyframes: Sequence[Tensor], codes: Tensor) -> list[Tensor]:
    """Return one block per clip of a video: its keyframe's block, then its motion's.

    Args:
        model: Whose embeddings the marks and motion codes are.
        keyframes: The kept tokens of each clip's keyframe, `[k_i, hidden]`.
        codes: Motion codes, int64 `[clips, 135]`.
    """
    pairs = zip(keyframes, codes, strict=True)
    return [torch.cat([image_block(model, kept), motion_block(model, motion)]) for kept, motion in pairs]


@torch.no_grad()
def splice(
    model: UnderstandingModel,
    prompts: Sequence[Sequence[int]],
    visuals: Sequence[Tensor | None],
    cut: int | None = None,
) -> Spliced:
    """Return the batch: per row the text's embeddings with the visual block in the placeholder's place.

    Args:
        model: Whose embeddings the text ids are.
        prompts: Ids per row, with at most one negative placeholder.
        visuals: Per row the block for the placeholder, `[n, hidden]`, or None for a row of text alone.
        cut: Keep only so many positions of each row, from its start (as the reference does for checkpoints with
            `tokenizer_model_max_length`; this cuts the question, not the medium).

    Raises:
        ValueError: If a row's placeholders and media do not match.
    """
    return padded([_splice_row(model, ids, visual)[:cut] for ids, visual in zip(prompts, visuals, strict=True)])


def padded(rows: Sequence[Tensor], starts: Sequence[int] | None = None) -> Spliced:
    """Return rows of embeddings, `[n_i, hidden]`, as a batch; a row's positions begin at its start, or at 0."""
    longest = max(len(row) for row in rows)
    embeds = rows[0].new_zeros(len(rows), longest, rows[0].shape[-1])
    lengths = torch.tensor([len(row) for row in rows], device=embeds.device)
    for place, row in enumerate(rows):
        embeds[place, longest - len(row) :] = row
    places = torch.arange(longest, device=embeds.device)[None] - (longest - lengths)[:, None]
    mask = places >= 0
    if starts is not None:
        places = places + torch.tensor(starts, device=embeds.device)[:, None]
    return Spliced(embeds, mask, places.where(mask, 0))


@torch.no_grad()
def divide(
    model: UnderstandingModel, ids: Sequence[int], visual: Tensor | None, cut: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the embeddings of a prompt up to the end of its medium, and those of what follows: at least one.

    Arguments as those of `splice`, for one row. Without a medium the first part is empty.
    """
    whole = _splice_row(model, ids, visual)[:cut]
    place = 0
    if visual is not None:
        before = next(place for place, token in enumerate(ids) if token < 0)
        place = sum(token != PAD for token in ids[:before]) + len(visual)
    place = min(place, len(whole) - 1)
    # A copy: a view would keep the whole row in memory.
    return whole[:place], whole[place:].clone()


def _splice_row(model: UnderstandingModel, ids: Sequence[int], visual: Tensor | None) -> Tensor:
    ids = [token for token in ids if token != PAD]
    places = [place for place, token in enumerate(ids) if token < 0]
    if len(places) != (visual is not None):
        raise ValueError(f"a prompt with {len(places)} placeholders was given {int(visual is not None)} media")
    if visual is None:
        return model.embed(torch.tensor(ids))
    before = model.embed(torch.tensor(ids[: places[0]], dtype=torch.long))
    after = model.embed(torch.tensor(ids[places[0] + 1 :], dtype=torch.long))
    return torch.cat([before, visual.to(before), after])
