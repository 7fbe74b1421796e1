"""Pictures show what the scene says, seen by a detector that knows only colours and blobs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lavit_eval.demo.drawing import draw_frame, draw_frames, shape_mask
from lavit_eval.demo.language import NUMBERS, ask
from lavit_eval.demo.world import HEIGHT, KINDS, PICTURE, VIDEO, WIDTH, draw_scene
from tests.demo.detector import direction, find_shapes


@pytest.mark.parametrize("index", range(8))
def test_the_answers_can_be_seen(index: int) -> None:
    scene = draw_scene(0, "msvd_qa/test", index, VIDEO)
    first, last = find_shapes(draw_frame(scene)), find_shapes(draw_frame(scene, scene.frames - 1))
    moved = {color: direction(first[color], last[color]) for color in first}
    moving = [color for color, way in moved.items() if way]
    assert NUMBERS[len(first)] == ask(scene, "count").answer
    assert moving == [ask(scene, "color").answer]
    assert first[moving[0]].form() == ask(scene, "shape").answer
    assert moved[moving[0]] == ask(scene, "direction").answer


@pytest.mark.parametrize("index", range(8))
def test_pictures_show_every_shape_in_its_colour_and_form(index: int) -> None:
    scene = draw_scene(0, "coco/val2014", index, PICTURE)
    found = find_shapes(draw_frame(scene))
    assert {(color, blob.form()) for color, blob in found.items()} == {
        (shape.color, shape.kind) for shape in scene.shapes
    }


def test_frames_in_a_row_equal_frames_drawn_alone() -> None:
    scene = draw_scene(1, "test", 2, VIDEO)
    frames = list(draw_frames(scene))
    assert len(frames) == scene.frames
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    assert frames[0].dtype == np.uint8
    for number in (0, 77, scene.frames - 1):
        np.testing.assert_array_equal(frames[number], draw_frame(scene, number))
    with pytest.raises(IndexError):
        draw_frame(scene, scene.frames)


def test_the_forms_differ_and_touch_their_box() -> None:
    masks = [shape_mask(kind, 96) for kind in KINDS]
    areas = sorted(int(mask.sum()) for mask in masks)
    assert all(small < large for small, large in pairwise(areas))
    for kind, mask in zip(KINDS, masks, strict=True):
        rows, columns = np.nonzero(mask)
        assert rows.min() <= 1, kind
        assert columns.max() - columns.min() >= 88, kind


def test_shapes_and_ground_are_textured() -> None:
    scene = draw_scene(0, "test", 0, VIDEO)
    picture = draw_frame(scene).astype(float).mean(-1)
    x, y = scene.main.corner(0)
    half = scene.main.size // 2
    inside = picture[y + half - 8 : y + half + 8, x + half - 8 : x + half + 8]
    assert inside.std() > 4
    assert picture[:16, :16].std() > 2
