"""Batches of prompts become the images and videos that each prompt becomes alone; what fails, fails alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.authoring import Author
from lavit_eval.models.video_lavit.clip_sampling import reconstruct_videos
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.footage import Drawing, Footage
from lavit_eval.models.video_lavit.prompts import Prompt
from tests.models.video_lavit.tiny_author import (
    ONE_CLIP,
    RECONSTRUCTION,
    VIDEO,
    assert_near,
    assert_same,
    film,
    make_author,
    make_video_detokenizer,
    picture,
    prompt,
    recording,
)
from tests.models.video_lavit.tiny_image import DDIM
from tests.models.video_lavit.tiny_understanding import SPACE


@pytest.fixture(scope="module")
def author() -> Author:
    torch.set_num_threads(1)
    return make_author()


class Watched(Author):
    """Keeps what goes into the stages and comes out of them."""

    def __init__(self) -> None:
        self.__dict__.update(make_author().__dict__)
        self.calls: list[tuple[str, Any]] = []

    def write_image_ids(self, prompts: Any, draws: Any, settings: Any) -> Any:
        found = super().write_image_ids(prompts, draws, settings)
        self.calls.append(("image ids", (list(prompts), found)))
        return found

    def write_motion_ids(self, prompts: Any, settings: Any) -> Any:
        found = super().write_motion_ids(prompts, settings)
        self.calls.append(("motion ids", (list(prompts), found)))
        return found

    def paint(self, ids: Any, draws: Any, settings: Any, latents: Any) -> Tensor:
        found = super().paint(ids, draws, settings, latents)
        self.calls.append(("paint", (settings.noise_level, latents, found)))
        return found

    def restart(self, last_frames: Tensor, draws: Any, settings: Any, noise_scaling: bool) -> Tensor:
        self.calls.append(("restart", last_frames))
        return super().restart(last_frames, draws, settings, noise_scaling)

    def film(self, keyframes: Tensor, codes: Tensor, draws: Any, settings: Any) -> Tensor:
        found = super().film(keyframes, codes, draws, settings)
        self.calls.append(("film", (keyframes, codes, found)))
        return found

    def made(self, stage: str) -> list[Tensor]:
        """Return what a stage made, call by call."""
        return [value[-1] for name, value in self.calls if name == stage]


class Prompted(Author):
    """Compares pictures with those of other runs and goes on with these.

    A difference of one level in a keyframe becomes any difference in the clip made of it by random weights, so each
    stage is compared for itself.
    """

    def __init__(self, paintings: Sequence[Tensor], clips: Sequence[Tensor]) -> None:
        self.__dict__.update(make_author().__dict__)
        self.paintings, self.clips = list(paintings), list(clips)

    def paint(self, ids: Any, draws: Any, settings: Any, latents: Any) -> Tensor:
        expected = self.paintings.pop(0)
        assert_near(super().paint(ids, draws, settings, latents), expected)
        return expected

    def film(self, keyframes: Tensor, codes: Tensor, draws: Any, settings: Any) -> Tensor:
        expected = self.clips.pop(0)
        assert_near(super().film(keyframes, codes, draws, settings), expected)
        return expected


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0)])
def test_a_batch_of_videos_in_any_order_is_what_each_is_alone(order: tuple[int, ...]) -> None:
    alone = {place: Watched() for place in order}
    expected = {place: film(author, [place])[0] for place, author in alone.items()}
    paintings = [author.made("paint") for author in alone.values()]
    turns = [torch.cat([made[-2] for made in paintings if len(made) == 2] or [torch.empty(0)])]
    turns.append(torch.cat([made[-1] for made in paintings]))
    clips = [torch.cat([author.made("film")[turn] for author in alone.values()]) for turn in range(2)]
    together = film(Prompted(turns[not len(turns[0]) :], clips), order)
    for place, footage in zip(order, together, strict=True):
        assert_same(footage, expected[place])


def test_the_same_batch_again_gives_the_same_bytes(author: Author) -> None:
    first, second = film(author, (0, 1)), film(author, (0, 1))
    assert all(torch.equal(one.clips, two.clips) for one, two in zip(first, second, strict=True))


def test_a_batch_of_images_is_what_each_is_alone(author: Author) -> None:
    prompts = [lambda: prompt(0), lambda: prompt(1, "both"), lambda: prompt(2, "image")]
    together = author.generate_images([make() for make in prompts], VIDEO)
    for make, drawing in zip(prompts, together, strict=True):
        assert isinstance(drawing, Drawing)
        assert drawing.frame.shape == (32, 32, 3)
        (alone,) = author.generate_images([make()], VIDEO)
        assert isinstance(alone, Drawing)
        assert_same(drawing, alone)


@pytest.mark.parametrize("motion", ["raw", "tokens"])
def test_a_batch_of_reconstructions_is_what_each_is_alone(motion: Any) -> None:
    detokenizer, settings = make_video_detokenizer(), replace(RECONSTRUCTION, motion=motion)
    recordings = [recording(seed, motion) for seed in range(3)]
    together = reconstruct_videos(detokenizer, recordings, [SeededDraws(seed) for seed in range(3)], settings)
    for seed, footage in enumerate(together):
        (alone,) = reconstruct_videos(detokenizer, [recordings[seed]], [SeededDraws(seed)], settings)
        assert isinstance(footage, Footage)
        assert isinstance(alone, Footage)
        assert footage.clips.shape == (1, 24, 16, 32, 3)
        assert torch.equal(footage.keyframes, recordings[seed].frames[:1])
        assert_same(footage, alone)


def test_other_seeds_make_other_videos(author: Author) -> None:
    first, second = prompt(0), prompt(0)
    second = Prompt(second.parts, SeededDraws(5))
    one, other = author.generate_videos([first, second], ONE_CLIP)
    assert isinstance(one, Footage)
    assert isinstance(other, Footage)
    assert one.ids != other.ids
    assert not torch.equal(one.clips, other.clips)


def test_a_long_video_reads_its_history_and_starts_from_its_last_frame() -> None:
    author = Watched()
    (footage,) = author.generate_videos([prompt(0)], VIDEO)
    assert isinstance(footage, Footage)
    turn = ["image ids", "motion ids"]
    assert [name for name, _ in author.calls] == [*turn, "paint", "film", *turn, "restart", "paint", "film"]
    stages = dict(enumerate(value for _, value in author.calls))
    own = list(prompt(0).parts[0])
    history: list[int] = own
    for place, mark in ((0, SPACE.image_start), (1, SPACE.motion_start), (4, SPACE.image_start)):
        (asked,), (written,) = stages[place]
        assert asked == history
        history = [*history, mark, *written.new]
    assert footage.ids == tuple(stages[5][1][0].full)
    assert stages[2][:2][0] == 0
    assert stages[2][1] is None
    assert torch.equal(stages[6][0], footage.clips[0, -1])
    assert stages[7][0] == VIDEO.skipped_steps == 1
    assert footage.clips.shape == (2, 24, 16, 32, 3)
    assert footage.frames.shape == (48, 16, 32, 3)
    assert footage.joined.shape == (47, 16, 32, 3)
    assert torch.equal(footage.joined[24], footage.clips[1, 1])


def test_keyframes_pass_through_8_bits_and_pillow() -> None:
    author = Watched()
    (footage,) = author.generate_videos([prompt(0)], ONE_CLIP)
    assert isinstance(footage, Footage)
    painted = dict(author.calls)["paint"][2]
    keyframe = dict(author.calls)["film"][0]
    assert painted.shape == (1, 32, 32, 3)
    assert painted.dtype == keyframe.dtype == torch.uint8
    resized = Image.fromarray(painted[0].numpy()).resize((32, 16), Image.Resampling.BICUBIC)
    assert torch.equal(keyframe[0], torch.from_numpy(np.array(resized)))
    assert torch.equal(footage.keyframes, keyframe)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (32, 16)])
def test_a_picture_is_the_first_keyframe_itself(width: int, height: int) -> None:
    author = Watched()
    settings = replace(ONE_CLIP, width=width, height=height)
    (footage,) = author.generate_videos([prompt(1, "both")], settings)
    assert isinstance(footage, Footage)
    assert [name for name, _ in author.calls] == ["motion ids", "film"]
    given = picture(1, 30, 50)
    text = prompt(1, "both").parts[0]
    codes = [code + SPACE.visual_offset for code in given.codes]
    assert dict(author.calls)["motion ids"][0] == [[*text, SPACE.image_start, *codes, SPACE.image_end]]
    # Also where keyframes and videos have one size, and only the picture has another.
    resized = given.image.resize((32, 16), Image.Resampling.BICUBIC)
    assert torch.equal(footage.keyframes[0], torch.from_numpy(np.array(resized)))


def test_pictures_in_the_prompt_of_an_image_have_no_marks() -> None:
    author = Watched()
    given = Prompt((picture(0), (5, 6), picture(1)), SeededDraws(0))
    (drawing,) = author.generate_images([given], VIDEO)
    assert isinstance(drawing, Drawing)
    codes = [[code + SPACE.visual_offset for code in picture(seed).codes] for seed in (0, 1)]
    assert dict(author.calls)["image ids"][0] == [[*codes[0], 5, 6, *codes[1]]]


def test_nothing_is_made_of_nothing(author: Author) -> None:
    assert author.generate_images([], VIDEO) == []
    assert author.generate_videos([], VIDEO) == []
    assert reconstruct_videos(make_video_detokenizer(), [], [], RECONSTRUCTION) == []


def test_sizes_are_refused_before_anything_is_made(author: Author) -> None:
    with pytest.raises(UsageError, match="width"):
        author.generate_images([prompt(0)], replace(VIDEO, width=36))
    with pytest.raises(UsageError, match="height"):
        author.generate_videos([prompt(0)], replace(VIDEO, video_height=24))


@pytest.mark.parametrize(
    ("change", "keyframe_changes"),
    [
        ({"init_sigma": "carried"}, (True, True)),
        ({"restart_noise_scaling": False}, (False, True)),
        ({"vae_chunk": 5}, (False, True)),
    ],
)
def test_the_three_switches(author: Author, change: dict[str, Any], keyframe_changes: tuple[bool, bool]) -> None:
    (as_published,), (switched,) = film(author, [0]), film(author, [0], replace(VIDEO, **change))
    assert as_published.ids == switched.ids
    differ = [not torch.equal(a, b) for a, b in zip(as_published.keyframes, switched.keyframes, strict=True)]
    assert tuple(differ) == keyframe_changes
    assert not torch.equal(as_published.clips, switched.clips)


def test_scheduler_switches_do_nothing_to_ddim() -> None:
    author = make_author(DDIM)
    (plain,) = film(author, [0])
    for change in ({"init_sigma": "carried"}, {"restart_noise_scaling": False}):
        assert torch.equal(plain.clips, film(author, [0], replace(VIDEO, **change))[0].clips)


def test_low_memory_is_the_same_but_for_rounding(author: Author) -> None:
    thrifty = make_author()
    thrifty.low_memory = True
    for plain, other in zip(film(author, (0, 1), ONE_CLIP), film(thrifty, (0, 1), ONE_CLIP), strict=True):
        assert_same(other, plain)


def test_the_global_generator_is_left_alone(author: Author) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    film(author, (0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
