"""The output is tied to the version of the rules: change one and the other must follow."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from lavit_eval.video.clips import load_clips
from lavit_eval.video.picture import normalise
from lavit_eval.video.selection import select_clips
from lavit_eval.video.settings import PREPROCESSING_VERSION, VideoSettings
from lavit_eval.video.stream import read_stream
from lavit_eval.video.vectors import block_map, clip_motion

FIXTURE = Path(__file__).parent / "fixtures" / "reencoded.m4v"
"""Ready stream of 52 frames, 96x64, so that no encoder's version matters."""

PINNED = {
    1: {
        "rules": "03ce7887654f6d53818a12df7b3c4b62edf871edf29a874f068e4ac1229c512a",
        "stream": "b3545fe9ea99a2b8cdf30778b6a444396b610100e76ce88248a1693477784e8c",
        "motion": (-0.79629, 5.95453),
        "keyframe": (0.18507, 0.91035),
    }
}
"""Per version; a new version gets a new entry when a tensor is meant to change."""


def rules_digest() -> str:
    """Digest of what arithmetic alone decides: selection, and motion at a size that needs no resize."""
    rng = np.random.default_rng(0)
    maps = []
    for _ in range(24):
        vectors = np.zeros((500, 10), dtype=np.int32)
        vectors[:, 0] = rng.choice([-1, 1], 500)
        vectors[:, 5], vectors[:, 6] = rng.integers(-9, 585, 500), rng.integers(-9, 329, 500)
        vectors[:, 7:9], vectors[:, 9] = rng.integers(-90, 90, (500, 2)), 2
        maps.append(block_map(vectors, 320, 576))
    kinds = ["".join(rng.choice(["I", "P"], 400, p=[0.03, 0.97])) + "I" for _ in range(50)]
    kinds += [("I" + "P" * 11) * count for count in range(1, 60)]
    starts = [select_clips(each, most) for each in kinds for most in (1, 4, 16)]
    return hashlib.sha256(clip_motion(maps).numpy().tobytes() + str(starts).encode()).hexdigest()


def stream_digest() -> str:
    """Digest of the frame types and block maps of the fixture."""
    with read_stream(FIXTURE) as stream:
        maps = [block_map(frame.vectors, frame.height, frame.width) for frame in stream.frames(pictured=())]
        kinds = stream.frame_types
    return hashlib.sha256(kinds.encode() + np.stack(maps).tobytes()).hexdigest()


def test_rules_are_those_of_this_version() -> None:
    assert rules_digest() == PINNED[PREPROCESSING_VERSION]["rules"]


def test_stream_reading_is_that_of_this_version() -> None:
    assert stream_digest() == PINNED[PREPROCESSING_VERSION]["stream"]


def test_clips_are_those_of_this_version() -> None:
    """Resizing and the inverse transform may round otherwise elsewhere, so these are pinned to a thousandth."""
    clips = load_clips(FIXTURE, VideoSettings())
    pictures = normalise(clips.keyframes)
    assert clips.starts == (12,)
    found = (float(clips.motions.mean()), float(clips.motions.std()))
    assert found == pytest.approx(PINNED[PREPROCESSING_VERSION]["motion"], abs=1e-3)
    assert (float(pictures.mean()), float(pictures.std())) == pytest.approx(
        PINNED[PREPROCESSING_VERSION]["keyframe"], abs=2e-3
    )
