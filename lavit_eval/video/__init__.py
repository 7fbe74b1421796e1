"""From a video or image file to the model's input."""

from __future__ import annotations

from lavit_eval.video.cache import ClipCache
from lavit_eval.video.clips import VideoClips, load_clips, stream_clips
from lavit_eval.video.picture import load_picture, normalise
from lavit_eval.video.reencode import reencode
from lavit_eval.video.selection import select_clips
from lavit_eval.video.settings import PREPROCESSING_VERSION, VideoSettings
from lavit_eval.video.stream import CodedFrame, Mpeg4Stream, read_stream
from lavit_eval.video.vectors import block_map, clip_motion

__all__ = [
    "PREPROCESSING_VERSION",
    "ClipCache",
    "CodedFrame",
    "Mpeg4Stream",
    "VideoClips",
    "VideoSettings",
    "block_map",
    "clip_motion",
    "load_clips",
    "load_picture",
    "normalise",
    "read_stream",
    "reencode",
    "select_clips",
    "stream_clips",
]
