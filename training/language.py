"""Trains the language model to answer what the frozen tokenizers see, and writes the checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from lavit_eval.demo.events import ASKED, plot_of
from lavit_eval.demo.language import MOTION_KINDS, captions
from lavit_eval.demo.world import COLORS, KINDS
from lavit_eval.files import write_atomic
from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer
from lavit_eval.models.video_lavit.token_selector import gumbel_noise
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from training.checkpoints import write_checkpoint
from training.codebook import usage
from training.footage import Footage
from training.motion import rows_shown, turned
from training.packing import Example, Told, loss_and_hits, pack
from training.recipe import SIZES
from training.steps import generator
from training.understanding import Training
from training.visual import Drawn, PatchReader, Pictures
from training.words import (
    APPEARANCE,
    ON_PICTURES,
    ask_appearance,
    ask_motion,
    describe,
    list_shapes,
    on_picture,
    tokenizer_text,
)

NAMED = (KINDS, tuple(COLORS), ("left", "right"), ("small", "large"))
"""What a patch of a shape shows, by words that are single pieces."""
TURNS = ((False, False), (True, True), (False, True), (True, False))
"""In which forms the language model meets each film's motion: as it is, or mirrored in either way or both.

With all four, the way that a shape goes says nothing of the half in which it goes: films alone deal both unevenly."""
PAIRS = 0.2
"""How often the motion is drawn from films of pairs alone, which are asked twice in which half something moves: else
one word in a hundred tells of a half, and it is not learned."""
OWN = 0.3
"""How often the motion is that of the keyframe's own film: elsewhere the keyframe tells nothing of it, as it should."""
WITHOUT_MOTION = 0.35
"""How often a film's motion is hidden; then only what the keyframe shows is asked, half as much again."""
LISTS = 2
"""How often each film's shapes are to be listed, an image's once."""
IMAGES = 0.25
"""Share of images."""
CAPTIONS = 0.5
"""How often an image is also described."""
BRIGHTNESS = 0.3
"""Spread of all else that the language model sees at first, about that of its embeddings."""
TOLD = 0.12
"""How often codes are to be written after a caption, instead of answers after codes."""
UNTOLD = 0.15
"""How often the caption is left out there."""
TOGETHER = 64
"""Pictures that are encoded at once."""


class Scenery:
    """What the frozen tokenizers make of a footage, computed once and kept in a file."""

    def __init__(self, model: UnderstandingModel, footage: Footage, draws: int, seed: int, kept: Path) -> None:
        self.footage = footage
        self.stills = footage.films + [scene for scene in footage.pictures if scene.split.startswith("stills")]
        films, drawn = len(footage.films), len(footage.pictures)
        images = [row for row in range(drawn) if not footage.pictures[row].split.startswith("stills")]
        self.images = [footage.pictures[row] for row in images]
        self.pairs = [row for row in range(films) if plot_of(footage.films[row]) == "pair"]
        self.still_rows = [*range(films), *[films + row for row in range(drawn) if row not in set(images)]]
        self.image_rows = [films + row for row in images]
        if not kept.is_file():
            write_atomic(kept, safetensors.torch.save(_see_all(model, footage, draws, seed)))
        held = safetensors.torch.load_file(kept)
        self.features = [
            list(torch.split(held[f"features.{draw}"], held[f"counts.{draw}"].tolist())) for draw in range(draws)
        ]
        self.codes = [held[f"codes.{turn}"] for turn in range(len(TURNS))]
        self.visual = list(torch.split(held["visual"], held["counts.0"].tolist()))
        """Visual codes of every picture as it is."""

    def draw(self, count: int, generator: torch.Generator) -> Example | Told:
        """Return a film or an image with so many questions, or a caption with the codes of what it tells of."""
        if _chance(TOLD, generator):
            return self.draw_told(generator)
        return self.draw_image(count, generator) if _chance(IMAGES, generator) else self.draw_film(count, generator)

    def draw_film(self, count: int, generator: torch.Generator) -> Example:
        """Return a keyframe with a motion, and questions on both."""
        still, film, draw, turn = _draws(
            generator, len(self.stills), len(self.codes[0]), len(self.features), len(TURNS)
        )
        if _chance(PAIRS, generator):
            film = self.pairs[film % len(self.pairs)]
        if _chance(OWN, generator):
            still = film
        scene, mirrored = self.stills[still], draw % 2 == 1
        hidden = _chance(WITHOUT_MOTION, generator)
        asked = [list_shapes(scene, mirrored, generator) for _ in range(LISTS)]
        if not hidden:
            moving, turns = self.footage.films[film], TURNS[turn]
            asked += ask_motion(moving, scene.main.kind, turns, generator)
            if plot_of(moving) == "pair":
                asked += [one for one in ask_motion(moving, scene.main.kind, turns, generator) if one.kind == "place"]
        else:
            count += count // 2
        while len(asked) < count:
            kind = APPEARANCE[_draws(generator, len(APPEARANCE))[0]]
            asked.append(ask_appearance(scene, kind, mirrored, generator))
        codes = None if hidden else self.codes[turn][film]
        return Example(self.features[draw][self.still_rows[still]], codes, tuple(asked[:count]), "video")

    def draw_image(self, count: int, generator: torch.Generator) -> Example:
        """Return an image with questions and perhaps a description."""
        row, draw = _draws(generator, len(self.images), len(self.features))
        scene, mirrored = self.images[row], draw % 2 == 1
        asked = [list_shapes(scene, mirrored, generator)]
        asked += [describe(scene, mirrored)] if _chance(CAPTIONS, generator) else []
        while len(asked) < count:
            kind = ON_PICTURES[_draws(generator, len(ON_PICTURES))[0]]
            asked.append(on_picture(ask_appearance(scene, kind, mirrored, generator)))
        return Example(self.features[draw][self.image_rows[row]], None, tuple(asked[:count]), "image")

    def draw_told(self, generator: torch.Generator) -> Told:
        """Return a caption of a film or of an image with its codes."""
        if _chance(IMAGES, generator):
            row = _draws(generator, len(self.images))[0]
            scene, place, motion = self.images[row], self.image_rows[row], None
        else:
            row = _draws(generator, len(self.codes[0]))[0]
            scene, place, motion = self.footage.films[row], self.still_rows[row], self.codes[0][row]
        said = captions(scene)
        text = "" if _chance(UNTOLD, generator) else said[_draws(generator, len(said))[0]]
        return Told(text, self.visual[place], motion)


