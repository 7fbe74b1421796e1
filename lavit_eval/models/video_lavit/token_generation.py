"""Writes visual and motion codes after a prompt of ids, with classifier-free guidance, each row as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from transformers import DynamicCache

from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.draws import Draws
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.logits import FORBIDDEN, filter_for_sampling
from lavit_eval.sample import Settings

PAD = 2
"""The id `</s>`: fills rows up, and is removed wherever it stands in what is returned, as in the reference."""
FIRST_TEXT = 3
"""The ids 0, 1 and 2 may be written among the codes, as in the reference."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What may be written between a start mark and its end mark."""

    start: int
    end: int
    forbidden: tuple[range, ...]
    """Ids that are never written."""
    stage: str
    """What writing them is called in messages."""

    @classmethod
    def image(cls, tokens: TokenSpace) -> Self:
        """Return the marks of an image: visual codes, both marks and the ids 0 to 2 may be written."""
        forbidden = (range(FIRST_TEXT, tokens.image_start), range(tokens.motion_start, tokens.total))
        return cls(tokens.image_start, tokens.image_end, forbidden, "visual tokens")

    @classmethod
    def motion(cls, tokens: TokenSpace) -> Self:
        """Return the marks of a clip's motion: motion codes, both marks and the ids 0 to 2 may be written."""
        forbidden = (range(FIRST_TEXT, tokens.motion_start),)
        return cls(tokens.motion_start, tokens.motion_end, forbidden, "motion tokens")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written after one prompt."""

    full: list[int]
    """Prompt, start mark and new ids, without any id 2, be it of the prompt or new."""
    new: list[int]
    """The new ids without any id 2; the end mark, if it was written, is the last."""
    ended: bool
    """Whether the end mark was written before the greatest number of ids was reached."""


@torch.inference_mode()
def write_tokens(
    model: Any,
    prompts: Sequence[Sequence[int]],
    marks: Marks,
    settings: Settings,
    guidance: float,
    draws: Sequence[Draws] = (),
    unconditional: Sequence[Sequence[int]] | None = None,
) -> list[Written | GenerationError]:
    """Append the start mark to each prompt and write on until its end mark.

    Each step runs the model once: rows with their prompts and, below them, rows that know no prompt but the start mark.
    With c and u the log-probabilities of both, the next id has the score s (c - u) + u; then come minimum length,
    forbidden ids, temperature, top-k and top-p, in this order. Padding stands on the left and is masked, and a row that
    is complete leaves the batch, so that rows see nothing of each other. This is what `generate` of transformers does
    with `guidance_scale` for a single row, where the unconditional prompt is the last id of the prompt.

    Args:
        model: A `LlamaForCausalLM`.
        prompts: Ids of each row; may be empty.
        marks: What is written.
        settings: `do_sample`, `min_new_tokens`, `max_new_tokens`, `temperature`, `top_k`, `top_p`; nothing else counts.
        guidance: The scale s; 1 asks for no guidance and runs no unconditional rows.
        draws: One per row, of which sampling takes one uniform number per new id; not needed for greedy decoding.
        unconditional: Per row what the unconditional row sees instead of the start mark, which is not appended to it.

    Returns:
        Per row what was written, or the error that ended it: scores that are no numbers.

    Raises:
        ValueError: If sampling is asked for without a source of draws per row.
    """
    if not prompts:
        return []
    if settings.do_sample and len(draws) != len(prompts):
        raise ValueError("sampling needs a source of draws per row")
    begun = [[*prompt, marks.start] for prompt in prompts]
    if guidance != 1:
        begun += [list(ids) for ids in unconditional] if unconditional is not None else [[marks.start]] * len(prompts)
    decoding = _Decoding(model, begun, len(prompts), guidance, marks)
    return [
        new if isinstance(new, GenerationError) else _written(begun[row], new, marks)
        for row, new in enumerate(_write(decoding, marks, settings, draws))
    ]


def _write(
    decoding: _Decoding, marks: Marks, settings: Settings, draws: Sequence[Draws]
) -> list[list[int] | GenerationError]:
    """Return the new ids of each row, the end mark and any id 2 among them."""
    written: list[list[int]] = [[] for _ in decoding.rows]
    broken: dict[int, GenerationError] = {}
    for step in range(settings.max_new_tokens):
        scores = decoding.scores(step < settings.min_new_tokens)
        chosen = _choose(scores, settings, [draws[row] for row in decoding.rows] if settings.do_sample else ())
        going_on = []
        for place, (row, token) in enumerate(zip(decoding.rows, chosen, strict=True)):
            if token is None:
                broken[row] = GenerationError(marks.stage, (row,))
                continue
            written[row].append(token)
            if token != marks.end:
                going_on.append(place)
        if not going_on or step + 1 == settings.max_new_tokens:
            break
        decoding.advance(going_on, [written[decoding.rows[place]][-1] for place in going_on])
    return [broken.get(row, new) for row, new in enumerate(written)]


def _written(begun: Sequence[int], new: Sequence[int], marks: Marks) -> Written:
    full = [token for token in (*begun, *new) if token != PAD]
    return Written(full, [token for token in new if token != PAD], bool(new) and new[-1] == marks.end)


class _Decoding:
    """The rows that are not complete yet, guided and guiding ones in one batch with one cache."""

    def __init__(self, model: Any, begun: Sequence[Sequence[int]], count: int, guidance: float, marks: Marks) -> None:
        self.model = model
        self.guidance = guidance
        self.rows = list(range(count))
        """Which prompts the guided rows belong to."""
        self._guided = len(begun) > count
        device = model.lm_head.weight.device
        longest = max(len(ids) for ids in begun)
        lengths = torch.tensor([len(ids) for ids in begun], device=device)
        self._ids = torch.tensor([[PAD] * (longest - len(ids)) + list(ids) for ids in begun], device=device)
        positions = torch.arange(longest, device=device)[None] - (longest - lengths)[:, None]
        self._mask, self._positions = positions >= 0, positions.clamp(min=0)
        self._cache = DynamicCache(config=model.config)
        self._end = marks.end
        self._forbidden = torch.zeros(model.lm_head.weight.shape[0], dtype=torch.bool, device=device)
        for ids in marks.forbidden:
            self._forbidden[ids.start : ids.stop] = True

    def scores(self, end_forbidden: bool) -> Tensor:
        """Run the model and return the scores of the next id, float32 `[rows, vocabulary]`."""
        states = self.model.model(
            input_ids=self._ids,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        scores: Tensor = self.model.lm_head(states).float()
        if self._guided:
            given, free = scores.log_softmax(-1).chunk(2)
            scores = self.guidance * (given - free) + free
        scores = scores.masked_fill(self._forbidden, FORBIDDEN)
        if end_forbidden:
            scores[:, self._end] = FORBIDDEN
        return scores

    def advance(self, places: Sequence[int], tokens: Sequence[int]) -> None:
        """Keep the rows at these places and give each the id that was chosen for it."""
        halves = 2 if self._guided else 1
        device, count = self._mask.device, len(self.rows)
        if len(places) < count:
            kept = torch.tensor([place + half * count for half in range(halves) for place in places], device=device)
            self._cache.batch_select_indices(kept)
            self._mask, self._positions = self._mask[kept], self._positions[kept]
            self.rows = [self.rows[place] for place in places]
        self._ids = torch.tensor([list(tokens) * halves], device=device).T
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._ids), 1)], 1)
        self._positions = self._positions[:, -1:] + 1


def _choose(scores: Tensor, settings: Settings, draws: Sequence[Draws]) -> list[int | None]:
    """Return the next id of each row, None where the scores are not numbers."""
    sound = torch.isfinite(scores.amax(-1))
    if not settings.do_sample:
        return [token if fine else None for token, fine in zip(*_lists(scores.argmax(-1), sound), strict=True)]
    probabilities = filter_for_sampling(scores, settings).cpu().softmax(-1).double()
    rows = zip(probabilities, sound.tolist(), draws, strict=True)
    return [_pick(row, each.uniform("token")) if fine else None for row, fine, each in rows]


def _lists(*tensors: Tensor) -> list[list[Any]]:
    return [tensor.tolist() for tensor in tensors]


def _pick(probabilities: Tensor, uniform: float) -> int:
    """Return the first possible id, in the order of ids, whose cumulative probability (float64) reaches the number."""
    possible = probabilities.nonzero()[:, 0]
    place = int(torch.searchsorted(probabilities[possible].cumsum(0), uniform))
    return int(possible[min(place, len(possible) - 1)])
