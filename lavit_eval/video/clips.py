"""From a video file to what the model sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lavit_eval.digests import cached_digest, digest_json
from lavit_eval.errors import MediumError
from lavit_eval.sample import Segment
from lavit_eval.video.picture import squash
from lavit_eval.video.picture_folder import folder_digest
from lavit_eval.video.reencode import reencode
from lavit_eval.video.selection import select_clips
from lavit_eval.video.settings import CLIP_FRAMES, VideoSettings
from lavit_eval.video.source import VideoFile
from lavit_eval.video.stream import CodedFrame, Mpeg4Stream
from lavit_eval.video.vectors import Maps, block_map, clip_motion

if TYPE_CHECKING:
    from lavit_eval.video.cache import ClipCache


@dataclass(frozen=True, slots=True)
class VideoClips:
    """The chosen clips of one video: a keyframe and 24 frames of motion each."""

    keyframes: NDArray[np.uint8]
    """[n, size, size, 3] RGB, the clips' first frames of the re-encoded stream, squashed by Pillow's bicubic filter."""
    motions: NDArray[np.float32]
    """[n, 2, 24, 20, 36], x and y displacement, ten times the normalised ones."""
    starts: tuple[int, ...]
    """First frame of each clip."""
    frames: int
    """Frames of the whole re-encoded stream."""
    digest: str
    """SHA-256 of what was shown: the file's content, or content and segment (`medium_digest`)."""
    file_digest: str = ""
    """SHA-256 of the file's content."""


def medium_digest(file_digest: str, segment: Segment | None) -> str:
    """Return the SHA-256 that stands for what is shown: the file's own, or that of file and segment together."""
    if segment is None:
        return file_digest
    return digest_json({"file": file_digest, "segment": [str(segment.start), str(segment.end)]})


def load_clips(
    path: Path,
    settings: VideoSettings,
    cache: ClipCache | None = None,
    segment: Segment | None = None,
    rate: int | None = None,
) -> VideoClips:
    """Turn a video file into the clips that the model sees.

    A raw MPEG-4 Part 2 stream (told by its content, not by its name) has no times that could be brought to 6 per
    second: it is taken for one that is re-encoded already. Every other file is re-encoded first.

    Args:
        path: The file.
        settings: What decides the result.
        cache: Looked up before, filled after.
        segment: Only this part of the file, as if it were a file of its own.
        rate: Pictures a second where the path is a folder of them.

    Raises:
        MediumError: The file is missing, empty, truncated, damaged, or has no video, frames or I-frame.
    """
    try:
        file_digest = cached_digest(path) if rate is None else folder_digest(path, rate)
    except OSError as error:
        raise MediumError(f"video {path} cannot be read: {error.strerror}.") from error
    digest = medium_digest(file_digest, segment)
    found = cache.get(digest, settings) if cache else None
    if found is None:
        with coded_stream(path, settings, segment, rate) as stream:
            found = stream_clips(stream, settings, digest)
        if cache:
            cache.put(found, settings)
    return replace(found, file_digest=file_digest)


def stream_clips(stream: Mpeg4Stream, settings: VideoSettings, digest: str = "") -> VideoClips:
    """Choose, decode and reduce the clips of a re-encoded stream.

    Raises:
        MediumError: The stream has no I-frame or is damaged.
    """
    try:
        starts = select_clips(stream.frame_types, settings.max_clips)
    except ValueError as error:
        raise MediumError(f"video {stream.name} has no I-frame to begin a clip with.") from error
    total = len(stream.frame_types)
    windows = [range(start, min(start + CLIP_FRAMES, total)) for start in starts]
    wanted = sorted({index for window in windows for index in window})
    keyframes: dict[int, NDArray[np.uint8]] = {}
    maps: dict[int, Maps] = {}
    for frame in _decoded(stream, wanted, starts, settings):
        maps[frame.index] = block_map(frame.vectors, frame.height, frame.width)
        if frame.picture is not None:
            keyframes[frame.index] = squash(Image.fromarray(frame.picture), settings.size)
    motions = np.stack([clip_motion([maps[index] for index in window]).numpy() for window in windows])
    return VideoClips(np.stack([keyframes[start] for start in starts]), motions, tuple(starts), total, digest)


def coded_stream(
    path: Path, settings: VideoSettings, segment: Segment | None = None, rate: int | None = None
) -> Mpeg4Stream:
    """Return a video file, or a segment of it, re-encoded; a raw MPEG-4 stream as it is (raises MediumError)."""
    with VideoFile(path, rate) as file:
        ready = file.is_elementary
    if ready and segment is not None:
        raise MediumError(f"video {path} is a raw MPEG-4 stream without times, so its segment {segment} is not known.")
    return Mpeg4Stream.read(path) if ready else reencode(path, settings, segment, rate)


def _decoded(
    stream: Mpeg4Stream, wanted: list[int], starts: list[int], settings: VideoSettings
) -> Iterator[CodedFrame]:
    if settings.backend == "mvextractor":
        from lavit_eval.video.extractor import extracted_frames

        return extracted_frames(stream, wanted, starts)
    return stream.frames(wanted, starts)
