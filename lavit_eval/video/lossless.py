"""Generated videos on disk: every byte for the metrics, a small copy for people."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from lavit_eval.digests import digest_bytes
from lavit_eval.errors import MediumError
from lavit_eval.files import write_atomic
from lavit_eval.video.source import VideoFile, reason

Frames = NDArray[np.uint8]

PIXELS = "bgr0"
"""FFV1 keeps RGB as it is in this format; the usual YUV formats would round it."""
_PREVIEW_PIXELS = "yuv420p"
"""The only format that every player shows."""
_PREVIEW_QUALITY = 18
"""libx264's constant rate factor: below what the eye sees."""
_DIGEST_TAG = "SHA256"
"""Of the frames' bytes: libav would patch up a damaged slice with a line in the log, and no more."""


def write_lossless(path: Path, frames: Frames, fps: int | Fraction) -> None:
    """Write a video so that `read_frames` gives back every byte: FFV1 in Matroska, atomically.

    Equal frames make equal files.

    Args:
        path: The file, in Matroska whatever its suffix; its folder is made if need be.
        frames: uint8 RGB `[n, h, w, 3]`, at least one; at least two pixels wide, which FFV1 needs.
        fps: Frames per second, written into the file.

    Raises:
        ValueError: For frames of another dtype or shape.
    """
    _check(frames)
    tags = {_DIGEST_TAG: digest_bytes(frames.tobytes())}
    write_atomic(path, _encode(frames, fps, "matroska", "ffv1", PIXELS, {"level": "3", "coder": "1"}, tags))


def write_preview(path: Path, frames: Frames, fps: int | Fraction) -> None:
    """Write a video for people: `write_h264` at a quality that is nearly what the frames are; never measured here."""
    write_h264(path, frames, fps, _PREVIEW_QUALITY)


def write_h264(path: Path, frames: Frames, fps: int | Fraction, quality: int) -> None:
    """Write a video as every player reads it: H.264 in MP4, atomically.

    An odd height or width grows by one, with the last row or column repeated, since H.264 halves the colours' size.

    Args:
        path: The file; its folder is made if need be.
        frames: As in `write_lossless`.
        fps: Frames per second.
        quality: libx264's constant rate factor, 0 (best) to 51.

    Raises:
        ValueError: As `write_lossless`.
    """
    _check(frames)
    even = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    options = {"crf": str(quality), "preset": "medium"}
    write_atomic(path, _encode(even, fps, "mp4", "libx264", _PREVIEW_PIXELS, options, {}))


def frame_rate(path: Path) -> Fraction:
    """Return the frames per second that a video states (raises MediumError if it cannot be opened or states none)."""
    with VideoFile(path) as file:
        rate: Fraction | None = file.stream.average_rate or file.stream.guessed_rate
    if not rate:
        raise MediumError(f"video {path} states no frame rate.")
    return Fraction(rate)


def is_lossless(path: Path) -> bool:
    """Say whether a video is one of `write_lossless` (raises MediumError if it cannot be opened)."""
    with VideoFile(path) as file:
        context = file.stream.codec_context
        return (context.name, context.pix_fmt) == ("ffv1", PIXELS) and _DIGEST_TAG in file.container.metadata


def read_frames(path: Path) -> Frames:
    """Return the frames, uint8 RGB `[n, h, w, 3]`, of a file of `write_lossless`.

    Raises:
        MediumError: The file is missing, empty, truncated, damaged, or not of `write_lossless`.
    """
    with VideoFile(path) as file:
        stream = file.stream
        if (stream.codec_context.name, stream.codec_context.pix_fmt) != ("ffv1", PIXELS):
            raise MediumError(f"video {path} is not lossless: it holds no {PIXELS} pixels in FFV1.")
        try:
            frames = [_rgb(frame) for packet in file.packets() for frame in packet.decode()]
            frames += [_rgb(frame) for frame in stream.codec_context.decode(None)]
        except av.FFmpegError as error:
            raise MediumError(f"video {path} is damaged: {reason(error)}.") from error
        stated = file.container.metadata.get(_DIGEST_TAG)
    found = np.stack(frames) if frames else np.empty((0, 1, 1, 3), dtype=np.uint8)
    if digest_bytes(found.tobytes()) != stated:
        raise MediumError(f"video {path} is truncated or damaged: its frames are not those that were written.")
    return found


def _check(frames: Frames) -> None:
    sound = frames.ndim == 4 and frames.shape[0] > 0 and frames.shape[1] > 0 and frames.shape[2] > 1
    if not sound or frames.dtype != np.uint8 or frames.shape[3] != 3:
        raise ValueError(f"frames {frames.dtype} {frames.shape}, expected uint8 [n, h, w, 3] with w > 1")


def _encode(
    frames: Frames,
    fps: int | Fraction,
    container: str,
    codec: str,
    pixels: str,
    options: Mapping[str, str],
    tags: Mapping[str, str],
) -> bytes:
    buffer = io.BytesIO()
    # "bitexact" leaves out the date, the library's version and random track ids.
    with av.open(buffer, "w", format=container, options={"fflags": "+bitexact"}) as file:
        file.metadata.update(tags)
        stream: Any = file.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.options = dict(options)
        stream.thread_count = 1
        for place, picture in enumerate(frames):
            frame = _packed(picture) if pixels == PIXELS else av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = place, 1 / Fraction(fps)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def _packed(picture: Frames) -> Any:
    """Return an RGB picture as a bgr0 frame, laid out by hand: no scaler comes near the values."""
    height, width = picture.shape[:2]
    frame = av.VideoFrame(width, height, PIXELS)
    plane = frame.planes[0]
    rows = np.zeros((height, plane.line_size), dtype=np.uint8)
    rows[:, : 4 * width].reshape(height, width, 4)[..., :3] = picture[..., ::-1]
    plane.update(rows)
    return frame


def _rgb(frame: Any) -> Frames:
    """Return the RGB picture of a bgr0 frame."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)[: frame.height, : 4 * frame.width]
    return np.ascontiguousarray(rows.reshape(frame.height, frame.width, 4)[..., 2::-1])
