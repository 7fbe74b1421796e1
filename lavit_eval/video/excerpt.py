"""Chosen frames of a video file of any kind, as they are: every pixel, at the video's own size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavit_eval.errors import MediumError
from lavit_eval.video.lossless import is_lossless, read_frames
from lavit_eval.video.orientation import Uprighter
from lavit_eval.video.source import VideoFile

Frames = NDArray[np.uint8]
Choice = Callable[[int, Fraction | None], Sequence[int]]
"""(number of frames, frames per second) -> indices of those wanted, ascending."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some frames of a video."""

    frames: Frames
    """uint8 RGB `[n, h, w, 3]`."""
    total: int
    """How many frames the video has."""
    fps: Fraction | None
    """The average that the file states; None where it states none."""


def read_excerpt(path: Path, choose: Choice) -> Excerpt:
    """Return the frames of a video that `choose` asks for; the whole file is decoded, so that damage is seen.

    Args:
        path: A video file. One of `write_lossless` gives its very bytes; others are turned upright where they say so
            and converted to RGB by libav.
        choose: May raise MediumError, e.g. for a video that is too short.

    Raises:
        MediumError: The file is missing, truncated, damaged or no video.
    """
    fps = _rate(path)
    if is_lossless(path):
        every = read_frames(path)
        return Excerpt(every[list(choose(len(every), fps))], len(every), fps)
    count = _packets(path)
    frames, found = _decoded(path, choose(count, fps))
    if found != count:
        # Packets and frames differ in number in files with packed or hidden pictures; now the number is known.
        count = found
        frames, found = _decoded(path, choose(count, fps))
    if not frames:
        raise MediumError(f"video {path} has no frames.")
    sizes = {frame.shape for frame in frames}
    if len(sizes) > 1:
        raise MediumError(f"video {path} changes its size: {' and '.join(f'{w}x{h}' for h, w, _ in sorted(sizes))}.")
    return Excerpt(np.stack(frames), found, fps)


def _rate(path: Path) -> Fraction | None:
    with VideoFile(path) as file:
        rate = file.stream.average_rate or file.stream.guessed_rate
        return Fraction(rate) if rate else None


def _packets(path: Path) -> int:
    with VideoFile(path) as file:
        return sum(1 for _ in file.packets())


def _decoded(path: Path, wanted: Sequence[int]) -> tuple[list[Frames], int]:
    """Return the wanted frames and the number of all."""
    places = set(wanted)
    kept: dict[int, Frames] = {}
    count = 0
    with VideoFile(path) as file:
        upright = Uprighter(file.stream.time_base)
        for frame in file.frames():
            if count in places:
                kept[count] = _rgb(frame, upright)
            count += 1
    return [kept[place] for place in wanted if place in kept], count


def _rgb(frame: Any, upright: Uprighter) -> Frames:
    turned = upright(frame) if frame.rotation else frame
    picture: Frames = turned.to_ndarray(format="rgb24")
    return picture
