"""Trains the visual tokenizer: first its encoder to name what each patch shows, then selection, merging and codes.

The published encoder comes from contrastive training on pictures with text; here the names of the world's shapes stand
for the text. What is trained beside the tokenizer, to read its features, is thrown away afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.demo.world import COLORS, KINDS
from lavit_eval.models.video_lavit.token_selector import gumbel_noise, keep_decision
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from lavit_eval.video.picture import normalise
from training.codebook import CodebookTrainer, usage
from training.footage import Footage, patch_labels
from training.recipe import SIZES

SIDE = SIZES.visual.image_size // SIZES.visual.patch_size
GRID = torch.stack(torch.meshgrid(*[torch.linspace(-1.0, 1.0, SIDE)] * 2, indexing="xy"), -1).flatten(0, 1)
"""Where each patch lies, from -1 at the left (the upper) edge to 1 at the right (the lower): x, y `[patches, 2]`."""
COARSE = 4
"""Pixels a side of a patch as the codes must give it back."""
KEPT, DROPPED = 0.95, 0.05
"""How probably a patch is kept that shows a shape, and one that shows the ground."""
SHRINKING = 0.35
"""Power of a component's variance by which the patch embedding divides it."""
CODES_FROM = 0.3
"""Share of the steps after which the codes begin; before, vectors pass as they are."""


class PatchReader(nn.Module):
    """Reads off a patch's features its kind, its colour, its place in the shape, and where in the picture it lies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.kind = nn.Linear(width, len(KINDS) + 1)
        self.color = nn.Linear(width, len(COLORS) + 1)
        self.place = nn.Linear(width, 3)
        self.where = nn.Linear(width, 2)

    def loss(self, features: Tensor, labels: Tensor, places: Tensor, where: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return loss and accuracies on the patches that show a shape.

        Args:
            features: `[n, width]`.
            labels: `[n, 3]`, as `patch_labels` says.
            places: `[n, 3]`, as `patch_labels` says.
            where: `[n, 2]`, rows of `GRID`.
        """
        seen = self.norm(features)
        kind, color, place = self.kind(seen), self.color(seen), self.place(seen)
        sure, shape = labels[:, 2] > 0, labels[:, 0] > 0
        ground = sure & ~shape
        loss = torch.zeros(())
        for scores, wanted in ((kind, labels[:, 0]), (color, labels[:, 1])):
            for group, weight in ((shape, 1.0), (ground, 0.3)):
                if group.any():
                    loss = loss + weight * F.cross_entropy(scores[group], wanted[group])
        if not shape.any():
            return loss, {}
        loss = loss + F.mse_loss(place[shape], places[shape]) + F.mse_loss(self.where(seen)[shape], where[shape])
        found = {"kind": (kind, 0), "color": (color, 1)}
        right = {
            name: float((scores[shape].argmax(-1) == labels[shape, column]).float().mean())
            for name, (scores, column) in found.items()
        }
        return loss, right


@dataclass(frozen=True, slots=True)
class Drawn:
    """Pictures of one step: which, and how they are moved."""

    rows: Tensor
    mirrored: Tensor
    """bool, one per picture."""
    shift: tuple[int, int] = (0, 0)
    """By how many patches (down, right) all are pushed; what leaves on one side comes back on the other."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What patches show, `[n, patches, ...]` each, as `patch_labels` says."""

    names: Tensor
    places: Tensor
    cover: Tensor


class Pictures:
    """All pictures of a footage with the labels of their patches, also mirrored and pushed about."""

    def __init__(self, footage: Footage) -> None:
        self.scenes = [*footage.films, *footage.pictures]
        self.frames = torch.cat([footage.film_frames, footage.picture_frames])

    @cached_property
    def labels(self) -> Labels:
        """The labels of all pictures as they are."""
        found = [patch_labels(scene, SIDE) for scene in self.scenes]
        return Labels(*(torch.stack([each[part] for each in found]) for part in range(3)))

    def pixels(self, drawn: Drawn) -> Tensor:
        """Return pictures `[n, 3, 224, 224]`, normalised."""
        pixels = normalise(self.frames[drawn.rows].numpy())
        pixels = torch.where(drawn.mirrored[:, None, None, None], pixels.flip(-1), pixels)
        patch = SIZES.visual.patch_size
        return pixels.roll((drawn.shift[0] * patch, drawn.shift[1] * patch), (2, 3))

    def targets(self, drawn: Drawn) -> Labels:
        """Return the labels of the same pictures."""

        def moved(values: Tensor, turned: Tensor) -> Tensor:
            chosen = torch.where(drawn.mirrored[:, None, None, None], turned.flip(2), values)
            return chosen.roll(drawn.shift, (1, 2)).flatten(1, 2)

        names, places, cover = (
            part[drawn.rows].view(len(drawn.rows), SIDE, SIDE, -1)
            for part in (self.labels.names, self.labels.places, self.labels.cover)
        )
        return Labels(
            moved(names, names),
            moved(places, places * places.new_tensor([1.0, -1.0, 1.0])),
            moved(cover, cover.view(*cover.shape[:-1], 4, 4).flip(-1).flatten(-2)),
        )

    def draw(self, count: int, generator: torch.Generator) -> Drawn:
        """Draw pictures and how they are moved."""
        rows = torch.randint(len(self.frames), (count,), generator=generator)
        mirrored = torch.rand(count, generator=generator) < 0.5
        down, right = torch.randint(SIDE, (2,), generator=generator).tolist()
        return Drawn(rows, mirrored, (down, right))


