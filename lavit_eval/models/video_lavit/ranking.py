"""How likely options are after a prompt: each prompt is read once, then all its options in one pass behind it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lavit_eval.models.video_lavit.shared_prefix import Past, resumed, seen_mask
from lavit_eval.models.video_lavit.splice import Spliced
from lavit_eval.models.video_lavit.understanding import UnderstandingModel


@torch.inference_mode()
def option_log_likelihoods(
    model: UnderstandingModel,
    spliced: Spliced,
    options: Sequence[Sequence[Sequence[int]]],
    past: Past | None = None,
) -> list[list[float]]:
    """Return, per row, the sum of the natural logarithms of each option's token probabilities after the row's prompt.

    It is what a forward of the prompt with the option behind it gives, over the whole vocabulary, but for rounding. The
    keys and values of the prompts are kept and shared: behind a prompt its options stand one after the other, each at
    the positions that follow the prompt, and see the prompt and themselves only. So no option's value depends on how
    many others there are, nor on their order, nor on other rows.

    Args:
        model: The model.
        spliced: The prompts.
        options: Per row and option its ids, at least one.
        past: What was read before `spliced`, which then is the rest of the prompts.
    """
    cache, seen = resumed(model, past), seen_mask(spliced, past)
    last = model.hidden_states(spliced.embeds, seen, spliced.positions, cache)[:, -1]
    ids, owners, places = _beside_each_other(options)
    if ids.shape[1]:
        device = spliced.mask.device
        mask = _mask(seen, owners.to(device), places.to(device))
        positions = spliced.positions[:, -1:] + 1 + places.to(device)
        states = model.hidden_states(model.embed(ids), mask, positions, cache)
    else:
        states = last[:, None, :][:, :0]
    return [
        _sums(model, torch.cat([last[row : row + 1], states[row]]), owners[row], each)
        for row, each in enumerate(options)
    ]


def _beside_each_other(options: Sequence[Sequence[Sequence[int]]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, option and place within the option of what is read, int64 `[rows, longest]`, padded on the right.

    An option's last id is only predicted, never read; on padding the option is -1.
    """
    longest = max((sum(len(ids) - 1 for ids in row) for row in options), default=0)
    ids, owners, places = (torch.zeros(len(options), longest, dtype=torch.long) for _ in range(3))
    owners -= 1
    for number, row in enumerate(options):
        start = 0
        for owner, option in enumerate(row):
            end = start + len(option) - 1
            ids[number, start:end] = torch.tensor(option[:-1], dtype=torch.long)
            owners[number, start:end], places[number, start:end] = owner, torch.arange(len(option) - 1)
            start = end
    return ids, owners, places


def _mask(prompt: Tensor, owners: Tensor, places: Tensor) -> Tensor:
    """Return who sees whom, bool `[rows, 1, length, prompt + length]`; padding sees what it is no harm to see."""
    same = owners[:, :, None] == owners[:, None, :]
    before = places[:, :, None] >= places[:, None, :]
    seen = prompt[:, None, :].expand(-1, owners.shape[1], -1)
    return torch.cat([seen, same & before], dim=2)[:, None]


def _sums(model: UnderstandingModel, states: Tensor, owners: Tensor, options: Sequence[Sequence[int]]) -> list[float]:
    """Return the sums of one row.

    Args:
        model: The model.
        states: Final states of the prompt's last position and of what was read behind it, `[1 + length, hidden]`.
        owners: Option of each position that was read, `[length]`.
        options: The options' ids.
    """
    logits: Tensor = model.lm_head(states).float()
    log_probabilities = logits - logits.logsumexp(-1, keepdim=True)
    found = []
    for owner, ids in enumerate(options):
        rows = torch.cat([torch.tensor([0]), 1 + (owners == owner).nonzero()[:, 0]]).to(logits.device)
        chosen = log_probabilities[rows, torch.tensor(ids, device=logits.device)]
        found.append(float(chosen.double().sum()))
    return found
