"""What a fault is, and those of the way from a file to tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from lavit_eval.benchmarks import xudejing_qa
from lavit_eval.video import clips, picture, settings, vectors

Patch = tuple[Any, str, Any]
"""Owner, attribute, what stands there instead."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    name: str
    patches: Callable[[], list[Patch]]
    reads: bool = False
    """Whether preprocessing is at fault, so that nothing may come from the cache of preprocessed videos."""

    @contextmanager
    def injected(self) -> Iterator[None]:
        """Have the fault for a while."""
        with ExitStack() as stack:
            for owner, name, value in self.patches():
                stack.enter_context(mock.patch.object(owner, name, value))
            yield


def everywhere(original: Any, replacement: Any) -> list[Patch]:
    """Return patches of every module that has imported a function or class by name."""
    modules = [module for name, module in sys.modules.items() if name.startswith(("lavit_eval", "tests.parity"))]
    found = [
        (module, name, replacement)
        for module in modules
        for name, value in list(vars(module).items())
        if value is original
    ]
    if not found:
        raise ValueError(f"nobody uses {original}")
    return found


def after(original: Callable[..., Any], change: Callable[[Any], Any]) -> list[Patch]:
    """Return patches that change what a function returns."""
    return everywhere(original, lambda *given, **named: change(original(*given, **named)))


def method(owner: type, name: str, change: Callable[[Any], Any]) -> list[Patch]:
    """Return the patch that changes what a method returns."""
    original = getattr(owner, name)
    return [(owner, name, lambda *given, **named: change(original(*given, **named)))]


def reading(name: str, patches: Callable[[], list[Patch]]) -> Fault:
    """Return a fault of preprocessing."""
    return Fault(name, patches, reads=True)


def _without_middle(motion: torch.Tensor) -> torch.Tensor:
    return torch.cat([motion[:, :12], torch.zeros_like(motion[:, 12:13]), motion[:, 13:]], dim=1)


def _squash(resample: Image.Resampling, shown: Image.Image, size: int = 224) -> np.ndarray:
    return np.asarray(shown.resize((size, size), resample))


def _cropped(shown: Image.Image, size: int = 224) -> np.ndarray:
    edge = min(shown.size)
    left, top = (shown.width - edge) // 2, (shown.height - edge) // 2
    return picture_squash(shown.crop((left, top, left + edge, top + edge)), size)


picture_squash = picture.squash


def _antialiased() -> list[Patch]:
    plain = torch.nn.functional.interpolate
    return [(torch.nn.functional, "interpolate", lambda *given, **named: plain(*given, **{**named, "antialias": True}))]


def _other_fps() -> list[Patch]:
    original = settings.VideoSettings.__post_init__

    def doubled(self: settings.VideoSettings) -> None:
        object.__setattr__(self, "fps", 12)
        original(self)

    return [(settings.VideoSettings, "__post_init__", doubled)]


def _one_slice() -> list[Patch]:
    original = settings.VideoSettings.__post_init__

    def single(self: settings.VideoSettings) -> None:
        object.__setattr__(self, "encoder_threads", 1)
        original(self)

    return [(settings.VideoSettings, "__post_init__", single)]


def _next_video() -> list[Patch]:
    original = xudejing_qa.medium_of

    def other(layout: xudejing_qa.Layout, stem: str, path: str) -> Any:
        prefix = stem.rstrip("0123456789")
        number = int(stem.removeprefix(prefix))
        return original(layout, f"{prefix}{number}", path.replace(str(number), str(number ^ 1)))

    return everywhere(original, other)


def _last_frame_first() -> list[Patch]:
    original = clips._decoded

    def swapped(stream: Any, wanted: list[int], starts: list[int], given: Any) -> Iterator[Any]:
        shown = {start: min(start + 23, max(wanted)) for start in starts}
        frames = list(original(stream, wanted, sorted(shown.values()), given))
        seen = {frame.index: frame.picture for frame in frames}
        for frame in frames:
            yield replace(frame, picture=seen[shown[frame.index]] if frame.index in shown else None)

    return [(clips, "_decoded", swapped)]


READING = (
    reading("motion: x and y swapped", lambda: after(vectors.clip_motion, lambda motion: motion.flip(0))),
    reading("motion: the tenfold scale dropped", lambda: [(vectors, "RESCALE", 1.0)]),
    reading("motion: vectors point backwards", lambda: after(vectors.displacements, lambda found: -found)),
    reading("motion: divided by each other's side", lambda: [(vectors, "STD", (0.0552, 0.2035))]),
    reading("motion: frame 12 left empty", lambda: after(vectors.clip_motion, _without_middle)),
    reading("motion: frames in reverse order", lambda: after(vectors.clip_motion, lambda motion: motion.flip(1))),
    reading("motion: one frame late", lambda: after(vectors.clip_motion, lambda motion: motion.roll(1, 1))),
    reading("motion: rows upside down", lambda: after(vectors.clip_motion, lambda motion: motion.flip(2))),
    reading("motion: resized with antialiasing", _antialiased),
    reading("video: twelve frames per second", _other_fps),
    reading("video: encoded in one slice", _one_slice),
    reading(
        "video: clips begin one frame late", lambda: after(clips.select_clips, lambda starts: [n + 1 for n in starts])
    ),
    reading("video: the last frame as keyframe", _last_frame_first),
    reading("data: each video under its neighbour's name", _next_video),
    reading("pictures: BGR for RGB", lambda: after(picture.squash, lambda pixels: pixels[..., ::-1].copy())),
    reading(
        "pictures: bilinear for bicubic",
        lambda: everywhere(picture.squash, partial(_squash, Image.Resampling.BILINEAR)),
    ),
    reading("pictures: centre crop for squash", lambda: everywhere(picture.squash, _cropped)),
    Fault(
        "pictures: mean and deviation of 0.5",
        lambda: [(picture, "CLIP_MEAN", (0.5,) * 3), (picture, "CLIP_STD", (0.5,) * 3)],
    ),
    Fault("pictures: 0..255 for 0..1", lambda: after(picture.normalise, lambda pixels: pixels * 255)),
)
