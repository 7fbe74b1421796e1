"""Real videos as every browser plays them: small H.264 copies, for people only and never measured."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from lavit_eval.errors import MediumError
from lavit_eval.files import write_atomic
from lavit_eval.video.orientation import Uprighter
from lavit_eval.video.source import VideoFile, reason

SIDE = 480
"""The longer side of a copy, in pixels, at most."""
SECONDS = 60
"""How much of a video a copy shows, at most."""
FASTEST = 30
"""Frames per second, at most."""
_QUALITY = "27"
_PIXELS = "yuv420p"
_EVERYWHERE = {("mp4", "h264"), ("mp4", "av1"), ("webm", "vp8"), ("webm", "vp9"), ("webm", "av1")}
"""Pairs of container and codec that every present browser plays."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a copy shows."""

    cut: bool
    """Whether it ends before the video does."""


def playable_suffix(path: Path) -> str | None:
    """Return the suffix under which browsers play a video as it is, None where they need a copy.

    Raises MediumError when the file is missing, empty, or no video.
    """
    with VideoFile(path) as file:
        formats = set(str(file.container.format.name).split(","))
        context = file.stream.codec_context
        if context.pix_fmt not in (_PIXELS, "yuvj420p"):
            return None
        for container in ("mp4", "webm"):
            if container in formats and (container, str(context.codec.canonical_name)) in _EVERYWHERE:
                return f".{container}"
    return None


def write_small_copy(source: Path, target: Path) -> Written:
    """Write the beginning of a video as a small H.264 file, atomically.

    Pictures are turned upright and keep their proportions; frames are repeated or dropped for a steady rate.

    Raises:
        MediumError: The video is missing, truncated or damaged, or cannot be encoded.
    """
    with VideoFile(source) as file:
        rate = file.stream.average_rate or file.stream.guessed_rate or Fraction(25)
        fps = max(1, min(FASTEST, -(-rate.numerator // rate.denominator)))
        upright = Uprighter(file.stream.time_base)
        pictures = file.pictures(fps, skip=False)
        frames = (upright(frame) if frame.rotation else frame for frame in pictures)
        try:
            content, cut = _encoded(frames, fps)
        except (av.FFmpegError, ValueError) as error:
            raise MediumError(f"video {source} cannot be copied: {reason(error)}.") from error
    write_atomic(target, content)
    return Written(cut)


def _encoded(frames: Iterator[Any], fps: int) -> tuple[bytes, bool]:
    buffer = io.BytesIO()
    cut, stream = False, None
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as out:
        for place, frame in enumerate(frames):
            if place >= SECONDS * fps:
                cut = True
                break
            if stream is None:
                stream = _stream(out, frame, fps)
            small = frame.reformat(width=stream.width, height=stream.height, format=_PIXELS)
            small.pts, small.time_base = place, Fraction(1, fps)
            small.pict_type = 0
            out.mux(stream.encode(small))
        if stream is None:
            raise ValueError("it has no frames")
        out.mux(stream.encode(None))
    return buffer.getvalue(), cut


def _stream(out: Any, frame: Any, fps: int) -> Any:
    shrink = min(1.0, SIDE / max(frame.width, frame.height))
    stream = out.add_stream("libx264", rate=fps)
    # H.264 halves the colours' size, so that both sides must be even.
    stream.width, stream.height = (max(2, round(side * shrink / 2) * 2) for side in (frame.width, frame.height))
    stream.pix_fmt = _PIXELS
    stream.options = {"crf": _QUALITY, "preset": "veryfast"}
    stream.thread_count = 1
    return stream
