"""The noise schedule of one batch of images: how much noise there is at each step, and how it is taken away."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.draws import Draws, stack_normal

InitSigma = Literal["fresh", "carried"]
ANCESTRAL = "EulerAncestralDiscreteScheduler"
_NEEDED = ("_class_name", "num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
_KNOWN = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "prediction_type": ("epsilon", "v_prediction"),
    "timestep_spacing": ("leading", "linspace", "trailing"),
}


def read_scheduler_config(path: Path, mend: str) -> dict[str, Any]:
    """Return the content of a scheduler_config.json that `check_scheduler_config` accepts.

    Args:
        path: The file.
        mend: The command that fetches it, for the messages.

    Raises:
        UsageError: If it cannot be read, or is no such configuration.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}); fetch it again: {mend}.") from error
    if not isinstance(config, dict):
        raise UsageError(f"{path} must hold a JSON object; fetch it again: {mend}.")
    check_scheduler_config(config, f"{path}", mend)
    return config


def check_scheduler_config(config: Mapping[str, Any], source: str, mend: str) -> None:
    """Raise UsageError if a configuration lacks what an image schedule needs, or states what is not supported.

    Without this the library's defaults would quietly stand in for what is missing.
    """
    if missing := [key for key in _NEEDED if key not in config]:
        raise UsageError(f"{source} is no scheduler of images: it lacks {', '.join(missing)}; fetch it again: {mend}.")
    for key, known in _KNOWN.items():
        if (value := config.get(key, known[0])) not in known:
            raise UsageError(f"{source}: {key} is {value!r}, not one of {', '.join(known)}; fetch it again: {mend}.")
    numbers = {key: config[key] for key in ("num_train_timesteps", "beta_start", "beta_end")}
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UsageError(f"{source}: {key} must be a positive number, not {value!r}; fetch it again: {mend}.")


class ImageSchedule:
    """Timesteps and steps of one batch. A new one is made for every batch, so no batch inherits another's state.

    The class is EulerAncestralDiscreteScheduler if the configuration names it, and DDIMScheduler (without noise
    between the steps) for any other name, from the same configuration: so decides the reference.

    Args:
        config: The content of a scheduler_config.json that `check_scheduler_config` accepts.
        steps: Number of steps.

    Raises:
        UsageError: If there cannot be so many steps.
    """

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        most = int(config["num_train_timesteps"])
        if not 1 <= steps <= most:
            raise UsageError(f"Image generation takes 1 to {most} steps, not {steps}: mend `steps` in the task.")
        self.ancestral = config["_class_name"] == ANCESTRAL
        kind = EulerAncestralDiscreteScheduler if self.ancestral else DDIMScheduler
        known = {key: value for key, value in config.items() if not key.startswith("_")}
        self.scheduler = kind.from_config(known)
        self.fresh_sigma = float(self.scheduler.init_noise_sigma)
        self.scheduler.set_timesteps(steps)
        self.timesteps: Tensor = self.scheduler.timesteps

    def initial_sigma(self, kind: InitSigma) -> float:
        """Return the factor of the initial noise; 1 for DDIM.

        The reference reads it before it sets the timesteps. So the first image of a process gets "fresh", the largest
        deviation of training (14.6488 for the published configuration), and later ones get "carried", what the
        timesteps of the image before have left (13.1585 with 50 steps). Here it is a choice of the request.
        """
        return self.fresh_sigma if kind == "fresh" else float(self.scheduler.init_noise_sigma)

    def model_input(self, latents: Tensor, index: int) -> Tensor:
        """Return the latents scaled as the UNet wants them at step `index`."""
        if not self.ancestral:
            return latents
        return cast(Tensor, latents / ((self.scheduler.sigmas[index] ** 2 + 1) ** 0.5))

    def step(self, prediction: Tensor, index: int, latents: Tensor, draws: Sequence[Draws]) -> Tensor:
        """Return the latents after step `index`.

        Args:
            prediction: The UNet's output after guidance, `[n, c, h, w]`.
            index: Place of the step among all timesteps.
            latents: Before the step.
            draws: One per row. An ancestral schedule asks each for `ancestral_step`, also at the last step, where the
                noise has the factor 0.

        Returns:
            `[n, c, h, w]`; an ancestral schedule rounds to the dtype of the prediction, DDIM promotes.
        """
        if not self.ancestral:
            return cast(Tensor, self.scheduler.step(prediction, self.timesteps[index], latents).prev_sample)
        noise = stack_normal(draws, "ancestral_step", tuple(prediction.shape[1:]))
        return self._ancestral_step(prediction, index, latents, noise.to(prediction))

    def add_noise(self, latents: Tensor, noise: Tensor, level: int) -> Tensor:
        """Return clean latents with the noise that belongs before step `level`."""
        if self.ancestral:
            # The reference looks the timestep up after cutting it to an integer, which fails for fractional ones;
            # for integral ones it finds this same deviation.
            return cast(Tensor, latents + self.scheduler.sigmas[level].to(latents) * noise)
        timestep = self.timesteps[level].long().reshape(1)
        return cast(Tensor, self.scheduler.add_noise(latents, noise, timestep))

    def _ancestral_step(self, prediction: Tensor, index: int, latents: Tensor, noise: Tensor) -> Tensor:
        """Take an ancestral Euler step with given noise.

        Operation by operation that of diffusers, whose own draws its noise itself and takes generators only.
        """
        sigma, sigma_to = self.scheduler.sigmas[index], self.scheduler.sigmas[index + 1]
        sample = latents.float()
        if self.scheduler.config.prediction_type == "epsilon":
            clean = sample - sigma * prediction
        else:
            clean = prediction * (-sigma / (sigma**2 + 1) ** 0.5) + (sample / (sigma**2 + 1))
        sigma_up = (sigma_to**2 * (sigma**2 - sigma_to**2) / sigma**2) ** 0.5
        sigma_down = (sigma_to**2 - sigma_up**2) ** 0.5
        moved = sample + (sample - clean) / sigma * (sigma_down - sigma)
        return cast(Tensor, (moved + noise * sigma_up).to(prediction.dtype))


def check_noise_level(level: int, steps: int) -> None:
    """Raise UsageError unless at least one of `steps` steps is left when the first `level` are skipped."""
    if not 0 <= level < steps:
        raise UsageError(
            f"A restart skips 0 to {steps - 1} of {steps} steps, not {level}: mend `inverse_rate` in the task."
        )
