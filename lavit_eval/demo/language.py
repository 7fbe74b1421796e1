"""What can be said of a scene: questions with their answers, and captions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lavit_eval.demo.world import COLORS, DIRECTIONS, HEIGHT, KINDS, WIDTH, Scene, Shape, deal, generator, pick

QuestionKind = Literal[
    "color", "shape", "count", "direction", "presence", "size", "position", "speed", "order", "pan", "place"
]
NUMBERS = ("zero", "one", "two", "three", "four")
"""A count as a word."""

WORDINGS: dict[QuestionKind, tuple[str, ...]] = {
    "color": ("what color is the {kind}?", "what color is the {kind} in the scene?"),
    "shape": ("what is the {color} shape?", "what is the {color} thing?"),
    "count": ("how many shapes are there?", "how many shapes are in the scene?"),
    "direction": ("where does the {kind} move?", "where is the {kind} moving to?"),
    "presence": ("is there a {color} {kind}?", "is there a {color} {kind} in the scene?"),
    "size": ("how big is the {kind}?", "how large is the {kind}?"),
    "position": ("on which side is the {kind}?", "on which side does the {kind} start?"),
    "speed": ("how fast does the {kind} move?", "how fast is the {kind}?"),
    "order": ("where does the {kind} move {when}?", "where does the {kind} go {when}?"),
    "pan": ("where does the camera turn?", "where is the camera turning to?"),
    "place": ("in which half does something move?", "in which half is something moving?"),
}
MOTION_KINDS: frozenset[QuestionKind] = frozenset({"direction", "speed", "order", "pan", "place"})
"""What no single frame shows."""
SPEEDS = {12: "slow", 24: "fast"}
"""Pixels per second of a film's shape -> word."""
LARGE = 80
"""The edge of a shape from which on it is called large, pixels; no film has a main shape near it."""
ASTRIDE = 10
"""A shape nearer than this to the horizontal middle line lies in neither half, pixels."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question on a scene whose answer is one word."""

    kind: QuestionKind
    text: str
    """In lower case, with a question mark."""
    answer: str
    """A colour, a kind of shape, a number as a word, left/right/up/down, top/bottom, slow/fast, small/large, yes/no."""


def ask(scene: Scene, kind: QuestionKind) -> Question:
    """Return the scene's question of a kind.

    The kinds of MOTION_KINDS need motion: the scene must have it (raises ValueError).
    """
    if kind in MOTION_KINDS:
        return _ask_of_motion(scene, kind)
    rng = generator(scene.seed, scene.split, scene.index, f"question {kind}")
    shape = scene.main
    color, name = shape.color, shape.kind
    if kind == "color":
        answer = shape.color
    elif kind == "shape":
        answer = shape.kind
    elif kind == "count":
        answer = NUMBERS[len(scene.shapes)]
    elif kind == "size":
        answer = "large" if shape.size >= LARGE else "small"
    elif kind == "position":
        answer = "left" if 2 * shape.x + shape.size < WIDTH else "right"
    else:
        answer = deal(scene.seed, scene.split, scene.index, "presence", ("yes", "no"))
        there = pick(rng, scene.shapes)
        color, name = (there.color, there.kind) if answer == "yes" else pick(rng, _absent(scene))
    return Question(kind, pick(rng, WORDINGS[kind]).format(color=color, kind=name), answer)


def kind_of(question: str) -> QuestionKind:
    """Return what kind of question a text of the demo data is, as VQAv2 asks it or not (raises ValueError if none)."""
    text = question.split("\n", 1)[0].lower()
    for kind, wordings in WORDINGS.items():
        for wording in wordings:
            pattern = re.escape(wording)
            for name in ("kind", "color", "when"):
                pattern = pattern.replace(re.escape("{" + name + "}"), "[a-z]+")
            if re.fullmatch(pattern, text):
                return kind
    raise ValueError(f"no question of the demo data: {question}")


def _ask_of_motion(scene: Scene, kind: QuestionKind) -> Question:
    rng = generator(scene.seed, scene.split, scene.index, f"question {kind}")
    shape, when = scene.main, ""
    if kind == "pan":
        answer = scene.pan
    elif kind == "place":
        answer = None if shape.then else half_crossed(shape)
    elif kind == "direction":
        answer = None if shape.then else shape.direction
    elif kind == "speed":
        answer = SPEEDS[shape.speed] if shape.direction else None
    else:
        when = deal(scene.seed, scene.split, scene.index, "order", ("first", "last"))
        answer = (shape.direction if when == "first" else shape.then) if shape.then else None
    if answer is None:
        raise ValueError("nothing moves in this scene" if not shape.direction else f"no {kind} can be told here")
    return Question(kind, pick(rng, WORDINGS[kind]).format(kind=shape.kind, when=when), answer)


