"""The detector says yes to what the made world shows, and no to everything else."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lavit_eval.demo.drawing import draw_frames
from lavit_eval.demo.events import PLOTS, draw_film, plot_of
from lavit_eval.demo.language import captions
from lavit_eval.demo.world import Scene
from lavit_eval.models.video_lavit.frames import resize_frames
from training.detector import Asked, judge, read_caption

Frames = NDArray[np.uint8]
FILMS = 12
WORDS = ("a dog runs to the left", "a red square lies on the floor", "")


def clip_of(scene: Scene) -> Frames:
    """Return 24 frames of 64 x 64 pixels, as a generated clip has them."""
    frames = torch.from_numpy(np.stack(list(islice(draw_frames(scene), 0, None, 4))))
    return resize_frames(frames, 64, 64).numpy()


@pytest.fixture(scope="module")
def films() -> list[tuple[Scene, Frames]]:
    scenes = [draw_film(5, "detector", index) for index in range(FILMS)]
    return [(scene, clip_of(scene)) for scene in scenes]


def asked(text: str) -> Asked:
    found = read_caption(text)
    assert found is not None, text
    return found


def test_real_clips_show_what_every_caption_of_theirs_asks(films: list[tuple[Scene, Frames]]) -> None:
    missed = [
        text
        for scene, clip in films
        for text in captions(scene)
        if not (verdict := judge(clip, asked(text))).way or not verdict.shape
    ]
    assert missed == []
    assert {plot_of(scene) for scene, _ in films} == set(PLOTS)


def test_clips_that_run_backwards_never_go_the_asked_way(films: list[tuple[Scene, Frames]]) -> None:
    for scene, clip in films:
        wanted = asked(captions(scene)[0])
        seen = judge(clip[::-1], wanted)
        assert seen.shape
        # What turns from left to up, say, comes back from down to right; only such a turn as left and right is itself.
        assert seen.way == (len(wanted.ways) == 2 and set(wanted.ways) in ({"left", "right"}, {"up", "down"}))


def test_clips_that_stand_still_go_nowhere(films: list[tuple[Scene, Frames]]) -> None:
    for scene, clip in films:
        seen = judge(np.repeat(clip[:1], len(clip), 0), asked(captions(scene)[0]))
        assert (seen.shape, seen.way) == (True, False)


def test_a_colour_that_is_not_there_is_not_seen(films: list[tuple[Scene, Frames]]) -> None:
    for scene, clip in films:
        there = {shape.color for shape in scene.shapes}
        for color in {"red", "green", "blue", "yellow", "purple", "white"} - there:
            assert not judge(clip, Asked((color,), ("left",))).shape, color


def test_noise_is_right_no_more_often_than_by_chance(films: list[tuple[Scene, Frames]]) -> None:
    generator, right, tried = np.random.default_rng(0), 0, 0
    for grain in (1, 4, 16):
        for scene, _ in films:
            coarse = generator.integers(0, 256, (24, 64 // grain, 64 // grain, 3), dtype=np.uint8)
            clip = coarse.repeat(grain, 1).repeat(grain, 2)
            right += judge(clip, asked(captions(scene)[0])).way
            tried += 1
    assert right / tried < 0.25


def test_captions_say_what_moves_and_where() -> None:
    assert asked("a red square slides upwards while a blue star stays still") == Asked(("red",), ("up",))
    assert asked("a red star moves to the left and then downwards") == Asked(("red",), ("left", "down"))
    pan = asked("a camera turns to the left over a red star and a white cross")
    assert pan == Asked(("red", "white"), ("right",))


@pytest.mark.parametrize("text", WORDS)
def test_a_text_that_asks_for_no_moving_shape_is_not_judged(text: str) -> None:
    assert read_caption(text) is None
