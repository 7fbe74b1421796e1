"""Sizes of the parts of Video-LaVIT; the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass

IMAGE_PLACEHOLDER = -200
VIDEO_PLACEHOLDER = -201
MOTION_FRAMES = 24
MOTION_GRID = (20, 36)
"""Height and width of the motion tokenizer's input."""
MOTION_TOKENS = 135
"""Codes per clip: 3 x 5 x 9."""


@dataclass(frozen=True, slots=True)
class TokenSpace:
    """The ids of the language model: text, visual codes between their marks, motion codes between theirs."""

    text: int = 32000
    visual: int = 16384
    motion: int = 1024

    @property
    def image_start(self) -> int:
        """`[IMG]`, 32000 as published."""
        return self.text

    @property
    def image_end(self) -> int:
        """`[/IMG]`, 32001 as published."""
        return self.text + 1

    @property
    def visual_offset(self) -> int:
        """The id of visual code 0, 32002 as published."""
        return self.text + 2

    @property
    def motion_start(self) -> int:
        """`[MOV]`, 48386 as published."""
        return self.text + 2 + self.visual

    @property
    def motion_end(self) -> int:
        """`[/MOV]`, 48387 as published."""
        return self.motion_start + 1

    @property
    def motion_offset(self) -> int:
        """The id of motion code 0, 48388 as published."""
        return self.motion_start + 2

    @property
    def total(self) -> int:
        """Number of ids, 49412 as published."""
        return self.motion_offset + self.motion


@dataclass(frozen=True, slots=True)
class VisualConfig:
    """Sizes of the visual tokenizer."""

    image_size: int = 224
    patch_size: int = 14
    width: int = 1408
    head_width: int = 88
    layers: int = 40
    merger_layers: int = 12
    n_code: int = 16384
    code_dim: int = 32
    llm_dim: int = 4096
    head_out: int = 1024
    """Rows of the encoder's unused classification head."""
    mlp_ratio: float = 4.3637

    @property
    def heads(self) -> int:
        """Attention heads of the encoder and of the token merger."""
        return self.width // self.head_width

    @property
    def patches(self) -> int:
        """Patches per image, 256 as published."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def mlp_width(self) -> int:
        """Hidden width of the visual MLPs, 6144 as published."""
        return int(self.mlp_ratio * self.width)


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """Sizes of the motion tokenizer; its grid of 24 x 20 x 36 is fixed by its strides."""

    dim: int = 512
    heads: int = 8
    n_code: int = 1024
    code_dim: int = 32
    blocks: int = 12
    """Blocks of the encoder, and as many of the decoder: four stages of a quarter each."""
