"""Image sampling: rows of their own, little memory, restarts, and stages that come to nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.frames import frames_to_pixels, pixels_to_frames, resize_frames
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.image_detokenizer import ImageDetokenizer, Step, build_image_detokenizer
from tests.models.video_lavit.tiny_image import (
    ANCESTRAL,
    DDIM,
    RESTART,
    SETTINGS,
    UNET,
    VAE,
    conditions,
    make_detokenizer,
    pictures,
    rows_of,
)


@pytest.fixture(scope="module")
def detokenizer() -> ImageDetokenizer:
    """Ancestral."""
    return make_detokenizer()


def draws(*seeds: int) -> list[SeededDraws]:
    return [SeededDraws(seed) for seed in seeds]


def assert_frames_agree(found: Tensor, expected: Tensor) -> None:
    """Within one level, as much as rounding may do."""
    assert found.dtype == expected.dtype == torch.uint8
    assert int((found.int() - expected.int()).abs().max()) <= 1


@pytest.mark.parametrize("scheduler", [ANCESTRAL, DDIM])
def test_a_batch_gives_what_its_rows_give_alone(scheduler: dict[str, Any]) -> None:
    """Latents to rounding, pictures to a level."""
    detokenizer, given = make_detokenizer(scheduler), conditions(2)
    together = detokenizer.denoise(given, draws(7, 8), SETTINGS)
    alone = [detokenizer.denoise(rows_of(given, slice(row, row + 1)), draws(7 + row), SETTINGS) for row in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)
    frames = detokenizer.to_frames(together)
    assert tuple(frames.shape) == (2, 32, 48, 3)
    assert_frames_agree(frames, torch.cat([detokenizer.to_frames(each) for each in alone]))
    assert float((together[0] - together[1]).abs().max()) > 0.1


def test_a_request_gets_the_same_whatever_was_generated_before(detokenizer: ImageDetokenizer) -> None:
    """Bit for bit: the deviation of the first noise is not left over from another number of steps."""
    first = detokenizer.decode(conditions(1), draws(3), SETTINGS)
    detokenizer.decode(conditions(1), draws(4), replace(SETTINGS, steps=7))
    assert torch.equal(detokenizer.decode(conditions(1), draws(3), SETTINGS), first)


@pytest.mark.parametrize(("kind", "sigma"), [("fresh", 14.6488), ("carried", 4.2364)])
def test_the_first_noise_has_the_chosen_deviation(kind: Any, sigma: float) -> None:
    """Seen where the UNet gets it, divided by the scale of the first of four steps."""
    detokenizer, seen = make_detokenizer(), []
    detokenizer.unet.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    detokenizer.denoise(conditions(1), draws(3), replace(SETTINGS, steps=4, init_sigma=kind))
    noise = draws(3)[0].normal("image_init", (1, 4, 4, 6))
    torch.testing.assert_close(seen[0][:1], noise * (sigma / 4.2364), atol=1e-4, rtol=1e-4)
    assert torch.equal(seen[0][0], seen[0][1])


@pytest.mark.parametrize("scheduler", [ANCESTRAL, DDIM])
def test_with_little_memory_the_result_is_the_same(scheduler: dict[str, Any]) -> None:
    """The UNet sees half the rows at a time."""
    detokenizer, rows = make_detokenizer(scheduler), []
    detokenizer.unet.register_forward_pre_hook(lambda module, arguments: rows.append(len(arguments[0])))
    whole = detokenizer.denoise(conditions(2), draws(1, 2), SETTINGS)
    small = detokenizer.denoise(conditions(2), draws(1, 2), replace(SETTINGS, low_memory=True))
    assert rows == [4] * 3 + [2] * 6
    torch.testing.assert_close(small, whole, atol=1e-4, rtol=1e-4)
    assert_frames_agree(detokenizer.to_frames(small, low_memory=True), detokenizer.to_frames(whole))


def test_the_halves_are_without_and_with_conditions(detokenizer: ImageDetokenizer) -> None:
    """In this order, with the same numbers beside the timestep."""
    seen: list[dict[str, Any]] = []
    hook = detokenizer.unet.register_forward_pre_hook(
        lambda module, arguments, named: seen.append(named), with_kwargs=True
    )
    states, pooled = conditions(2)
    settings = replace(SETTINGS, original_size=(10, 20), crop=(1, 2))
    detokenizer.denoise((states, pooled), draws(1, 2), settings)
    hook.remove()
    first = seen[0]
    assert torch.equal(first["encoder_hidden_states"], torch.cat((torch.zeros_like(states), states)))
    assert torch.equal(first["added_cond_kwargs"]["text_embeds"], torch.cat((torch.zeros_like(pooled), pooled)))
    assert first["added_cond_kwargs"]["time_ids"].tolist() == [[10, 20, 1, 2, 32, 48]] * 4


def test_steps_can_be_watched(detokenizer: ImageDetokenizer) -> None:
    steps: list[Step] = []
    found = detokenizer.denoise(conditions(1), draws(1), SETTINGS, on_step=steps.append)
    assert [(step.index, float(step.timestep)) for step in steps] == [(0, 667), (1, 334), (2, 1)]
    assert torch.equal(steps[-1].latents, found)


@pytest.mark.parametrize("scheduler", [ANCESTRAL, DDIM])
@pytest.mark.parametrize("low_memory", [False, True])
def test_a_restart_of_a_batch_gives_what_its_rows_give_alone(scheduler: dict[str, Any], low_memory: bool) -> None:
    """The remaining steps are the last ones."""
    detokenizer, given, settings = make_detokenizer(scheduler), conditions(2), replace(RESTART, low_memory=low_memory)

    def generate(rows: slice) -> tuple[Tensor, list[int]]:
        own, steps = draws(1, 2)[rows], []
        start = detokenizer.restart_latents(pictures(2)[rows], own, settings)
        found = detokenizer.denoise(
            rows_of(given, rows), own, settings, start, on_step=lambda step: steps.append(step.index)
        )
        return found, steps

    together, steps = generate(slice(2))
    assert steps == [3, 4]
    alone = torch.cat([generate(slice(0, 1))[0], generate(slice(1, 2))[0]])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_restart_is_the_noised_picture_times_the_deviation_unless_switched_off() -> None:
    """DDIM has no such factor."""
    detokenizer = make_detokenizer()
    plain = detokenizer.restart_latents(pictures(1), draws(1), RESTART, restart_noise_scaling=False)
    scaled = detokenizer.restart_latents(pictures(1), draws(1), RESTART)
    torch.testing.assert_close(scaled, plain * 5.2309, atol=1e-3, rtol=1e-4)
    ddim = make_detokenizer(DDIM)
    assert torch.equal(
        ddim.restart_latents(pictures(1), draws(1), RESTART),
        ddim.restart_latents(pictures(1), draws(1), RESTART, restart_noise_scaling=False),
    )


def test_nan_stops_with_the_name_of_the_stage_and_the_rows_concerned(detokenizer: ImageDetokenizer) -> None:
    start = torch.zeros(3, 4, 4, 6)
    start[1, 0, 0, 0] = torch.nan
    with pytest.raises(GenerationError, match="image denoising, step 1 of 3") as caught:
        detokenizer.denoise(conditions(3), draws(1, 2, 3), SETTINGS, start)
    assert caught.value.rows == (1,)
    with pytest.raises(GenerationError, match="image decoding") as caught:
        detokenizer.to_frames(start)
    assert caught.value.rows == (1,)


def test_conditions_and_restarts_that_are_not_finite_stop_too(detokenizer: ImageDetokenizer) -> None:
    states, pooled = conditions(2)
    pooled[0, 3] = torch.inf
    with pytest.raises(GenerationError, match="image conditions") as caught:
        detokenizer.decode((states, pooled), draws(1, 2), SETTINGS)
    assert caught.value.rows == (0,)
    broken = make_detokenizer()
    torch.nn.init.constant_(broken.vae.encoder.conv_in.bias, torch.nan)
    with pytest.raises(GenerationError, match="restart from the last frame"):
        broken.restart_latents(pictures(1), draws(1), RESTART)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 33}, "height of a generated image must be a multiple of 8 pixels, not 33"),
        ({"width": 0}, "width of a generated image must be a multiple of 8 pixels, not 0"),
        ({"steps": 0}, "1 to 1000 steps, not 0"),
        ({"noise_level": 3}, "skips 0 to 2 of 3 steps, not 3"),
    ],
)
def test_impossible_settings_are_refused(detokenizer: ImageDetokenizer, change: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        detokenizer.decode(conditions(1), draws(1), replace(SETTINGS, **change))


def test_draws_and_conditions_must_be_of_as_many_rows(detokenizer: ImageDetokenizer) -> None:
    with pytest.raises(ValueError, match="1 rows of draws, but 2"):
        detokenizer.decode(conditions(2), draws(1), SETTINGS)


def test_wrong_configurations_are_refused() -> None:
    with pytest.raises(UsageError, match=r"scheduler_config\.json is no scheduler of images"):
        build_image_detokenizer(UNET, VAE, {}, "here", "fetch it")
    with pytest.raises(UsageError, match="here describes no image detokenizer"):
        build_image_detokenizer({**UNET, "down_block_types": ["None"]}, VAE, ANCESTRAL, "here", "fetch it")


def test_a_float16_autoencoder_decodes_and_encodes_in_float32_and_is_halved_again() -> None:
    """But for the decoder's first parts, which the reference leaves as they are."""
    detokenizer, seen = make_detokenizer(), {}
    expected = detokenizer.to_frames(torch.ones(1, 4, 4, 4))
    detokenizer.vae.half()
    decoder = detokenizer.vae.decoder
    parts = {"in": decoder.conv_in, "mid": decoder.mid_block, "up": decoder.up_blocks[0], "out": decoder.conv_out}

    def keep(name: str) -> Any:
        return lambda module, arguments, output: seen.update({name: output.dtype})

    for name, part in {**parts, "encoder": detokenizer.vae.encoder.conv_in}.items():
        part.register_forward_hook(keep(name))
    found = detokenizer.to_frames(torch.ones(1, 4, 4, 4))
    detokenizer.restart_latents(pictures(1), draws(1), RESTART)
    half, full = torch.float16, torch.float32
    assert seen == {"in": half, "mid": half, "up": full, "out": full, "encoder": full}
    assert {parameter.dtype for parameter in detokenizer.vae.parameters()} == {half}
    assert int((found.int() - expected.int()).abs().max()) <= 2


