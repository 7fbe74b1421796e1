"""What can be said of a scene: questions with their answers, and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lavit_eval.demo.world import COLORS, DIRECTIONS, KINDS, Scene, Shape, deal, generator, pick

QuestionKind = Literal["color", "shape", "count", "direction", "presence"]
NUMBERS = ("zero", "one", "two", "three", "four")
"""A count as a word."""

WORDINGS: dict[QuestionKind, tuple[str, ...]] = {
    "color": ("what color is the {kind}?", "what color is the {kind} in the scene?"),
    "shape": ("what is the {color} shape?", "what is the {color} thing?"),
    "count": ("how many shapes are there?", "how many shapes are in the scene?"),
    "direction": ("where does the {kind} move?", "where is the {kind} moving to?"),
    "presence": ("is there a {color} {kind}?", "is there a {color} {kind} in the scene?"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question on a scene whose answer is one word."""

    kind: QuestionKind
    text: str
    """In lower case, with a question mark."""
    answer: str
    """A colour, a kind of shape, a number as a word, left/right/up/down, or yes/no."""


def ask(scene: Scene, kind: QuestionKind) -> Question:
    """Return the scene's question of a kind.

    Only `direction` needs motion; the scene must have a moving shape for it (raises ValueError).
    """
    rng = generator(scene.seed, scene.split, scene.index, f"question {kind}")
    shape = scene.main
    color, name = shape.color, shape.kind
    if kind == "color":
        answer = shape.color
    elif kind == "shape":
        answer = shape.kind
    elif kind == "count":
        answer = NUMBERS[len(scene.shapes)]
    elif kind == "direction":
        if shape.direction is None:
            raise ValueError("nothing moves in this scene")
        answer = shape.direction
    else:
        answer = deal(scene.seed, scene.split, scene.index, "presence", ("yes", "no"))
        there = pick(rng, scene.shapes)
        color, name = (there.color, there.kind) if answer == "yes" else pick(rng, _absent(scene))
    return Question(kind, pick(rng, WORDINGS[kind]).format(color=color, kind=name), answer)


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
    }[kind]


def captions(scene: Scene) -> tuple[str, ...]:
    """Return five captions of a scene, in lower case without a full stop, all true and all different."""
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
    way = {"left": "to the left", "right": "to the right", "up": "upwards", "down": "downwards"}[main.direction or ""]
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


def _joined(shapes: Sequence[Shape]) -> str:
    names = [f"a {shape.name}" for shape in shapes]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
