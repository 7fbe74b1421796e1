"""Beam search by the rule of transformers 4.33.2, with which the published numbers were made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from lavit_eval.models.video_lavit.logits import restrict
from lavit_eval.models.video_lavit.shared_prefix import Past, resumed, seen_mask
from lavit_eval.models.video_lavit.splice import Spliced
from lavit_eval.models.video_lavit.stopping import StopRule
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import Settings

NEVER = -1e9
"""Score of all beams but the first at the start, when all are equal."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A sequence that beam search returns."""

    ids: tuple[int, ...]
    """New ids, without the end id."""
    score: float
    """Sum of log-probabilities / (prompt ids + new ids)^length_penalty."""


class _Pool:
    """The best hypotheses so far, at most as many as there are beams."""

    def __init__(self, size: int, prompt: int, length_penalty: float) -> None:
        self.size = size
        self.prompt = prompt
        self.length_penalty = length_penalty
        self.held: list[Hypothesis] = []

    def score(self, total: float, new: int) -> float:
        """Divide a sum of log-probabilities by the whole length; a placeholder of the prompt counts one."""
        return total / math.pow(self.prompt + new, self.length_penalty)

    def add(self, ids: Sequence[int], total: float) -> None:
        """Hold a hypothesis if it is among the best; one that only equals the worst does not drive it out."""
        made = Hypothesis(tuple(ids), self.score(total, len(ids)))
        if len(self.held) == self.size:
            worst = min(self.held, key=lambda held: held.score)
            if made.score <= worst.score:
                return
            self.held.remove(worst)
        self.held.append(made)

    def is_final(self, best: float, new: int) -> bool:
        """Return whether nothing that goes on from sum `best` after `new` ids can enter any more."""
        full = len(self.held) == self.size
        return full and min(held.score for held in self.held) >= self.score(best, new)

    def ranked(self) -> list[Hypothesis]:
        """Return what is held, best first; of equal ones the last comes first."""
        return sorted(self.held, key=lambda held: held.score)[::-1]


@dataclass(slots=True)
class _Beams:
    """The sequences that are still being written."""

    ids: list[list[int]]
    totals: Tensor
    """float32 `[beams]`."""
    parents: list[int]
    """From which beam of the step before each one goes on."""


@torch.inference_mode()
def beam_search(
    model: UnderstandingModel,
    spliced: Spliced,
    prompt: Sequence[int],
    settings: Settings,
    stop: StopRule,
    suppressed: range,
    past: Past | None = None,
) -> list[Hypothesis]:
    """Return `settings.num_beams` hypotheses of one prompt, best first.

    The prompt is read once, and all beams share what was seen. At each step the 2n best continuations of the n beams
    are walked best first: one that ends is a hypothesis if it is among the n best and is dropped otherwise, the others
    become the next beams. Scores are divided by the length *including the prompt's ids*; newer releases of
    transformers count new ids only, which ranks hypotheses of unequal length otherwise.

    Args:
        model: The model.
        spliced: One row without padding.
        prompt: Its ids, the placeholder included.
        settings: How text is decoded.
        stop: The end id; the keyword ends the search only when every beam has just written it.
        suppressed: Ids never written.
        past: What was read before `spliced`, which then is the rest of the prompt.

    Raises:
        ValueError: If there is more than one row, or padding.
    """
    mask = seen_mask(spliced, past)
    if len(mask) != 1 or not bool(mask.all()):
        raise ValueError("beam search takes one row without padding")
    beams = settings.num_beams
    cache = resumed(model, past)
    logits = model.last_logits(spliced.embeds, mask, spliced.positions, cache).expand(beams, -1)
    cache.batch_repeat_interleave(beams)
    totals = torch.full((beams,), NEVER, device=logits.device)
    totals[0] = 0.0
    running = _Beams([[] for _ in range(beams)], totals, list(range(beams)))
    pool = _Pool(beams, len(prompt), settings.length_penalty)
    for new in range(settings.max_new_tokens):
        seen = [[*prompt, *ids] for ids in running.ids]
        scores = restrict(logits.log_softmax(-1), seen, new, settings, stop.eos, suppressed)
        running, best = _advance(running, scores, pool, stop.eos)
        if pool.is_final(best, new + 1):
            return pool.ranked()
        if new + 1 == settings.max_new_tokens or all(stop.hit(prompt, ids) for ids in running.ids):
            break
        logits = _go_on(model, running, cache, mask.shape[1] + new)
    return _finished(running, pool)


def _finished(running: _Beams, pool: _Pool) -> list[Hypothesis]:
    """Return the hypotheses when there is no more room: the beams are among them as they stand."""
    for ids, total in zip(running.ids, running.totals.tolist(), strict=True):
        pool.add(ids, total)
    return pool.ranked()


def _go_on(model: UnderstandingModel, running: _Beams, cache: DynamicCache, past: int) -> Tensor:
    """Return the next logits of all beams, each after its parent's past of so many positions."""
    cache.batch_select_indices(torch.tensor(running.parents, device=model.device))
    last = model.embed(torch.tensor([ids[-1:] for ids in running.ids]))
    mask = torch.ones(len(last), past + 1, dtype=torch.bool, device=last.device)
    return model.last_logits(last, mask, torch.full_like(mask[:, :1], past, dtype=torch.long), cache)


def _advance(running: _Beams, scores: Tensor, pool: _Pool, eos: int) -> tuple[_Beams, float]:
    """Return the next beams and the best sum of this step; what ends goes to the pool."""
    beams, vocabulary = scores.shape
    totals, places = (scores + running.totals[:, None]).flatten().topk(2 * beams)
    ids: list[list[int]] = []
    parents: list[int] = []
    ranks: list[int] = []
    for rank, (place, total) in enumerate(zip(places.tolist(), totals.tolist(), strict=True)):
        parent, token = divmod(place, vocabulary)
        if token == eos:
            if rank < beams:
                pool.add(running.ids[parent], total)
            continue
        ids.append([*running.ids[parent], token])
        parents.append(parent)
        ranks.append(rank)
        if len(ids) == beams:
            break
    return _Beams(ids, totals[ranks], parents), float(totals[0])
