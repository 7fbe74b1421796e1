"""Media preprocessed in other processes are those of this one, byte for byte, and so are the reasons of failure."""

from __future__ import annotations

import dataclasses
import json
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
from lavit_eval.video.errand import Errand
from lavit_eval.video.loaded import Loaded, load_medium, loading
from lavit_eval.video.settings import VideoSettings
from tests.models.video_lavit.media import write_picture, write_video

SETTINGS = VideoSettings(size=28, max_clips=2)
MOODY = """
import os, signal
from lavit_eval.video import loaded
from lavit_eval.video.decoder import main

load_medium = loaded.load_medium

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

loaded.load_medium = load
main()
"""


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(1, command=(sys.executable, "-c", MOODY))
    yield made
    made.close()


def _errand(medium: Medium) -> Errand:
    return loading(medium, SETTINGS, None)


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
    decoders.foresee([(name, _errand(medium)) for name, medium in media.items()])
    _settled(decoders, len(media))
    for name in media:
        if name == "kills":
            with pytest.raises(MediumError, match=r"kills.mp4 ended the process that decoded it \(-9\), twice"):
                decoders.take(name)
        elif name == "damaged":
            with pytest.raises(MediumError) as here:
                load_medium(media[name], SETTINGS, None)
            with pytest.raises(MediumError) as there:
                decoders.take(name)
            assert str(there.value) == str(here.value)
        elif name == "raises":
            # What nobody foresaw is for the model's own process to meet.
            assert decoders.take(name) is None
        else:
            found = decoders.take(name)
            assert found is not None
            _equal(Loaded.of(found), load_medium(media[name], SETTINGS, None))
    assert decoders._held == 0
    assert decoders.take("never foreseen") is None


@pytest.fixture
def media(tmp_path: Path) -> list[Medium]:
    """Return six pictures of one size, named by their place."""
    return [Medium("image", str(write_picture(tmp_path / f"{n}.png", n)), str(n)) for n in range(6)]


@pytest.fixture
def two_held(media: list[Medium]) -> Iterator[Decoders]:
    """Return decoders that hold two pictures."""
    made = Decoders(1, held_bytes=2 * load_medium(media[0], SETTINGS, None).size)
    yield made
    made.close()


def test_no_more_is_held_than_was_allowed_and_nobody_waits_for_what_is_not_begun(
    media: list[Medium], two_held: Decoders
) -> None:
    two_held.foresee([(medium.name, _errand(medium)) for medium in media])
    _settled(two_held, 2)
    time.sleep(0.2)
    assert set(two_held._ready) == {"0", "1"}
    assert two_held.take("0") is not None
    _settled(two_held, 2)
    assert set(two_held._ready) == {"1", "2"}
    # Known already, so that it need not be held.
    assert two_held.take("1", wanted=False) is not None
    _settled(two_held, 2)
    assert set(two_held._ready) == {"2", "3"}
    assert two_held.take("5") is None


def test_what_is_passed_over_is_dropped_and_makes_room(media: list[Medium], two_held: Decoders) -> None:
    foreseen = [(medium.name, _errand(medium)) for medium in media]
    two_held.foresee(foreseen)
    _settled(two_held, 2)
    # Others had 0 to 2; what is not ready is nobody's to wait for.
    assert two_held.take("3") is None
    _settled(two_held, 2)
    assert set(two_held._ready) == {"4", "5"}
    assert set(two_held._order) == {"4", "5"}
    assert two_held._held == 2 * load_medium(media[0], SETTINGS, None).size
    # What comes back to this one after all is foreseen again, and follows what is known.
    two_held.foresee([foreseen[1]])
    assert two_held.take("4") is not None
    assert two_held.take("5") is not None
    _settled(two_held, 1)
    found = two_held.take("1")
    assert found is not None
    _equal(Loaded.of(found), load_medium(media[1], SETTINGS, None))
    assert (two_held._held, len(two_held._order), two_held._ready) == (0, 0, {})


def test_what_is_dropped_while_it_is_made_is_not_kept(tmp_path: Path, media: list[Medium]) -> None:
    slow = "import time; from lavit_eval.video import loaded; from lavit_eval.video.decoder import main\n"
    slow += "load = loaded.load_medium\n"
    slow += "def later(medium, *told):\n    time.sleep(0.5 * (medium.name == '0'))\n    return load(medium, *told)\n"
    slow += "loaded.load_medium = later\nmain()\n"
    decoders = Decoders(1, command=(sys.executable, "-c", slow))
    try:
        decoders.foresee([(medium.name, _errand(medium)) for medium in media[:3]])
        deadline = time.monotonic() + 120
        while not (decoders._running == {"0"} and any(process.started for process in decoders._processes)):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert decoders.take("1") is None
        _settled(decoders, 1)
        assert set(decoders._ready) == {"2"}
    finally:
        decoders.close()


def test_nobody_waits_for_a_medium_that_this_process_cannot_hold(tmp_path: Path) -> None:
    """What a decoder announces may be more than there is memory for: the model then does that medium itself."""
    head = json.dumps({"facts": {}, "arrays": [["|u1", [10**16]]]})
    boastful = f"import sys\nprint(flush=True)\nfor line in sys.stdin:\n    print({head!r}, flush=True)\n"
    decoders = Decoders(1, command=(sys.executable, "-c", boastful))
    errand = _errand(Medium("video", str(write_video(tmp_path / "a.mp4", 1, seconds=1)), "a.mp4"))
    decoders.foresee([("one", errand)])
    _settled(decoders, 1)
    assert decoders.take("one") is None
    decoders.foresee([("two", errand)])
    _settled(decoders, 1)
    assert decoders.take("two") is None, "the thread goes on"
    decoders.close()


def test_the_cache_on_disk_is_filled(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path / "cache")
    medium = Medium("video", str(write_video(tmp_path / "a.mp4", 1, seconds=2)), "a")
    decoders = Decoders(1)
    try:
        decoders.foresee([("a", loading(medium, SETTINGS, cache))])
        _settled(decoders, 1)
        taken = decoders.take("a")
    finally:
        decoders.close()
    assert taken is not None
    found = Loaded.of(taken)
    kept = cache.get(found.digest, SETTINGS)
    assert kept is not None
    assert kept.motions.tobytes() == (found.motions.tobytes() if found.motions is not None else b"")


def test_an_errand_comes_back_as_it_was_and_is_another_one_when_its_file_is(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    medium = Medium("video", str(path), "a", Segment.frames(1, 20, 3), 3)
    errand = _errand(medium)
    assert Errand.unpacked(json.loads(json.dumps(errand.packed()))) == errand
    before = errand.key()
    assert _errand(medium).key() == before
    assert _errand(dataclasses.replace(medium, segment=Segment.frames(1, 21, 3))).key() != before
    path.write_bytes(b"other")
    assert errand.key() != before
