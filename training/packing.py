"""One medium and many questions in one sequence: what comes before the questions is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lavit_eval.models.video_lavit.answer import STOP_TEXT
from lavit_eval.models.video_lavit.tokenizer import PromptKind, Tokenizer
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from training.words import Exchange


@dataclass(frozen=True, slots=True)
class Example:
    """A medium as the language model will see it, and what is asked about it."""

    features: Tensor
    """What the visual tokenizer keeps of the picture, before `vit_proj`, `[kept, width]`."""
    codes: Tensor | None
    """Motion codes, int64 `[135]`; None for an image, and for a video whose motion is hidden."""
    exchanges: tuple[Exchange, ...]
    kind: PromptKind


@dataclass(frozen=True, slots=True)
class Told:
    """A caption and the codes of what it tells of, which the language model learns to write after it."""

    caption: str
    """Empty where nothing is told: guidance compares with what is written then."""
    visual: Tensor
    """Visual codes, int64 `[kept]`."""
    motion: Tensor | None
    """Motion codes, int64 `[135]`; None for an image."""


CODE_WEIGHT = 0.1
"""How much a written code counts beside an id of an answer: there are many, and few of them depend on the caption.
The mark at their end counts as an id of an answer does: without it codes are written without end."""


@dataclass(slots=True)
class _Row:
    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    """0 before the questions, then the question's number."""
    wanted: list[tuple[int, int, int]] = field(default_factory=list)
    """Place, the id that follows it, the question's number."""

    def extend(self, ids: Sequence[int], start: int, segment: int) -> None:
        self.ids += ids
        self.positions += range(start, start + len(ids))
        self.segments += [segment] * len(ids)


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch for the language model."""

    embeds: Tensor
    mask: Tensor
    """bool `[rows, 1, length, length]`: a question sees what comes before the questions, and itself."""
    positions: Tensor
    """Those that the question would have if it were the only one."""
    places: Tensor
    """int64 `[answer ids, 2]`: row and place of the state that each id of an answer follows."""
    targets: Tensor
    """int64 `[answer ids]`."""
    weights: Tensor
    """float32 `[answer ids]`."""
    owners: Tensor
    """int64 `[answer ids, 2]`: row and number of the question; a row of codes is its own question 1."""


def pack(model: UnderstandingModel, tokenizer: Tokenizer, examples: Sequence[Example | Told]) -> Packed:
    """Return a batch; gradients reach embeddings and `vit_proj`."""
    rows = [
        _pack_told(model, tokenizer, example) if isinstance(example, Told) else _pack_row(model, tokenizer, example)
        for example in examples
    ]
    longest = max(len(row.ids) for row in rows)

    def table(name: str, fill: int) -> Tensor:
        return torch.tensor([[*getattr(row, name), *[fill] * (longest - len(row.ids))] for row in rows])

    ids, segments = table("ids", 0), table("segments", -1)
    embeds, seen = model.embed(ids.clamp(min=0)), [each.features for each in examples if isinstance(each, Example)]
    if seen:
        projected = model.model.visual_tokenizer.vit_proj(torch.cat(seen))
        embeds = embeds.masked_scatter((ids < 0)[..., None], projected)
    earlier = torch.ones(longest, longest, dtype=torch.bool).tril()
    shared = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
    wanted = [(row, *each) for row, packed in enumerate(rows) for each in packed.wanted]
    found = torch.tensor(wanted)
    mask, positions = (shared & earlier)[:, None], table("positions", 0)
    told = torch.tensor([isinstance(example, Told) for example in examples])
    ends = torch.tensor([model.tokens.image_end, model.tokens.motion_end])
    weights = torch.where(told[found[:, 0]] & ~torch.isin(found[:, 2], ends), CODE_WEIGHT, 1.0)
    return Packed(embeds, mask, positions, found[:, :2], found[:, 2], weights, found[:, [0, 3]])


def _pack_row(model: UnderstandingModel, tokenizer: Tokenizer, example: Example) -> _Row:
    tokens, row = model.tokens, _Row()
    visual = [tokens.image_start, *[-1] * len(example.features), tokens.image_end]
    if example.codes is not None:
        codes = (example.codes + tokens.motion_offset).tolist()
        visual += [tokens.motion_start, *codes, tokens.motion_end]
    for number, exchange in enumerate(example.exchanges, start=1):
        prompt = tokenizer.prompt_ids(exchange.question, example.kind)
        place = next(place for place, token in enumerate(prompt) if token < 0)
        if number == 1:
            row.extend([*prompt[:place], *visual], 0, 0)
            start = len(row.ids)
        after = prompt[place + 1 :]
        answer = [*tokenizer.encode(f"{exchange.answer} {STOP_TEXT}"), tokenizer.eos]
        first = len(row.ids) + len(after) - 1
        row.wanted += [(first + offset, token, number) for offset, token in enumerate(answer)]
        row.extend([*after, *answer], start, number)
    return row


def _pack_told(model: UnderstandingModel, tokenizer: Tokenizer, told: Told) -> _Row:
    """Return a row as what generates prompts the model: the text without BOS, a start mark, codes, an end mark."""
    tokens, row = model.tokens, _Row()
    text = tokenizer.encode(told.caption) if told.caption else []
    codes = [tokens.image_start, *(told.visual + tokens.visual_offset).tolist(), tokens.image_end]
    if told.motion is not None:
        codes += [tokens.motion_start, *(told.motion + tokens.motion_offset).tolist(), tokens.motion_end]
    row.extend([*text, *codes], 0, 0)
    given = tokens.image_start, tokens.motion_start
    places = range(len(text), len(row.ids) - 1)
    row.wanted = [(place, row.ids[place + 1], 1) for place in places if row.ids[place + 1] not in given]
    return row


def logits(model: UnderstandingModel, packed: Packed) -> Tensor:
    """Return the logits `[answer ids, vocabulary]` from which each id of the answers follows."""
    states = model.hidden_states(packed.embeds, packed.mask, packed.positions)
    found: Tensor = model.lm_head(states[packed.places[:, 0], packed.places[:, 1]])
    return found


def loss_and_hits(model: UnderstandingModel, packed: Packed) -> tuple[Tensor, dict[tuple[int, int], bool]]:
    """Return the mean loss of an id, and for each (row, question) whether its every id is the likeliest."""
    scores = logits(model, packed)
    right = (scores.argmax(-1) == packed.targets).tolist()
    hits: dict[tuple[int, int], bool] = {}
    for (row, number), hit in zip(packed.owners.tolist(), right, strict=True):
        hits[row, number] = hits.get((row, number), True) and hit
    losses = F.cross_entropy(scores, packed.targets, reduction="none")
    return (losses * packed.weights).sum() / packed.weights.sum(), hits
