"""What questions on one medium share is read once: its keys and values are handed to every row that begins with it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from lavit_eval.models.video_lavit.splice import Spliced, divide, padded
from lavit_eval.models.video_lavit.understanding import UnderstandingModel

Layers = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values of each layer, `[rows, heads, length, width]`."""


class Past(NamedTuple):
    """What the rows of a batch have read already, padded on the left."""

    layers: Layers
    mask: Tensor
    """bool `[rows, length]`, false on padding."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A prompt, and what tells whether another begins alike."""

    ids: Sequence[int]
    visual: Tensor | None
    """What stands for the placeholder, `[positions, hidden]`."""
    medium: Hashable | None
    """Equal for two prompts with equal `visual`; None without a medium."""


class SharedPrefixes:
    """Reads batches in which several prompts begin alike, up to the end of the medium: each such beginning once.

    A beginning is read in a forward of its own, so that its keys and values do not depend, not even by rounding, on
    who shares them. That of the last row is kept for the batch that follows; whether a batch is read so depends on its
    own prompts only, so that neither the order of batches nor an interruption changes a byte.

    Args:
        model: The model.
        cut: Keep only so many positions of each prompt, from its start; None keeps all.
    """

    def __init__(self, model: UnderstandingModel, cut: int | None = None) -> None:
        self.model = model
        self.cut = cut
        self.read = 0
        """Beginnings that were read."""
        self._kept: dict[Hashable, Layers] = {}

    def forget(self) -> None:
        """Free what is kept for the next batch."""
        self._kept.clear()

    @torch.inference_mode()
    def begin(self, openings: Sequence[Opening]) -> tuple[Spliced, Past] | None:
        """Return what is left to read of each prompt, and what all have read; None where no two prompts begin alike."""
        media = [opening.medium for opening in openings if opening.medium is not None]
        if len(set(media)) == len(media):
            self.forget()
            return None
        found: dict[Hashable, Layers] = {}
        rests, heads = [], []
        for opening in openings:
            head, rest = divide(self.model, opening.ids, opening.visual, self.cut)
            key = (opening.medium, _before(opening.ids), len(head))
            if len(head) and key not in found:
                found[key] = self._kept.get(key) or self._read(head)
            rests.append(rest)
            heads.append((key, len(head)))
        past = _beside_each_other([found.get(key, ()) for key, _ in heads], [length for _, length in heads], rests[0])
        last = heads[-1][0]
        self._kept = {last: found[last]} if last in found else {}
        return padded(rests, [length for _, length in heads]), past

    def _read(self, head: Tensor) -> Layers:
        self.read += 1
        cache = self.model.new_cache()
        positions = torch.arange(len(head), device=head.device)[None]
        self.model.hidden_states(head[None], torch.ones_like(positions, dtype=torch.bool), positions, cache)
        return layers_of(cache)


def layers_of(cache: DynamicCache) -> Layers:
    """Return what a cache holds."""
    return tuple((layer.keys, layer.values) for layer in cache.layers)


def resumed(model: UnderstandingModel, past: Past | None) -> DynamicCache:
    """Return a cache that goes on from what was read; its growth leaves that untouched."""
    cache = model.new_cache()
    if past is not None:
        for number, (keys, values) in enumerate(past.layers):
            cache.update(keys, values, number)
    return cache


def seen_mask(spliced: Spliced, past: Past | None) -> Tensor:
    """Return the mask of all that was read and is about to be, bool `[rows, past + length]`."""
    return spliced.mask if past is None else torch.cat([past.mask, spliced.mask], 1)


def row_of(past: Past | None, place: int) -> Past | None:
    """Return one row without its padding."""
    if past is None:
        return None
    start = past.mask.shape[1] - int(past.mask[place].sum())
    row = slice(place, place + 1)
    return Past(
        tuple((keys[row, :, start:], values[row, :, start:]) for keys, values in past.layers), past.mask[row, start:]
    )


def _before(ids: Sequence[int]) -> tuple[int, ...]:
    """Return the ids before the placeholder."""
    place = next((place for place, token in enumerate(ids) if token < 0), 0)
    return tuple(ids[:place])


def _beside_each_other(rows: Sequence[Layers], lengths: Sequence[int], like: Tensor) -> Past:
    """Return the beginnings of rows as one batch; a row without one is padding throughout."""
    longest = max(lengths)
    positions = torch.arange(longest, device=like.device)[None]
    mask = positions >= longest - torch.tensor(lengths, device=like.device)[:, None]
    if all(row is rows[0] for row in rows):
        # One beginning for all is no copy per row: the first step of decoding makes one.
        return Past(tuple((k.expand(len(rows), -1, -1, -1), v.expand(len(rows), -1, -1, -1)) for k, v in rows[0]), mask)
    sample = next(row for row in rows if row)
    layers = tuple(
        (_stacked([row[number][0] if row else None for row in rows], longest, keys),
         _stacked([row[number][1] if row else None for row in rows], longest, values))
        for number, (keys, values) in enumerate(sample)
    )  # fmt: skip
    return Past(layers, mask)


def _stacked(parts: Sequence[Tensor | None], longest: int, like: Tensor) -> Tensor:
    whole = like.new_zeros(len(parts), like.shape[1], longest, like.shape[3])
    for row, part in zip(whole, parts, strict=True):
        if part is not None:
            row[:, longest - part.shape[2] :] = part[0]
    return whole
