"""What stands between the model's logits and the next id: restrictions, filters, draws."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lavit_eval.sample import Settings

FORBIDDEN = float("-inf")


def restrict(
    scores: Tensor, seen: Sequence[Sequence[int]], new: int, settings: Settings, eos: int, suppressed: range
) -> Tensor:
    """Return the scores after repetition penalty, minimum length and suppression, in this order.

    Args:
        scores: float32 `[rows, vocabulary]`: logits, or log-probabilities in beam search.
        seen: Per row the ids of prompt and answer so far. As in the reference, prompt ids count for the repetition
            penalty; placeholders, which are negative and name no id, do not.
        new: How many ids each row has got so far; below `settings.min_new_tokens` the end id is forbidden.
        settings: How text is decoded.
        eos: The end id.
        suppressed: Ids that are never written: an answer is text.
    """
    scores = scores.clone()
    if settings.repetition_penalty != 1.0:
        for row, ids in zip(scores, seen, strict=True):
            places = torch.tensor(sorted({i for i in ids if i >= 0}), dtype=torch.long, device=scores.device)
            met = row[places]
            row[places] = torch.where(met < 0, met * settings.repetition_penalty, met / settings.repetition_penalty)
    if new < settings.min_new_tokens:
        scores[:, eos] = FORBIDDEN
    scores[:, suppressed.start : suppressed.stop] = FORBIDDEN
    return scores


def filter_for_sampling(scores: Tensor, settings: Settings) -> Tensor:
    """Return float32 `[rows, vocabulary]` scores after temperature, top-k and top-p, in the order of transformers.

    Scores equal to the k-th stay; top-p keeps the fewest best ids whose probabilities reach p, at least one.
    """
    if settings.temperature != 1.0:
        scores = scores / settings.temperature
    if settings.top_k > 0:
        least = scores.topk(min(settings.top_k, scores.shape[-1])).values[:, -1:]
        scores = scores.masked_fill(scores < least, FORBIDDEN)
    if settings.top_p < 1.0:
        ordered, places = scores.sort(dim=-1, descending=False)
        beyond = ordered.softmax(-1).cumsum(-1) <= 1.0 - settings.top_p
        beyond[:, -1] = False
        scores = scores.masked_fill(beyond.scatter(1, places, beyond), FORBIDDEN)
    return scores


def draw(scores: Tensor, generators: Sequence[torch.Generator | None]) -> list[int]:
    """Draw one id per row, each from its own generator, so that no row's draw depends on the others.

    One float32 number per row is drawn on the CPU and looked up in the row's cumulative distribution.

    Args:
        scores: `[rows, vocabulary]`, minus infinity where forbidden.
        generators: One CPU generator per row.

    Raises:
        ValueError: If a row has no generator.
    """
    cumulative = scores.float().cpu().softmax(-1).double().cumsum(-1)
    found: list[int] = []
    for row, generator in zip(cumulative, generators, strict=True):
        if generator is None:
            raise ValueError("sampling needs a generator per row")
        # A draw lies below 1, so the first place whose sum exceeds it exists and has a probability above 0.
        place = torch.rand(1, generator=generator, dtype=torch.float32).double() * row[-1]
        found.append(int(torch.searchsorted(row, place, right=True)))
    return found