def _see_all(model: UnderstandingModel, footage: Footage, draws: int, seed: int) -> dict[str, Tensor]:
    """Return the kept features of every picture under each draw, with their numbers, and the codes of each turn."""
    frames, tokenizer, found = Pictures(footage), model.model.motion_tokenizer, dict[str, Tensor]()
    for draw in range(draws):
        features, codes = _see(model, frames, draw, seed)
        if draw == 0:
            found["visual"] = codes
        found[f"features.{draw}"] = torch.cat(features)
        found[f"counts.{draw}"] = torch.tensor([len(each) for each in features])
    with torch.no_grad():
        for number, turn in enumerate(TURNS):
            found[f"codes.{number}"] = tokenizer.encode(turned(footage.motions, *turn))
    return found


def _see(model: UnderstandingModel, frames: Pictures, draw: int, seed: int) -> tuple[list[Tensor], Tensor]:
    """Return what is kept of every picture under one draw, and its codes; odd draws are of mirrored pictures.

    Returns:
        `[kept, width]` for each picture; int64 `[kept by all]`.
    """
    tokenizer, found, codes = model.model.visual_tokenizer, list[Tensor](), list[Tensor]()
    noise = torch.Generator().manual_seed(seed * 1000 + draw)
    with torch.no_grad():
        for start in range(0, len(frames.frames), TOGETHER):
            rows = torch.arange(start, min(start + TOGETHER, len(frames.frames)))
            pixels = frames.pixels(Drawn(rows, torch.tensor([draw % 2 == 1])))
            encoded = tokenizer.encode(pixels, gumbel_noise((len(rows), tokenizer.config.patches, 2), noise))
            found += torch.split(encoded.kept(), encoded.counts)
            codes.append(tokenizer.quantize(tokenizer.encode_task_layer(encoded.kept())))
    return found, torch.cat(codes)


def _draws(generator: torch.Generator, *below: int) -> list[int]:
    return [int(torch.randint(limit, (1,), generator=generator)) for limit in below]


def _chance(share: float, generator: torch.Generator) -> bool:
    return float(torch.rand(1, generator=generator)) < share


class LanguageStage(nn.Module):
    """The language model and the projection of what it sees."""

    embed: nn.Embedding
    vit_proj: nn.Linear

    def __init__(self, model: UnderstandingModel) -> None:
        super().__init__()
        core = model.model
        self.embed, self.layers, self.norm, self.head = core.embed_tokens, core.layers, core.norm, model.lm_head
        self.vit_proj = core.visual_tokenizer.vit_proj
        self.requires_grad_(True)

    @torch.no_grad()
    def begin(self, features: Tensor, reader: PatchReader, words: Sequence[Sequence[int]], seed: int) -> None:
        """Let the projection begin with the words of a patch's kind, colour, side and size, and all else beside.

        Queries and keys begin alike (`understanding.new_model`), so that a word in a question can find the patches that
        show what it names.

        Args:
            features: Of kept patches, `[n, width]`.
            reader: What reads all that off such features.
            words: Ids of the words of NAMED, in its order.
            seed: Of the directions in which all else begins.
        """
        mean = features.mean(0)
        turn = torch.randn(self.vit_proj.weight.shape, generator=generator(seed, "projection", 0))
        weight = BRIGHTNESS * turn / features.shape[1] ** 0.5
        across, size = reader.where.weight[:1], reader.place.weight[:1]
        reads = (
            reader.kind.weight[1:],
            reader.color.weight[1:],
            torch.cat([-across, across]),
            torch.cat([-size, size]),
        )
        for read, ids in zip(reads, words, strict=True):
            read = read * reader.norm.weight
            read = read - read.mean(0)
            scale = ((features - mean) @ read.T).amax(-1).mean()
            weight = weight + self.embed.weight[list(ids)].T @ read / scale
        self.vit_proj.weight.copy_(weight)
        self.vit_proj.bias.copy_(-(weight @ mean))

    @torch.no_grad()
    def begin_codes(self, first: int, rows: Tensor, words: tuple[int, int]) -> None:
        """Let motion codes begin with the words of the half in which they show motion.

        Direction and speed are found without: every code that moves tells of them, and few of the half.

        Args:
            first: Id of motion code 0.
            rows: As `rows_shown` returns them.
            words: Ids of the words of the upper and of the lower half.
        """
        upper, lower = (self.embed.weight[word] for word in words)
        self.embed.weight[first : first + len(rows)] += torch.outer((-rows).clamp(min=0), upper)
        self.embed.weight[first : first + len(rows)] += torch.outer(rows.clamp(min=0), lower)


