"""What an image or video is made from: text, ids and pictures, in an order that counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.draws import Draws
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from lavit_eval.video.picture import normalise, squash


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with what the language model reads of it."""

    image: Image.Image
    codes: tuple[int, ...]
    """Its visual codes, from 0, in raster order; `picture_codes` finds them."""

    def frames(self) -> Tensor:
        """Return the picture as uint8 RGB `[1, h, w, 3]`."""
        return torch.from_numpy(np.array(self.image.convert("RGB")))[None]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request: its parts, and where its random numbers come from."""

    parts: tuple[str | tuple[int, ...] | Picture, ...]
    """Texts, ids that are taken as they are, pictures."""
    draws: Draws

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures, in their order."""
        return tuple(part for part in self.parts if isinstance(part, Picture))

    def ids(self, tokenizer: Tokenizer | None, tokens: TokenSpace, picture_marks: bool) -> list[int]:
        """Return the prompt as the language model reads it.

        Each text is tokenised for itself and without a start-of-text id.

        Args:
            tokenizer: May be missing if there is no text.
            tokens: The id space.
            picture_marks: Whether the image marks stand around a picture's ids: they do before a video, where the
                picture is the keyframe, and do not before an image that is made from several parts.

        Raises:
            ValueError: If there is text, but no tokenizer.
        """
        found: list[int] = []
        for part in self.parts:
            if isinstance(part, Picture):
                codes = [code + tokens.visual_offset for code in part.codes]
                found += [tokens.image_start, *codes, tokens.image_end] if picture_marks else codes
            elif isinstance(part, str):
                if tokenizer is None:
                    raise ValueError("a prompt with text needs a tokenizer")
                found += tokenizer.encode(part)
            else:
                found += part
        return found


@torch.inference_mode()
def picture_codes(tokenizer: VisualTokenizer, images: Sequence[Image.Image], noise: Tensor | None) -> list[list[int]]:
    """Return the visual codes of pictures, each encoded in a forward of its own, so that no other changes them.

    Args:
        tokenizer: The visual tokenizer.
        images: Of any size; squashed to the tokenizer's.
        noise: Gumbel noise `[images, patches, 2]` of the patch selection (`token_selector.gumbel_noise`), as
            published; None keeps what is at least as probable as not.
    """
    weight = tokenizer.encoder.patch_embed.proj.weight
    size = tokenizer.config.image_size
    found: list[list[int]] = []
    for place, image in enumerate(images):
        pixels = normalise(np.array(squash(image.convert("RGB"), size))[None]).to(weight.device, weight.dtype)
        own = None if noise is None else noise[place : place + 1]
        found.append(tokenizer.tokenize(pixels, own)[0].tolist())
    return found
