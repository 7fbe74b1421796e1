"""What is said of a scene is true of it, and no answer can be guessed."""

from __future__ import annotations

from collections import Counter

import pytest

from lavit_eval.demo.language import NUMBERS, QuestionKind, ask, captions, choices
from lavit_eval.demo.world import COLORS, KINDS, PICTURE, VIDEO, Scene, draw_scene

SCENES = [draw_scene(0, split, index, VIDEO) for split in ("msvd_qa/test", "msrvtt_qa/test") for index in range(16)]
PICTURES = [draw_scene(0, "coco/val2014", index, PICTURE) for index in range(16)]


@pytest.mark.parametrize("kind", ["color", "shape", "count", "direction", "presence"])
@pytest.mark.parametrize("half", [0, 1])
def test_no_answer_is_the_most_common_one_by_far(kind: QuestionKind, half: int) -> None:
    answers = Counter(ask(scene, kind).answer for scene in SCENES[16 * half : 16 * half + 16])
    assert set(answers) <= set(choices(kind))
    assert max(answers.values()) <= 0.6 * sum(answers.values())


@pytest.mark.parametrize("scene", [*SCENES[:8], *PICTURES[:8]])
def test_answers_are_single_words_and_true(scene: Scene) -> None:
    named = {shape.kind: shape.color for shape in scene.shapes}
    color, shape, count = ask(scene, "color"), ask(scene, "shape"), ask(scene, "count")
    assert [named[kind] for kind in KINDS if f" {kind}" in color.text] == [color.answer]
    assert [name for name in COLORS if f" {name} " in shape.text] == [named[shape.answer]]
    assert count.answer == NUMBERS[len(scene.shapes)]
    presence = ask(scene, "presence")
    pairs = [f"a {color} {kind}" for kind, color in named.items()]
    assert presence.answer == ("yes" if any(pair in presence.text for pair in pairs) else "no")
    assert all(" " not in question.answer for question in (color, shape, count, presence))


def test_direction_is_asked_only_of_what_moves() -> None:
    assert all(ask(scene, "direction").answer == scene.main.direction for scene in SCENES)
    with pytest.raises(ValueError, match="nothing moves"):
        ask(PICTURES[0], "direction")


@pytest.mark.parametrize("scene", [*SCENES[:8], *PICTURES[:8]])
def test_five_different_captions_that_name_only_what_is_there(scene: Scene) -> None:
    texts = captions(scene)
    assert len(set(texts)) == 5
    for text in texts:
        assert scene.main.name in text
        words = set(text.replace(",", "").split())
        assert words & set(KINDS) <= {shape.kind for shape in scene.shapes}
        assert words & set(COLORS) <= {shape.color for shape in scene.shapes}
        if scene.main.direction:
            assert {scene.main.direction, f"{scene.main.direction}wards"} & words
