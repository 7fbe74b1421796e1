"""The author whose parts come to the device when they are at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.models.video_lavit.authoring import Author
from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.draws import Draws
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.image_detokenizer import ImageSettings
from lavit_eval.models.video_lavit.parts import Parts
from lavit_eval.models.video_lavit.token_generation import Written
from lavit_eval.models.video_lavit.tokenizer import Tokenizer


class PlacedAuthor(Author):
    """Does what `Author` does, each step with its parts on the device and measured as a stage of its own.

    Args:
        parts: Where the parts come from.
        tokens: The id space.
        tokenizer: That of the language model.
        videos: Whether videos will be made; images alone do not need the video detokenizer.
        low_memory: As for `Author`.
    """

    def __init__(self, parts: Parts, tokens: TokenSpace, tokenizer: Tokenizer, videos: bool, low_memory: bool) -> None:
        self.parts = parts
        super().__init__(
            parts.get("language_model"),
            tokens,
            tokenizer,
            parts.get("visual_tokenizer").quantize.embedding.weight,
            parts.get("tokenizer_decoder"),
            parts.get("image_detokenizer"),
            parts.get("video_detokenizer") if videos else None,
            low_memory,
            None if parts.dtype == torch.float32 else parts.dtype,
        )

    def write_image_ids(
        self, prompts: Sequence[Sequence[int]], draws: Sequence[Draws], settings: GenerationSettings
    ) -> list[Written | GenerationError]:
        """Write visual ids after each prompt."""
        with self.parts.at_work("write", "language_model"):
            return super().write_image_ids(prompts, draws, settings)

    def write_motion_ids(
        self, prompts: Sequence[Sequence[int]], settings: GenerationSettings
    ) -> list[Written | GenerationError]:
        """Write motion ids after each prompt."""
        with self.parts.at_work("write", "language_model"):
            return super().write_motion_ids(prompts, settings)

    def paint(
        self, ids: Sequence[Sequence[int]], draws: Sequence[Draws], settings: ImageSettings, latents: Tensor | None
    ) -> Tensor:
        """Make images of written ids."""
        with self.parts.at_work("image", "tokenizer_decoder", "image_detokenizer"):
            return super().paint(ids, draws, settings, latents)

    def restart(
        self, last_frames: Tensor, draws: Sequence[Draws], settings: ImageSettings, noise_scaling: bool
    ) -> Tensor:
        """Return the latents that follow these frames."""
        with self.parts.at_work("image", "image_detokenizer"):
            return super().restart(last_frames, draws, settings, noise_scaling)

    def film(self, keyframes: Tensor, codes: Tensor, draws: Sequence[Draws], settings: GenerationSettings) -> Tensor:
        """Make clips of keyframes and motion codes."""
        with self.parts.at_work("video", "video_detokenizer"):
            return super().film(keyframes, codes, draws, settings)

    def _precision(self) -> Any:
        return self.parts.autocast()
