"""The schedule: which class, which first deviation, and steps equal to diffusers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.image_schedule import (
    ImageSchedule,
    check_noise_level,
    check_scheduler_config,
    read_scheduler_config,
)
from tests.models.video_lavit.tiny_image import ANCESTRAL, DDIM


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EulerAncestralDiscreteScheduler", EulerAncestralDiscreteScheduler),
        ("DDIMScheduler", DDIMScheduler),
        ("EulerDiscreteScheduler", DDIMScheduler),
    ],
)
def test_the_named_class_decides_between_two(name: str, kind: type) -> None:
    """Any other name gives DDIM."""
    assert type(ImageSchedule({**ANCESTRAL, "_class_name": name}, 4).scheduler) is kind


@pytest.mark.parametrize(("steps", "carried"), [(4, 4.2364), (10, 8.4501), (25, 11.7188), (50, 13.1585)])
def test_the_first_deviation_is_that_of_a_fresh_schedule_unless_carried_is_wished(steps: int, carried: float) -> None:
    """Whatever schedules there were before."""
    schedule = ImageSchedule(ANCESTRAL, steps)
    assert schedule.initial_sigma("fresh") == pytest.approx(14.6488, abs=1e-4)
    assert schedule.initial_sigma("carried") == pytest.approx(carried, abs=1e-4)


def test_the_first_deviation_of_ddim_is_one() -> None:
    schedule = ImageSchedule(DDIM, 4)
    assert schedule.initial_sigma("fresh") == schedule.initial_sigma("carried") == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
def test_ancestral_steps_are_bit_equal_to_those_of_diffusers(spacing: str, prediction: str, dtype: torch.dtype) -> None:
    """Which draws float32 noise of the same generators, two rows at a time, and rounds it."""
    config = {**ANCESTRAL, "timestep_spacing": spacing, "prediction_type": prediction}
    ours, theirs = ImageSchedule(config, 4), EulerAncestralDiscreteScheduler.from_config(config)
    theirs.set_timesteps(4)
    draws = [SeededDraws(seed) for seed in (1, 2)]
    generators = [SeededDraws(seed).generator for seed in (1, 2)]
    found = expected = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    for index, timestep in enumerate(theirs.timesteps):
        assert torch.equal(ours.model_input(found, index), theirs.scale_model_input(expected, timestep))
        output = torch.sin(found * (index + 1)).to(dtype)
        found = ours.step(output, index, found, draws)
        if dtype == torch.float32:
            expected = theirs.step(output, timestep, expected, generator=generators).prev_sample
            assert torch.equal(found, expected)
        else:
            # Its noise is drawn in bfloat16, which is another stream: only the dtype is compared.
            expected = found
            theirs._step_index += 1
            assert found.dtype == dtype


def test_ddim_steps_are_those_of_diffusers_and_draw_nothing() -> None:
    ours, theirs = ImageSchedule(DDIM, 4), DDIMScheduler.from_config(DDIM)
    theirs.set_timesteps(4)
    x = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    for index, timestep in enumerate(theirs.timesteps):
        assert ours.model_input(x, index) is x
        found = ours.step(torch.sin(x), index, x, draws=[])
        assert torch.equal(found, theirs.step(torch.sin(x), timestep, x).prev_sample)
        x = found


@pytest.mark.parametrize("config", [ANCESTRAL, DDIM])
def test_noise_is_added_as_diffusers_does_at_that_timestep(config: dict[str, Any]) -> None:
    schedule = ImageSchedule(config, 10)
    clean, noise = torch.randn(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).unbind(0)
    timestep = torch.tensor([int(schedule.timesteps[7])])
    expected = schedule.scheduler.add_noise(clean, noise, timestep)
    torch.testing.assert_close(schedule.add_noise(clean, noise, 7), expected, atol=0, rtol=0)


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 1000 steps, not {steps}"):
        ImageSchedule(ANCESTRAL, steps)


def test_a_restart_leaves_at_least_one_step() -> None:
    check_noise_level(9, 10)
    for level in (10, -1):
        with pytest.raises(UsageError, match="skips 0 to 9 of 10 steps"):
            check_noise_level(level, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": None}, "lacks _class_name"),
        ({"beta_start": None, "beta_schedule": None}, "lacks beta_start, beta_schedule"),
        ({"prediction_type": "flow"}, "prediction_type is 'flow'"),
        ({"timestep_spacing": "odd"}, "timestep_spacing is 'odd'"),
        ({"beta_schedule": "sigmoid"}, "beta_schedule is 'sigmoid'"),
        ({"num_train_timesteps": "many"}, "num_train_timesteps must be a positive number"),
        ({"beta_end": -1}, "beta_end must be a positive number"),
    ],
)
def test_wrong_configurations_are_refused_with_what_is_wrong(change: dict[str, Any], message: str) -> None:
    """None takes a key away."""
    config = {key: value for key, value in {**ANCESTRAL, **change}.items() if value is not None}
    with pytest.raises(UsageError, match=message):
        check_scheduler_config(config, "the file", "fetch it")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_unreadable_files_are_refused_by_name(content: str | None, tmp_path: Path) -> None:
    """Missing, no JSON, no object, empty."""
    path = tmp_path / "scheduler_config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"scheduler_config\.json .*fetch it again: `hf download x`"):
        read_scheduler_config(path, "`hf download x`")


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "scheduler_config.json"
    path.write_text(json.dumps(DDIM))
    assert read_scheduler_config(path, "x") == DDIM
