"""A medium after preprocessing, image or video alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lavit_eval.sample import Medium
from lavit_eval.video.clips import load_clips
from lavit_eval.video.picture import load_picture
from lavit_eval.video.settings import VideoSettings

if TYPE_CHECKING:
    from lavit_eval.video.cache import ClipCache


@dataclass(frozen=True, slots=True)
class Loaded:
    """A medium after preprocessing."""

    digest: str
    """SHA-256 of what is shown: of the file, or of file and segment (`video.clips.medium_digest`)."""
    file_digest: str
    """SHA-256 of the file."""
    keyframes: NDArray[np.uint8]
    """[n, size, size, 3]; an image is one keyframe."""
    motions: NDArray[np.float32] | None
    """[n, 2, 24, 20, 36] of a video, None of an image."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.keyframes.nbytes + (0 if self.motions is None else self.motions.nbytes)


def load_medium(medium: Medium, settings: VideoSettings, cache: ClipCache | None) -> Loaded:
    """Preprocess an image or video (raises MediumError as `load_picture` and `load_clips`)."""
    if medium.kind == "image":
        picture, digest = load_picture(Path(medium.path), settings.size)
        return Loaded(digest, digest, np.array(picture[None]), None)
    clips = load_clips(Path(medium.path), settings, cache, medium.segment, medium.rate)
    return Loaded(clips.digest, clips.file_digest, clips.keyframes, clips.motions)
