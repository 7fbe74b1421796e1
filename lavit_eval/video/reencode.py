"""Any video file to the MPEG-4 Part 2 stream whose motion vectors and keyframes the model was trained on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from lavit_eval.errors import MediumError
from lavit_eval.sample import Segment
from lavit_eval.video.ahead import run_ahead
from lavit_eval.video.orientation import PIXELS, Uprighter
from lavit_eval.video.settings import VideoSettings
from lavit_eval.video.source import OutOfOrderError, VideoFile, reason
from lavit_eval.video.stream import Mpeg4Stream

BIT_RATE = 8_000_000


def reencode(
    path: Path, settings: VideoSettings, segment: Segment | None = None, rate: int | None = None
) -> Mpeg4Stream:
    """Decode a video file and code it again, in memory, byte for byte as the ffmpeg command would.

    That is: upright, limited range, `settings.fps` pictures per second, MPEG-4 Part 2 at 8 Mbit/s, an I-frame every 12
    pictures and at hard cuts, no B-frames, one motion vector per 16x16 block, `settings.encoder_threads` slices, and
    the size of the source.

    Args:
        path: The file.
        settings: How it is coded.
        segment: Only this part of it, as if it were a file of its own (`VideoFile.segment_pictures`).
        rate: Pictures a second where the path is a folder of them.

    Raises:
        MediumError: The file is missing, empty, truncated, damaged, changes its size, or has no pictures.
    """
    try:
        return _reencode(path, settings, segment, rate, skip=True)
    except OutOfOrderError:
        return _reencode(path, settings, segment, rate, skip=False)


def _reencode(
    path: Path, settings: VideoSettings, segment: Segment | None, rate: int | None, skip: bool
) -> Mpeg4Stream:
    stream = Mpeg4Stream(str(path))
    try:
        # Closing the packets first ends the thread that still reads the file.
        with VideoFile(path, rate) as file, closing(_encode(file, settings, segment, skip)) as packets:
            for packet in packets:
                # No B-frames: every picture that is not a keyframe is predicted from the one before.
                stream.append(packet, "I" if packet.is_keyframe else "P")
        if not stream.frame_types:
            part = "" if segment is None else f" in its segment {segment}"
            raise MediumError(
                f"video {path} has no frames at {settings.fps} per second{part}: it is empty or too short."
            )
    except BaseException:
        stream.close()
        raise
    return stream


def _encode(
    file: VideoFile, settings: VideoSettings, segment: Segment | None, skip: bool
) -> Generator[Any, None, None]:
    upright = Uprighter(file.stream.time_base)
    encoder: Any = None
    seen: Any = None
    picture: Any = None
    if segment is None:
        pictures = run_ahead(file.pictures(settings.fps, skip))
    else:
        pictures = run_ahead(file.segment_pictures(settings.fps, segment, quick=skip))
    try:
        for place, frame in enumerate(pictures):
            if frame is not seen:
                seen, picture = frame, upright(frame)
            if encoder is None:
                encoder = _encoder(picture, settings)
                # Only a note in the stream's header; it changes no picture and no vector.
                aspect = file.stream.sample_aspect_ratio
                if aspect:
                    encoder.sample_aspect_ratio = 1 / aspect if upright.transposed else aspect
            if (picture.width, picture.height) != (encoder.width, encoder.height):
                raise MediumError(f"video {file.path} changes its picture size on the way.")
            picture.pts, picture.time_base = place, encoder.time_base
            # A type left over from the source would force the encoder's choice.
            picture.pict_type = 0
            yield from encoder.encode(picture)
        if encoder is not None:
            yield from encoder.encode(None)
    except av.FFmpegError as error:
        raise MediumError(f"video {file.path} cannot be re-encoded: {reason(error)}.") from error
    finally:
        pictures.close()


def _encoder(picture: Any, settings: VideoSettings) -> Any:
    # A bare context keeps libav's own bit_rate_tolerance, unlike a stream added to a container by PyAV.
    encoder: Any = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height = picture.width, picture.height
    encoder.pix_fmt = PIXELS
    encoder.bit_rate = BIT_RATE
    encoder.time_base = Fraction(1, settings.fps)
    encoder.framerate = Fraction(settings.fps)
    encoder.gop_size = 12
    encoder.max_b_frames = 0
    encoder.thread_count = settings.encoder_threads
    encoder.thread_type = "SLICE"
    return encoder
