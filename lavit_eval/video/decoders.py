"""Media prepared in other processes before the model asks for them, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lavit_eval.errors import MediumError
from lavit_eval.sample import JSON
from lavit_eval.video.errand import Errand, Prepared

HELD_BYTES = 512 << 20
COMMAND = (sys.executable, "-m", "lavit_eval.video.decoder")
ATTEMPTS = 2
"""Processes that a medium may end before it is given up."""


class Decoders:
    """Processes that prepare media ahead of a model.

    What comes out is what the errand's function returns, and what it raises. A medium that ends its process twice is a
    MediumError; anything else that goes wrong there is left to the model's own process, which meets it again.

    Not all that is foreseen need be taken: media are taken in the order in which they were foreseen, so what was
    foreseen before one that is taken, and is still there, will not be asked for and is dropped.

    Args:
        count: Processes, 1 or more; each is spawned when it first has something to do.
        held_bytes: A process begins no other medium while what is ready and not yet taken is this large.
        command: What is spawned.
    """

    def __init__(self, count: int, held_bytes: int = HELD_BYTES, command: Sequence[str] = COMMAND) -> None:
        self._command, self._limit = tuple(command), held_bytes
        self._order: OrderedDict[Hashable, None] = OrderedDict()
        """All that is known, in the order in which it was foreseen."""
        self._waiting: OrderedDict[Hashable, Errand] = OrderedDict()
        self._running: set[Hashable] = set()
        self._ready: dict[Hashable, Prepared | MediumError | None] = {}
        self._held = 0
        self._closed = False
        self._change = threading.Condition()
        self._processes: set[_Process] = set()
        for number in range(count):
            threading.Thread(target=self._work, name=f"decoder-{number}", daemon=True).start()

    def foresee(self, errands: Iterable[tuple[Hashable, Errand]]) -> None:
        """Note what will probably be asked for, in that order, each by a key that changes when its file does."""
        with self._change:
            for key, errand in errands:
                if key not in self._order:
                    self._order[key] = None
                    self._waiting[key] = errand
            self._change.notify_all()

    def take(self, key: Hashable, wanted: bool = True) -> Prepared | None:
        """Return a medium and hold it no longer; None if nobody has begun it (raises MediumError as the errand).

        One that is under way is waited for, if it is `wanted`.
        """
        with self._change:
            self._drop_before(key)
            self._waiting.pop(key, None)
            while wanted and key in self._running and not self._closed:
                self._change.wait()
            # One that was given back meanwhile is prepared by whoever asked.
            found = self._forget(key)
        if wanted and isinstance(found, MediumError):
            raise found
        return found if isinstance(found, Prepared) else None

    def close(self) -> None:
        """End the processes."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
            for process in self._processes:
                process.end()

    def _drop_before(self, key: Hashable) -> None:
        """Drop what was foreseen before this and was passed over."""
        while key in self._order and (first := next(iter(self._order))) != key:
            self._forget(first)

    def _forget(self, key: Hashable) -> Prepared | MediumError | None:
        """Know nothing more of a medium, and return what was ready of it; one that is under way comes to nothing."""
        self._order.pop(key, None)
        self._waiting.pop(key, None)
        self._running.discard(key)
        found = self._ready.pop(key, None)
        if isinstance(found, Prepared):
            self._held -= found.size
            self._change.notify_all()
        return found

    def _work(self) -> None:
        process = _Process(self._command)
        while (job := self._next(process)) is not None:
            key, errand = job
            if not process.started:
                # Nobody need wait for what is not begun: the model does it itself until this process is up.
                self._give_back(key, errand)
                process.start()
                continue
            try:
                found = _prepared(process, errand)
            except Exception:
                # Whatever it is, e.g. no memory for so large a medium: nobody may wait for it, the model does it.
                traceback.print_exc()
                process.end()
                found = None
            with self._change:
                # One that was dropped meanwhile is of no use.
                if key in self._running:
                    self._running.discard(key)
                    self._ready[key] = found
                    self._held += found.size if isinstance(found, Prepared) else 0
                self._change.notify_all()

    def _give_back(self, key: Hashable, errand: Errand) -> None:
        with self._change:
            if key in self._running:
                self._running.discard(key)
                self._waiting[key] = errand
                self._waiting.move_to_end(key, last=False)
            self._change.notify_all()

    def _next(self, process: _Process) -> tuple[Hashable, Errand] | None:
        with self._change:
            self._processes.add(process)
            while not self._closed and (not self._waiting or self._held >= self._limit):
                self._change.wait()
            if self._closed:
                process.end()
                return None
            key, errand = self._waiting.popitem(last=False)
            self._running.add(key)
            return key, errand


def _prepared(process: _Process, errand: Errand) -> Prepared | MediumError | None:
    for _ in range(ATTEMPTS):
        try:
            return process.do(errand)
        except (OSError, EOFError, ValueError):
            code = process.end()
    medium = errand.medium
    return MediumError(f"{medium.kind} {medium.path} ended the process that decoded it ({code}), twice.")


class _Process:
    """One spawned process, for one thread."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.started = False
        """Whether a process was ever up, or could not be; one that died since is spawned again when it is needed."""

    def start(self) -> None:
        """Spawn the process and wait until it is up; what keeps it from that is met at its first medium."""
        self.started = True
        with suppress(OSError, EOFError):
            self._spawn()

    def do(self, errand: Errand) -> Prepared | MediumError | None:
        """Return a medium, or why there is none; None if that was not foreseen (raises OSError when it died)."""
        process = self._process or self._spawn()
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        _say(stdin, errand.packed())
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError(line)
        head = json.loads(line)
        if "error" in head:
            return MediumError(head["error"])
        if "raised" in head:
            return None
        arrays = [_read(stdout, np.empty(shape, np.dtype(kind))) for kind, shape in head["arrays"]]
        return Prepared(head["facts"], tuple(arrays))

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
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


def _say(stream: IO[bytes], message: Mapping[str, JSON]) -> None:
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
