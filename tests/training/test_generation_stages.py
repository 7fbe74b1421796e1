"""Every stage of the generating half goes on to the same bytes, learns, and asks what its scheduler asks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from lavit_eval.demo.events import draw_film
from lavit_eval.demo.world import Scene
from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.image_schedule import ImageSchedule
from lavit_eval.models.video_lavit.loading import llama_config
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoder
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.models.video_lavit.tokenizer_decoder import TokenizerDecoder
from lavit_eval.models.video_lavit.unet3d import UNet3D
from training.autoencoders import ImageAutoencoderStage, VideoAutoencoderStage
from training.diffusions import Drawings, FilmStage, KeyframeStage, Takes, clock, task_of
from training.footage import Footage
from training.generation import SHIPPED, Making, understanding_folder
from training.generation_recipe import BRIEF_GENERATION, FULL_GENERATION, NETWORKS, GenerationRecipe
from training.motion import DecoderStage
from training.placed_codes import CodesStage
from training.recipe import SIZES, Stage, language_config
from training.reel import Reel, shoot
from training.steps import Log, Step
from training.understanding import new_model
from training.visual import Pictures
from training.writer import Library, WriterStage, caption_of, draw_line

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def reel(tmp_path_factory: pytest.TempPathFactory) -> Reel:
    """Return two films, with keyframes and motion as noise where only their form counts."""
    generator, films = torch.Generator().manual_seed(0), [draw_film(3, "stages", index) for index in range(2)]
    frames = torch.randint(0, 256, (2, 224, 224, 3), generator=generator, dtype=torch.uint8)
    footage = Footage(films, frames, 0.2 * torch.randn(2, 2, 24, 20, 36, generator=generator), films[:1], frames[:1])
    return shoot(footage, tmp_path_factory.mktemp("reel") / "reel.safetensors", CPU)


def making(folder: Path, recipe: GenerationRecipe, until: str, pause: int | None = None) -> Making:
    (folder / "state").mkdir(parents=True, exist_ok=True)
    return Making(recipe, folder, CPU, Log(folder / "log.jsonl"), until, pause)


def library(scenes: list[Scene]) -> Library:
    tokens = SIZES.tokens
    codes = [[torch.arange(row + 3) for row in range(len(scenes))]] * 2
    pieces = Tokenizer(understanding_folder(SHIPPED) / "tokenizer.model")
    return Library(scenes, codes, [torch.arange(135).expand(2, -1) % tokens.motion] * 2, tokens, pieces)


def built(name: str, folder: Path, reel: Reel) -> tuple[nn.Module, Step]:
    """Return a stage as it begins, and its step."""
    new, draw = making(folder, BRIEF_GENERATION, name).new, torch.Generator().manual_seed(1)
    core = new_model(0).model
    takes = Takes(
        torch.randn(2, 2, 24, 4, 8, 8, generator=draw),
        torch.randn(2, 3, 64, 64, generator=draw),
        [torch.randn(2, 2, 24, 8, 8, generator=draw)] * 2,
        [torch.randn(2, 2, 24, 8, 8, generator=draw)] * 2,
    )
    drawings = Drawings(
        torch.randn(2, 3, 4, 8, 8, generator=draw), library(reel.scenes).visual, torch.randn(256, 8, generator=draw)
    )
    video_vae = new("video vae", lambda: AutoencoderKLTemporalDecoder.from_config(dict(NETWORKS.video_vae)))
    if name == "codes":
        codes, pictures = CodesStage(core.visual_tokenizer), Pictures(reel.footage)
        return codes, lambda step, generator: codes.work(pictures, 2, step / 2, generator)
    if name == "motion":
        motion = DecoderStage(core.motion_tokenizer)
        return motion, lambda _, generator: motion.work(reel.footage.motions, 1, generator)
    if name == "image_vae":
        image = ImageAutoencoderStage(new(name, lambda: AutoencoderKL.from_config(dict(NETWORKS.image_vae))))
        return image, lambda _, generator: image.work(reel, 2, generator)
    if name == "video_vae":
        video = VideoAutoencoderStage(video_vae)
        return video, lambda _, generator: video.work(reel, 1, generator)
    if name == "keyframe":
        keyframe = new(name, new_keyframe)
        return keyframe, lambda _, generator: keyframe.work(drawings, 2, generator)
    if name == "film":
        film = new(name, new_film)
        return film, lambda _, generator: film.work(takes, video_vae, 1, generator)
    model = new(name, lambda: LlamaForCausalLM(llama_config(language_config())))
    writer = WriterStage(model, library(reel.scenes))
    return writer, lambda _, generator: writer.work(2, generator)


def new_keyframe() -> KeyframeStage:
    return KeyframeStage(
        TokenizerDecoder(NETWORKS.decoder), UNet2DConditionModel.from_config(dict(NETWORKS.image_unet))
    )


SLOW_STAGES = ("codes", "image_vae", "video_vae", "keyframe")


def new_film() -> FilmStage:
    return FilmStage(MotionEncoder(NETWORKS.motion_encoder), UNet3D.from_config(dict(NETWORKS.video_unet)))


STAGES = ["motion", "film", "writer", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_STAGES)]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_is_broken_off_goes_on_to_the_same_weights(name: str, tmp_path: Path, reel: Reel) -> None:
    recipe = replace(BRIEF_GENERATION, **{name: Stage(2, 2, 1e-3, 1)})
    whole, work = built(name, tmp_path, reel)
    before = {key: value.clone() for key, value in whole.state_dict().items()}
    making(tmp_path / "whole", recipe, name).run(name, whole, work)
    for pause in (1, None):
        parted, work = built(name, tmp_path, reel)
        making(tmp_path / "parted", recipe, name, pause).run(name, parted, work)
    after, resumed = whole.state_dict(), parted.state_dict()
    assert all(torch.equal(after[key], resumed[key]) for key in after)
    assert any(not torch.equal(after[key], before[key]) for key in after)
    assert not any(value.requires_grad for value in whole.parameters())


def losses(work: Step, module: nn.Module, steps: int, rate: float) -> list[float]:
    """Return the losses of steps that all see the same."""
    optimiser = torch.optim.AdamW([value for value in module.parameters() if value.requires_grad], lr=rate)
    found = []
    for step in range(steps):
        loss, _ = work(step, torch.Generator().manual_seed(0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    return found


@pytest.mark.parametrize(
    ("name", "steps", "rate", "share"),
    [("image_vae", 30, 3e-3, 0.6), ("keyframe", 40, 3e-3, 0.7), ("writer", 20, 3e-3, 0.7)],
)
def test_the_loss_on_one_batch_falls(
    name: str, steps: int, rate: float, share: float, tmp_path: Path, reel: Reel
) -> None:
    module, work = built(name, tmp_path, reel)
    found = losses(work, module, steps, rate)
    assert found[-1] < share * found[0], (found[0], found[-1])


@pytest.mark.slow
def test_the_loss_on_one_clip_falls(tmp_path: Path, reel: Reel) -> None:
    module, work = built("film", tmp_path, reel)
    found = losses(work, module, 60, 3e-3)
    assert found[-1] < 0.6 * found[0], (found[0], found[-1])


def drawn(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def test_an_ideal_video_unet_gives_the_scheduler_clean_clips() -> None:
    scheduler = EulerDiscreteScheduler.from_config(dict(NETWORKS.video_scheduler))
    scheduler.set_timesteps(6)
    for index, timestep in enumerate(scheduler.timesteps):
        clean, noise = drawn(1, 24, 4, 8, 8)
        sigma = scheduler.sigmas[index]
        given, wanted = task_of(clean, noise, sigma)
        scaled = scheduler.scale_model_input(clean + sigma * noise, timestep)
        torch.testing.assert_close(given, scaled)
        torch.testing.assert_close(clock(sigma), timestep)
        found = scheduler.step(wanted, timestep, clean + sigma * noise).pred_original_sample
        torch.testing.assert_close(found, clean, rtol=1e-3, atol=2e-3)


def test_an_ideal_image_unet_is_asked_what_the_schedule_asks() -> None:
    schedule, stage = ImageSchedule(NETWORKS.image_scheduler, 5), new_keyframe()
    for index, timestep in enumerate(schedule.timesteps):
        sigma = stage.noise[int(timestep)]
        torch.testing.assert_close(sigma, schedule.scheduler.sigmas[index])
        clean, noise = drawn(1, 4, 8, 8)
        given = (clean + sigma * noise) / (sigma**2 + 1).sqrt()
        torch.testing.assert_close(given, schedule.model_input(clean + sigma * noise, index))


def test_lines_are_what_sampling_makes(reel: Reel) -> None:
    shelf, generator = library(reel.scenes), torch.Generator().manual_seed(0)
    tokens: TokenSpace = shelf.tokens
    lines = [draw_line(shelf, generator) for _ in range(200)]
    assert {line.ids[line.start - 1] for line in lines} == {tokens.image_start, tokens.motion_start}
    for line in lines:
        text = line.ids[: line.start - 1]
        assert all(token < tokens.text for token in text)
        assert line.ids[-1] in (tokens.image_end, tokens.motion_end)
        assert not text or text in {
            tuple(shelf.tokenizer.encode(caption_of(scene, number, side)))
            for scene in reel.scenes
            for number in range(5)
            for side in (False, True)
        }
    assert any(line.start == 1 and line.ids[0] == tokens.motion_start for line in lines)
    assert any(line.start == 1 and line.ids[0] == tokens.image_start for line in lines)


def test_a_mirrored_caption_has_its_sides_exchanged() -> None:
    for index in range(12):
        scene = draw_film(3, "mirrored", index)
        for number in range(5):
            plain, turned = caption_of(scene, number, False), caption_of(scene, number, True)
            assert turned.replace("left", "?").replace("right", "left").replace("?", "right") == plain


def test_numbers_of_steps_are_read() -> None:
    assert FULL_GENERATION.with_steps("film=7,codes=0").film.steps == 7
    assert FULL_GENERATION.with_steps("film=7,codes=0").codes.steps == 0
    for text in ("films=3", "film", "film=-1"):
        with pytest.raises(UsageError, match="STAGE=NUMBER"):
            FULL_GENERATION.with_steps(text)
