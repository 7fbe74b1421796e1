"""Questions about small media, and what a tiny model says to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.sample import Medium, Request, Response, Seeds, Settings, derive_seed

GREEDY = Settings(max_new_tokens=8)
SAMPLED = Settings(max_new_tokens=8, do_sample=True, temperature=0.9, top_p=0.95)


def load(root: Path, **arguments: str) -> VideoLavit:
    return VideoLavit.load(ModelOptions(checkpoint=str(root), arguments=arguments))


def ask(
    medium: Medium | None, question: str, settings: Settings = GREEDY, repeat: int = 0, per_question: bool = False
) -> Request:
    name = f"{medium.name if medium else 'nothing'}: {question}"
    seeds = Seeds(42 + repeat, repeat, derive_seed("write", name, str(repeat)), name if per_question else None)
    return Request(name, repeat, "answer", (medium,) if medium else (), question, settings, seeds)


def mixed(media: dict[str, Medium], settings: Settings = GREEDY) -> list[Request]:
    return [
        ask(media["run"], "What moves?", settings),
        ask(None, "Name three colours.", settings),
        ask(media["tree"], "Is the tree green?", settings),
        ask(media["run"], "Which way does the square move, left or right?", settings),
        ask(media["jump"], "How many?", settings),
        ask(media["house"], "", settings),
    ]


def facts(response: Response) -> tuple[object, ...]:
    """Return all of a response but its times."""
    return replace(response, times={}), response.text


def respond_alone(root: Path, request: Request, **arguments: str) -> Response:
    return load(root, **arguments).respond([request])[0]
