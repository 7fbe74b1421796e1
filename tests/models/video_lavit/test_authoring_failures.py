"""What goes wrong is mended and counted, or ends one request and no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lavit_eval.models.video_lavit.authoring import Author
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.footage import MENDED, Footage
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.prompts import Prompt
from lavit_eval.models.video_lavit.token_generation import Written
from tests.models.video_lavit.tiny_author import (
    KINDS,
    ONE_CLIP,
    VIDEO,
    assert_near,
    assert_same,
    film,
    make_author,
    picture,
    prompt,
)
from tests.models.video_lavit.tiny_understanding import SPACE


@pytest.fixture(scope="module")
def author() -> Author:
    torch.set_num_threads(1)
    return make_author()


class Dictated(Author):
    """Writes what it is told."""

    def __init__(self, image: Sequence[int], motion: Sequence[int]) -> None:
        self.__dict__.update(make_author().__dict__)
        self.image, self.motion = list(image), list(motion)

    def write_image_ids(self, prompts: Any, draws: Any, settings: Any) -> Any:
        return [Written([*ids, 300, *self.image], self.image, SPACE.image_end in self.image) for ids in prompts]

    def write_motion_ids(self, prompts: Any, settings: Any) -> Any:
        start, end = SPACE.motion_start, SPACE.motion_end
        return [Written([*ids, start, *self.motion], self.motion, end in self.motion) for ids in prompts]


IMAGE = [*range(SPACE.visual_offset, SPACE.visual_offset + 6), SPACE.image_end]
MOTION = [*[SPACE.motion_offset + code % 32 for code in range(135)], SPACE.motion_end]


@pytest.mark.parametrize(
    ("image", "motion", "mended"),
    [
        (IMAGE, MOTION, {}),
        (IMAGE[:-1], MOTION, {"missing_image_end"}),
        (IMAGE, MOTION[:-1], {"missing_motion_end"}),
        (IMAGE, MOTION[1:], {"motion_tokens_mended"}),
        (IMAGE, MOTION[:1] + MOTION, {"motion_tokens_mended"}),
        (IMAGE, [SPACE.motion_end], {"motion_tokens_mended"}),
        (IMAGE[:6] * 2 + IMAGE[6:], MOTION, {}),
        (IMAGE[:6] * 2 + IMAGE, MOTION, {"visual_codes_cut"}),
    ],
)
def test_what_is_mended_is_counted(image: list[int], motion: list[int], mended: set[str]) -> None:
    (footage,) = Dictated(image, motion).generate_videos([prompt(0)], VIDEO)
    assert isinstance(footage, Footage)
    assert {name: footage.counts[name] for name in MENDED} == {name: 2 * (name in mended) for name in MENDED}
    assert footage.counts["visual_tokens"] == 2 * sum(token not in (2, SPACE.image_end) for token in image)
    assert footage.counts["motion_tokens"] == 2 * sum(token >= SPACE.motion_offset for token in motion)
    assert footage.counts["new_tokens"] == 2 * (len(image) + len(motion))
    assert footage.counts["prompt_tokens"] == len(prompt(0).parts[0])


def test_an_image_without_codes_fails_with_a_sentence(author: Author) -> None:
    for found in (
        Dictated([0, SPACE.image_end], MOTION).generate_images([prompt(0)], VIDEO)[0],
        Dictated([SPACE.image_end], MOTION).generate_videos([prompt(0)], VIDEO)[0],
    ):
        assert isinstance(found, GenerationError)
        assert "no visual code" in str(found)


def test_two_pictures_are_one_too_many_for_a_video(author: Author) -> None:
    two = Prompt((picture(0), picture(1)), SeededDraws(0))
    found = author.generate_videos([prompt(0), two, prompt(2, "image")], ONE_CLIP)
    assert isinstance(found[1], GenerationError)
    assert "one picture" in str(found[1])
    for place in (0, 2):
        footage = found[place]
        assert isinstance(footage, Footage)
        assert_same(footage, film(author, [place], ONE_CLIP)[0])


class Failing(Author):
    """Fails the second request at one call of a stage, after it has drawn."""

    def __init__(self, stage: str, call: int) -> None:
        self.__dict__.update(make_author().__dict__)
        self.stage, self.left = stage, call

    def _fail(self, stage: str) -> None:
        if stage == self.stage:
            self.left -= 1
            if self.left == -1:
                raise GenerationError(stage, (1,))

    def paint(self, ids: Any, draws: Any, settings: Any, latents: Any) -> Tensor:
        found = super().paint(ids, draws, settings, latents)
        self._fail("paint")
        return found

    def film(self, keyframes: Tensor, codes: Tensor, draws: Any, settings: Any) -> Tensor:
        found = super().film(keyframes, codes, draws, settings)
        self._fail("film")
        return found


@pytest.mark.parametrize("stage", ["paint", "film"])
@pytest.mark.parametrize("call", [0, 1])
def test_a_failure_ends_one_request_and_leaves_the_others_as_they_are(author: Author, stage: str, call: int) -> None:
    def make(author: Author, places: Sequence[int]) -> list[Footage | GenerationError]:
        return author.generate_videos([prompt(place) for place in places], replace(VIDEO, clips=1 + call))

    found = make(Failing(stage, call), (0, 3, 4))
    assert [isinstance(each, GenerationError) for each in found] == [False, True, False]
    # Until the failure there were three; that alone may move a level, from which random weights make any difference.
    for footage, expected in zip((found[0], found[2]), make(author, (0, 4)), strict=True):
        assert isinstance(footage, Footage)
        assert isinstance(expected, Footage)
        assert footage.ids == expected.ids
        assert_near(footage.clips[0], expected.clips[0])
        assert_near(footage.keyframes, expected.keyframes)


def test_motion_that_is_not_finite_fails_the_videos_that_have_it() -> None:
    author = make_author()
    film_of = film(author, (0, 1, 2, 3), ONE_CLIP)
    codes = [{token for token in footage.ids if token >= SPACE.motion_offset} for footage in film_of]
    only_one = sorted(codes[1] - codes[0] - codes[2] - codes[3] - {SPACE.motion_offset})
    assert only_one, "choose other prompts: the second shares every motion code"
    assert author.video_detokenizer is not None
    table = author.video_detokenizer.motion_tokenizer.quantize.embedding.weight
    with torch.no_grad():
        table[only_one[0] - SPACE.motion_offset] = float("nan")
    found = author.generate_videos([prompt(place, KINDS[place]) for place in range(4)], ONE_CLIP)
    assert isinstance(found[1], GenerationError)
    assert "motion" in str(found[1])
    for place in (0, 2, 3):
        footage = found[place]
        assert isinstance(footage, Footage)
        assert_same(footage, film_of[place])


def test_all_may_fail() -> None:
    author = make_author()
    with torch.no_grad():
        author.decoder.in_proj.weight.fill_(float("nan"))
    found = author.generate_videos([prompt(0), prompt(3)], VIDEO)
    assert all(isinstance(each, GenerationError) for each in found)
