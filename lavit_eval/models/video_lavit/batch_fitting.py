"""How many requests fit on a card together: an estimate from the sizes of the model, then trials on the card itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from transformers import LlamaConfig

from lavit_eval.models.protocol import Demand
from lavit_eval.models.video_lavit.config import MOTION_TOKENS, VisualConfig
from lavit_eval.models.video_lavit.context import context_length
from lavit_eval.models.video_lavit.halving import free_cached, out_of_memory
from lavit_eval.models.video_lavit.understanding import UnderstandingModel

MOST = 256
"""More rows than this gain nothing."""
TEMPLATE_TOKENS = 64
"""What the chat template adds to a text, generously."""
CHARACTERS_PER_TOKEN = 2
"""Fewer than English has; a text that needs more tokens is what halving is for."""
RESERVE = 1 / 8
"""Share of the free memory that stays free: for encoding media and for what a long run fragments."""


class Card(Protocol):
    """The memory of a device."""

    def free(self) -> int:
        """Return the bytes that can still be allocated."""

    def peak_of(self, work: Callable[[], object]) -> int:
        """Do the work and return the most bytes that it held beyond what was held before."""


class CudaCard:
    """The memory of a CUDA device, as torch counts it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def free(self) -> int:
        """Return the bytes that can still be allocated."""
        free_cached()
        return int(torch.cuda.mem_get_info(self.device)[0])

    def peak_of(self, work: Callable[[], object]) -> int:
        """Do the work and return the most bytes that it held beyond what was held before."""
        held = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        torch.cuda.synchronize(self.device)
        return int(torch.cuda.max_memory_allocated(self.device) - held)


def fit(model: UnderstandingModel, demand: Demand, max_clips: int, card: Card) -> int:
    """Return how many requests like these a card takes together, at least 1.

    Args:
        model: Loaded on the card.
        demand: The largest of the requests.
        max_clips: Of a video.
        card: Its memory.
    """
    length = positions(model.config, model.model.visual_tokenizer.config, demand, max_clips)
    rows = max(1, demand.settings.num_beams)

    def trial(count: int) -> int:
        return card.peak_of(lambda: read_and_write(model, count * rows, length))

    budget = int(card.free() * (1 - RESERVE))
    estimate = budget // (rows * row_bytes(model.config, length, model.dtype.itemsize))
    return largest(trial, budget, estimate)


def positions(config: LlamaConfig, visual: VisualConfig, demand: Demand, max_clips: int) -> int:
    """Return how many positions a request takes at most: all patches kept, all clips there, within the context."""
    picture = visual.patches + 2
    shown = {None: 0, "image": picture, "video": max_clips * (picture + MOTION_TOKENS + 2)}[demand.medium]
    text = (demand.characters + demand.option_characters) // CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
    written = 0 if demand.kind == "choose" else demand.settings.max_new_tokens
    return min(shown + text + written, context_length(config))


def row_bytes(config: LlamaConfig, length: int, itemsize: int) -> int:
    """Return about how many bytes a row of so many positions takes: keys and values, one layer's states, its scores."""
    heads = config.num_key_value_heads or config.num_attention_heads
    width = config.hidden_size // config.num_attention_heads
    kept = 2 * config.num_hidden_layers * heads * width
    passing = 8 * config.hidden_size + 3 * config.intermediate_size
    scores = 3 * 4 * config.vocab_size
    return int(length * (kept + passing) * itemsize + scores)


def largest(trial: Callable[[int], int], budget: int, estimate: int, most: int = MOST) -> int:
    """Return the greatest size, with two leading binary digits at most, that fits by trial; 1 where none does.

    The first trial is a quarter of the estimate; sizes double until the memory or the budget is spent. Then the size
    that the last two trials promise is tried itself. Round sizes let cards that differ by little agree.

    Args:
        trial: Returns the bytes that a size takes; raises for lack of memory.
        budget: In bytes.
        estimate: A size that might fit.
        most: The greatest size.
    """
    size = max(1, 1 << (max(1, min(estimate, most)).bit_length() - 1) >> 2)
    beyond = most + 1
    used = _tried(trial, size, budget)
    while used is None and size > 1:
        beyond, size = size, size // 2
        used = _tried(trial, size, budget)
    if used is None:
        return 1
    per_row = used / size
    while size * 2 < beyond:
        more = _tried(trial, size * 2, budget)
        if more is None:
            beyond = size * 2
            break
        per_row = max((more - used) / size, 1.0)
        size, used = size * 2, more
    promised = round_down(int(min(beyond - 1, size + (budget - used) / per_row)))
    return promised if promised > size and _tried(trial, promised, budget) is not None else size


def round_down(size: int) -> int:
    """Return the greatest 2^n or 3 * 2^n that is not above a size."""
    power = 1 << (size.bit_length() - 1)
    return power + power // 2 if size >= power + power // 2 else power


def _tried(trial: Callable[[int], int], size: int, budget: int) -> int | None:
    """Return what a size takes; None where that is more than there is."""
    try:
        used = trial(size)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    else:
        return used if used <= budget else None
    free_cached()
    return None


@torch.inference_mode()
def read_and_write(model: UnderstandingModel, rows: int, length: int) -> None:
    """Read prompts of so many positions and write one id after each, as a batch of answers does."""
    embeds = torch.zeros(rows, length, model.config.hidden_size, dtype=model.dtype, device=model.device)
    mask = torch.ones(rows, length, dtype=torch.bool, device=model.device)
    # One row of padding: a mask of ones alone would be left out, and with it what masks take.
    mask[0, 0] = length == 1
    places = torch.arange(length, device=model.device)[None].expand(rows, -1)
    cache = model.new_cache()
    chosen = model.last_logits(embeds, mask, places, cache).log_softmax(-1).argmax(-1)
    last = model.embed(chosen[:, None])
    model.last_logits(last, torch.cat([mask, mask[:, -1:]], 1), places[:, -1:] + 1, cache)
