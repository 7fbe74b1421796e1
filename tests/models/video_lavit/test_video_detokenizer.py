from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.image_detokenizer import Step
from lavit_eval.models.video_lavit.video_detokenizer import ClipSettings, VideoDetokenizer
from tests.models.video_lavit.tiny_video import (
    FRAMES,
    HEIGHT,
    MOTION,
    SETTINGS,
    WIDTH,
    build,
    material,
    tiny_video_detokenizer,
)

LEVELS = 1
"""By how many of 255 levels 8-bit values may differ through rounding in float32."""


def codes(rows: int) -> Tensor:
    return torch.randint(0, MOTION.n_code, (rows, 135), generator=torch.Generator().manual_seed(3))


def row_draws(rows: int) -> list[SeededDraws]:
    return [SeededDraws(100 + row) for row in range(rows)]


def latents_of(rows: int, settings: ClipSettings, only: int | None = None) -> tuple[Tensor, Tensor]:
    """Latents and frames of all rows of the material, or of one alone."""
    images, motion, draws = material(rows)
    chosen = slice(None) if only is None else slice(only, only + 1)
    steps: list[Step] = []
    frames = tiny_video_detokenizer().sample(images[chosen], motion[chosen], draws[chosen], settings, steps.append)
    return steps[-1].latents, frames


def assert_same(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    """Latents reach several hundred: the bound is that of the recorded cases."""
    assert float((found[0] - expected[0]).abs().max()) <= 0.002 * max(1.0, float(expected[0].abs().mean()))
    assert int((found[1].int() - expected[1].int()).abs().max()) <= LEVELS


def test_frames_are_8_bit_rgb_on_the_cpu() -> None:
    images, motion, draws = material(2)
    frames = tiny_video_detokenizer().sample(images, motion, draws, SETTINGS)
    assert (frames.dtype, frames.device.type) == (torch.uint8, "cpu")
    assert tuple(frames.shape) == (2, FRAMES, HEIGHT, WIDTH, 3)
    assert len(frames.unique()) > 20


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, low_memory=True, cond_on_ref_frame=False, chunk=2)])
def test_a_batch_gives_what_its_rows_give_alone(settings: ClipSettings) -> None:
    alone = [latents_of(3, settings, only=row) for row in range(3)]
    expected = torch.cat([latents for latents, _ in alone]), torch.cat([frames for _, frames in alone])
    assert_same(latents_of(3, settings), expected)


