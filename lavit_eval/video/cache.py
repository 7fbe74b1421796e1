"""Preprocessed clips kept on disk, found by the content of the file that they came from."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lavit_eval.digests import digest_json
from lavit_eval.video.clips import VideoClips
from lavit_eval.video.settings import VideoSettings

MAX_BYTES = 20_000_000_000
_SUFFIX = ".npz"
_ABANDONED_SECONDS = 3600
_MEMBERS = ("keyframes", "motions", "starts", "frames")

logger = logging.getLogger(__name__)


class ClipCache:
    """A folder of clips, one file per (source content, settings, preprocessing version, libav versions).

    Several processes and threads may use one folder: an entry appears whole or not at all, and one that another process
    removes or that is damaged (every member carries a checksum) is a miss. Files are plain arrays, without pickle.
    Beyond `max_bytes` the entries used longest ago go first. A cache that cannot be written costs time only, so that is
    logged and not raised.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """Use `folder`, made when the first entry is stored."""
        self.folder = folder
        self.max_bytes = max_bytes

    def entry(self, digest: str, settings: VideoSettings) -> Path:
        """Return where the clips of a file with this SHA-256 are kept."""
        key = digest_json({"digest": digest, "protocol": settings.protocol()})
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def get(self, digest: str, settings: VideoSettings) -> VideoClips | None:
        """Return the clips of a file's content, or None; a damaged entry is removed."""
        path = self.entry(digest, settings)
        try:
            with np.load(path, allow_pickle=False) as stored:
                keyframes, motions, starts, frames = (stored[name] for name in _MEMBERS)
            _check(keyframes, motions, starts, settings)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("removed the damaged cache entry %s: %s", path, error)
            path.unlink(missing_ok=True)
            return None
        # Another process may have removed it, or the folder is read-only: what was read still stands.
        with contextlib.suppress(OSError):
            os.utime(path)
        return VideoClips(keyframes, motions, tuple(map(int, starts)), int(frames), digest)

    def put(self, clips: VideoClips, settings: VideoSettings) -> None:
        """Store clips, then remove the entries used longest ago while the folder is too large."""
        path = self.entry(clips.digest, settings)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The name is unique to this call: threads of one process may store the same clips at the same time.
            handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
            try:
                with open(handle, "wb") as target:
                    np.savez(
                        target,
                        keyframes=clips.keyframes,
                        motions=clips.motions,
                        starts=np.array(clips.starts, dtype=np.int64),
                        frames=np.array(clips.frames, dtype=np.int64),
                    )
                os.replace(temporary, path)
            finally:
                Path(temporary).unlink(missing_ok=True)
            self._shrink()
        except OSError as error:
            logger.warning("the clips of a video could not be cached in %s: %s", self.folder, error)

    def _shrink(self) -> None:
        entries = sorted(self._entries())
        excess = sum(size for _, size, _ in entries) - self.max_bytes
        for _, size, path in entries:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Yield (last use, bytes, path) of every entry; drop what a killed process left half written."""
        for path in self.folder.glob("??/*"):
            try:
                stat = path.stat()
                if path.suffix == _SUFFIX:
                    yield stat.st_mtime, stat.st_size, path
                elif path.suffix == ".tmp" and time.time() - stat.st_mtime > _ABANDONED_SECONDS:
                    path.unlink()
            except FileNotFoundError:
                continue


def _check(keyframes: np.ndarray, motions: np.ndarray, starts: np.ndarray, settings: VideoSettings) -> None:
    """Raise ValueError unless the arrays have the shapes and types of clips."""
    count = len(starts)
    if keyframes.shape != (count, settings.size, settings.size, 3) or keyframes.dtype != np.uint8:
        raise ValueError(f"keyframes {keyframes.dtype} {keyframes.shape}")
    if motions.shape != (count, 2, 24, 20, 36) or motions.dtype != np.float32:
        raise ValueError(f"motions {motions.dtype} {motions.shape}")
