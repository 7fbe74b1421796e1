"""Media preprocessed in other processes are those of this one, byte for byte, and so are the reasons of failure."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lavit_eval.errors import MediumError
from lavit_eval.sample import Medium, Segment
from lavit_eval.video.cache import ClipCache
from lavit_eval.video.decoders import Decoders
from lavit_eval.video.loaded import Loaded, load_medium
from lavit_eval.video.settings import VideoSettings
from tests.models.video_lavit.media import write_picture, write_video

SETTINGS = VideoSettings(size=28, max_clips=2)
MOODY = """
import os, signal
from lavit_eval.video.decoder import main
from lavit_eval.video.loaded import load_medium

def load(medium, settings, cache):
    path = medium.path
    print("said where answers go")
    if "kills" in path:
        os.kill(os.getpid(), signal.SIGKILL)
    if "once" in path and not os.path.exists(path + ".mark"):
        open(path + ".mark", "w").close()
        os._exit(9)
    if "raises" in path:
        raise RuntimeError("nobody foresaw")
    return load_medium(medium, settings, cache)

main(load)
"""


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(1, SETTINGS, command=(sys.executable, "-c", MOODY))
    yield made
    made.close()


def _settled(decoders: Decoders, ready: int) -> None:
    deadline = time.monotonic() + 120
    while len(decoders._ready) < ready:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _equal(one: Loaded, other: Loaded) -> None:
    assert (one.digest, one.file_digest) == (other.digest, other.file_digest)
    assert (one.keyframes.dtype, one.keyframes.tobytes()) == (other.keyframes.dtype, other.keyframes.tobytes())
    assert one.keyframes.shape == other.keyframes.shape
    assert (one.motions is None) == (other.motions is None)
    if one.motions is not None and other.motions is not None:
        assert one.motions.dtype == other.motions.dtype == np.float32
        assert one.motions.shape == other.motions.shape
        assert one.motions.tobytes() == other.motions.tobytes()


def test_what_comes_out_is_what_this_process_makes_and_one_that_kills_fails_alone(
    tmp_path: Path, decoders: Decoders
) -> None:
    video = write_video(tmp_path / "a.mp4", 1, seconds=3)
    paths = {
        "picture": write_picture(tmp_path / "p.png", 2),
        "video": video,
        "kills": tmp_path / "kills.mp4",
        "damaged": tmp_path / "damaged.mp4",
        "once": tmp_path / "once.mp4",
        "raises": tmp_path / "raises.mp4",
    }
    content = video.read_bytes()
    for name in ("kills", "once", "raises"):
        paths[name].write_bytes(content)
    paths["damaged"].write_bytes(content[: len(content) // 3])
    media = {name: Medium("image" if name == "picture" else "video", str(path), name) for name, path in paths.items()}
    media["part"] = dataclasses.replace(media["video"], segment=Segment.seconds(0.1, 1.7))
    decoders.foresee(list(media.items()))
    _settled(decoders, len(media))
    for name in ("picture", "video", "once", "part"):
        found = decoders.take(name)
        assert found is not None
        _equal(found, load_medium(media[name], SETTINGS, None))
    with pytest.raises(MediumError) as here:
        load_medium(media["damaged"], SETTINGS, None)
    with pytest.raises(MediumError) as there:
        decoders.take("damaged")
    assert str(there.value) == str(here.value)
    with pytest.raises(MediumError, match=r"kills.mp4 ended the process that decoded it \(-9\), twice"):
        decoders.take("kills")
    # What nobody foresaw is for the model's own process to meet.
    assert decoders.take("raises") is None
    assert decoders._held == 0
    assert decoders.take("never foreseen") is None


def test_no_more_is_held_than_was_allowed_and_nobody_waits_for_what_is_not_begun(tmp_path: Path) -> None:
    media = [Medium("image", str(write_picture(tmp_path / f"{n}.png", n)), str(n)) for n in range(6)]
    size = load_medium(media[0], SETTINGS, None).size
    decoders = Decoders(1, SETTINGS, held_bytes=2 * size)
    try:
        decoders.foresee([(medium.name, medium) for medium in media])
        _settled(decoders, 2)
        time.sleep(0.2)
        assert set(decoders._ready) == {"0", "1"}
        assert decoders.take("5") is None
        assert decoders.take("0") is not None
        _settled(decoders, 2)
        assert set(decoders._ready) == {"1", "2"}
        # Known already, so that it need not be held.
        assert decoders.take("1", wanted=False) is not None
        _settled(decoders, 2)
        assert set(decoders._ready) == {"2", "3"}
    finally:
        decoders.close()


def test_the_cache_on_disk_is_filled(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path / "cache")
    medium = Medium("video", str(write_video(tmp_path / "a.mp4", 1, seconds=2)), "a")
    decoders = Decoders(1, SETTINGS, cache)
    try:
        decoders.foresee([("a", medium)])
        _settled(decoders, 1)
        found = decoders.take("a")
    finally:
        decoders.close()
    assert found is not None
    kept = cache.get(found.digest, SETTINGS)
    assert kept is not None
    assert kept.motions.tobytes() == (found.motions.tobytes() if found.motions is not None else b"")