def test_a_bfloat16_autoencoder_stays_as_it_is() -> None:
    detokenizer, seen = make_detokenizer(), []
    detokenizer.vae.to(torch.bfloat16)
    detokenizer.vae.decoder.conv_out.register_forward_hook(lambda module, arguments, output: seen.append(output.dtype))
    detokenizer.to_frames(torch.ones(1, 4, 4, 4))
    assert seen == [torch.bfloat16]


@pytest.mark.parametrize("scheduler", [ANCESTRAL, DDIM])
def test_a_halved_unet_gets_halves_and_the_ancestral_schedule_rounds(scheduler: dict[str, Any]) -> None:
    """DDIM's latents stay float32."""
    detokenizer, steps = make_detokenizer(scheduler), []
    detokenizer.unet.to(torch.bfloat16)
    found = detokenizer.denoise(conditions(1), draws(1), SETTINGS, on_step=steps.append)
    assert {step.prediction.dtype for step in steps} == {torch.bfloat16}
    assert found.dtype == (torch.bfloat16 if scheduler is ANCESTRAL else torch.float32)


def test_frames_go_to_pixels_and_back_unchanged() -> None:
    """All 256 levels; outside they are clamped."""
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    pixels = frames_to_pixels(levels)
    assert (float(pixels.min()), float(pixels.max())) == (-1.0, 1.0)
    assert torch.equal(pixels_to_frames(pixels), levels)
    assert pixels_to_frames(torch.tensor([-9.0, 9.0]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2))[0, 0].tolist() == [
        [0] * 3,
        [255] * 3,
    ]


def test_frames_are_resized_to_height_and_width() -> None:
    """A frame that has the size is not touched."""
    frames = pictures(2)
    assert resize_frames(frames, 40, 24) is frames
    assert tuple(resize_frames(frames, 16, 32).shape) == (2, 16, 32, 3)
