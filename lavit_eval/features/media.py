"""From a medium to the frames that a protocol looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from lavit_eval.errors import MediumError
from lavit_eval.metrics.feature_metric import Need
from lavit_eval.metrics.video_input import Frames, choose_frames
from lavit_eval.sample import derive_seed
from lavit_eval.video.excerpt import Excerpt, read_excerpt
from lavit_eval.video.picture import open_picture

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


@dataclass(frozen=True, slots=True)
class Item:
    """One medium, or one text, whose features are wanted."""

    sample_id: str
    digest: str
    """Of its content: what its features are kept under."""
    path: Path | None
    text: str | None = None
    content: str = ""
    """The digest of the file itself, where features belong to more than it (a reconstruction and its source)."""
    partner: Path | None = None
    """The source of a reconstruction, which it is compared with."""


def frames_of(item: Item, need: Need) -> Excerpt:
    """Return the frames of a medium that a need is about.

    Raises:
        MediumError: The file cannot be used, or the video is shorter than the clip.
    """
    if item.path is None:
        raise ValueError(f"{item.sample_id} has no file")
    if item.path.suffix.lower() in IMAGE_SUFFIXES:
        picture, _ = open_picture(item.path)
        _refuse_clip(item.path, need)
        return Excerpt(np.array(picture)[None], 1, None)
    return read_excerpt(item.path, lambda count, fps: _chosen(item, need, count, fps))


def partner_frames(item: Item, need: Need) -> Frames:
    """Return the frames of a reconstruction's source that a need is about (raises MediumError as `frames_of`)."""
    if item.partner is None:
        raise ValueError(f"{item.sample_id} has no source")
    return read_excerpt(item.partner, lambda count, fps: _chosen(item, need, count, fps)).frames


def _refuse_clip(path: Path, need: Need) -> None:
    if (need.protocol.frames or 1) > 1:
        raise MediumError(f"image {path} gives no clip of {need.protocol.frames} frames.")


def _chosen(item: Item, need: Need, count: int, fps: Fraction | None) -> Sequence[int]:
    protocol, part = need.protocol, need.selection.part
    count = count if protocol.span is None else min(count, protocol.span)
    if protocol.frames is None:
        return range(count)
    if protocol.frames_per_second is not None and fps is None:
        raise MediumError(f"video {item.path} does not say how many frames a second it has.")
    try:
        return choose_frames(
            count,
            protocol.frames,
            part,
            protocol.stride,
            fps if protocol.frames_per_second is not None else None,
            None if protocol.frames_per_second is None else Fraction(protocol.frames_per_second),
            derive_seed("clip", str(protocol.sampling_seed), item.digest) if part == "random" else None,
        )
    except MediumError as error:
        raise MediumError(f"video {item.path}: {error}.") from error
