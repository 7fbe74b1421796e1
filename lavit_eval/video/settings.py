"""What decides the tensors that a video becomes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import av

from lavit_eval.sample import JSON

PREPROCESSING_VERSION = 1
"""Raised with every change that can alter a tensor; part of the cache key and of a model's identity."""

CLIP_FRAMES = 24
"""Frames of a clip: two groups of pictures of the re-encoded stream."""
GROUP = 12
"""Frames from one I-frame to the next in the re-encoded stream (libav's default)."""
MOTION_HEIGHT = 20
MOTION_WIDTH = 36
PICTURE_SIZE = 224


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How a video file becomes clips.

    The encoder's thread count is the number of slices that each picture is cut into, which changes the motion vectors;
    it is therefore fixed here and never taken from the machine. 16 is what the ffmpeg command chooses on a machine with
    15 or more cores.
    """

    max_clips: int = 16
    """At most this many clips of 24 frames (1 or more)."""
    fps: int = 6
    """Pictures per second of the re-encoded stream."""
    encoder_threads: int = 16
    """Slices per picture of the MPEG-4 encoder, 1 to 16."""
    backend: Literal["pyav", "mvextractor"] = "pyav"
    """Who decodes the re-encoded stream; both give the same vectors."""
    size: int = PICTURE_SIZE
    """Side of the square keyframes in pixels."""

    def __post_init__(self) -> None:
        """Refuse what no encoder or selection can do (ValueError)."""
        if self.max_clips < 1 or self.fps < 1 or self.size < 1 or not 1 <= self.encoder_threads <= 16:
            raise ValueError(f"max_clips, fps and size must be at least 1 and encoder_threads 1 to 16: {self}")
        if self.backend not in ("pyav", "mvextractor"):
            raise ValueError(f"backend must be pyav or mvextractor, not {self.backend}")

    def protocol(self) -> dict[str, JSON]:
        """Return everything that can change a tensor: the settings, the version of these rules, libav's versions."""
        libav = {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}
        return {**asdict(self), "preprocessing_version": PREPROCESSING_VERSION, "libav": libav}
