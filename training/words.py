"""What is said during training: the tokenizer's text, questions on any shape with their answers, captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from lavit_eval.demo.events import ASIDE, draw_film
from lavit_eval.demo.language import MOTION_KINDS, NUMBERS, WORDINGS, QuestionKind, ask, captions
from lavit_eval.demo.world import COLORS, KINDS, PICTURE, WIDTH, Scene, Shape, draw_scene
from lavit_eval.models.video_lavit.answer import STOP_TEXT
from lavit_eval.models.video_lavit.tokenizer import SYSTEM

VQA = "{question}\nAnswer the question using a single word or phrase."
"""The prompt of tasks/image_qa/vqav2.yaml."""
DESCRIBE = "Describe the image briefly."
"""The prompt of tasks/captioning/coco_karpathy_test.yaml."""
LIST = "List the shapes."
"""Asked in training alone."""
APPEARANCE: tuple[QuestionKind, ...] = ("color", "shape", "count", "size", "position", "presence")
ON_PICTURES: tuple[QuestionKind, ...] = ("color", "shape", "count", "presence")
MIRRORED = {"left": "right", "right": "left"}
UPSIDE_DOWN = {"up": "down", "down": "up", "top": "bottom", "bottom": "top"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer."""

    kind: QuestionKind | str
    question: str
    answer: str


def tokenizer_text(seed: int) -> Iterator[str]:
    """Yield what the tokenizer is trained on: prompts, every wording with every name, captions."""
    for _ in range(300):
        yield f"{SYSTEM} USER: ASSISTANT: {STOP_TEXT}"
        yield VQA.format(question="") + " " + DESCRIBE
    for _ in range(10):
        for kind in KINDS:
            for color in COLORS:
                for wordings in WORDINGS.values():
                    for wording in wordings:
                        text = wording.format(kind=kind, color=color, when="first last")
                        yield f"{text} {text[0].upper()}{text[1:]}"
        yield "yes no one two three four 1 2 3 4 slow fast small large left right up down top bottom " * 20
    for index in range(200):
        yield " ".join(captions(draw_film(seed, "words", index)))
        yield " ".join(captions(draw_scene(seed, "words", index, PICTURE)))


def ask_appearance(scene: Scene, kind: QuestionKind, mirrored: bool, generator: torch.Generator) -> Exchange:
    """Return a question that one picture answers, on any shape that can be asked about, not on the first alone."""
    if kind not in ("count", "presence"):
        told = [place for place, shape in enumerate(scene.shapes) if kind != "position" or _has_side(shape)]
        scene = replace(scene, shapes=_rotated(scene.shapes, told[_draw(len(told), generator)]))
    scene = replace(scene, index=_draw(1 << 30, generator))
    question = ask(scene, kind)
    answer = MIRRORED[question.answer] if mirrored and kind == "position" else question.answer
    return Exchange(kind, question.text, answer)


def ask_motion(scene: Scene, name: str, turned: tuple[bool, bool], generator: torch.Generator) -> list[Exchange]:
    """Return all questions that the motion of a scene answers, asked of what is called `name`.

    Args:
        scene: Whose motion it is.
        name: The kind of the shape that stands in the keyframe, which may be of another film.
        turned: Whether the motion is mirrored left to right, and upside down.
        generator: Draws the wording.
    """
    scene = replace(scene, index=_draw(1 << 30, generator), shapes=(replace(scene.main, kind=name), *scene.shapes[1:]))
    found = []
    # Neighbours ask for the first way and for the last.
    neighbour = replace(scene, index=scene.index ^ 1)
    for asked, kind in (*((scene, kind) for kind in sorted(MOTION_KINDS)), (neighbour, "order")):
        try:
            question = ask(asked, kind)
        except ValueError:
            continue
        answer = question.answer
        for turn, other in zip(turned, (MIRRORED, UPSIDE_DOWN), strict=True):
            answer = other.get(answer, answer) if turn else answer
        found.append(Exchange(kind, question.text, answer))
    return found


def describe(scene: Scene, mirrored: bool) -> Exchange:
    """Return the caption of a picture; it names the shapes from left to right, which a picture can teach."""
    ordered = sorted(scene.shapes, key=lambda shape: shape.x + shape.size / 2, reverse=mirrored)
    return Exchange("caption", DESCRIBE, captions(replace(scene, shapes=tuple(ordered)))[0])


def list_shapes(scene: Scene, mirrored: bool, generator: torch.Generator) -> Exchange:
    """Return all that a picture shows, shape after shape and word after word in random order.

    Where the answer to a question stands far from the name that it depends on, here each word stands beside it: with
    this the language model finds what belongs to a name, which from questions alone it does not learn.
    """
    said = []
    for place in torch.randperm(len(scene.shapes), generator=generator).tolist():
        shape = scene.shapes[place]
        kinds: list[QuestionKind] = ["shape", "color"]
        kinds += ["size"] if scene.frames > 1 else []
        kinds += ["position"] if _has_side(shape) else []
        seen = replace(scene, shapes=(shape,))
        words = [ask(seen, kind).answer for kind in kinds]
        words = [MIRRORED.get(word, word) if mirrored else word for word in words]
        # A name comes first, so that what follows belongs to something.
        first = _draw(2, generator)
        rest = [word for number, word in enumerate(words) if number != first]
        said.append(
            [words[first], *(rest[number] for number in torch.randperm(len(rest), generator=generator).tolist())]
        )
    return Exchange("list", LIST, ", ".join(" ".join(words) for words in said))


def on_picture(exchange: Exchange) -> Exchange:
    """Return an exchange as VQAv2 has it: a capital letter, how to answer, and numbers as digits."""
    question, answer = exchange.question, exchange.answer
    if exchange.kind == "count":
        answer = str(NUMBERS.index(answer))
    return replace(exchange, question=VQA.format(question=question[0].upper() + question[1:]), answer=answer)


def _has_side(shape: Shape) -> bool:
    """Say whether a shape's centre is as far from the vertical middle line as a film's main shape's is."""
    return abs(2 * shape.x + shape.size - WIDTH) >= 2 * ASIDE


def _rotated(items: Sequence[Shape], by: int) -> tuple[Shape, ...]:
    return (*items[by:], *items[:by])


def _draw(below: int, generator: torch.Generator) -> int:
    return int(torch.randint(below, (1,), generator=generator))
