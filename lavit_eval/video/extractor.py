"""The second way to the same vectors: motion-vector-extractor, the library that the reference uses.

It exists for Linux on x86-64 only and carries an old FFmpeg under other terms than this project's, so it is an extra
and serves as a cross-check.
"""

from __future__ import annotations

import tempfile
from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np

from lavit_eval.errors import MediumError, UsageError
from lavit_eval.video.stream import CodedFrame, Mpeg4Stream


def extracted_frames(
    stream: Mpeg4Stream, wanted: Sequence[int] | None = None, pictured: Container[int] | None = None
) -> Iterator[CodedFrame]:
    """Decode frames of a re-encoded stream through motion-vector-extractor; it reads files only and never skips.

    Args:
        stream: The re-encoded stream.
        wanted: Indices in ascending order, by default all.
        pictured: Of which of them the picture is wanted too, by default all.

    Raises:
        UsageError: The library is not installed.
        MediumError: It gives fewer frames than wanted.
    """
    reader = _reader()
    members = frozenset(range(len(stream.frame_types)) if wanted is None else wanted)
    with tempfile.NamedTemporaryFile(suffix=".m4v") as file:
        stream.write(file)
        file.flush()
        if not reader.open(file.name):
            raise MediumError(f"video {stream.name}: motion-vector-extractor cannot open the MPEG-4 stream.")
        try:
            for index in range(max(members, default=-1) + 1):
                # Version 2 gives four values, version 1 a time stamp after them.
                found, picture, vectors, kind, *_ = reader.read()
                if not found:
                    raise MediumError(f"video {stream.name}: motion-vector-extractor ends at frame {index}.")
                if index in members:
                    yield _coded(index, picture, vectors, kind, pictured is None or index in pictured)
        finally:
            reader.release()


def _reader() -> Any:
    try:
        from mvextractor.videocap import VideoCap
    except ImportError as error:
        raise UsageError(
            "the video backend mvextractor needs motion-vector-extractor (Linux on x86-64 only): "
            f"pip install 'lavit-eval[mvextractor]' ({error})"
        ) from error
    return VideoCap()


def _coded(index: int, picture: Any, vectors: Any, kind: str, pictured: bool) -> CodedFrame:
    height, width, _ = picture.shape
    rgb = np.ascontiguousarray(picture[:, :, ::-1]) if pictured else None
    return CodedFrame(index, kind, np.asarray(vectors, dtype=np.int32), height, width, rgb)
