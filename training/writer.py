"""Trains the language model of generation to write visual codes and then motion codes after a caption.

It begins as the language model that answers. The rows are those that sampling makes: the text without any start mark,
and, for classifier-free guidance, no text at all before the mark of what is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.demo.language import captions
from lavit_eval.demo.world import Scene
from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from training.words import MIRRORED

FREE = 0.1
"""How often a row begins with the mark alone, for either kind of codes."""
STILL = 0.3
"""Share of rows that are pictures without motion."""
IGNORED = -100
"""What cross entropy passes over."""


@dataclass(frozen=True, slots=True)
class Library:
    """Scenes, and the codes that stand for them."""

    scenes: Sequence[Scene]
    """As in `training.reel.Reel`: films first."""
    visual: Sequence[Sequence[Tensor]]
    motion: Sequence[Tensor]
    tokens: TokenSpace
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True)
class Line:
    """Ids, and from which place on they are to be written."""

    ids: tuple[int, ...]
    start: int


def caption_of(scene: Scene, number: int, mirrored: bool) -> str:
    """Return a caption of a scene as a task may say it; a mirrored scene has its sides exchanged."""
    text = captions(scene)[number]
    if not mirrored:
        return text
    return " ".join(
        word.replace(side, MIRRORED[side]) if (side := word.strip(",.")) in MIRRORED else word for word in text.split()
    )


def draw_line(library: Library, generator: torch.Generator) -> Line:
    """Draw one row: a picture, or a film with its motion."""
    tokens, films = library.tokens, len(library.motion[0])
    still = _chance(STILL, generator)
    row = _below(len(library.scenes) if still else films, generator)
    draw = _below(len(library.visual), generator)
    text = library.tokenizer.encode(caption_of(library.scenes[row], _below(5, generator), draw % 2 == 1))
    seen = (library.visual[draw][row] + tokens.visual_offset).tolist()
    picture = [tokens.image_start, *seen, tokens.image_end]
    free = _chance(FREE, generator)
    if still:
        return Line((*(() if free else text), *picture), 1 if free else len(text) + 1)
    codes = (library.motion[draw % 2][row] + tokens.motion_offset).tolist()
    motion = [tokens.motion_start, *codes, tokens.motion_end]
    if free:
        return Line(tuple(motion), 1)
    return Line((*text, *picture, *motion), len(text) + 1)


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (1,), generator=generator))


def _chance(share: float, generator: torch.Generator) -> bool:
    return float(torch.rand(1, generator=generator)) < share


class WriterStage(nn.Module):
    """The language model of generation, a `LlamaForCausalLM`."""

    def __init__(self, model: Any, library: Library) -> None:
        super().__init__()
        self.embed, self.layers = model.model.embed_tokens, model.model.layers
        self.norm, self.head = model.model.norm, model.lm_head
        self.requires_grad_(True)
        # In a list, so that its parts are known by the names above alone, by which they are trained.
        self._model = [model]
        self._library = library

    def weights(self, held: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a state of this module under the names of a `LlamaForCausalLM`."""
        names = {"embed": "model.embed_tokens", "layers": "model.layers", "norm": "model.norm", "head": "lm_head"}
        parts = {name: name.split(".", 1) for name in held}
        return {f"{names[first]}.{rest}": held[name] for name, (first, rest) in parts.items()}

    def work(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step: the mean over all ids that are to be written."""
        tokens = self._library.tokens
        lines = [draw_line(self._library, generator) for _ in range(batch)]
        longest = max(len(line.ids) for line in lines)
        ids = torch.tensor([[*line.ids, *[0] * (longest - len(line.ids))] for line in lines])
        wanted = torch.tensor(
            [
                [*[IGNORED] * line.start, *line.ids[line.start :], *[IGNORED] * (longest - len(line.ids))]
                for line in lines
            ]
        )
        # Nothing is written where a motion's start mark stands: sampling puts it there.
        wanted[wanted == tokens.motion_start] = IGNORED
        (model,) = self._model
        device = self.head.weight.device
        # Padding stands behind, where no row looks.
        scores = model(input_ids=ids.to(device), use_cache=False).logits[:, :-1].flatten(0, 1)
        targets = wanted[:, 1:].flatten().to(device)
        loss = F.cross_entropy(scores, targets, ignore_index=IGNORED)
        return loss, _hits(scores, targets, tokens)


@torch.no_grad()
def _hits(scores: Tensor, targets: Tensor, tokens: TokenSpace) -> Mapping[str, float]:
    """Return the share of ids that are the likeliest, of visual and of motion codes."""
    right = scores.argmax(-1) == targets
    visual = (targets >= tokens.visual_offset) & (targets < tokens.motion_start)
    motion = targets >= tokens.motion_offset
    groups = {"visual": visual, "motion": motion}
    return {name: float(right[rows].float().mean()) for name, rows in groups.items() if bool(rows.any())}
