"""Trains a copy of the visual tokenizer whose codes tell where a patch is, and not only what it shows.

Answers need features, which are not quantised. Pictures are made of codes alone: of codes that look alike wherever they
stand, a keyframe's shapes would come out anywhere, and not where the motion is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.models.video_lavit.token_selector import gumbel_noise, keep_decision
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from training.codebook import CodebookTrainer, usage
from training.visual import COARSE, DROPPED, KEPT, SIDE, Drawn, PatchReader, Pictures

CODES_FROM = 0.3
"""Share of the steps after which the codes begin; before, vectors pass as they are."""
PLACE = 3.0
"""How much a patch's place counts, against its pixels."""


class CodesStage(nn.Module):
    """Encoder, selector, merger and codebook, with what reads codes during training."""

    places: Tensor

    def __init__(self, tokenizer: VisualTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer.requires_grad_(True)
        tokenizer.vit_proj.requires_grad_(False)
        tokenizer.encoder.norm.requires_grad_(False)
        tokenizer.encoder.head.requires_grad_(False)
        width, code = tokenizer.config.width, tokenizer.config.code_dim
        self.reader = PatchReader(width)
        self.codebook = CodebookTrainer(tokenizer.quantize)
        self.painter = nn.Sequential(nn.Linear(code, 2 * width), nn.GELU(), nn.Linear(2 * width, 3 * COARSE**2 + 2))
        steps = torch.linspace(-1, 1, SIDE)
        self.register_buffer("places", torch.stack((steps.repeat(SIDE), steps.repeat_interleave(SIDE)), 1))

    def work(
        self, pictures: Pictures, batch: int, done: float, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step, `done` being the share of the stage that is over."""
        device = self.places.device
        rows = torch.randint(len(pictures.frames), (batch,), generator=generator)
        # Pictures are not pushed about: a place is then one of the picture's, and not of its contents alone.
        drawn = Drawn(rows, torch.rand(batch, generator=generator) < 0.5)
        shown, pixels = pictures.targets(drawn), pictures.pixels(drawn).to(device)
        labels, places = shown.names.to(device), shown.places.to(device)
        features = self.tokenizer.encoder(pixels)[:, 1:]
        scores = self.tokenizer.token_predictor(features.detach())
        wanted = torch.where(labels[..., 0] > 0, KEPT, DROPPED)
        selection = -(wanted * scores[..., 0] + (1 - wanted) * scores[..., 1]).mean()
        keep = keep_decision(scores.detach(), gumbel_noise(scores.shape, generator).to(device))
        kept = self.tokenizer.causal_encoder(features, keep)[keep]
        loss, facts = _read(self.reader, kept, labels[keep], places[keep])
        painted, more = self._paint(kept, pixels, keep, done, generator)
        return loss + selection + painted, {"kept": float(keep.float().mean()), **facts, **more}

    def _paint(
        self, kept: Tensor, pixels: Tensor, keep: Tensor, done: float, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return how badly the codes of the kept patches give their pixels and places back."""
        vectors = self.tokenizer.encode_task_layer(kept)
        facts: dict[str, float] = {}
        commitment = vectors.new_zeros(())
        if done < CODES_FROM:
            rows = F.normalize(vectors, dim=-1)
        else:
            if not self.codebook.begun and len(vectors) >= len(self.codebook.counts):
                self.codebook.begin(vectors, generator)
            rows, commitment, codes = self.codebook(vectors, generator)
            facts |= usage(codes, len(self.codebook.counts))
        patches = F.adaptive_avg_pool2d(pixels, SIDE * COARSE).view(-1, 3, SIDE, COARSE, SIDE, COARSE)
        wanted = patches.permute(0, 2, 4, 1, 3, 5).flatten(1, 2).flatten(2)[keep]
        found = self.painter(rows)
        place = F.mse_loss(found[:, -2:], self.places[keep.nonzero()[:, 1]])
        painting = F.mse_loss(found[:, :-2], wanted)
        facts |= {"painting": float(painting.detach()), "place": float(place.detach())}
        return painting + PLACE * place + 0.25 * commitment, facts


def _read(reader: PatchReader, kept: Tensor, labels: Tensor, places: Tensor) -> tuple[Tensor, Mapping[str, float]]:
    """Return how badly kind, colour and relative place are read off merged patches."""
    seen = reader.norm(kept)
    sure = labels[:, 2] > 0
    if not bool(sure.any()):
        return kept.sum() * 0, {}
    kind, color = reader.kind(seen[sure]), reader.color(seen[sure])
    loss = F.cross_entropy(kind, labels[sure, 0]) + F.cross_entropy(color, labels[sure, 1])
    shape = labels[:, 0] > 0
    if bool(shape.any()):
        loss = loss + F.mse_loss(reader.place(seen[shape]), places[shape])
    return loss, {"color": float((color.argmax(-1) == labels[sure, 1]).float().mean())}
