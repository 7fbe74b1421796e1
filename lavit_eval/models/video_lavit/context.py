"""Fits a spliced prompt into the context of the language model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import LlamaConfig

from lavit_eval.errors import MediumError


def context_length(config: LlamaConfig) -> int:
    """Return the positions that prompt and answer may take: `tokenizer_model_max_length`, else the rotary limit."""
    stated = published_cut(config)
    return int(config.max_position_embeddings) if stated is None else stated


def published_cut(config: LlamaConfig) -> int | None:
    """Return where the reference cuts the end off a prompt: at `tokenizer_model_max_length`, if config.json has it."""
    stated = getattr(config, "tokenizer_model_max_length", None)
    return None if stated is None else int(stated)


def fit_clips(clips: Sequence[int], text: int, max_new_tokens: int, context: int) -> tuple[int, ...]:
    """Return which clips of a video to show so that prompt and answer fit, in order; never is the question cut.

    As few clips as possible are dropped. Those that stay are spread evenly, from the first to the last, by the rule
    by which the reference picks clips: integer places on a line, rounded down (one clip alone is the first). An image
    is one clip.

    Args:
        clips: Positions that each clip's block takes; empty for a prompt of text alone.
        text: Ids of the prompt without the placeholder.
        max_new_tokens: Room for the answer.
        context: Positions that there are.

    Raises:
        MediumError: If even one clip (or the text alone) leaves no room.
    """
    for count in range(len(clips), 0, -1):
        places = tuple(int(place) for place in np.linspace(0, len(clips) - 1, count, dtype=int))
        if text + sum(clips[place] for place in places) + max_new_tokens <= context:
            return places
    least = text + (clips[0] if clips else 0) + max_new_tokens
    if not clips and least <= context:
        return ()
    seen = "one clip or image" if clips else "no medium"
    raise MediumError(
        f"The prompt with {seen} and {max_new_tokens} new tokens takes {least} positions, but the model has {context}: "
        "set a smaller max_new_tokens or shorten the question."
    )