def half_crossed(shape: Shape) -> str | None:
    """Return the half of the picture, top or bottom, in which a shape moves across; None if it does not, or astride."""
    if shape.direction not in ("left", "right"):
        return None
    if shape.y + shape.size <= HEIGHT // 2 - ASTRIDE:
        return "top"
    return "bottom" if shape.y >= HEIGHT // 2 + ASTRIDE else None


def _absent(scene: Scene) -> list[tuple[str, str]]:
    """Return the (colour, kind) pairs that are not there, though one half of each is."""
    colors, kinds = {shape.color for shape in scene.shapes}, {shape.kind for shape in scene.shapes}
    present = {(shape.color, shape.kind) for shape in scene.shapes}
    pairs = [(color, kind) for color in COLORS for kind in KINDS]
    return [pair for pair in pairs if pair not in present and (pair[0] in colors) != (pair[1] in kinds)]


def choices(kind: QuestionKind) -> tuple[str, ...]:
    """Return every answer that a kind of question can have."""
    return {
        "color": tuple(COLORS),
        "shape": KINDS,
        "count": NUMBERS[1:],
        "direction": tuple(DIRECTIONS),
        "presence": ("yes", "no"),
        "size": ("small", "large"),
        "position": ("left", "right"),
        "speed": tuple(SPEEDS.values()),
        "order": tuple(DIRECTIONS),
        "pan": tuple(DIRECTIONS),
        "place": ("top", "bottom"),
    }[kind]


WAYS = {"left": "to the left", "right": "to the right", "up": "upwards", "down": "downwards"}
"""Direction -> how a caption says it."""


def captions(scene: Scene) -> tuple[str, ...]:
    """Return five captions of a scene, in lower case without a full stop, all true and all different."""
    if scene.pan:
        return _panning_captions(scene)
    return _moving_captions(scene) if scene.main.direction else _still_captions(scene)


def _still_captions(scene: Scene) -> tuple[str, ...]:
    named, tone, pattern = _joined(scene.shapes), scene.ground.tone, scene.ground.pattern
    number = NUMBERS[len(scene.shapes)]
    noun = "shape" if len(scene.shapes) == 1 else "shapes"
    return (
        f"{named} on a {tone} background",
        f"a picture of {named}",
        f"there is {named} in front of a {pattern} {tone} wall",
        f"{number} {noun} on a {tone} {pattern} surface, {named}",
        f"{named} lying on a {pattern} floor",
    )


def _moving_captions(scene: Scene) -> tuple[str, ...]:
    main, tone, pattern = scene.main, scene.ground.tone, scene.ground.pattern
    way = WAYS[main.direction or ""]
    if main.then:
        return _turning_captions(scene)
    others = scene.shapes[1:]
    still = f" while {_joined(others)} {'stays' if len(others) == 1 else 'stay'} still" if others else ""
    beside = f" past {_joined(others)}" if others else ""
    return (
        f"a {main.name} moves {way}",
        f"a {main.name} is moving {main.direction} on a {tone} background",
        f"a {main.name} slides {way}{still}",
        f"a video of a {main.name} going {main.direction}{beside}",
        f"on a {pattern} {tone} surface a {main.name} travels {way}",
    )


def _turning_captions(scene: Scene) -> tuple[str, ...]:
    main, tone, pattern = scene.main, scene.ground.tone, scene.ground.pattern
    first, then = WAYS[main.direction or ""], WAYS[main.then or ""]
    return (
        f"a {main.name} moves {first} and then {then}",
        f"a {main.name} is moving {main.direction} and then {main.then} on a {tone} background",
        f"a {main.name} slides {first} before it turns {then}",
        f"a video of a {main.name} going {main.direction}, then {main.then}",
        f"on a {pattern} {tone} surface a {main.name} travels {first}, later {then}",
    )


def _panning_captions(scene: Scene) -> tuple[str, ...]:
    named, way, tone, pattern = _joined(scene.shapes), WAYS[scene.pan or ""], scene.ground.tone, scene.ground.pattern
    return (
        f"the camera turns {way} past {named}",
        f"the camera is turning {scene.pan}, {named} on a {tone} background",
        f"a camera turns {way} over {named}",
        f"a video of {named} while the camera goes {scene.pan}",
        f"over a {pattern} {tone} surface with {named} the camera travels {way}",
    )


def _joined(shapes: Sequence[Shape]) -> str:
    names = [f"a {shape.name}" for shape in shapes]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
