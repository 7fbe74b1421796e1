"""A maker of tiny images and videos, one request of every kind, and a kill in the middle of a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.models.video_lavit.maker import Maker
from lavit_eval.models.video_lavit.parts import Parts
from lavit_eval.sample import Medium, Request, Response
from tests.models.video_lavit.making import order

CPU = torch.device("cpu")


def make_maker(root: Path, dtype: torch.dtype = torch.float32, **arguments: str) -> Maker:
    return Maker(root, Parts(root, CPU, dtype), Arguments.parse(arguments))


def orders(run: Path, media: dict[str, Medium]) -> list[Request]:
    """Return one request of every kind and form."""
    tree, video = (media["tree"],), (media["run"],)
    return [
        order(run, "picture", "generate_image", "a red ball"),
        order(run, "clip", "generate_video", "a man is running in the street"),
        order(run, "raw", "reconstruct_video", media=video),
        order(run, "remix", "generate_image", "the same at night", tree),
        order(run, "long", "generate_video", "a dog", clips=2),
        order(run, "tokens", "reconstruct_video", media=video, motion="tokens"),
        order(run, "other", "generate_image", "two green boxes on a table"),
        order(run, "moving", "generate_video", media=tree),
        order(run, "guided", "generate_video", "the tree falls", tree),
    ]


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


def kill_after(monkeypatch: pytest.MonkeyPatch, author: Any, step: str, calls: int) -> None:
    """Let the call of a step with this number (from 1) end in a kill."""
    made, work = [], getattr(author, step)

    def counted(*given: Any) -> Any:
        made.append(step)
        if len(made) == calls:
            raise Killed
        return work(*given)

    monkeypatch.setattr(author, step, counted)


def timeless(response: Response) -> Response:
    return replace(response, times={})
