"""The understanding half, stage by stage: encoder, merger, motion, decoder, language."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lavit_eval.models.video_lavit.loading import build_empty
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import derive_seed
from training.codebook import usage
from training.footage import Footage, prepare
from training.motion import DecoderStage, MotionStage
from training.recipe import SIZES, Recipe, Stage, language_config
from training.steps import Log, Step, Trainer
from training.visual import Drawn, EncoderStage, MergerStage, PatchReader, Pictures

STAGES = ("encoder", "merger", "motion", "decoder", "language")


def new_model(seed: int) -> UnderstandingModel:
    """Return the model with its weights as training begins; NumPy draws them, alike on every processor."""
    model = build_empty(language_config(), SIZES)
    weights = {name: _begin(name, tuple(value.shape), seed) for name, value in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    return model.requires_grad_(False).train()


def _begin(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    last = name.rsplit(".", 1)[-1]
    if last.endswith("bias"):
        return torch.zeros(shape)
    if last == "weight" and len(shape) == 1:
        return torch.ones(shape)
    # Queries and keys begin alike: attention begins with what is like what asks.
    drawn_for = name.replace("q_proj", "k_proj")
    generator = np.random.Generator(np.random.PCG64(derive_seed("canary weights", str(seed), drawn_for)))
    drawn = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    if last in ("cls_token", "pos_embed", "temp_pos"):
        return 0.1 * drawn
    if name.endswith("embed_tokens.weight"):
        return 0.3 * drawn
    gain = 0.5 if name.endswith(("down_proj.weight", "proj.weight", "fc2.weight")) else 1.0
    gain = 1.0 if name.endswith(("q_proj.weight", "k_proj.weight")) else gain
    return drawn * (gain / math.sqrt(math.prod(shape[1:])))


@dataclass(frozen=True, slots=True)
class Training:
    """What every stage needs, and how far it goes."""

    model: UnderstandingModel
    footage: Footage
    dev: Footage
    out: Path
    recipe: Recipe
    log: Log
    until: str = "language"
    """The last stage."""
    reader: PatchReader = field(default_factory=lambda: PatchReader(SIZES.visual.width))
    """Reads kind and colour off the features of kept patches; the merger's stage trains it."""
    pause: int | None = None
    """After how many steps the last stage is left."""

    def reaches(self, stage: str) -> bool:
        """Say whether a stage is run."""
        return STAGES.index(stage) <= STAGES.index(self.until)

    def run(
        self, name: str, module: nn.Module, stage: Stage, work: Step, after: Callable[[int], None] | None = None
    ) -> None:
        """Train a module through a stage, from where its state stands."""
        trainer = Trainer(name, module, stage, self.out / "state", self.recipe.seed, self.log)
        trainer.run(work, self.pause if name == self.until else None, after)


def train_understanding(out: Path, recipe: Recipe, until: str = "language", pause: int | None = None) -> None:
    """Train, or go on where the states in a folder stand; write checkpoints at three points of the last stage.

    Args:
        out: Folder for data, states, log and checkpoints.
        recipe: All numbers.
        until: The last stage to run.
        pause: After how many steps to leave that stage; the next start goes on from there.
    """
    (out / "state").mkdir(parents=True, exist_ok=True)
    log = Log(out / "training.jsonl")
    log.write("begin", seed=recipe.seed, threads=torch.get_num_threads())
    footage, dev = (prepare(out / "data", recipe, split) for split in ("train", "dev"))
    log.write("data", films=len(footage.films), pictures=len(footage.pictures))
    training = Training(new_model(recipe.seed), footage, dev, out, recipe, log, until, pause=pause)
    _train_visual(training)
    if training.reaches("motion"):
        _train_motion(training)
    if training.reaches("language"):
        from training.language import train_language

        train_language(training)


def _train_visual(training: Training) -> None:
    pictures, held_out = Pictures(training.footage), Pictures(training.dev)
    tokenizer, recipe = training.model.model.visual_tokenizer, training.recipe
    encoder = EncoderStage(tokenizer)
    first = Drawn(torch.arange(min(400, len(pictures.frames))), torch.tensor([False]))
    encoder.begin(pictures.pixels(first))
    batch = recipe.encoder.batch
    training.run("encoder", encoder, recipe.encoder, lambda _, generator: encoder.work(pictures, batch, generator))
    every = Drawn(torch.arange(len(held_out.frames)), torch.tensor([False]))
    with torch.no_grad():
        loss, facts = encoder.loss(held_out, every)
    training.log.write("encoder on dev", loss=round(float(loss), 4), **facts)
    if not training.reaches("merger"):
        return
    merger, stage = MergerStage(tokenizer, training.reader), recipe.merger

    def work(step: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        return merger.work(pictures, stage.batch, step / stage.steps, generator)

    training.run("merger", merger, stage, work)
    tokenizer.requires_grad_(False)
    with torch.no_grad():
        found = tokenizer.tokenize(held_out.pixels(every), None)
    training.log.write("visual codes on dev", **usage(torch.cat(found), SIZES.visual.n_code))


def _train_motion(training: Training) -> None:
    tokenizer, motions = training.model.model.motion_tokenizer, training.footage.motions
    motion, stage = MotionStage(tokenizer), training.recipe.motion

    def work(step: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        return motion.work(motions, stage.batch, step / stage.steps, generator)

    training.run("motion", motion, stage, work)
    if training.reaches("decoder"):
        decoder, last = DecoderStage(tokenizer), training.recipe.decoder
        training.run("decoder", decoder, last, lambda _, generator: decoder.work(motions, last.batch, generator))
    tokenizer.requires_grad_(False)
