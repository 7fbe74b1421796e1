"""The procedural world of the demo data: scenes of textured coloured shapes, one of which may move.

A scene is a pure function of (seed, split, index): no draw depends on another scene, so any of them can be made alone,
in any order. Answers are dealt from shuffled decks, so that over a few scenes each is about equally frequent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lavit_eval.sample import derive_seed

WIDTH = 576
"""Pixels; with HEIGHT the size at which the motion grid of 20 x 36 blocks is native."""
HEIGHT = 320
FPS = 24

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (222, 44, 38),
    "green": (46, 168, 62),
    "blue": (44, 92, 226),
    "yellow": (240, 206, 36),
    "purple": (156, 58, 196),
    "white": (240, 240, 240),
}
"""Name -> RGB of a shape before its texture."""
KINDS = ("square", "circle", "triangle", "diamond", "cross", "star")
"""What a shape can be."""
DIRECTIONS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Name -> unit step (x to the right, y down)."""
TONES: dict[str, tuple[int, int, int]] = {
    "gray": (122, 123, 126),
    "brown": (124, 102, 84),
    "dark": (82, 88, 96),
    "beige": (146, 136, 118),
}
"""Name -> RGB of the ground; less saturated than any coloured shape and darker than a white one."""
PATTERNS = ("cloudy", "tiled", "striped", "spotted")
"""What the ground can look like."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shape:
    """One textured, coloured shape."""

    kind: str
    color: str
    size: int
    """Edge of its square bounding box, pixels."""
    x: int
    """Left edge of the bounding box in the first frame, pixels."""
    y: int
    """Upper edge of the bounding box in the first frame, pixels."""
    texture: int
    """Seed of its texture."""
    direction: str | None = None
    """A key of DIRECTIONS, or None when it stands still."""
    speed: int = 0
    """Pixels per second."""
    then: str | None = None
    """The direction after the turn, or None when it goes straight on."""
    turn: int = 0
    """The frame at which it turns."""

    @property
    def name(self) -> str:
        """What it is called in a question, e.g. "red square"."""
        return f"{self.color} {self.kind}"

    def corner(self, frame: int) -> tuple[int, int]:
        """Return the upper left corner (x, y) of the bounding box at a frame, whole pixels."""
        if self.direction is None:
            return self.x, self.y
        last = frame if self.then is None else min(frame, self.turn)
        legs = ((self.direction, last), (self.then or self.direction, frame - last))
        ways = [(DIRECTIONS[direction], self.speed * frames // FPS) for direction, frames in legs]
        return self.x + sum(step[0] * way for step, way in ways), self.y + sum(step[1] * way for step, way in ways)


@dataclass(frozen=True, slots=True)
class Ground:
    """The textured surface behind the shapes; it stands still."""

    tone: str
    pattern: str
    texture: int
    """Seed of its texture."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What kind of scenes to draw."""

    frames: tuple[int, ...]
    """The lengths to choose from, in frames at FPS; (1,) is a picture."""
    speeds: tuple[int, ...] = ()
    """Speeds of the first shape, pixels per second; empty: nothing moves."""
    sizes: tuple[int, ...] = (72, 80, 88, 96)
    """Of the first shape, pixels."""
    other_sizes: tuple[int, ...] = (56, 64, 72)
    """Of the others, which stand still."""
    counts: tuple[int, ...] = (1, 2, 3, 4)
    """How many shapes there are."""


VIDEO = Recipe(frames=(192, 204, 216, 228, 240), speeds=(18, 24, 36, 48))
"""8 to 10 seconds; at 6 frames per second every speed is a whole number of pixels per frame."""
CLIP = Recipe(frames=(48, 60, 72), speeds=(18, 24, 36, 48))
"""2 to 3 seconds, for clips that are only compared with others: quick to make."""
PICTURE = Recipe(frames=(1,), sizes=(88, 96, 112, 128), other_sizes=(64, 72, 80, 96))


@dataclass(frozen=True, slots=True)
class Scene:
    """All that can be seen, and so all that can be asked."""

    seed: int
    split: str
    index: int
    ground: Ground
    shapes: tuple[Shape, ...]
    """No two have the same kind or the same colour, none ever overlaps another; only the first may move."""
    frames: int
    """How many frames the clip has; 1 for a picture."""
    pan: str | None = None
    """Where the camera turns to, a key of DIRECTIONS: everything is then seen to go the other way."""
    pan_speed: int = 0
    """Pixels per second."""

    def view(self, frame: int) -> tuple[int, int]:
        """Return how far (x, y) the camera has turned by a frame, whole pixels."""
        step_x, step_y = DIRECTIONS[self.pan] if self.pan else (0, 0)
        way = self.pan_speed * frame // FPS
        return step_x * way, step_y * way

    @property
    def main(self) -> Shape:
        """The shape that most questions are about, and the only one that may move."""
        return self.shapes[0]


