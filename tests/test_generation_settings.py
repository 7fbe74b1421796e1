"""Every number of a generated image or video stands in the task."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.generation_settings import FIELDS, GenerationSettings

VALUES: dict[str, Any] = {
    "do_sample": True,
    "top_k": 50,
    "top_p": 1.0,
    "temperature": 1,
    "min_new_tokens": 20,
    "max_new_tokens": 500,
    "guidance_llm": 4.0,
    "guidance_motion": 7.0,
    "guidance_decoder": 7.0,
    "width": 1024,
    "height": 576,
    "steps": 50,
    "init_sigma": "carried",
    "clips": 2,
    "inverse_rate": 0.9,
    "restart_noise_scaling": True,
    "video_width": 576,
    "video_height": 320,
    "video_steps": 25,
    "min_video_guidance": 1.0,
    "max_video_guidance": 4.0,
    "linear_guidance": True,
    "noise_aug_strength": 0.02,
    "cond_on_ref_frame": True,
    "fps_id": 6,
    "motion_bucket_id": 127,
    "vae_chunk": 8,
    "motion": "tokens",
}


def block(kind: str) -> dict[str, Any]:
    """Return a complete generation block of a kind of request."""
    return {name: VALUES[name] for name in FIELDS[kind]}


def test_every_field_belongs_to_a_kind() -> None:
    assert {name for names in FIELDS.values() for name in names} == {item.name for item in fields(GenerationSettings)}


@pytest.mark.parametrize("kind", FIELDS)
def test_what_is_given_is_kept(kind: Any) -> None:
    settings = GenerationSettings.parse(kind, block(kind))
    for name, value in block(kind).items():
        assert getattr(settings, name) == value
    if "temperature" in FIELDS[kind]:
        assert isinstance(settings.temperature, float)


@pytest.mark.parametrize("kind", FIELDS)
def test_nothing_is_assumed(kind: Any) -> None:
    for name in FIELDS[kind]:
        given = {key: value for key, value in block(kind).items() if key != name}
        with pytest.raises(UsageError, match=rf"must also state in generation: {name}\."):
            GenerationSettings.parse(kind, given)


def test_what_has_no_effect_is_refused() -> None:
    with pytest.raises(UsageError, match="no generation setting 'clips'"):
        GenerationSettings.parse("generate_image", {**block("generate_image"), "clips": 2})
    with pytest.raises(UsageError, match="Did you mean video_steps"):
        GenerationSettings.parse("reconstruct_video", {**block("reconstruct_video"), "video_step": 2})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 1020),
        ("width", 0),
        ("video_height", 321),
        ("steps", 0),
        ("steps", 2.5),
        ("steps", True),
        ("top_p", 0),
        ("top_p", "high"),
        ("do_sample", 1),
        ("init_sigma", "stale"),
        ("inverse_rate", 1),
        ("inverse_rate", -0.1),
        ("guidance_llm", -1),
        ("guidance_llm", float("nan")),
        ("vae_chunk", 25),
        ("min_new_tokens", 501),
        ("clips", 0),
    ],
)
def test_bad_values_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        GenerationSettings.parse("generate_video", {**block("generate_video"), name: value})


@pytest.mark.parametrize(
    ("rate", "steps", "skipped"), [(0.85, 50, 42), (0.9, 50, 45), (0.75, 4, 3), (0, 9, 0), (0.99, 1, 0)]
)
def test_skipped_steps(rate: float, steps: int, skipped: int) -> None:
    given = {**block("generate_video"), "inverse_rate": rate, "steps": steps}
    assert GenerationSettings.parse("generate_video", given).skipped_steps == skipped


def test_motion_is_never_sampled() -> None:
    settings = GenerationSettings.parse("generate_video", block("generate_video"))
    assert settings.visual.do_sample
    assert not settings.motion_writing.do_sample
    assert settings.motion_writing.max_new_tokens == settings.visual.max_new_tokens == 500
