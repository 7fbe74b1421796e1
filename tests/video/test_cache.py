"""Preprocessed clips on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lavit_eval.video import clips as clips_module
from lavit_eval.video.cache import ClipCache
from lavit_eval.video.clips import VideoClips, load_clips
from lavit_eval.video.settings import VideoSettings
from tests.video.made import moving, write_video

SETTINGS = VideoSettings()


def clips(seed: int = 0, count: int = 2) -> VideoClips:
    """Random clips."""
    rng = np.random.default_rng(seed)
    keyframes = rng.integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)
    motions = rng.normal(size=(count, 2, 24, 20, 36)).astype(np.float32)
    return VideoClips(keyframes, motions, tuple(range(0, 24 * count, 24)), 24 * count, f"{seed:064x}")


def same(one: VideoClips, other: VideoClips) -> bool:
    """Whether two clips are equal in everything."""
    arrays = np.array_equal(one.keyframes, other.keyframes) and np.array_equal(one.motions, other.motions)
    return arrays and (one.starts, one.frames, one.digest) == (other.starts, other.frames, other.digest)


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path)
    stored = clips()
    assert cache.get(stored.digest, SETTINGS) is None
    cache.put(stored, SETTINGS)
    found = cache.get(stored.digest, SETTINGS)
    assert found is not None
    assert same(found, stored)


@pytest.mark.parametrize("change", [{"max_clips": 8}, {"fps": 12}, {"encoder_threads": 1}, {"size": 56}])
def test_other_settings_are_another_entry(tmp_path: Path, change: dict[str, int]) -> None:
    cache = ClipCache(tmp_path)
    stored = clips()
    cache.put(stored, SETTINGS)
    assert cache.get(stored.digest, replace(SETTINGS, **change)) is None


def test_libav_and_version_of_the_rules_are_part_of_the_key() -> None:
    protocol = SETTINGS.protocol()
    assert protocol["preprocessing_version"] >= 1
    assert {"libavcodec", "libavfilter", "libswscale"} <= set(protocol["libav"])
    assert protocol["encoder_threads"] == 16


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_damaged_entry_is_a_miss_and_goes(tmp_path: Path, damage: str) -> None:
    cache = ClipCache(tmp_path)
    stored = clips()
    cache.put(stored, SETTINGS)
    path = cache.entry(stored.digest, SETTINGS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes({"cut": content[:1000], "flipped": content, "empty": b"", "text": b"x" * 99}[damage])
    assert cache.get(stored.digest, SETTINGS) is None
    assert not path.exists()
    cache.put(stored, SETTINGS)
    assert cache.get(stored.digest, SETTINGS) is not None


def test_entries_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path)
    stored = [clips(seed) for seed in range(3)]
    for age, each in zip((300, 200, 100), stored, strict=True):
        cache.put(each, SETTINGS)
        path = cache.entry(each.digest, SETTINGS)
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    assert cache.get(stored[0].digest, SETTINGS) is not None
    size = cache.entry(stored[0].digest, SETTINGS).stat().st_size
    bounded = ClipCache(tmp_path, max_bytes=int(size * 3.5))
    bounded.put(clips(3), SETTINGS)
    left = [seed for seed in range(4) if bounded.entry(f"{seed:064x}", SETTINGS).exists()]
    assert left == [0, 2, 3]


def test_unwritable_cache_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    ClipCache(blocked).put(clips(), SETTINGS)
    assert "could not be cached" in caplog.text


WRITER = """
import sys
from pathlib import Path
from lavit_eval.video.cache import ClipCache
from lavit_eval.video.settings import VideoSettings
from tests.video.test_cache import clips, same
cache = ClipCache(Path(sys.argv[1]), max_bytes=2_500_000)
for turn in range(25):
    stored = clips(turn % 6)
    cache.put(stored, VideoSettings())
    for seed in range(6):
        found = cache.get(f"{seed:064x}", VideoSettings())
        assert found is None or same(found, clips(seed))
"""


def test_processes_share_a_folder(tmp_path: Path) -> None:
    project = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    running = [subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    complaints = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], complaints
    assert "damaged" not in "".join(complaints)
    assert not list(tmp_path.rglob("*.tmp"))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.npz")) <= 2_500_000


def test_second_load_neither_decodes_nor_encodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "digests"))
    path = write_video(tmp_path / "a.mp4", moving(150))
    cache = ClipCache(tmp_path / "cache")
    first = load_clips(path, SETTINGS, cache)

    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(clips_module, "coded_stream", fail)
    assert same(load_clips(path, SETTINGS, cache), first)
    copy = tmp_path / "elsewhere.mp4"
    copy.write_bytes(path.read_bytes())
    assert same(load_clips(copy, SETTINGS, cache), first)
