"""What was made: images and videos, with a count of what had to be mended on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavit_eval.models.video_lavit.config import MOTION_TOKENS, TokenSpace

MENDED = ("motion_tokens_mended", "visual_codes_cut", "missing_image_end", "missing_motion_end")
"""In how many clips (or images) that was so; every result states all of them."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One image."""

    frame: Tensor
    """uint8 RGB `[height, width, 3]`."""
    ids: tuple[int, ...]
    """Prompt and all that was written."""
    counts: Mapping[str, int]
    """`prompt_tokens`, `new_tokens`, `visual_tokens` and what had to be mended (`MENDED`)."""


@dataclass(frozen=True, slots=True)
class Footage:
    """One video."""

    clips: Tensor
    """uint8 RGB `[clips, 24, height, width, 3]`."""
    keyframes: Tensor
    """uint8 RGB `[clips, height, width, 3]`, of the size of the video: what the clips were made from."""
    ids: tuple[int, ...]
    """Prompt and all that was written, of all clips; empty for a reconstruction."""
    counts: Mapping[str, int]
    """`prompt_tokens`, `new_tokens`, `visual_tokens`, `motion_tokens` and what had to be mended (`MENDED`)."""

    @property
    def frames(self) -> Tensor:
        """All frames, uint8 `[24 * clips, height, width, 3]`."""
        return self.clips.flatten(0, 1)

    @property
    def joined(self) -> Tensor:
        """The video as it is shown, uint8 `[24 + 23 * (clips - 1), ...]`.

        A later clip's first frame, made from the last one of the clip before, is left out, as in the published
        notebook.
        """
        return torch.cat([self.clips[0], *self.clips[1:, 1:].unbind()])


def visual_ids(ids: Sequence[int], tokens: TokenSpace) -> list[int]:
    """Return those ids that are visual codes."""
    return [token for token in ids if tokens.visual_offset <= token < tokens.motion_start]


def motion_codes(ids: Sequence[int], tokens: TokenSpace) -> tuple[Tensor, bool]:
    """Return the motion codes among ids, int64 `[135]` from 0, and whether there were more or fewer of them.

    The first 135 count; what lacks is filled up with code 0, as in the reference.
    """
    codes = [token - tokens.motion_offset for token in ids if tokens.motion_offset <= token < tokens.total]
    filled = (codes + [0] * MOTION_TOKENS)[:MOTION_TOKENS]
    return torch.tensor(filled), len(codes) != MOTION_TOKENS
