"""Films: what happens in them is dealt evenly, can be seen, and cannot be guessed from their first frame."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

from lavit_eval.demo.drawing import draw_frame, draw_frames
from lavit_eval.demo.events import ASIDE, ASKED, FRAMES, NEAR, PLOTS, REACH, Plot, draw_film, plot_of
from lavit_eval.demo.language import MOTION_KINDS, ask, captions, choices, kind_of
from lavit_eval.demo.world import DIRECTIONS, HEIGHT, MARGIN, WIDTH, Scene

FILMS = [draw_film(0, "test", index) for index in range(48)]


def boxes(scene: Scene, frame: int) -> list[tuple[int, int, int]]:
    across, down = scene.view(frame)
    return [(x - across, y - down, shape.size) for shape in scene.shapes for x, y in [shape.corner(frame)]]


@pytest.mark.parametrize("film", FILMS[:24])
def test_shapes_stay_in_the_frame_and_never_touch(film: Scene) -> None:
    for frame in range(0, FRAMES, 5):
        seen = boxes(film, frame)
        assert all(x >= 0 and y >= 0 and x + size <= WIDTH and y + size <= HEIGHT for x, y, size in seen)
        for (x, y, size), (other_x, other_y, other) in combinations(seen, 2):
            assert x + size <= other_x or other_x + other <= x or y + size <= other_y or other_y + other <= y


@pytest.mark.parametrize("plot", PLOTS)
def test_every_answer_is_as_frequent_as_any_other(plot: Plot) -> None:
    films = [draw_film(1, "test", index, (plot,)) for index in range(48)]
    assert {plot_of(film) for film in films} == {plot}
    for kind in ASKED[plot]:
        answers = Counter(ask(film, kind).answer for film in films)
        assert set(answers) == set(choices(kind))
        assert max(answers.values()) <= (1.3 if kind not in ("order", "position") else 1.8) * 48 / len(answers)


def test_the_first_frame_leaves_every_way_open() -> None:
    for film in FILMS:
        if plot_of(film) in ("pan", "pair"):
            continue
        x, y, size = film.main.x, film.main.y, film.main.size
        assert min(x, y, WIDTH - x - size, HEIGHT - y - size) >= REACH + MARGIN
        for other in film.shapes[1:]:
            across = max(other.x - x - size, x - other.x - other.size)
            down = max(other.y - y - size, y - other.y - other.size)
            assert max(across, down) >= REACH + MARGIN or (across >= 0 and down >= 0)


def test_the_first_frame_does_not_say_which_of_a_pair_moves_nor_where() -> None:
    films = [draw_film(2, "test", index, ("pair",)) for index in range(48)]
    for film in films:
        one, other = film.shapes[:2]
        assert {one.y + one.size // 2 < HEIGHT // 2, other.y + other.size // 2 < HEIGHT // 2} == {True, False}
        assert (one.direction, other.direction) in (("left", None), ("right", None))
        for shape in (one, other):
            assert 2 * ASIDE <= abs(2 * shape.x + shape.size - WIDTH) <= 2 * NEAR
            for third in film.shapes[2:]:
                left, right = shape.x - REACH, shape.x + shape.size + REACH
                assert (
                    third.x >= right
                    or third.x + third.size <= left
                    or not (third.y < shape.y + shape.size and shape.y < third.y + third.size)
                )
    larger = sum(film.shapes[0].size > film.shapes[1].size for film in films)
    assert 12 <= larger <= 36


def test_a_turn_changes_the_way_half_way() -> None:
    film = next(film for film in FILMS if plot_of(film) == "turn")
    places = [film.main.corner(frame) for frame in (0, FRAMES // 2, FRAMES)]
    steps = [np.subtract(after, before) for before, after in pairwise(places)]
    for step, way in zip(steps, (film.main.direction, film.main.then), strict=True):
        assert way is not None
        assert tuple(step) == tuple(2 * film.main.speed * axis for axis in DIRECTIONS[way])


def test_a_turning_camera_moves_everything_the_other_way() -> None:
    film = next(film for film in FILMS if film.pan == "right")
    first, later = draw_frame(film), draw_frame(film, 40)
    np.testing.assert_array_equal(first[:, 30:], later[:, :-30])
    np.testing.assert_array_equal(list(draw_frames(film))[40], later)


@pytest.mark.parametrize("film", FILMS[:12])
def test_what_is_said_is_true(film: Scene) -> None:
    assert len(set(captions(film))) == 5
    ways = [way for way in (film.pan, film.main.direction, film.main.then) if way]
    for text in captions(film):
        assert all(way in text for way in ways)
    told = {"direction"} if plot_of(film) == "pair" else set()
    for kind in MOTION_KINDS - set(ASKED[plot_of(film)]) - told:
        with pytest.raises(ValueError, match=r"told here|nothing moves"):
            ask(film, kind)


def test_the_kind_of_a_question_can_be_told_from_its_text() -> None:
    for film in FILMS:
        for kind in (*ASKED[plot_of(film)], "presence"):
            question = ask(film, kind)
            assert kind_of(question.text) == kind
            assert kind_of(f"{question.text.capitalize()}\nAnswer the question using a single word or phrase.") == kind
    with pytest.raises(ValueError, match="no question of the demo data"):
        kind_of("what is the time?")
