"""The video UNet: that of diffusers, but for what its frames attend to.

In Stable Video Diffusion every frame attends to one state of the conditioning image. Here each frame has 256 motion
states of its own, on a grid of 16 x 16: its pixels attend to all of them, and each pixel attends, along time, to the
states at its place. The UNet's forward pass, its parameters and their names are those of the library's class.
"""

from __future__ import annotations

import functools
import logging
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import Tensor

from lavit_eval.models.video_lavit.motion_encoder import STATE_GRID

CHANNELS = 10
"""Of the input: 4 of the noisy latents, 4 of the keyframe's latents, 2 of the motion."""
HEADS = (5, 10, 10, 20)
"""Attention heads per level where the configuration names none: the published code's default, not the library's."""
SEQUENCES_AT_ONCE = 65535
"""Fused attention kernels take no more."""

logger = logging.getLogger(__name__)


class MotionStates:
    """Motion states `[n, frames, 256, d]` on their way through the library's forward pass to the transformers.

    That pass repeats its condition for every frame, which these states already are: the repetition gives them back.
    """

    def __init__(self, states: Tensor) -> None:
        self.states = states

    @property
    def shape(self) -> torch.Size:
        """That of the states."""
        return self.states.shape

    def repeat_interleave(self, *args: Any, **kwargs: Any) -> MotionStates:
        """Return the same states."""
        return self


def states_along_time(states: Tensor, height: int, width: int) -> Tensor:
    """Return what each pixel of a `height` x `width` map attends to along time.

    Args:
        states: `[n, frames, 256, d]`, a 16 x 16 grid row by row.
        height: Rows of the map.
        width: Columns of the map.

    Returns:
        `[n * height * width, frames, d]`: the states at the place of the grid that is nearest, by the rule of
        `interpolate(mode="nearest")`, to the pixel; videos before pixels, pixels row by row.
    """
    grid = torch.arange(STATE_GRID[0] * STATE_GRID[1], dtype=torch.float32, device=states.device)
    factors = (height / STATE_GRID[0], width / STATE_GRID[1])
    # Which state goes where is found once for the grid; resizing the states themselves would move the same values.
    places = F.interpolate(grid.view(1, 1, *STATE_GRID), scale_factor=factors, mode="nearest").flatten().long()
    return states.transpose(1, 2)[:, places].flatten(0, 1)


class MotionTransformer(TransformerSpatioTemporalModel):  # type: ignore[misc]
    """The library's spatio-temporal transformer, attending to motion states; same parameters."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: MotionStates,
        image_only_indicator: Tensor,
        return_dict: bool = False,
    ) -> tuple[Tensor]:
        """Map `[n * frames, channels, h, w]` to a tuple of one tensor of the same shape.

        Args:
            hidden_states: The maps, frames of a video one after the other.
            encoder_hidden_states: The motion states of the same frames.
            image_only_indicator: `[n, frames]` of zeros.
            return_dict: Not supported; the UNet's blocks do not ask for it.
        """
        states = encoder_hidden_states.states
        rows, frames = states.shape[:2]
        if rows * frames != len(hidden_states) or return_dict:
            raise ValueError(f"states of {rows} x {frames} frames for {len(hidden_states)} maps, as a tuple only")
        size = hidden_states.shape[-2:]
        x = self.proj_in(self.norm(hidden_states).flatten(2).transpose(1, 2))
        moments = self.time_proj(torch.arange(frames, device=x.device).repeat(rows)).to(x.dtype)
        moments = self.time_pos_embed(moments)[:, None]
        for block, temporal_block in zip(self.transformer_blocks, self.temporal_transformer_blocks, strict=True):
            x = block(x, encoder_hidden_states=states.flatten(0, 1))
            along = self._attend_along_time(temporal_block, x + moments, states, *size)
            x = self.time_mixer(x_spatial=x, x_temporal=along, image_only_indicator=image_only_indicator)
        x = torch.unflatten(self.proj_out(x).transpose(1, 2), 2, tuple(size)).contiguous()
        return (x + hidden_states,)

    @staticmethod
    def _attend_along_time(block: Any, x: Tensor, states: Tensor, height: int, width: int) -> Tensor:
        """Apply a temporal block to `[n * frames, h * w, channels]`, as many videos at once as the kernels take.

        Every pixel is a sequence to them.
        """
        frames, videos = states.shape[1], max(1, SEQUENCES_AT_ONCE // (height * width))
        parts = zip(torch.split(x, videos * frames), torch.split(states, videos), strict=True)
        mixed = [
            block(part, num_frames=frames, encoder_hidden_states=states_along_time(own, height, width))
            for part, own in parts
        ]
        return cast(Tensor, mixed[0] if len(mixed) == 1 else torch.cat(mixed))


class UNet3D(UNetSpatioTemporalConditionModel):  # type: ignore[misc]
    """The library's spatio-temporal UNet on ten channels, conditioned on the motion states of every frame.

    Made by `from_config` from the content of the checkpoint's config.json, or with its entries as keyword arguments.
    What they leave out has the library's default, but for ten input channels and the heads: these change no parameter,
    so that a checkpoint would load without a word with any number of them. A warning names those that are taken.
    """

    @functools.wraps(UNetSpatioTemporalConditionModel.__init__)  # type: ignore[misc]
    def __init__(self, **config: Any) -> None:
        if "num_attention_heads" not in config:
            logger.warning("The video UNet's configuration names no num_attention_heads; %s is used.", HEADS)
        super().__init__(**{"in_channels": CHANNELS, "num_attention_heads": HEADS, **config})
        for module in self.modules():
            if type(module) is TransformerSpatioTemporalModel:
                module.__class__ = MotionTransformer

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        added_time_ids: Tensor,
        return_dict: bool = True,
    ) -> Any:
        """Predict what the scheduler asks for.

        Args:
            sample: `[n, frames, 10, h, w]`: noisy latents, latents of the keyframe, motion.
            timestep: One for all rows, or one per row.
            encoder_hidden_states: The motion states `[n, frames, 256, d]`.
            added_time_ids: `[n, 3]`: frames per second, motion bucket, strength of the keyframe's noise.
            return_dict: Return the library's output object and not a tuple.

        Returns:
            The library's output object, or a tuple, with `[n, frames, 4, h, w]`.

        Raises:
            ValueError: If the states are not those of as many rows and frames.
        """
        expected = (*sample.shape[:2], STATE_GRID[0] * STATE_GRID[1])
        if tuple(encoder_hidden_states.shape[:-1]) != expected:
            raise ValueError(
                f"motion states of shape {tuple(encoder_hidden_states.shape)}, expected {(*expected, 'd')}"
            )
        return super().forward(sample, timestep, MotionStates(encoder_hidden_states), added_time_ids, return_dict)