def test_rows_of_codes_give_what_they_give_alone() -> None:
    images, _, draws = material(2)
    detokenizer = tiny_video_detokenizer()
    settings = replace(SETTINGS, steps=1)
    together = detokenizer.condition(images, codes(2), draws, settings)
    assert tuple(together.motion.shape) == (2, 2, 24, HEIGHT // 8, WIDTH // 8)
    alone = detokenizer.condition(images[1:], codes(2)[1:], row_draws(2)[1:], settings)
    torch.testing.assert_close(together.states[1:], alone.states, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.image_latents[1:], alone.image_latents, atol=1e-4, rtol=1e-4)


def test_guidance_halves_in_turn_are_the_halves_together() -> None:
    assert_same(latents_of(2, replace(SETTINGS, low_memory=True)), latents_of(2, SETTINGS))


def test_halves_in_turn_are_batches_of_half_the_size() -> None:
    images, motion, draws = material(2)
    detokenizer, sizes = tiny_video_detokenizer(), []
    detokenizer.unet.register_forward_pre_hook(lambda module, arguments: sizes.append(len(arguments[0])))
    for low_memory in (False, True):
        detokenizer.sample(images, motion, draws, replace(SETTINGS, steps=1, low_memory=low_memory))
    assert sizes == [4, 2, 2]


@pytest.mark.parametrize(("chunk", "lengths"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (8, [3])])
def test_chunks_never_mix_two_videos(chunk: int, lengths: list[int]) -> None:
    detokenizer, seen = tiny_video_detokenizer(), []
    detokenizer.vae.decoder.register_forward_pre_hook(
        lambda module, arguments, keywords: seen.append((len(arguments[0]), keywords["num_frames"])), with_kwargs=True
    )
    latents = torch.randn((2, FRAMES, 4, 4, 6), generator=torch.Generator().manual_seed(0))
    frames = detokenizer.to_frames(latents, chunk)
    assert seen == 2 * [(length, length) for length in lengths]
    alone = torch.cat([detokenizer.to_frames(video, chunk) for video in latents.split(1)])
    assert torch.equal(frames, alone)


def test_a_chunk_is_a_clip_of_its_own_to_the_decoder() -> None:
    detokenizer = tiny_video_detokenizer()
    latents = torch.randn((1, 4, 4, 4, 6), generator=torch.Generator().manual_seed(0))
    whole, halves = (detokenizer.to_frames(latents, chunk) for chunk in (4, 2))
    assert not torch.equal(whole, halves)
    assert torch.equal(halves[:, :2], detokenizer.to_frames(latents[:, :2], 2))


def captured(settings: ClipSettings, rows: int = 1) -> tuple[list[tuple[Tensor, ...]], list[Step]]:
    """What the UNet is given at each step, and what comes of it."""
    images, motion, draws = material(rows)
    detokenizer, given, steps = tiny_video_detokenizer(), [], []
    detokenizer.unet.register_forward_pre_hook(lambda module, arguments: given.append(arguments))
    detokenizer.sample(images, motion, draws, settings, steps.append)
    return given, steps


def test_the_unconditional_half_sees_zeros_and_the_keyframe_only_if_told_so() -> None:
    for hidden in (True, False):
        (sample, _, states, ids), *_ = captured(replace(SETTINGS, cond_on_ref_frame=hidden))[0]
        without, wanted = sample.chunk(2)
        assert torch.equal(without[:, :, :4], wanted[:, :, :4])
        assert float(wanted[:, :, 4:].abs().min(dim=2).values.max()) > 0
        assert not without[:, :, 8:].any()
        assert without[:, :, 4:8].any() == (not hidden)
        assert not states[0].any()
        assert states[1].any()
        torch.testing.assert_close(ids, torch.tensor([[6.0, 127.0, 0.02]]).repeat(2, 1))


def test_the_conditions_follow_the_latents_in_the_order_keyframe_then_motion() -> None:
    images, motion, draws = material(1)
    conditions = tiny_video_detokenizer().condition(images, motion, draws, SETTINGS)
    wanted = captured(SETTINGS)[0][0][0][1]
    for frame in range(FRAMES):
        torch.testing.assert_close(wanted[frame, 4:8], conditions.image_latents[0])
        torch.testing.assert_close(wanted[frame, 8:], motion[0, :, frame])


@pytest.mark.parametrize(("linear", "expected"), [(True, [1.0, 2.5, 4.0]), (False, [4.0, 4.0, 4.0])])
def test_guidance_rises_from_frame_to_frame_or_is_the_greatest_at_all(linear: bool, expected: list[float]) -> None:
    images, motion, draws = material(1)
    detokenizer, halves, steps = tiny_video_detokenizer(), [], []
    detokenizer.unet.register_forward_hook(lambda module, arguments, output: halves.append(output[0]))
    detokenizer.sample(images, motion, draws, replace(SETTINGS, steps=1, linear_guidance=linear), steps.append)
    without, wanted = halves[0]
    scales = torch.tensor(expected).view(-1, 1, 1, 1)
    torch.testing.assert_close(steps[0].prediction[0], without + scales * (wanted - without))


def test_a_row_is_denoised_from_its_own_draws_in_their_order() -> None:
    class Noted(SeededDraws):
        def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
            asked.append((name, shape))
            return super().normal(name, shape)

    asked: list[tuple[str, tuple[int, ...]]] = []
    images, motion, _ = material(1)
    tiny_video_detokenizer().sample(images, motion, [Noted(0)], SETTINGS)
    assert asked == [
        ("video_image_aug", (1, 3, HEIGHT, WIDTH)),
        ("video_latents", (1, FRAMES, 4, HEIGHT // 8, WIDTH // 8)),
    ]


def test_a_batch_leaves_nothing_for_the_next_one() -> None:
    images, motion, _ = material(1)
    detokenizer = tiny_video_detokenizer()
    first = detokenizer.sample(images, motion, row_draws(1), SETTINGS)
    detokenizer.sample(images, motion, row_draws(1), replace(SETTINGS, steps=1))
    assert torch.equal(detokenizer.sample(images, motion, row_draws(1), SETTINGS), first)


def test_quantized_motion_is_what_its_codes_give() -> None:
    images, _, draws = material(1)
    detokenizer = tiny_video_detokenizer()
    motion = torch.randn((1, 2, 24, 20, 36), generator=torch.Generator().manual_seed(5))
    found = detokenizer.condition(images, motion, draws, replace(SETTINGS, quantize_motion=True))
    given = detokenizer.condition(images, detokenizer.motion_tokenizer.encode(motion), row_draws(1), SETTINGS)
    assert torch.equal(found.motion, given.motion)
    assert torch.equal(found.states, given.states)


def test_float16_encodes_in_float32_and_all_else_in_float16() -> None:
    images, motion, draws = material(1)
    detokenizer, seen = tiny_video_detokenizer(), set()
    detokenizer.vae.half()
    detokenizer.unet.half()
    for name in ("vae.encoder", "vae.decoder", "unet"):

        def note(module: object, arguments: tuple[Tensor, ...], name: str = name) -> None:
            seen.update((name, argument.dtype) for argument in arguments)

        detokenizer.get_submodule(name).register_forward_pre_hook(note)
    steps: list[Step] = []
    frames = detokenizer.sample(images, motion, draws, SETTINGS, steps.append)
    assert seen == {("vae.encoder", torch.float32), ("vae.decoder", torch.float16), ("unet", torch.float16)}
    assert {step.latents.dtype for step in steps} == {torch.float16}
    assert {parameter.dtype for parameter in detokenizer.vae.parameters()} == {torch.float16}
    assert tuple(frames.shape) == (1, FRAMES, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(("dtype", "upcast"), [(torch.bfloat16, True), (torch.float16, False)])
def test_an_encoder_that_does_not_overflow_keeps_its_dtype(dtype: torch.dtype, upcast: bool) -> None:
    images, motion, draws = material(1)
    detokenizer = build(vae={"force_upcast": upcast}).eval()
    detokenizer.vae.to(dtype)
    assert detokenizer.condition(images, motion, draws, SETTINGS).image_latents.dtype == dtype


def test_an_encoder_that_fails_is_left_in_its_own_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    images, motion, draws = material(1)
    detokenizer = tiny_video_detokenizer()
    detokenizer.vae.half()

    def fail(pixels: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(detokenizer.vae, "encode", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        detokenizer.condition(images, motion, draws, SETTINGS)
    assert {parameter.dtype for parameter in detokenizer.vae.parameters()} == {torch.float16}


@pytest.mark.parametrize(("spoiled", "stage"), [(0, "keyframe encoding"), (1, "motion")])
def test_rows_that_are_not_finite_stop_with_the_name_of_the_stage(spoiled: int, stage: str) -> None:
    images, motion, draws = material(3)
    (images, motion)[spoiled][1].view(-1)[5] = float("nan")
    with pytest.raises(GenerationError, match=f"stage {stage}:") as found:
        tiny_video_detokenizer().sample(images, motion, draws, SETTINGS)
    assert found.value.rows == (1,)


def spoil(detokenizer: VideoDetokenizer, part: str, call: int, row: int) -> None:
    """Put a NaN into a row of what a part gives at a call."""
    calls: list[None] = []

    def hook(module: object, arguments: object, output: Any) -> None:
        calls.append(None)
        if len(calls) == call:
            (output[0] if isinstance(output, tuple) else output)[row].fill_(float("inf"))

    detokenizer.get_submodule(part).register_forward_hook(hook)


@pytest.mark.parametrize(
    ("part", "call", "row", "stage"),
    [
        ("motion_encoder", 1, 1, "motion states"),
        ("unet", 2, 3, "video denoising, step 2 of 2"),
        ("vae.decoder", 2, 0, "video decoding"),
    ],
)
def test_a_video_of_numbers_that_are_not_finite_is_no_result(part: str, call: int, row: int, stage: str) -> None:
    images, motion, draws = material(2)
    detokenizer = tiny_video_detokenizer()
    spoil(detokenizer, part, call, row)
    with pytest.raises(GenerationError) as found:
        detokenizer.sample(images, motion, draws, SETTINGS)
    assert (found.value.stage, found.value.rows) == (stage, (1,))


@pytest.mark.parametrize(("height", "width", "word"), [(24, 48, "height"), (32, 40, "width"), (0, 48, "height")])
def test_a_size_that_the_unet_cannot_halve_is_refused(height: int, width: int, word: str) -> None:
    _, motion, draws = material(1)
    with pytest.raises(UsageError, match=f"{word} of a generated video must be a multiple of 16 pixels"):
        tiny_video_detokenizer().sample(torch.zeros(1, 3, height, width), motion, draws, SETTINGS)


def test_published_sizes_are_multiples_of_64() -> None:
    published = {
        "down_block_types": [*3 * ["CrossAttnDownBlockSpatioTemporal"], "DownBlockSpatioTemporal"],
        "up_block_types": ["UpBlockSpatioTemporal", *3 * ["CrossAttnUpBlockSpatioTemporal"]],
        "block_out_channels": [32] * 4,
        "num_attention_heads": [1, 1, 1, 1],
    }
    detokenizer = build(unet=published)
    assert detokenizer.size_multiple == 64
    for height, width in ((320, 576), (512, 896), (768, 768)):
        detokenizer.check_size(height, width)
    with pytest.raises(UsageError, match="64 pixels, not 360"):
        detokenizer.check_size(360, 640)


@pytest.mark.parametrize(
    ("motion", "words"),
    [
        (torch.zeros(1, 134, dtype=torch.long), "motion codes of shape"),
        (torch.full((1, 135), MOTION.n_code), "motion codes beyond"),
        (torch.full((1, 135), -1), "motion codes beyond"),
        (torch.zeros(1, 2, FRAMES, 4, 5), "motion of shape"),
        (torch.zeros(1, 3, FRAMES, 4, 6), "motion of shape"),
        (torch.zeros(2, 2, FRAMES, 4, 6), "2 motions"),
    ],
)
def test_motion_that_does_not_fit_is_refused(motion: Tensor, words: str) -> None:
    images, _, draws = material(1)
    with pytest.raises(ValueError, match=words):
        tiny_video_detokenizer().sample(images, motion, draws, SETTINGS)


def test_a_chunk_without_frames_is_refused() -> None:
    with pytest.raises(UsageError, match="chunk"):
        tiny_video_detokenizer().to_frames(torch.zeros(1, 2, 4, 4, 6), 0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"scheduler": {"_class_name": "DDIMScheduler"}}, "scheduler_config.json is no EulerDiscreteScheduler"),
        ({"scheduler": {"beta_schedule": "none"}}, "describes no video detokenizer"),
        ({"unet": {"in_channels": 8}}, "has 8 input channels"),
        ({"unet": {"num_attention_heads": [1, 2, 3]}}, "describes no video detokenizer"),
        ({"vae": {"block_out_channels": [32]}}, "describes no video detokenizer"),
    ],
)
def test_configurations_of_something_else_are_refused(changed: dict[str, dict[str, Any]], words: str) -> None:
    with pytest.raises(UsageError, match=words) as found:
        build(**changed)
    assert "fetch it again: `fetch`" in str(found.value)


def test_a_scheduler_without_what_it_needs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.models.video_lavit import tiny_video

    monkeypatch.delitem(tiny_video.SCHEDULER, "prediction_type")
    with pytest.raises(UsageError, match="lacks prediction_type"):
        build()


def test_the_children_have_the_names_of_the_published_weights() -> None:
    children = {name for name, _ in build().named_children()}
    assert children == {"motion_tokenizer", "motion_encoder", "vae", "unet"}
