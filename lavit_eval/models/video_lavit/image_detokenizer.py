"""Conditions to pictures: the image diffusion model and its autoencoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.draws import Draws, stack_normal
from lavit_eval.models.video_lavit.frames import frames_to_pixels, pixels_to_frames, resize_frames
from lavit_eval.models.video_lavit.generation_error import require_finite
from lavit_eval.models.video_lavit.image_schedule import (
    ImageSchedule,
    InitSigma,
    check_noise_level,
    check_scheduler_config,
)

Conditions = tuple[Tensor, Tensor]
"""What the tokenizer decoder returns: `[n, tokens, c]` and the pooled `[n, p]`."""


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How pictures are sampled; sizes are (height, width) in pixels.

    Attributes:
        height: Of the pictures.
        width: Of the pictures.
        steps: Denoising steps of a whole run.
        guidance: Scale of the classifier-free guidance; the unconditional half has conditions of zeros.
        noise_level: Steps that are skipped, for latents that are a partly noised picture (`restart_latents`).
        init_sigma: See `ImageSchedule.initial_sigma`.
        original_size: Size that the UNet is told the picture had; None for that of the picture.
        target_size: Size that the UNet is told the picture shall have; None for that of the picture.
        crop: Top and left corner that the UNet is told.
        low_memory: Run the halves of the guidance, and the pictures through the autoencoder, one after the other:
            the same but for rounding.
    """

    height: int
    width: int
    steps: int
    guidance: float
    noise_level: int = 0
    init_sigma: InitSigma = "fresh"
    original_size: tuple[int, int] | None = None
    target_size: tuple[int, int] | None = None
    crop: tuple[int, int] = (0, 0)
    low_memory: bool = False

    @property
    def time_ids(self) -> list[int]:
        """The six numbers that SDXL's UNet takes beside the timestep."""
        own = (self.height, self.width)
        return [*(self.original_size or own), *self.crop, *(self.target_size or own)]


@dataclass(frozen=True, slots=True)
class Step:
    """One executed step: its place, its timestep, the prediction after guidance, and the latents after it."""

    index: int
    timestep: Tensor
    prediction: Tensor
    latents: Tensor


OnStep = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class _UnetConditions:
    """What the UNet sees beside latents and timestep, row by row."""

    states: Tensor
    pooled: Tensor
    time_ids: Tensor

    def beside(self, other: _UnetConditions) -> _UnetConditions:
        """Return the rows of both, these first."""
        return _UnetConditions(
            torch.cat((self.states, other.states)),
            torch.cat((self.pooled, other.pooled)),
            torch.cat((self.time_ids, other.time_ids)),
        )

    def arguments(self) -> dict[str, Any]:
        """Return them under the names of the UNet's arguments."""
        added = {"text_embeds": self.pooled, "time_ids": self.time_ids}
        return {"encoder_hidden_states": self.states, "added_cond_kwargs": added}


