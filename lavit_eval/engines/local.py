"""Workers on this machine: one spawned process each, driven through its standard input and output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from lavit_eval.engines.checks import Probe
from lavit_eval.engines.greeting import Greeting
from lavit_eval.engines.messages import Message, from_line, lease, to_line
from lavit_eval.engines.pool import Event, Lost
from lavit_eval.engines.replies import event_of, ready_of
from lavit_eval.engines.scheduler import WINDOW
from lavit_eval.errors import UsageError
from lavit_eval.sample import Request

STARTS = 3
"""How often a worker may die before it is ready."""
GRACE = 5.0
"""Seconds that a worker gets to end by itself."""


@dataclass(slots=True)
class _Process:
    name: str
    slot: int
    process: subprocess.Popen[bytes]
    log: Path
    outbox: SimpleQueue[bytes | None] = field(default_factory=SimpleQueue)
    told: set[str] = field(default_factory=set)
    ready: bool = False


class LocalPool:
    """Spawned processes; one that dies is replaced.

    Args:
        greeting: What they are told.
        devices: One per worker.
        folder: The run's; what workers print goes to `workers/` in it.
    """

    window = WINDOW

    def __init__(self, greeting: Greeting, devices: Sequence[str], folder: Path) -> None:
        self._greeting, self._devices, self._folder = greeting, list(devices), folder
        self._inbox: SimpleQueue[tuple[str, Message | None]] = SimpleQueue()
        self._processes: dict[str, _Process] = {}
        self._lives = [0] * len(self._devices)
        self._false_starts = [0] * len(self._devices)
        self._probe: Probe | None = None

    def start(self) -> None:
        """Spawn all workers at once."""
        self._probe = Probe(self._folder)
        for slot in range(len(self._devices)):
            self._spawn(slot)

    def _spawn(self, slot: int) -> None:
        assert self._probe is not None
        self._lives[slot] += 1
        name = f"{slot + 1}" if self._lives[slot] == 1 else f"{slot + 1}.{self._lives[slot]}"
        log = self._folder / "workers" / f"{os.getpid()}-{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lavit_eval.engines.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=environment_of(self._greeting.threads),
            )
        worker = _Process(name, slot, process, log)
        self._processes[name] = worker
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        assert process.stdin is not None
        threading.Thread(target=write_lines, args=(process.stdin, worker.outbox), daemon=True).start()
        self._tell(worker, self._greeting.load(name, self._devices[slot], self._probe))

    def _listen(self, worker: _Process) -> None:
        assert worker.process.stdout is not None
        try:
            for line in worker.process.stdout:
                # A line without its end was torn by the worker's death.
                if line.endswith(b"\n"):
                    self._inbox.put((worker.name, from_line(line)))
        except (ValueError, OSError):
            # Whoever does not speak our language is of no use.
            worker.process.kill()
        worker.process.wait()
        worker.process.stdout.close()
        self._inbox.put((worker.name, None))

    def _tell(self, worker: _Process, message: Message) -> None:
        worker.outbox.put(to_line(message).encode())

    def send(
        self, worker: str, number: int, task: str, requests: Sequence[Request], likely: Sequence[Request] = ()
    ) -> None:
        """Write a lease to a worker's input."""
        process = self._processes.get(worker)
        if process is None:
            return
        if task not in process.told:
            process.told.add(task)
            about = self._greeting.of_task(task)
            if about is not None:
                self._tell(process, about)
        self._tell(process, lease(number, task, requests, likely))

    def events(self, patience: float) -> list[Event]:
        """Return what the workers said."""
        try:
            heard = [self._inbox.get(timeout=patience)]
        except Empty:
            return []
        with suppress(Empty):
            while True:
                heard.append(self._inbox.get_nowait())
        return [event for name, message in heard if (event := self._event(name, message)) is not None]

    def _event(self, name: str, message: Message | None) -> Event | None:
        worker = self._processes.get(name)
        if worker is None:
            return None
        if message is None:
            return self._ended(worker)
        if message["say"] == "ready":
            assert self._probe is not None
            worker.ready = True
            self._false_starts[worker.slot] = 0
            return ready_of(name, message, self._probe)
        return event_of(name, message)

    def _ended(self, worker: _Process) -> Lost:
        del self._processes[worker.name]
        worker.outbox.put(None)
        reason = reason_of(worker.process.returncode)
        if worker.ready:
            self._spawn(worker.slot)
            return Lost(worker.name, reason)
        self._false_starts[worker.slot] += 1
        if self._false_starts[worker.slot] < STARTS:
            self._spawn(worker.slot)
        elif not self._processes:
            raise UsageError(
                f"Worker {worker.name} ended {STARTS} times before its model was loaded ({reason}); what it printed is "
                f"in {worker.log}. If memory did not suffice, take fewer --workers."
            )
        return Lost(worker.name, reason)

    def give_up(self, worker: str) -> None:
        """Kill a worker; its end is then heard of as any other."""
        process = self._processes.get(worker)
        if process is not None:
            process.process.kill()

    def close(self) -> None:
        """Close the workers' inputs, upon which they end, and kill those that do not."""
        for worker in self._processes.values():
            worker.outbox.put(None)
        deadline = time.monotonic() + GRACE
        for worker in self._processes.values():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._processes.clear()
        if self._probe is not None:
            self._probe.close()
        for path in (self._folder / "workers").glob(f"{os.getpid()}-*.log"):
            if path.stat().st_size == 0:
                path.unlink(missing_ok=True)


def environment_of(threads: int) -> dict[str, str]:
    """Return the environment of a spawned process that finds the modules of this one and has so many threads."""
    paths = [path or os.getcwd() for path in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}


def write_lines(stream: IO[bytes], outbox: SimpleQueue[bytes | None]) -> None:
    """Write what a process is told, until None, in a thread of its own: one that reads nothing must stop nobody."""
    # A process that died just now is heard of by its closed output.
    with suppress(OSError):
        while (line := outbox.get()) is not None:
            stream.write(line)
            stream.flush()
    with suppress(OSError):
        stream.close()


def reason_of(code: int) -> str:
    """Return how a process ended, by its return code."""
    if code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
