"""A medium after preprocessing, image or video alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lavit_eval.sample import JSON, Medium
from lavit_eval.video.cache import ClipCache
from lavit_eval.video.clips import load_clips
from lavit_eval.video.errand import Errand, Prepared
from lavit_eval.video.picture import load_picture
from lavit_eval.video.settings import VideoSettings


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

    @classmethod
    def of(cls, prepared: Prepared) -> Self:
        """Return what another process brought back from the errand of `loading`."""
        digest, file_digest = prepared.facts["digests"]
        keyframes, *motions = prepared.arrays
        return cls(digest, file_digest, keyframes, motions[0] if motions else None)


def load_medium(medium: Medium, settings: VideoSettings, cache: ClipCache | None) -> Loaded:
    """Preprocess an image or video (raises MediumError as `load_picture` and `load_clips`)."""
    if medium.kind == "image":
        picture, digest = load_picture(Path(medium.path), settings.size)
        return Loaded(digest, digest, np.array(picture[None]), None)
    clips = load_clips(Path(medium.path), settings, cache, medium.segment, medium.rate)
    return Loaded(clips.digest, clips.file_digest, clips.keyframes, clips.motions)


def loading(medium: Medium, settings: VideoSettings, cache: ClipCache | None) -> Errand:
    """Return the errand that loads a medium elsewhere, as `load_medium` does here."""
    kept = None if cache is None else [str(cache.folder.resolve()), cache.max_bytes]
    return Errand(f"{__name__}:prepare", medium, {"settings": asdict(settings), "cache": kept})


def prepare(medium: Medium, settings: Mapping[str, JSON], cache: tuple[str, int] | None) -> Prepared:
    """Load a medium (raises MediumError as `load_medium`).

    Args:
        medium: It.
        settings: Fields of `VideoSettings`.
        cache: Folder and most bytes of the cache of preprocessed videos, if any.
    """
    kept = None if cache is None else ClipCache(Path(cache[0]), cache[1])
    loaded = load_medium(medium, VideoSettings(**settings), kept)
    arrays = (loaded.keyframes,) if loaded.motions is None else (loaded.keyframes, loaded.motions)
    return Prepared({"digests": [loaded.digest, loaded.file_digest]}, arrays)
