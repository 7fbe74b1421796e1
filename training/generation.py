"""The generating half, stage by stage: codes, motion, image_vae, video_vae, keyframe, film, writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder, UNet2DConditionModel
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic
from lavit_eval.models.video_lavit.checkpoint import UNDERSTANDING_FOLDER
from lavit_eval.models.video_lavit.loading import Blueprint, llama_config, load_understanding, read_blueprint
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoder
from lavit_eval.models.video_lavit.sizes import BLOCK
from lavit_eval.models.video_lavit.tiny_weights import TABLES
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.models.video_lavit.tokenizer_decoder import TokenizerDecoder
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.models.video_lavit.unet3d import UNet3D
from lavit_eval.sample import derive_seed
from training.autoencoders import ImageAutoencoderStage, VideoAutoencoderStage, encoded, scaling
from training.diffusions import Drawings, FilmStage, KeyframeStage, Takes
from training.footage import prepare
from training.generation_files import Trained, write_generation
from training.generation_recipe import NETWORKS, STAGES, GenerationRecipe
from training.motion import DecoderStage
from training.placed_codes import CodesStage
from training.recipe import Stage
from training.reel import Reel, Tokens, shoot, to_pixels, tokenize
from training.steps import Log, Step, Trainer
from training.visual import Pictures
from training.writer import Library, WriterStage

FOLDER = "generation"
"""Within the folder of a training; the understanding half has the rest of it."""
SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "canary" / "final"
POINTS = ("early", "middle", "final")

Made = TypeVar("Made", bound=nn.Module)


class DeviceTrainer(Trainer):
    """A trainer whose module works on a device: its beginning is drawn on the CPU, alike for every device."""

    def __init__(
        self, name: str, module: nn.Module, stage: Stage, folder: Path, seed: int, log: Log, device: torch.device
    ) -> None:
        super().__init__(name, module.cpu(), stage, folder, seed, log)
        module.to(device)
        for value in self.named.values():
            state = self._state(value)
            # The optimisers keep their own count of steps on the CPU.
            state.update({key: held.to(device) for key, held in state.items() if key != "step"})


@dataclass(frozen=True, slots=True)
class Making:
    """What every stage needs, and how far the training goes."""

    recipe: GenerationRecipe
    folder: Path
    device: torch.device
    log: Log
    until: str
    pause: int | None

    def reaches(self, name: str) -> bool:
        """Say whether a stage is run."""
        return STAGES.index(name) <= STAGES.index(self.until)

    def run(self, name: str, module: nn.Module, work: Step, points: bool = False) -> None:
        """Train a module through a stage from where its state stands, and keep its state at the recipe's points."""
        stage, taken = self.recipe.stage(name), self.recipe.points(name) if points else {}
        if not stage.steps:
            module.to(self.device).requires_grad_(False)
            return

        def after(step: int) -> None:
            for point in (point for point, done in taken.items() if done == step):
                held = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
                write_atomic(self.point(name, point), safetensors.torch.save(held))

        trainer = DeviceTrainer(name, module, stage, self.folder / "state", self.recipe.seed, self.log, self.device)
        trainer.run(work, self.pause if name == self.until else None, after)
        module.requires_grad_(False)

    def point(self, name: str, point: str) -> Path:
        """Return where a stage's state at a point is kept."""
        return self.folder / "state" / f"{name} {point}.safetensors"

    def taken(self, name: str, module: nn.Module, point: str) -> dict[str, Tensor]:
        """Return a module's state at a point; that of a stage that is left out never changed."""
        if not self.recipe.stage(name).steps:
            return dict(module.state_dict())
        return safetensors.torch.load_file(self.point(name, point))

    def new(self, name: str, make: Callable[[], Made]) -> Made:
        """Return a module with the weights that its library begins with, drawn by a generator of the module's own."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("canary generation", str(self.recipe.seed), name) % 2**63)
            return make()


def train_generation(
    out: Path,
    recipe: GenerationRecipe,
    understanding: Path = SHIPPED,
    device: torch.device | None = None,
    until: str = STAGES[-1],
    pause: int | None = None,
) -> None:
    """Train, or go on where the states stand; write `generation/checkpoints/{early,middle,final}` at the end.

    Args:
        out: Folder for data, states, log and checkpoints, all of them in `generation` within it.
        recipe: All numbers.
        understanding: A checkpoint with the understanding half, from which tokenizers and language model begin.
        device: Where to train.
        until: The last stage to run.
        pause: After how many steps to leave that stage; the next start goes on from there.

    Raises:
        UsageError: The understanding half cannot be loaded, or there is no such stage.
    """
    if until not in STAGES:
        raise UsageError(f"There is no stage {until!r}; --until takes one of {', '.join(STAGES)}.")
    folder, device = out / FOLDER, device or torch.device("cpu")
    (folder / "state").mkdir(parents=True, exist_ok=True)
    blueprint = read_blueprint(understanding_folder(understanding))
    model = load_understanding(blueprint, torch.device("cpu"), torch.float32)
    making = Making(recipe, folder, device, Log(folder / "training.jsonl"), until, pause)
    making.log.write("begin", seed=recipe.seed, device=str(device), understanding=understanding.name)
    footage = prepare(folder / "data", recipe.data, "train")
    reel = shoot(footage, folder / "data" / "reel.safetensors", device)
    making.log.write("data", films=len(reel.clips), pictures=len(reel.pictures))
    train_tokenizers(making, model, reel)
    if making.reaches("image_vae"):
        _Parts(making, blueprint, model, reel).train()


def understanding_folder(checkpoint: Path) -> Path:
    """Return the folder of the understanding half in a checkpoint, or the checkpoint if it is that folder itself."""
    inner = checkpoint / UNDERSTANDING_FOLDER
    return inner if inner.is_dir() else checkpoint


def train_tokenizers(making: Making, model: UnderstandingModel, reel: Reel) -> None:
    """Train the codes of pictures, and then what reads motion off its codes, which answering never needs."""
    recipe, pictures = making.recipe, Pictures(reel.footage)
    visual, motion = model.model.visual_tokenizer, model.model.motion_tokenizer
    codes, stage = CodesStage(visual), recipe.codes

    def work(step: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        return codes.work(pictures, stage.batch, step / stage.steps, generator)

    making.run("codes", codes, work)
    if making.reaches("motion"):
        decoder, motions = DecoderStage(motion), reel.footage.motions.to(making.device)
        making.run("motion", decoder, lambda _, generator: decoder.work(motions, recipe.motion.batch, generator))


class _Parts:
    """The parts that are new in this half, with what they are trained on."""

    def __init__(self, making: Making, blueprint: Blueprint, model: UnderstandingModel, reel: Reel) -> None:
        self.making, self.blueprint, self.model, self.reel = making, blueprint, model, reel
        networks, new = NETWORKS, making.new
        self.image_vae = new("image vae", lambda: AutoencoderKL.from_config(dict(networks.image_vae)))
        self.video_vae = new("video vae", lambda: AutoencoderKLTemporalDecoder.from_config(dict(networks.video_vae)))
        self.keyframe = new(
            "keyframe",
            lambda: KeyframeStage(
                TokenizerDecoder(networks.decoder), UNet2DConditionModel.from_config(dict(networks.image_unet))
            ),
        )
        self.film = new(
            "film",
            lambda: FilmStage(MotionEncoder(networks.motion_encoder), UNet3D.from_config(dict(networks.video_unet))),
        )
        for part in (self.keyframe, self.film):
            self._spread(part)

    @torch.no_grad()
    def _spread(self, part: nn.Module) -> None:
        """Draw the tables of positions and queries: as zeros, which they begin with, all queries would be alike."""
        for name, value in part.named_parameters():
            if name.rsplit(".", 1)[-1] in TABLES:
                value.copy_(0.3 * self.making.new(name, _drawing(value.shape)).drawn)

    def train(self) -> None:
        """Train stage by stage, and write the checkpoints when all are through."""
        making, recipe, reel = self.making, self.making.recipe, self.reel
        image, video = ImageAutoencoderStage(self.image_vae), VideoAutoencoderStage(self.video_vae)
        making.run("image_vae", image, lambda _, draws: image.work(reel, recipe.image_vae.batch, draws))
        if making.reaches("video_vae"):
            making.run("video_vae", video, lambda _, draws: video.work(reel, recipe.video_vae.batch, draws))
        if not making.reaches("keyframe"):
            return
        tokens = self._tokens()
        image_scale = self._train_keyframes(tokens)
        if not making.reaches("film"):
            return
        video_scale = self._train_films(tokens)
        if making.reaches("writer"):
            writer = self._train_writer(tokens)
            if making.pause is None:
                self._write(writer, image_scale, video_scale)

    def _tokens(self) -> Tokens:
        core, making = self.model.model, self.making
        found = tokenize(
            self.reel,
            core.visual_tokenizer.to(making.device).eval(),
            core.motion_tokenizer.to(making.device).eval(),
            making.recipe.draws,
            making.recipe.seed,
            making.device,
        )
        counts = [len(codes) for draw in found.visual for codes in draw]
        making.log.write("codes kept", mean=round(sum(counts) / len(counts), 1), most=max(counts))
        return found

    def _train_keyframes(self, tokens: Tokens) -> float:
        """Train keyframes; return the scaling factor of their latents."""
        pixels = to_pixels(self.reel.pictures)
        latents = torch.stack([encoded(self.image_vae, each) for each in (pixels, pixels.flip(-1))])
        scale, batch = scaling(latents), self.making.recipe.keyframe.batch
        codebook = self.model.model.visual_tokenizer.quantize.embedding.weight
        drawings = Drawings(latents * scale, tokens.visual, codebook)
        self.making.run("keyframe", self.keyframe, lambda _, draws: self.keyframe.work(drawings, batch, draws), True)
        return scale

    def _train_films(self, tokens: Tokens) -> float:
        """Train clips; return the scaling factor of their latents."""
        reel, batch = self.reel, self.making.recipe.film.batch
        latents = torch.stack(
            [
                torch.stack(
                    [encoded(self.video_vae, to_pixels(clip.flip(-1) if turn else clip)) for clip in reel.clips]
                )
                for turn in (False, True)
            ]
        )
        scale = scaling(latents)
        takes = Takes(latents * scale, to_pixels(reel.clips[:, 0]), tokens.vectors, tokens.raw)
        self.making.run("film", self.film, lambda _, draws: self.film.work(takes, self.video_vae, batch, draws), True)
        return scale

    def _train_writer(self, tokens: Tokens) -> WriterStage:
        config = self.blueprint.config
        model: Any = LlamaForCausalLM(llama_config(config))
        held = self.model.state_dict()
        model.load_state_dict({name: held[name] for name in model.state_dict()})
        pieces = Tokenizer(self.blueprint.folder / "tokenizer.model")
        library = Library(self.reel.scenes, tokens.visual, tokens.motion, self.model.tokens, pieces)
        writer, batch = WriterStage(model, library), self.making.recipe.writer.batch
        model.to(self.making.device)
        self.making.run("writer", writer, lambda _, draws: writer.work(batch, draws), True)
        return writer

    def _write(self, writer: WriterStage, image_scale: float, video_scale: float) -> None:
        """Write a checkpoint for each point."""
        making, core, blueprint = self.making, self.model.model, self.blueprint
        llama = {key: value for key, value in blueprint.config.items() if key != BLOCK}
        for point in POINTS:
            keyframe = making.taken("keyframe", self.keyframe, point)
            film = making.taken("film", self.film, point)
            trained = Trained(
                language_model=writer.weights(making.taken("writer", writer, point)),
                visual_tokenizer=core.visual_tokenizer.state_dict(),
                decoder=_child(keyframe, "decoder."),
                motion_tokenizer=core.motion_tokenizer.state_dict(),
                motion_encoder=_child(film, "encoder."),
                image_unet=_child(keyframe, "unet."),
                image_vae=self.image_vae.state_dict(),
                video_unet=_child(film, "unet."),
                video_vae=self.video_vae.state_dict(),
                image_scale=image_scale,
                video_scale=video_scale,
            )
            root = making.folder / "checkpoints" / point
            llama["architectures"] = ["LlamaForCausalLM"]
            write_generation(trained, blueprint.folder, blueprint.sizes, llama, root)
            making.log.write("checkpoint", point=point)


class _Table(nn.Module):
    """Numbers of N(0, 1)."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.drawn = torch.randn(shape)


def _drawing(shape: torch.Size) -> Callable[[], _Table]:
    return lambda: _Table(shape)


def _child(held: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)}
