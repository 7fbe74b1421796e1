"""Media preprocessed in other processes before the model asks for them, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lavit_eval.errors import MediumError
from lavit_eval.sample import Medium
from lavit_eval.video.decoder import pack_medium
from lavit_eval.video.loaded import Loaded
from lavit_eval.video.settings import VideoSettings

if TYPE_CHECKING:
    from lavit_eval.video.cache import ClipCache

HELD_BYTES = 512 << 20
COMMAND = (sys.executable, "-m", "lavit_eval.video.decoder")
ATTEMPTS = 2
"""Processes that a medium may end before it is given up."""


class Decoders:
    """Processes that preprocess media ahead of a model.

    What comes out is what `load_medium` gives, and what it raises. A medium that ends its process twice is a
    MediumError; anything else that goes wrong there is left to the model's own process, which meets it again.

    Args:
        count: Processes, 1 or more; each is spawned when it first has something to do.
        settings: How videos become clips.
        cache: Where preprocessed videos are kept on disk, if anywhere.
        held_bytes: A process begins no other medium while what is ready and not yet taken is this large.
        command: What is spawned.
    """

    def __init__(
        self,
        count: int,
        settings: VideoSettings,
        cache: ClipCache | None = None,
        held_bytes: int = HELD_BYTES,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._told = {
            "settings": asdict(settings),
            "cache": None if cache is None else str(cache.folder.resolve()),
            "cache_bytes": None if cache is None else cache.max_bytes,
        }
        self._command, self._limit = tuple(command), held_bytes
        self._waiting: OrderedDict[Hashable, Medium] = OrderedDict()
        self._running: set[Hashable] = set()
        self._ready: dict[Hashable, Loaded | MediumError | None] = {}
        self._held = 0
        self._closed = False
        self._change = threading.Condition()
        self._processes: set[_Process] = set()
        for number in range(count):
            threading.Thread(target=self._work, name=f"decoder-{number}", daemon=True).start()

    def foresee(self, media: Iterable[tuple[Hashable, Medium]]) -> None:
        """Note media that will be asked for, in that order, each by a key that changes when its file does."""
        with self._change:
            for key, medium in media:
                if key not in self._running and key not in self._ready:
                    self._waiting.setdefault(key, medium)
            self._change.notify_all()

    def take(self, key: Hashable, wanted: bool = True) -> Loaded | None:
        """Return a medium and hold it no longer; None if nobody has begun it (raises MediumError as its loading).

        One that is under way is waited for, if it is `wanted`.
        """
        with self._change:
            self._waiting.pop(key, None)
            while wanted and key in self._running and not self._closed:
                self._change.wait()
            # One that was given back meanwhile is loaded by whoever asked.
            self._waiting.pop(key, None)
            found = self._ready.pop(key, None)
            if isinstance(found, Loaded):
                self._held -= found.size
                self._change.notify_all()
        if wanted and isinstance(found, MediumError):
            raise found
        return found if isinstance(found, Loaded) else None

    def close(self) -> None:
        """End the processes."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
            for process in self._processes:
                process.end()

    def _work(self) -> None:
        process = _Process(self._command, self._told)
        while (job := self._next(process)) is not None:
            if not process.started:
                # Nobody need wait for what is not begun: the model loads it itself until this process is up.
                self._give_back(*job)
                process.start()
                continue
            key, medium = job
            found = _loaded(process, medium)
            with self._change:
                self._running.discard(key)
                self._ready[key] = found
                self._held += found.size if isinstance(found, Loaded) else 0
                self._change.notify_all()

    def _give_back(self, key: Hashable, medium: Medium) -> None:
        with self._change:
            self._running.discard(key)
            self._waiting[key] = medium
            self._waiting.move_to_end(key, last=False)
            self._change.notify_all()

    def _next(self, process: _Process) -> tuple[Hashable, Medium] | None:
        with self._change:
            self._processes.add(process)
            while not self._closed and (not self._waiting or self._held >= self._limit):
                self._change.wait()
            if self._closed:
                process.end()
                return None
            key, medium = self._waiting.popitem(last=False)
            self._running.add(key)
            return key, medium


def _loaded(process: _Process, medium: Medium) -> Loaded | MediumError | None:
    for _ in range(ATTEMPTS):
        try:
            return process.load(medium)
        except (OSError, EOFError, ValueError):
            code = process.end()
    return MediumError(f"{medium.kind} {medium.path} ended the process that decoded it ({code}), twice.")


class _Process:
    """One spawned process, for one thread."""

    def __init__(self, command: Sequence[str], told: dict[str, Any]) -> None:
        self._command, self._told = command, told
        self._process: subprocess.Popen[bytes] | None = None
        self.started = False
        """Whether a process was ever up, or could not be; one that died since is spawned again when it is needed."""

    def start(self) -> None:
        """Spawn the process and wait until it is up; what keeps it from that is met at its first medium."""
        self.started = True
        with suppress(OSError, EOFError):
            self._spawn()

    def load(self, medium: Medium) -> Loaded | MediumError | None:
        """Return a medium, or why there is none; None if that was not foreseen (raises OSError when it died)."""
        process = self._process or self._spawn()
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        _say(stdin, pack_medium(medium))
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError(line)
        head = json.loads(line)
        if "error" in head:
            return MediumError(head["error"])
        if "raised" in head:
            return None
        types: tuple[Any, ...] = (np.uint8, np.float32)
        arrays = [_read(stdout, np.empty(shape, kind)) for shape, kind in zip(head["shapes"], types, strict=False)]
        digest, file_digest = head["digests"]
        return Loaded(digest, file_digest, arrays[0], arrays[1] if len(arrays) > 1 else None)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        _say(self._process.stdin, self._told)
        if not self._process.stdout.readline().endswith(b"\n"):
            raise EOFError("the decoder died before it was up")
        return self._process

    def end(self) -> int | None:
        """Kill the process and return how it ended, None if there is none."""
        process, self._process = self._process, None
        if process is None:
            return None
        with suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()
        # One that died by itself keeps its own end.
        with suppress(subprocess.TimeoutExpired):
            return process.wait(1.0)
        process.kill()
        return process.wait()


def _say(stream: IO[bytes], message: dict[str, Any]) -> None:
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


def _read(stream: IO[bytes], array: NDArray[Any]) -> NDArray[Any]:
    rest = array.data.cast("B")
    while rest:
        got = stream.readinto(rest)  # type: ignore[attr-defined]
        if not got:
            raise EOFError("the decoder died while it answered")
        rest = rest[got:]
    return array