def train_language(training: Training) -> None:
    """Train the last stage and write `checkpoints/{early,middle,final}`."""
    model, recipe, log, out = training.model, training.recipe, training.log, training.out
    stage = recipe.language
    pieces = out / "state" / "tokenizer.model"
    if not pieces.is_file():
        write_atomic(pieces, train_tokenizer(SIZES.tokens.text, tokenizer_text(recipe.seed)))
    tokenizer = Tokenizer(pieces)
    state = out / "state"
    scenery = Scenery(model, training.footage, recipe.draws, recipe.seed, state / "scenery.safetensors")
    held_out = Scenery(model, training.dev, 1, recipe.seed, state / "dev scenery.safetensors")
    log.write("visual codes", **usage(torch.cat(scenery.visual), SIZES.visual.n_code))
    log.write("motion codes", **usage(torch.cat(scenery.codes), SIZES.motion.n_code))
    kept = [len(features) for features in scenery.features[0]]
    log.write("scenery", kept=round(sum(kept) / len(kept), 1), fewest=min(kept), most=max(kept))
    shares = {"early": recipe.early, "middle": recipe.middle, "final": 1.0}
    points = {max(1, round(share * stage.steps)): name for name, share in shares.items()}
    every = max(1, stage.steps // 12)

    def work(step: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        examples = [scenery.draw(recipe.questions, generator) for _ in range(stage.batch)]
        loss, hits = loss_and_hits(model, pack(model, tokenizer, examples))
        return loss, {"hits": sum(hits.values()) / len(hits)}

    def after(step: int) -> None:
        if step % every == 0 or step in points:
            log.write("language on dev", step=step, **examine(model, tokenizer, held_out))
        if step in points:
            write_checkpoint(model, pieces.read_bytes(), out / "checkpoints" / points[step])

    module = LanguageStage(model)
    words = [[tokenizer.encode(word)[0] for word in names] for names in NAMED]
    module.begin(torch.cat(scenery.features[0]), training.reader, words, recipe.seed)
    rows = rows_shown(training.footage.motions, scenery.codes[0], SIZES.motion.n_code)
    module.begin_codes(model.tokens.motion_offset, rows, (tokenizer.encode("top")[0], tokenizer.encode("bottom")[0]))
    training.run("language", module, stage, work, after)


@torch.no_grad()
def examine(model: UnderstandingModel, tokenizer: Tokenizer, scenery: Scenery) -> dict[str, float]:
    """Return the share of right answers by kind on films and pictures that training never shows."""
    generator = torch.Generator().manual_seed(0)
    examples = []
    for row, film in enumerate(scenery.footage.films):
        asked = ask_motion(film, film.main.kind, (False, False), generator)
        kinds = [kind for kind in ASKED[plot_of(film)] if kind not in MOTION_KINDS]
        asked += [ask_appearance(film, kind, False, generator) for kind in kinds]
        examples.append(Example(scenery.features[0][row], scenery.codes[0][row], tuple(asked), "video"))
    for place, scene in enumerate(scenery.images):
        asked = [on_picture(ask_appearance(scene, kind, False, generator)) for kind in ON_PICTURES]
        features = scenery.features[0][scenery.image_rows[place]]
        examples.append(Example(features, None, (*asked, describe(scene, False)), "image"))
    return share_right(model, tokenizer, examples)


def share_right(model: UnderstandingModel, tokenizer: Tokenizer, examples: Sequence[Example]) -> dict[str, float]:
    """Return the share of questions by kind (those on images apart) whose every id is the likeliest."""
    right, asked = Counter[str](), Counter[str]()
    for start in range(0, len(examples), 16):
        part = examples[start : start + 16]
        _, hits = loss_and_hits(model, pack(model, tokenizer, part))
        for (row, number), hit in hits.items():
            kind = part[row].exchanges[number - 1].kind + (" (image)" if part[row].kind == "image" else "")
            asked[kind] += 1
            right[kind] += hit
    return {kind: round(right[kind] / asked[kind], 3) for kind in sorted(asked)}
