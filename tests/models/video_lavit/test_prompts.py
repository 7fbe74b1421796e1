"""Texts, ids and pictures become one row of ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.prompts import Picture, Prompt, picture_codes
from lavit_eval.models.video_lavit.token_selector import gumbel_noise
from lavit_eval.video.picture import normalise, squash
from tests.models.video_lavit.tiny_author import make_visual_tokenizer, picture

SPACE = TokenSpace()


class Letters:
    """A tokenizer of letters."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def ids(*parts: str | tuple[int, ...] | Picture, marks: bool = True) -> list[int]:
    return Prompt(parts, SeededDraws(0)).ids(Letters(), SPACE, marks)  # type: ignore[arg-type]


def test_parts_stand_in_their_order() -> None:
    seen = Picture(picture(0).image, (0, 5, 16383))
    codes = [32002, 32007, 48385]
    assert ids("ab", seen, (7, 8), "c") == [97, 98, 32000, *codes, 32001, 7, 8, 99]
    assert ids("ab", seen, marks=False) == [97, 98, *codes]
    assert ids(Picture(seen.image, ())) == [32000, 32001]
    assert ids() == []


def test_text_needs_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="tokenizer"):
        Prompt(("a",), SeededDraws(0)).ids(None, SPACE, True)
    assert Prompt(((5,),), SeededDraws(0)).ids(None, SPACE, True) == [5]


def test_a_picture_of_any_mode_is_rgb() -> None:
    grey = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4), "L")
    frames = Picture(grey, ()).frames()
    assert frames.shape == (1, 3, 4, 3)
    assert frames[0, 2, 1].tolist() == [9, 9, 9]


def test_codes_do_not_depend_on_other_pictures() -> None:
    tokenizer = make_visual_tokenizer()
    images = [picture(seed).image for seed in range(3)]
    noise = gumbel_noise((3, tokenizer.config.patches, 2), torch.Generator().manual_seed(1))
    together = picture_codes(tokenizer, images, noise)
    for place, image in enumerate(images):
        pixels = normalise(np.array(squash(image, tokenizer.config.image_size))[None])
        own = noise[place : place + 1]
        assert together[place] == tokenizer.tokenize(pixels, own)[0].tolist()
        assert picture_codes(tokenizer, [image], own) == [together[place]]
    assert all(0 <= code < tokenizer.config.n_code for codes in together for code in codes)
    assert any(together)
    assert picture_codes(tokenizer, images, None) == [
        codes for image in images for codes in picture_codes(tokenizer, [image], None)
    ]