class EncoderStage(nn.Module):
    """The encoder, and readers of its features.

    Early on, after the first block, a patch must tell which of its parts a shape covers: without that the forms are
    found late.
    """

    def __init__(self, tokenizer: VisualTokenizer) -> None:
        super().__init__()
        width = tokenizer.config.width
        self.encoder = tokenizer.encoder
        self.reader = PatchReader(width)
        self.alpha = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 16)) for _ in range(2))
        self.encoder.requires_grad_(True)
        for part in (self.encoder.norm, self.encoder.head):
            part.requires_grad_(False)
        self._early: list[Tensor] = []
        self.encoder.blocks[0].register_forward_hook(lambda _, __, output: self._early.append(output[:, 1:]))

    @torch.no_grad()
    def begin(self, pixels: Tensor) -> None:
        """Let the patch embedding begin at the principal components of patches, the large ones shrunk."""
        size, proj = SIZES.visual.patch_size, self.encoder.patch_embed.proj
        if proj.bias is None:
            raise ValueError("the patch embedding has no bias")
        patches = pixels.unfold(2, size, size).unfold(3, size, size).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        width = proj.weight.shape[0]
        weight = (vectors.flip(1)[:, :width] / values.flip(0)[:width].pow(SHRINKING)).T
        weight = weight / ((patches - mean) @ weight.T).std()
        proj.weight.copy_(weight.view_as(proj.weight))
        proj.bias.copy_(-(weight @ mean))

    def work(self, pictures: Pictures, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step."""
        return self.loss(pictures, pictures.draw(batch, generator))

    def loss(self, pictures: Pictures, drawn: Drawn) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss on pictures."""
        labels = pictures.targets(drawn)
        self._early.clear()
        features = self.encoder(pictures.pixels(drawn))[:, 1:]
        flat = (features.flatten(0, 1), labels.names.flatten(0, 1), labels.places.flatten(0, 1))
        loss, facts = self.reader.loss(*flat, GRID.repeat(len(features), 1))
        weight = torch.where(labels.cover.amax(-1, keepdim=True) > 0, 10.0, 1.0)
        for head, seen in zip(self.alpha, (self._early.pop(), features), strict=True):
            miss = F.binary_cross_entropy_with_logits(head(seen), labels.cover, reduction="none") * weight
            loss = loss + 2 * miss.sum() / weight.sum() / labels.cover.shape[-1]
        return loss, facts


class MergerStage(nn.Module):
    """Selector, merger and codebook on the features of the trained encoder."""

    def __init__(self, tokenizer: VisualTokenizer, reader: PatchReader) -> None:
        super().__init__()
        width, config = tokenizer.config.width, tokenizer.config
        self.tokenizer = tokenizer
        tokenizer.requires_grad_(True)
        tokenizer.encoder.requires_grad_(False)
        tokenizer.vit_proj.requires_grad_(False)
        self.reader = reader
        self.codebook = CodebookTrainer(tokenizer.quantize)
        self.painter = nn.Sequential(
            nn.Linear(config.code_dim, 2 * width), nn.GELU(), nn.Linear(2 * width, 3 * COARSE * COARSE)
        )

    def work(
        self, pictures: Pictures, batch: int, done: float, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step, `done` being the share of the stage that is over."""
        drawn = pictures.draw(batch, generator)
        shown, pixels = pictures.targets(drawn), pictures.pixels(drawn)
        labels, places = shown.names, shown.places
        with torch.no_grad():
            features = self.tokenizer.encoder(pixels)[:, 1:]
        scores = self.tokenizer.token_predictor(features)
        wanted = torch.where(labels[..., 0] > 0, KEPT, DROPPED)
        selection = -(wanted * scores[..., 0] + (1 - wanted) * scores[..., 1]).mean()
        keep = keep_decision(scores.detach(), gumbel_noise(scores.shape, generator))
        kept = self.tokenizer.causal_encoder(features, keep)[keep]
        loss, facts = self.reader.loss(kept, labels[keep], places[keep], GRID.expand(*keep.shape, 2)[keep])
        painted, codes = self._paint(kept, pixels, keep, done, generator)
        facts |= {"kept": float(keep.float().mean()), "painting": float(painted.detach())}
        if codes is not None:
            facts |= usage(codes, len(self.codebook.counts))
        return loss + selection + painted, facts

    def _paint(
        self, kept: Tensor, pixels: Tensor, keep: Tensor, done: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Return how badly the codes of the kept patches give their pixels back, and the codes once there are any."""
        vectors = self.tokenizer.encode_task_layer(kept)
        patches = F.adaptive_avg_pool2d(pixels, SIDE * COARSE).view(-1, 3, SIDE, COARSE, SIDE, COARSE)
        wanted = patches.permute(0, 2, 4, 1, 3, 5).flatten(1, 2).flatten(2)[keep]
        if done < CODES_FROM:
            return F.mse_loss(self.painter(F.normalize(vectors, dim=-1)), wanted), None
        if not self.codebook.begun and len(vectors) >= len(self.codebook.counts):
            self.codebook.begin(vectors, generator)
        rows, commitment, codes = self.codebook(vectors, generator)
        return F.mse_loss(self.painter(rows), wanted) + 0.25 * commitment, codes