def generator(seed: int, split: str, index: int, purpose: str) -> np.random.Generator:
    """Return the generator that belongs to one purpose of one scene."""
    return np.random.default_rng(derive_seed("demo world", str(seed), split, str(index), purpose))


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Return one of the choices, each equally likely."""
    return choices[int(rng.integers(len(choices)))]


def deal(seed: int, split: str, index: int, deck: str, choices: Sequence[T]) -> T:
    """Return the choice for a scene, dealt so that any len(choices) scenes in a row from one deck hold each once."""
    order = generator(seed, split, index // len(choices), f"deck of {deck}").permutation(len(choices))
    return choices[int(order[index % len(choices)])]


def draw_scene(seed: int, split: str, index: int, recipe: Recipe) -> Scene:
    """Draw one scene of a split.

    Args:
        seed: The seed of the whole world.
        split: Names an independent series of scenes, e.g. "msvd_qa/test".
        index: The scene's number in its split, from 0.
        recipe: What to draw from.
    """
    rng = generator(seed, split, index, "scene")
    frames = pick(rng, recipe.frames)
    shapes = None
    while shapes is None:
        shapes = _draw_shapes(rng, seed, split, index, recipe, frames)
    ground = Ground(
        tone=deal(seed, split, index, "tone", tuple(TONES)),
        pattern=deal(seed, split, index, "pattern", PATTERNS),
        texture=int(rng.integers(2**31)),
    )
    return Scene(seed, split, index, ground, shapes, frames)


def _draw_shapes(
    rng: np.random.Generator, seed: int, split: str, index: int, recipe: Recipe, frames: int
) -> tuple[Shape, ...] | None:
    """Draw and place the shapes of a scene, or None when they do not fit beside each other."""
    count = deal(seed, split, index, "count", recipe.counts)
    main_color = deal(seed, split, index, "color", tuple(COLORS))
    main_kind = deal(seed, split, index, "kind", KINDS)
    direction = deal(seed, split, index, "direction", tuple(DIRECTIONS)) if recipe.speeds else None
    colors = [main_color, *rng.permutation([color for color in COLORS if color != main_color]).tolist()]
    kinds = [main_kind, *rng.permutation([kind for kind in KINDS if kind != main_kind]).tolist()]
    shapes: list[Shape] = []
    taken: list[tuple[int, int, int, int]] = []
    for number in range(count):
        size = pick(rng, recipe.other_sizes if number else recipe.sizes)
        moves = direction if number == 0 else None
        speeds = [speed for speed in recipe.speeds if moves and _fits(size, moves, speed, frames)]
        speed = pick(rng, speeds) if speeds else 0
        place = _place(rng, size, moves, speed * (frames - 1) // FPS, taken)
        if place is None:
            return None
        x, y, box = place
        taken.append(box)
        shapes.append(Shape(kinds[number], colors[number], size, x, y, int(rng.integers(2**31)), moves, speed))
    return tuple(shapes)


MARGIN = 8
"""Pixels that stay free between the boxes of two shapes, and to the frame's edge."""


def _fits(size: int, direction: str, speed: int, frames: int) -> bool:
    room = WIDTH if DIRECTIONS[direction][0] else HEIGHT
    return size + speed * (frames - 1) // FPS + 2 * MARGIN <= room


def _place(
    rng: np.random.Generator, size: int, direction: str | None, way: int, taken: Sequence[tuple[int, int, int, int]]
) -> tuple[int, int, tuple[int, int, int, int]] | None:
    """Return a start (x, y) and the box (left, top, right, bottom) passed over, apart from those taken, or None."""
    step_x, step_y = DIRECTIONS[direction] if direction else (0, 0)
    width, height = size + abs(step_x) * way, size + abs(step_y) * way
    for _ in range(100):
        left = int(rng.integers(MARGIN, WIDTH - MARGIN - width + 1))
        top = int(rng.integers(MARGIN, HEIGHT - MARGIN - height + 1))
        box = (left, top, left + width, top + height)
        if all(_apart(box, other) for other in taken):
            return left + (way if step_x < 0 else 0), top + (way if step_y < 0 else 0), box
    return None


def _apart(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return (
        one[2] + MARGIN <= other[0]
        or other[2] + MARGIN <= one[0]
        or one[3] + MARGIN <= other[1]
        or other[3] + MARGIN <= one[1]
    )