class ImageDetokenizer(nn.Module):
    """UNet and autoencoder of `image_detokenizer/`, with the schedule by which they are sampled.

    Rows do not see each other, and each has draws of its own: a batch gives what its rows give alone, but for
    rounding. Every tensor goes to the device of the part that works on it, so the two may lie apart.

    Args:
        unet: A UNet of the SDXL type (pooled conditions and six time ids).
        vae: Its autoencoder.
        scheduler: The content of the checkpoint's scheduler_config.json.
        source: What to call that file in messages.
        mend: The command that fetches it, for messages.

    Raises:
        UsageError: For a scheduler that is not supported.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        scheduler: Mapping[str, Any],
        source: str = "scheduler_config.json",
        mend: str = "`hf download rain1011/Video-LaVIT-v1`",
    ) -> None:
        super().__init__()
        check_scheduler_config(scheduler, source, mend)
        self.unet = unet
        self.vae = vae
        self.scheduler_config = dict(scheduler)

    @property
    def factor(self) -> int:
        """Pixels per latent, along each side: 8 as published."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def check_settings(self, settings: ImageSettings) -> None:
        """Raise UsageError for a size, a number of steps or a noise level that cannot be."""
        for name, size in (("height", settings.height), ("width", settings.width)):
            if size < self.factor or size % self.factor:
                raise UsageError(
                    f"The {name} of a generated image must be a multiple of {self.factor} pixels, not {size}: "
                    f"mend `{name}` in the task."
                )
        schedule = ImageSchedule(self.scheduler_config, settings.steps)
        check_noise_level(settings.noise_level, len(schedule.timesteps))

    @torch.no_grad()
    def decode(
        self,
        conditions: Conditions,
        draws: Sequence[Draws],
        settings: ImageSettings,
        latents: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Generate pictures: `denoise`, then `to_frames`.

        Returns:
            uint8 RGB `[n, height, width, 3]` on the CPU.
        """
        return self.to_frames(self.denoise(conditions, draws, settings, latents, on_step), settings.low_memory)

    @torch.no_grad()
    def denoise(
        self,
        conditions: Conditions,
        draws: Sequence[Draws],
        settings: ImageSettings,
        latents: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Sample latents.

        Args:
            conditions: Of the tokenizer decoder.
            draws: One per row; asked for `image_init` if there are no latents, and by the schedule at each step.
            settings: Sizes, steps and guidance.
            latents: Where to start, `[n, c, height / 8, width / 8]`, with the noise that belongs before step
                `noise_level`; None for pure noise.
            on_step: Called after each executed step.

        Returns:
            Clean latents `[n, c, height / 8, width / 8]`.

        Raises:
            UsageError: As `check_settings`.
            GenerationError: If values of a row are not finite; it names the stage and the rows.
        """
        self.check_settings(settings)
        for part in conditions:
            require_finite(part, "image conditions")
        if len(draws) != len(conditions[0]):
            raise ValueError(f"{len(draws)} rows of draws, but {len(conditions[0])} of conditions")
        schedule = ImageSchedule(self.scheduler_config, settings.steps)
        device = next(self.unet.parameters()).device
        if latents is None:
            latents = self._noise(draws, settings) * schedule.initial_sigma(settings.init_sigma)
        latents = latents.to(device)
        halves = self._halves(conditions, settings)
        for index in range(settings.noise_level, len(schedule.timesteps)):
            timestep = schedule.timesteps[index]
            scaled = schedule.model_input(latents, index)
            prediction = self._predict(scaled, timestep.to(device), halves, settings)
            latents = schedule.step(prediction, index, latents, draws)
            require_finite(latents, f"image denoising, step {index + 1} of {len(schedule.timesteps)}")
            if on_step is not None:
                on_step(Step(index, timestep, prediction, latents))
        return latents

    @torch.no_grad()
    def to_frames(self, latents: Tensor, low_memory: bool = False) -> Tensor:
        """Decode latents `[n, c, h, w]` to uint8 RGB `[n, 8 h, 8 w, 3]` on the CPU.

        Raises GenerationError if values of a row are not finite.
        """
        with self._autoencoder_precision(decoding=True):
            latents = latents.to(next(self.vae.decoder.conv_in.parameters())) / self.vae.config.scaling_factor
            parts = torch.split(latents, 1 if low_memory else len(latents))
            pixels = torch.cat([self.vae.decode(part, return_dict=False)[0] for part in parts])
        require_finite(pixels, "image decoding")
        return pixels_to_frames(pixels)

    @torch.no_grad()
    def restart_latents(
        self, frames: Tensor, draws: Sequence[Draws], settings: ImageSettings, restart_noise_scaling: bool = True
    ) -> Tensor:
        """Return a clip's last frames, noised to where the keyframes of the next clip start.

        Args:
            frames: uint8 RGB `[n, h, w, 3]` of any size; resized to the settings' by Pillow's bicubic filter.
            draws: One per row, asked for `regenerate_noise`.
            settings: `noise_level` says where in the schedule.
            restart_noise_scaling: Multiply the noised latents by the schedule's initial deviation once more, as the
                reference does, though they have their noise already; of no effect with DDIM, whose deviation is 1.

        Returns:
            `[n, c, height / 8, width / 8]` on the device of the autoencoder.

        Raises:
            UsageError: As `check_settings`.
            GenerationError: If values of a row are not finite.
        """
        self.check_settings(settings)
        schedule = ImageSchedule(self.scheduler_config, settings.steps)
        pixels = frames_to_pixels(resize_frames(frames, settings.height, settings.width))
        clean = self._encode(pixels, settings.low_memory) * self.vae.config.scaling_factor
        noise = stack_normal(draws, "regenerate_noise", tuple(clean.shape[1:]))
        noised = schedule.add_noise(clean, noise.to(clean), settings.noise_level)
        require_finite(noised, "restart from the last frame")
        # By now the timesteps are set, so the deviation is theirs and not that of a fresh schedule.
        return noised * schedule.initial_sigma("carried") if restart_noise_scaling else noised

    def _noise(self, draws: Sequence[Draws], settings: ImageSettings) -> Tensor:
        shape = (int(self.unet.config.in_channels), settings.height // self.factor, settings.width // self.factor)
        return stack_normal(draws, "image_init", shape)

    def _halves(self, conditions: Conditions, settings: ImageSettings) -> list[_UnetConditions]:
        """Return the UNet's conditions, without and with what is wanted, as one batch or as two."""
        weight = next(self.unet.parameters())
        states, pooled = (part.to(weight) for part in conditions)
        time_ids = torch.tensor([settings.time_ids] * len(states), device=weight.device, dtype=conditions[0].dtype)
        without = _UnetConditions(torch.zeros_like(states), torch.zeros_like(pooled), time_ids)
        wanted = _UnetConditions(states, pooled, time_ids)
        return [without, wanted] if settings.low_memory else [without.beside(wanted)]

    def _predict(
        self, scaled: Tensor, timestep: Tensor, halves: Sequence[_UnetConditions], settings: ImageSettings
    ) -> Tensor:
        """Return the UNet's prediction after guidance."""
        sample = scaled.to(next(self.unet.parameters()).dtype).repeat(2 // len(halves), 1, 1, 1)
        found = [self.unet(sample, timestep, return_dict=False, **half.arguments())[0] for half in halves]
        without, wanted = torch.cat(found).chunk(2)
        return without + settings.guidance * (wanted - without)

    def _encode(self, pixels: Tensor, low_memory: bool) -> Tensor:
        """Return the mode of the autoencoder's distribution, `[n, c, h, w]`, not scaled."""
        with self._autoencoder_precision(decoding=False):
            pixels = pixels.to(next(self.vae.parameters()))
            parts = torch.split(pixels, 1 if low_memory else len(pixels))
            return torch.cat([self.vae.encode(part).latent_dist.mode() for part in parts])

    @contextmanager
    def _autoencoder_precision(self, decoding: bool) -> Iterator[None]:
        """Hold a float16 autoencoder that overflows in it (`force_upcast`) in float32 for as long as it works.

        bfloat16 has float32's range and stays. The reference leaves the decoder's parts before the upsampling in
        float16, so they are left here too.
        """
        weight = next(self.vae.parameters())
        if not self.vae.config.force_upcast or weight.dtype != torch.float16:
            yield
            return
        hooks = []
        try:
            self._cast_autoencoder(torch.float32)
            if decoding:
                for part in (self.vae.post_quant_conv, self.vae.decoder.conv_in, self.vae.decoder.mid_block):
                    if part is not None:
                        part.to(torch.float16)
                hooks.append(self.vae.decoder.mid_block.register_forward_hook(_to_float32))
            with torch.autocast(weight.device.type, enabled=False):
                yield
        finally:
            for hook in hooks:
                hook.remove()
            self._cast_autoencoder(torch.float16)

    def _cast_autoencoder(self, dtype: torch.dtype) -> None:
        """Cast the autoencoder part by part: the library warns about every cast of the whole."""
        for part in self.vae.children():
            part.to(dtype)


def _to_float32(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
    """Replace a module's output, as a hook: diffusers' decoder no longer casts between its parts itself."""
    return output.float()


def build_image_detokenizer(
    unet: Mapping[str, Any], vae: Mapping[str, Any], scheduler: Mapping[str, Any], source: str, mend: str
) -> ImageDetokenizer:
    """Return the modules that three configuration files describe, with new weights on the default device.

    Args:
        unet: The content of unet/config.json.
        vae: The content of vae/config.json.
        scheduler: The content of scheduler/scheduler_config.json.
        source: Their folder, for messages.
        mend: The command that fetches it, for messages.

    Raises:
        UsageError: If one of them does not describe such a module.
    """
    try:
        parts = UNet2DConditionModel.from_config(dict(unet)), AutoencoderKL.from_config(dict(vae))
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(f"{source} describes no image detokenizer ({error}); fetch it again: {mend}.") from error
    return ImageDetokenizer(*parts, scheduler, f"{source}/scheduler/scheduler_config.json", mend)
