"""Scenes are pure functions of (seed, split, index), lie within the frame, and are dealt evenly."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.demo.world import COLORS, DIRECTIONS, HEIGHT, PICTURE, VIDEO, WIDTH, Recipe, deal, draw_scene

RECIPES = st.sampled_from([VIDEO, PICTURE])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 99), index=st.integers(0, 999), recipe=RECIPES)
def test_shapes_stay_in_the_frame_and_never_touch(seed: int, index: int, recipe: Recipe) -> None:
    scene = draw_scene(seed, "train", index, recipe)
    for frame in {0, scene.frames // 2, scene.frames - 1}:
        boxes = [(*shape.corner(frame), shape.size) for shape in scene.shapes]
        assert all(x >= 0 and y >= 0 and x + size <= WIDTH and y + size <= HEIGHT for x, y, size in boxes)
        for (x, y, size), (other_x, other_y, other_size) in combinations(boxes, 2):
            apart_x = x + size <= other_x or other_x + other_size <= x
            assert apart_x or y + size <= other_y or other_y + other_size <= y


@settings(max_examples=30, deadline=None)
@given(index=st.integers(0, 999), recipe=RECIPES)
def test_only_the_first_shape_moves_and_all_differ(index: int, recipe: Recipe) -> None:
    scene = draw_scene(0, "train", index, recipe)
    assert [shape.direction is not None for shape in scene.shapes] == [
        bool(recipe.speeds) and number == 0 for number in range(len(scene.shapes))
    ]
    assert len({shape.color for shape in scene.shapes}) == len({shape.kind for shape in scene.shapes})
    assert len({shape.kind for shape in scene.shapes}) == len(scene.shapes) in recipe.counts
    assert scene.frames in recipe.frames


def test_a_shape_moves_its_speed_in_its_direction() -> None:
    scene = draw_scene(0, "test", 0, VIDEO)
    shape = scene.main
    assert shape.direction is not None
    (x0, y0), (x1, y1) = shape.corner(0), shape.corner(96)
    step = DIRECTIONS[shape.direction]
    assert (x1 - x0, y1 - y0) == (4 * shape.speed * step[0], 4 * shape.speed * step[1])


def test_a_scene_depends_on_seed_split_and_index_only() -> None:
    alone = draw_scene(3, "test", 5, VIDEO)
    assert [draw_scene(3, "test", index, VIDEO) for index in range(8)][5] == alone
    others = [draw_scene(4, "test", 5, VIDEO), draw_scene(3, "train", 5, VIDEO), draw_scene(3, "test", 6, VIDEO)]
    assert all(other.main.texture != alone.main.texture for other in others)


@pytest.mark.parametrize("first", [0, 6, 12])
def test_a_deck_holds_every_choice_once(first: int) -> None:
    dealt = [deal(1, "test", index, "color", tuple(COLORS)) for index in range(first, first + 6)]
    assert Counter(dealt) == Counter(COLORS.keys())
