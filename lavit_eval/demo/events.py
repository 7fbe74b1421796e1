"""Films of the procedural world: clips in which no single frame tells where, how fast and in which order things move.

A film is one clip of the model's: 24 pictures at 6 per second. Where its shapes stand in the first picture has the same
distribution whatever happens next, so that what needs motion cannot be guessed from the keyframe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np

from lavit_eval.demo.language import ASTRIDE, SPEEDS, QuestionKind, half_crossed
from lavit_eval.demo.world import (
    COLORS,
    DIRECTIONS,
    FPS,
    HEIGHT,
    KINDS,
    MARGIN,
    PATTERNS,
    TONES,
    WIDTH,
    Ground,
    Scene,
    Shape,
    deal,
    generator,
    pick,
)

Plot = Literal["straight", "turn", "pan", "pair"]
PLOTS: tuple[Plot, ...] = ("straight", "turn", "pan", "pair")
"""The main shape goes one way; it turns half-way; the camera turns and nothing else moves; of two shapes, one in each
half of the picture, one crosses to the left or to the right."""
FRAMES = 96
"""4 seconds."""
PAN_SPEED = 18
"""Pixels per second."""
REACH = max(SPEEDS) * FRAMES // FPS
"""How far the fastest shape gets, pixels."""
SMALL, LARGE = (56, 60, 64), (88, 92, 96)
"""Sizes of the main shape, which are called small and large, pixels."""
OTHERS = (48, 56, 64)
"""Sizes of the other shapes, pixels."""
ASIDE = 36
"""The main shape's centre is at least this far from the vertical middle line, so that it has a side, pixels."""
NEAR = 84
"""The centres of a pair are at most this far from it, so that many cross it, pixels."""
ASKED: dict[Plot, tuple[QuestionKind, ...]] = {
    "straight": ("color", "direction", "speed", "size"),
    "turn": ("shape", "order", "speed", "count"),
    "pan": ("color", "pan", "count", "position"),
    "pair": ("place", "speed", "position", "size"),
}
"""Plot -> the four questions that are asked of a film."""

T = TypeVar("T")
Box = tuple[int, int, int, int]


def draw_film(seed: int, split: str, index: int, plots: Sequence[Plot] = PLOTS) -> Scene:
    """Draw one film of a split, a pure function of its arguments; plots, directions and speeds are dealt evenly."""
    rng = generator(seed, split, index, "film")
    plot = deal(seed, split, index, "plot", plots)
    dealt = partial(_deal, seed, split, index // len(plots), plot)
    shapes = None
    while shapes is None:
        shapes = _draw_shapes(rng, dealt, plot)
    ground = Ground(
        tone=deal(seed, split, index, "tone", tuple(TONES)),
        pattern=deal(seed, split, index, "pattern", PATTERNS),
        texture=int(rng.integers(2**31)),
    )
    first = dealt("direction", ("left", "right") if plot == "pair" else tuple(DIRECTIONS))
    then = pick(rng, [way for way in DIRECTIONS if way != first])
    if plot == "pan":
        return Scene(seed, split, index, ground, shapes, FRAMES, pan=first, pan_speed=PAN_SPEED)
    main = replace(shapes[0], direction=first, speed=dealt("speed", tuple(SPEEDS)))
    if plot == "turn":
        main = replace(main, then=then, turn=FRAMES // 2)
    return Scene(seed, split, index, ground, (main, *shapes[1:]), FRAMES)


def _deal(seed: int, split: str, number: int, plot: Plot, deck: str, choices: Sequence[T]) -> T:
    """Deal to the films of one plot, `number` counting them, so that its answers are balanced for themselves."""
    return deal(seed, split, number, f"{deck} of {plot}", choices)


def plot_of(scene: Scene) -> Plot:
    """Return what happens in a film."""
    if scene.pan:
        return "pan"
    if scene.main.then:
        return "turn"
    return "pair" if half_crossed(scene.main) else "straight"


def _draw_shapes(rng: np.random.Generator, dealt: Callable[..., Any], plot: Plot) -> tuple[Shape, ...] | None:
    """Draw and place the shapes of a film, all still standing, or None when they do not fit beside each other."""
    count = dealt("count", (2, 3, 4) if plot == "pair" else (1, 2, 3, 4))
    main_color, main_kind = dealt("color", tuple(COLORS)), dealt("kind", KINDS)
    colors = [main_color, *rng.permutation([color for color in COLORS if color != main_color]).tolist()]
    kinds = [main_kind, *rng.permutation([kind for kind in KINDS if kind != main_kind]).tolist()]
    edge = MARGIN + PAN_SPEED * FRAMES // FPS if plot == "pan" else MARGIN
    reach = 0 if plot == "pan" else REACH
    size = pick(rng, dealt("size", (SMALL, LARGE)))
    if plot == "pair":
        placed = _place_pair(rng, (size, pick(rng, SMALL + LARGE)), dealt("half", (0, 1)))
        taken = [_box(x, y, size, reach, 0) for size, x, y in placed]
    else:
        placed = [(size, *_place_main(rng, size, edge + reach))]
        taken = _swept(placed[0][1], placed[0][2], size, reach)
    for _ in range(len(placed), count):
        size = pick(rng, OTHERS)
        corner = _place_other(rng, size, edge, taken)
        if corner is None:
            return None
        taken.append(_box(*corner, size, 0, 0))
        placed.append((size, *corner))
    looks = zip(kinds, colors, placed, strict=False)
    return tuple(Shape(kind, color, *place, texture=int(rng.integers(2**31))) for kind, color, place in looks)


def _place_main(rng: np.random.Generator, size: int, edge: int) -> tuple[int, int]:
    """Return a corner (x, y) from which the shape can go every way, to the left or to the right of the middle."""
    while True:
        x = int(rng.integers(edge, WIDTH - edge - size + 1))
        if abs(2 * x + size - WIDTH) >= 2 * ASIDE:
            return x, int(rng.integers(edge, HEIGHT - edge - size + 1))


def _place_pair(rng: np.random.Generator, sizes: tuple[int, int], half: int) -> list[tuple[int, int, int]]:
    """Return (size, x, y) of the main shape in the upper (0) or lower (1) half and of one in the other.

    Each could go to the left as well as to the right: nothing in the first frame says which of them does.
    """
    placed = []
    for size, lower in zip(sizes, (half, 1 - half), strict=True):
        x = (WIDTH - size) // 2 + pick(rng, (-1, 1)) * int(rng.integers(ASIDE, NEAR + 1))
        free = HEIGHT // 2 - ASTRIDE - MARGIN - size
        placed.append((size, x, int(rng.integers(free + 1)) + (HEIGHT // 2 + ASTRIDE if lower else MARGIN)))
    return placed


def _swept(x: int, y: int, size: int, reach: int) -> list[Box]:
    """Return boxes that hold every way that a shape could go: straight on, or half as far and then aside."""
    ways = ((reach, 0), (0, reach), (reach // 2, reach // 2))
    return [_box(x, y, size, across, down) for across, down in ways]


def _box(x: int, y: int, size: int, across: int, down: int) -> Box:
    return x - across, y - down, x + size + across, y + size + down


def _place_other(rng: np.random.Generator, size: int, edge: int, taken: Sequence[Box]) -> tuple[int, int] | None:
    for _ in range(100):
        x, y = (int(rng.integers(edge, side - edge - size + 1)) for side in (WIDTH, HEIGHT))
        if all(
            x + size + MARGIN <= left or right + MARGIN <= x or y + size + MARGIN <= top or bottom + MARGIN <= y
            for left, top, right, bottom in taken
        ):
            return x, y
    return None
