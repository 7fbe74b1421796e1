"""Made questions with options or a yes or no, and answers, for the tests of their metrics."""

from __future__ import annotations

from lavit_eval.metrics.mme import COGNITION, PERCEPTION
from lavit_eval.metrics.pope import CATEGORIES
from lavit_eval.sample import Likelihoods, Sample

REPLIES = (
    *("Yes", "no.", "not sure", "  yes", "", "NO!", "the answer is no", "Yes, it is", "nope", "yes or no"),
    "I do not. Yes",
)


def choice(
    number: int, reading: str, answer: str = "A", choices: tuple[str, ...] = ("left", "a dog", "two"), **extra: object
) -> Sample:
    """Return a multiple-choice question."""
    return Sample(str(number), (), "?", (answer,), {}, {"reading": reading, "choices": list(choices), **extra})


def rotated(question: int, choices: tuple[str, ...] = ("left", "a dog", "two"), right: str = "left") -> list[Sample]:
    """Return a question in every rotation of its choices."""
    samples = []
    for turn in range(len(choices)):
        turned = choices[-turn:] + choices[:-turn] if turn else choices
        extra: dict[str, object] = {"question": str(question), "rotations": len(choices)}
        samples.append(choice(turn * 1000000 + question, "vlmevalkit", "ABCD"[turned.index(right)], turned, **extra))
    return samples


def mme_image(subtask: str, stem: str) -> list[Sample]:
    """Return the two questions of an image."""
    image = f"{subtask}/{stem}.jpg"
    return [
        Sample(f"{image}#{line}", (), "?", (answer,), {"subtask": subtask}, group=image)
        for line, answer in ((1, "Yes"), (2, "No"))
    ]


def pope_question(category: str, number: int, label: str) -> Sample:
    """Return a question of POPE."""
    return Sample(f"{category}/{number}", (), "?", (label,), {"category": category})


def mme_set() -> tuple[list[Sample], list[str]]:
    """Return two images of every subtask, with answers."""
    samples = [one for name in PERCEPTION + COGNITION for stem in "ab" for one in mme_image(name, stem)]
    return samples, [REPLIES[place % len(REPLIES)] for place in range(len(samples))]


def pope_set() -> tuple[list[Sample], list[str]]:
    """Return questions of every part, with answers."""
    samples = [pope_question(part, n, "yes" if n % 3 == 1 else "no") for part in CATEGORIES for n in range(1, 9)]
    return samples, [REPLIES[(5 * place) % len(REPLIES)] for place in range(len(samples))]


def choice_set() -> tuple[list[Sample], list[str]]:
    """Return questions of every reading, those of one reading in all rotations, with answers."""
    readings = ["scienceqa", "exact"]
    questions = [choice(n, readings[n % 2], "ABC"[n % 3], question=f"q{n}") for n in range(12)]
    samples = [*questions, *(one for question in range(100, 104) for one in rotated(question))]
    replies = ("A", "B. it", "The answer is C.", " a dog", "C", "I do not know", "left", "A or B")
    texts = [replies[place % len(replies)] for place in range(len(samples))]
    texts[-3:] = [sample.references[0] for sample in samples[-3:]]
    return samples, texts


def ranked_set() -> tuple[list[Sample], list[str], list[Likelihoods | None]]:
    """Return questions in two categories, choices, and likelihoods of most of them."""
    samples = [
        Sample(str(n), (), "?", ("ABC"[n % 3],), {"question_type": "xy"[n % 2]}, {"choices": ["left", "a dog", "two"]})
        for n in range(12)
    ]
    sums = [[-1.0 - (n * k) % 7 for k in (1, 3, 5)] for n in range(12)]
    ranked = [None if n % 5 == 4 else Likelihoods.of(sums[n], [1, 4, 2]) for n in range(12)]
    return samples, ["B", "left", "none", "C"] * 3, ranked


def stages(name: str, *answers: str) -> list[Sample]:
    """Return both questions of an image, which ten people answered so (the last answer fills up)."""
    people = (*answers, *[answers[-1]] * (10 - len(answers)))
    return [
        Sample(name + end, (), "?", people, {}, {"stage": stage, "image": name})
        for end, stage in (("#answerable", "answerable"), ("", "answer"))
    ]


def stage_set() -> tuple[list[Sample], list[str]]:
    """Return images that are asked about in two stages, with replies."""
    samples = [one for n in range(6) for one in stages(str(n), *["unanswerable", "red"][n % 2 :], "two")]
    return samples, ["yes", "red", "no", "red", "I know", "two", "Yes", "Two.", "", "", "NO", "unanswerable"]
