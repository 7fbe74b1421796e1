"""Keyframe and motion to the frames of a clip: the video diffusion model and its autoencoder."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler
from torch import Tensor, nn

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.config import MOTION_TOKENS, MotionConfig
from lavit_eval.models.video_lavit.draws import Draws, stack_normal
from lavit_eval.models.video_lavit.frames import pixels_to_frames
from lavit_eval.models.video_lavit.generation_error import GenerationError, require_finite
from lavit_eval.models.video_lavit.image_detokenizer import OnStep, Step
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoder, MotionEncoderConfig
from lavit_eval.models.video_lavit.motion_tokenizer import MotionTokenizer
from lavit_eval.models.video_lavit.unet3d import UNet3D

PUBLISHED_CHUNK = 8
"""Frames that the published code decodes at once, whatever it is asked for when it makes videos of text."""
_NEEDED = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")
_SCHEDULER = "EulerDiscreteScheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSettings:
    """How clips are sampled.

    Attributes:
        steps: Denoising steps.
        min_guidance: Scale of the classifier-free guidance at the first frame.
        max_guidance: At the last frame.
        linear_guidance: Let the scale rise evenly from frame to frame; otherwise it is `max_guidance` at all of them.
        noise_aug_strength: Standard deviation of the noise added to the keyframe, whose pixels go from -1 to 1.
        fps: Frames per second that the UNet is told. The published code says 6 for any video, and does not lower it by
            one as the library's pipeline does.
        motion_bucket_id: Amount of motion that the UNet is told.
        cond_on_ref_frame: Hide the keyframe from the unconditional half; otherwise both halves see it.
        quantize_motion: Pass motion vectors through the 135 codes before they are used.
        chunk: Frames that the autoencoder decodes at once, always of one video. Each chunk is a clip of its own to the
            decoder's layers along time, so that the number changes pixels.
        low_memory: Run the halves of the guidance one after the other: the same but for rounding.
    """

    steps: int
    min_guidance: float
    max_guidance: float
    linear_guidance: bool
    noise_aug_strength: float
    fps: int
    motion_bucket_id: int
    cond_on_ref_frame: bool
    quantize_motion: bool = False
    chunk: int = PUBLISHED_CHUNK
    low_memory: bool = False


@dataclass(frozen=True, slots=True)
class ClipConditions:
    """What clips are sampled from, one row per video.

    Attributes:
        motion: `[n, 2, frames, height / 8, width / 8]`.
        states: Motion states `[n, frames, 256, d]`.
        image_latents: Of the noised keyframe, not scaled, `[n, c, height / 8, width / 8]`.
    """

    motion: Tensor
    states: Tensor
    image_latents: Tensor


class VideoDetokenizer(nn.Module):
    """The parts that make a clip, with the scheduler by which it is sampled.

    Rows do not see each other, and each has draws of its own: a batch gives what its rows give alone, but for
    rounding. Every tensor goes to the device and dtype of the part that works on it, so the parts may lie apart, and
    differ. The names of the children are those of the published weights.

    Args:
        motion_tokenizer: Turns codes into motion.
        motion_encoder: Turns motion into states.
        vae: The autoencoder, with a decoder that has layers along time.
        unet: The video UNet.
        scheduler: It is copied for each batch, so that none begins with the state that another has left.
    """

    def __init__(
        self,
        motion_tokenizer: MotionTokenizer,
        motion_encoder: MotionEncoder,
        vae: AutoencoderKLTemporalDecoder,
        unet: UNet3D,
        scheduler: EulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.motion_tokenizer = motion_tokenizer
        self.motion_encoder = motion_encoder
        self.vae = vae
        self.unet = unet
        self.scheduler = scheduler

    @property
    def factor(self) -> int:
        """Pixels per latent, along each side: 8 as published."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of it: 64 pixels as published, since the UNet halves latents thrice."""
        return self.factor * int(2 ** (len(self.unet.config.block_out_channels) - 1))

    def check_size(self, height: int, width: int) -> None:
        """Raise UsageError for a size in pixels that cannot be generated."""
        for name, size in (("height", height), ("width", width)):
            if size < self.size_multiple or size % self.size_multiple:
                raise UsageError(
                    f"The {name} of a generated video must be a multiple of {self.size_multiple} pixels, not {size}: "
                    f"mend the video's {name} in the task."
                )

    def sample(
        self,
        images: Tensor,
        motion: Tensor,
        draws: Sequence[Draws],
        settings: ClipSettings,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Generate clips: `condition`, `denoise`, then `to_frames`.

        Returns:
            uint8 RGB `[n, frames, height, width, 3]` on the CPU.
        """
        conditions = self.condition(images, motion, draws, settings)
        return self.to_frames(self.denoise(conditions, draws, settings, on_step), settings.chunk)

    @torch.no_grad()
    def condition(
        self, images: Tensor, motion: Tensor, draws: Sequence[Draws], settings: ClipSettings
    ) -> ClipConditions:
        """Encode keyframes and motion; the unconditional half of the guidance is made of zeros later.

        Args:
            images: Keyframes, float `[n, 3, height, width]` from -1 to 1.
            motion: Codes, integers `[n, 135]`; or vectors over the size of the frame, float
                `[n, 2, frames, height / 8, width / 8]`; or, if they are to be quantized, the tokenizer's input
                `[n, 2, 24, 20, 36]`, ten times as large.
            draws: One per row, asked for `video_image_aug`.
            settings: How to sample.

        Raises:
            UsageError: For a size that cannot be generated.
            GenerationError: If values of a row are not finite; it names the stage and the rows.
            ValueError: For motion of another shape, or codes that do not exist.
        """
        height, width = images.shape[-2:]
        self.check_size(height, width)
        if not len(images) == len(motion) == len(draws):
            raise ValueError(f"{len(images)} keyframes, {len(motion)} motions, {len(draws)} rows of draws")
        vectors = self._vectors(motion, height // self.factor, width // self.factor, settings.quantize_motion)
        require_finite(vectors, "motion")
        states = self.motion_encoder.encode_motion(vectors.to(self.motion_encoder.pos_embed.device))
        require_finite(states, "motion states")
        noise = stack_normal(draws, "video_image_aug", tuple(images.shape[1:])).to(images)
        latents = self._encode(images + settings.noise_aug_strength * noise)
        require_finite(latents, "keyframe encoding")
        return ClipConditions(vectors, states, latents)

    @torch.no_grad()
    def denoise(
        self,
        conditions: ClipConditions,
        draws: Sequence[Draws],
        settings: ClipSettings,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Sample latents.

        Args:
            conditions: Of `condition`.
            draws: One per row, asked for `video_latents`.
            settings: How to sample.
            on_step: Called after each step.

        Returns:
            Clean latents `[n, frames, c, height / 8, width / 8]`, scaled.

        Raises:
            GenerationError: If values of a row are not finite; it names the step and the rows.
        """
        weight, image_latents = next(self.unet.parameters()), conditions.image_latents
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(settings.steps)
        frames = conditions.motion.shape[2]
        noise = stack_normal(draws, "video_latents", (frames, *image_latents.shape[1:]))
        # In the dtype of the keyframe's latents; from the first step on they have the UNet's.
        latents = (noise.to(image_latents.dtype) * float(scheduler.init_noise_sigma)).to(weight.device)
        halves, guidance = self._halves(conditions, settings), self._guidance(frames, settings)
        for index, timestep in enumerate(scheduler.timesteps):
            scaled = scheduler.scale_model_input(latents, timestep)
            # The timesteps are no integers: in half precision they round here, as in the published code.
            prediction = self._predict(scaled.to(weight.dtype), timestep.to(weight), halves, guidance)
            latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
            require_finite(latents, f"video denoising, step {index + 1} of {settings.steps}")
            if on_step is not None:
                on_step(Step(index, timestep, prediction, latents))
        return latents

    @torch.no_grad()
    def to_frames(self, latents: Tensor, chunk: int = PUBLISHED_CHUNK) -> Tensor:
        """Decode latents `[n, frames, c, h, w]` to uint8 RGB `[n, frames, 8 h, 8 w, 3]` on the CPU.

        Args:
            latents: Of `denoise`.
            chunk: As in `ClipSettings`.

        Raises:
            GenerationError: If pixels of a row are not finite.
            UsageError: If the chunk has no frame.
        """
        if chunk < 1:
            raise UsageError(f"Videos cannot be decoded in chunks of {chunk} frames: choose a chunk of 1 or more.")
        clips, broken = [], []
        for row, pixels in enumerate(self._decode(latents, chunk)):
            if bool(torch.isfinite(pixels).all()):
                clips.append(pixels_to_frames(pixels))
            else:
                broken.append(row)
        if broken:
            raise GenerationError("video decoding", tuple(broken))
        return torch.stack(clips)

    def _vectors(self, motion: Tensor, height: int, width: int, quantize: bool) -> Tensor:
        """Return motion `[n, 2, frames, height, width]` without the tokenizer's factor of ten."""
        tokenizer = self.motion_tokenizer
        device = tokenizer.quantize.embedding.weight.device
        if not motion.is_floating_point():
            if motion.shape[1:] != (MOTION_TOKENS,):
                raise ValueError(f"motion codes of shape {tuple(motion.shape)}, expected [n, {MOTION_TOKENS}]")
            if not bool(((motion >= 0) & (motion < tokenizer.config.n_code)).all()):
                raise ValueError(f"motion codes beyond 0 ... {tokenizer.config.n_code - 1}")
            return tokenizer.reconstruct_from_codes(motion.to(device), height, width)
        if quantize:
            return tokenizer.reconstruct(motion.to(device), height, width)
        if motion.dim() != 5 or (motion.shape[1], *motion.shape[3:]) != (2, height, width):
            raise ValueError(f"motion of shape {tuple(motion.shape)}, expected [n, 2, frames, {height}, {width}]")
        return motion

    def _encode(self, images: Tensor) -> Tensor:
        """Return the mode of the autoencoder's distribution, `[n, c, h, w]`, not scaled.

        A float16 encoder that overflows is float32 for so long; decoding stays in float16, as published.
        """
        weight = next(self.vae.parameters())
        upcast = bool(self.vae.config.force_upcast) and weight.dtype == torch.float16
        parts = (self.vae.encoder, self.vae.quant_conv) if upcast else ()
        plain: AbstractContextManager[object] = nullcontext()
        if upcast:
            plain = torch.autocast(weight.device.type, enabled=False)
        try:
            for part in parts:
                part.to(torch.float32)
            images = images.to(next(self.vae.encoder.parameters()))
            with plain:
                return cast(Tensor, self.vae.encode(images).latent_dist.mode())
        finally:
            for part in parts:
                part.to(torch.float16)

    def _guidance(self, frames: int, settings: ClipSettings) -> Tensor:
        """Return the scale of each frame, `[frames, 1, 1, 1]`, in the UNet's dtype."""
        first = settings.min_guidance if settings.linear_guidance else settings.max_guidance
        return torch.linspace(first, settings.max_guidance, frames).to(next(self.unet.parameters())).view(-1, 1, 1, 1)

    def _halves(self, conditions: ClipConditions, settings: ClipSettings) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return constant channels, states and added ids, without and with what is wanted, as one batch or as two.

        Without means zeros in place of the motion, of its states, and of the keyframe if that is hidden.
        """
        weight = next(self.unet.parameters())
        motion = conditions.motion.to(weight).transpose(1, 2)
        image = conditions.image_latents.to(weight)[:, None].expand(-1, motion.shape[1], -1, -1, -1)
        states = conditions.states.to(weight)
        told = [settings.fps, settings.motion_bucket_id, settings.noise_aug_strength]
        ids = torch.tensor([told], dtype=weight.dtype, device=weight.device).expand(len(motion), -1)
        hidden = torch.zeros_like(image) if settings.cond_on_ref_frame else image
        without = (torch.cat((hidden, torch.zeros_like(motion)), dim=2), torch.zeros_like(states), ids)
        wanted = (torch.cat((image, motion), dim=2), states, ids)
        if settings.low_memory:
            return [without, wanted]
        channels, both, added = (torch.cat(pair) for pair in zip(without, wanted, strict=True))
        return [(channels, both, added)]

    def _predict(
        self, scaled: Tensor, timestep: Tensor, halves: Sequence[tuple[Tensor, Tensor, Tensor]], guidance: Tensor
    ) -> Tensor:
        """Return the UNet's prediction after guidance."""
        latents = scaled.repeat(2 // len(halves), 1, 1, 1, 1)
        found = [
            self.unet(torch.cat((latents, channels), dim=2), timestep, states, ids, return_dict=False)[0]
            for channels, states, ids in halves
        ]
        without, wanted = torch.cat(found).chunk(2)
        return without + guidance * (wanted - without)

    def _decode(self, latents: Tensor, chunk: int) -> Iterator[Tensor]:
        """Yield the raw pixels, `[frames, 3, height, width]`, of one video after the other."""
        weight: Any = next(self.vae.decoder.parameters())
        for video in latents:
            parts = (video.to(weight) / self.vae.config.scaling_factor).split(chunk)
            yield torch.cat([self.vae.decode(part, num_frames=len(part), return_dict=False)[0] for part in parts])


def build_video_detokenizer(
    unet: Mapping[str, Any],
    vae: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    motion_tokenizer: MotionConfig,
    motion_encoder: MotionEncoderConfig,
    source: str,
    mend: str,
) -> VideoDetokenizer:
    """Return the modules that three configuration files describe, with new weights on the default device.

    Args:
        unet: The content of unet/config.json.
        vae: The content of vae/config.json.
        scheduler: The content of scheduler/scheduler_config.json.
        motion_tokenizer: Sizes, which stand in no file.
        motion_encoder: Sizes, which stand in no file.
        source: Their folder, for messages.
        mend: The command that fetches it, for messages.

    Raises:
        UsageError: If one of them does not describe such a module, or they do not fit together.
    """
    if scheduler.get("_class_name") != _SCHEDULER or (absent := [key for key in _NEEDED if key not in scheduler]):
        # The library's defaults, which are not those of a video model, would quietly stand in for what is missing.
        problem = f"lacks {', '.join(absent)}" if scheduler.get("_class_name") == _SCHEDULER else f"is no {_SCHEDULER}"
        raise UsageError(f"{source}/scheduler/scheduler_config.json {problem}; fetch it again: {mend}.")
    try:
        parts = (
            MotionTokenizer(motion_tokenizer),
            MotionEncoder(motion_encoder),
            AutoencoderKLTemporalDecoder.from_config(dict(vae)),
            UNet3D.from_config(dict(unet)),
            _build_scheduler(scheduler),
        )
    except (TypeError, ValueError, LookupError, ArithmeticError, NotImplementedError) as error:
        raise UsageError(f"{source} describes no video detokenizer ({error}); fetch it again: {mend}.") from error
    made = VideoDetokenizer(*parts)
    channels, latents = made.unet.config.in_channels, made.vae.config.latent_channels
    if channels != 2 * latents + 2:
        raise UsageError(
            f"{source}/unet/config.json has {channels} input channels, but two times {latents} latent channels and "
            f"two of motion are {2 * latents + 2}; fetch it again: {mend}."
        )
    return made


def _build_scheduler(config: Mapping[str, Any]) -> EulerDiscreteScheduler:
    """Return a scheduler with values, also where the modules are made without, on the meta device."""
    with torch.device("cpu"):
        return EulerDiscreteScheduler.from_config(dict(config))
