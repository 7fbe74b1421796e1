"""Features extracted beside answering, in a process of their own, so that scoring finds them where it looks for them.

What goes wrong here costs nothing but time: scoring extracts what is not kept, and reports what cannot be.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from lavit_eval.digests import digest_json
from lavit_eval.engines.local import environment_of, reason_of, write_lines
from lavit_eval.engines.messages import Message, from_line, to_line
from lavit_eval.journal import Entry
from lavit_eval.preparation import PreparedTask
from lavit_eval.progress import Progress
from lavit_eval.prospect import Prospect, RunOptions
from lavit_eval.recipes import feature_metrics, needs_of
from lavit_eval.runs import Run
from lavit_eval.sample import JSON

if TYPE_CHECKING:
    from lavit_eval.metrics.feature_metric import Need

COMMAND = (sys.executable, "-P", "-m", "lavit_eval.features_process")
AT_ONCE = 16
"""Items in a message: how often it is said how far the work is."""
MOST_WAITING = 100_000
"""Items (their paths and digests) that wait at most; what comes beyond that is left to scoring."""
LEAST_CARD_BYTES = 40_000_000_000
"""Of a card that a model and feature networks share without being asked to: on a smaller one they may leave a batch of
the model too little memory, and a batch that is answered in halves may round otherwise."""
GRACE = 1.0
"""Seconds that the process gets to end by itself; whatever it is killed at, no file is left half written."""
STALLED = 1800.0
"""Seconds without news after the last answer, upon which the rest is left to scoring."""
MORE = 0.5
"""Seconds between looks at how far the work is."""


def goes_ahead(options: RunOptions) -> bool:
    """Say whether features are extracted beside answering: as it was asked for, else where a card has room for it.

    On a CPU it was slower (perf/features_ahead.py). Batch sizes that are found by trying leave no room on a card.
    A shard never does it: whoever scores may have another device.
    """
    engine = options.engine
    if engine.shard is not None:
        return False
    if engine.extract_ahead != "auto":
        return engine.extract_ahead == "on"
    return options.equipment.device.startswith("cuda") and options.batch_size is not None


class Nothing:
    """Extracts nothing ahead."""

    def begin(self) -> None:
        """Need nothing."""

    def batch(self, task: str, entries: Sequence[Entry]) -> None:
        """Leave it to scoring."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A need of a task, and its number in what the process is told."""

    task: PreparedTask
    need: Need
    number: int


@dataclass(slots=True)
class _Count:
    """How far the process is; changed under `Ahead`'s condition."""

    sent: int = 0
    done: int = 0
    products: int = 0
    """Of those sent, generated media."""
    left: int = 0
    """Items that were not sent, for too many waited."""
    said: set[str] = field(default_factory=set)
    ended: bool = False


class Ahead:
    """A process that extracts the features of what is journalled, and of what it is compared with.

    Args:
        prospect: The run's tasks and equipment.
        run: Its folder, and the threads that scoring will have.
        command: What is spawned.
        most_waiting: Items that wait at most.
    """

    def __init__(
        self, prospect: Prospect, run: Run, command: Sequence[str] = (), most_waiting: int = MOST_WAITING
    ) -> None:
        self._run, self._command, self._most = run, tuple(command or COMMAND), most_waiting
        self._options, self._threads = prospect.options, int(run.manifest["hardware"]["threads"])
        self._wanted = list(_wanted(prospect))
        self._process: subprocess.Popen[bytes] | None = None
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._change = threading.Condition()
        self._count = _Count()
        self._stopping = False
        self._log = run.folder / "workers" / f"features-{os.getpid()}.log"

    @property
    def needed(self) -> bool:
        """Whether any task's metrics look at features."""
        return bool(self._wanted)

    @property
    def waiting(self) -> int:
        """How many items the process was told of and is not done with."""
        with self._change:
            return self._count.sent - self._count.done

    def begin(self) -> None:
        """Spawn the process, once, and tell it what is known already: real media, texts, what was journalled before."""
        if self._process is not None or not self.needed:
            return
        try:
            process = self._process = self._spawned()
        except OSError as error:
            self._wanted = []
            self._say(f"their process cannot be started ({error.strerror})")
            return
        assert process.stdin is not None
        threading.Thread(target=write_lines, args=(process.stdin, self._outbox), daemon=True).start()
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        self._tell(self._about())
        for name in dict.fromkeys(one.task.task.task for one in self._wanted):
            self.batch(name, list(self._run.entries(name).values()))
        for one in self._wanted:
            self._send(one.number, _standing(one))

    def _spawned(self) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with open(self._log, "ab") as stream:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=environment_of(self._threads),
            )

    def _about(self) -> Message:
        from lavit_eval.features.items import folder_of
        from lavit_eval.features_process import pack_equipment, pack_need

        folders = {one.number: self._run.task_folder(one.task.task.task).resolve() for one in self._wanted}
        return {
            "threads": self._threads,
            "equipment": pack_equipment(self._options.equipment),
            "needs": [pack_need(one.need, folder_of(one.need, folders[one.number])) for one in self._wanted],
            "least_bytes": LEAST_CARD_BYTES if self._options.engine.extract_ahead == "auto" else 0,
        }

    def batch(self, task: str, entries: Sequence[Entry]) -> None:
        """Have the features of journalled media extracted."""
        from lavit_eval.features.items import product_item
        from lavit_eval.features_process import pack_item
        from lavit_eval.metrics.protocol import Made

        answered = [one.response for one in entries if one.response.outcome == "answered" and one.response.medium]
        if self._process is None or not answered:
            return
        for one in self._wanted:
            if one.task.task.task == task and one.need.role in ("made", "pair"):
                made = [Made(self._run.folder.resolve() / str(found.medium), found) for found in answered]
                rows = [pack_item(product_item(each.response.sample_id, each, one.need)) for each in made]
                self._count.products += self._send(one.number, rows)

    def _send(self, number: int, rows: Sequence[Sequence[JSON]]) -> int:
        with self._change:
            room = 0 if self._count.ended else max(0, self._most - (self._count.sent - self._count.done))
            taken = rows[:room]
            self._count.sent += len(taken)
            self._count.left += len(rows) - len(taken)
        for start in range(0, len(taken), AT_ONCE):
            self._tell({"need": number, "items": list(taken[start : start + AT_ONCE])})
        return len(taken)

    def _tell(self, message: Message) -> None:
        self._outbox.put(to_line(message).encode())

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.endswith(b"\n"):
                    self._hear(from_line(line))
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            # Whoever does not speak our language is of no use.
            self._say("their process says what is no message", once="its end")
            process.kill()
        code = process.wait()
        process.stdout.close()
        if not self._stopping and code:
            self._say(f"their process {_was(reason_of(code))}", once="its end")
        with self._change:
            self._count.ended = True
            self._change.notify_all()

    def _hear(self, message: Message) -> None:
        for reason in message.get("failed", ()):
            self._say(reason, once="a medium")
        if "wrong" in message:
            self._say(message["wrong"])
        with self._change:
            self._count.done += message["done"]
            self._change.notify_all()

    def _say(self, reason: str, once: str | None = None) -> None:
        """Log what went wrong; of what may go wrong for many media, the first."""
        mark = once or reason
        if mark not in self._count.said:
            self._count.said.add(mark)
            self._run.log(f"features beside answering: {reason.rstrip('.')}; scoring looks at it again")

    def finish(self, progress: Progress) -> None:
        """Wait for what is still to do, and end the process; nothing is waited for if nothing was generated."""
        if self._process is None:
            return
        count, began = self._count, time.monotonic()
        if count.products and not count.ended and self.waiting:
            self._wait(progress)
        waited = time.monotonic() - began
        self.stop()
        left = f", {count.left} left to scoring" if count.left else ""
        self._run.log(f"features beside answering: {count.done} of {count.sent} looked at{left}, waited {waited:.1f} s")

    def _wait(self, progress: Progress) -> None:
        count = self._count
        shown, heard = count.done, time.monotonic()
        progress.begin("features beside answering", count.sent, shown, "media")
        try:
            while True:
                with self._change:
                    self._change.wait_for(lambda: count.ended or count.done >= count.sent, MORE)
                    now, ended = count.done, count.ended
                if now > shown:
                    progress.advance(now - shown)
                    shown, heard = now, time.monotonic()
                if ended or now >= count.sent:
                    return
                if time.monotonic() - heard > STALLED:
                    self._say(f"nothing was heard of them for {STALLED:g} s")
                    return
        finally:
            progress.end()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        process, self._stopping = self._process, True
        if process is None:
            return
        self._outbox.put(None)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._remove_halves(process.pid)
        with suppress(OSError):
            if not self._log.stat().st_size:
                self._log.unlink()
                self._log.parent.rmdir()

    def _remove_halves(self, pid: int) -> None:
        """Remove what a killed process was writing: hidden files with its number in their names."""
        from lavit_eval.features.items import folder_of

        folders = {folder_of(one.need, self._run.task_folder(one.task.task.task)) for one in self._wanted}
        for path in (path for folder in folders for path in folder.rglob(f".*.{pid}-*.tmp")):
            path.unlink(missing_ok=True)


def _was(reason: str) -> str:
    return f"was {reason}" if reason.startswith("killed") else reason


@contextmanager
def beside(prospect: Prospect, run: Run, progress: Progress) -> Iterator[Ahead | Nothing]:
    """Give who is told of journalled batches; leaving the block waits for their features, or stops all if it fails.

    Args:
        prospect: What is run.
        run: Its folder.
        progress: Told how far the rest is, when the block is left.
    """
    ahead = Ahead(prospect, run) if goes_ahead(prospect.options) else None
    if ahead is None or not ahead.needed:
        yield Nothing()
        return
    try:
        yield ahead
        ahead.finish(progress)
    finally:
        ahead.stop()


def _wanted(prospect: Prospect) -> Iterator[_Wanted]:
    """Yield the needs of all tasks that make something; those with the same features once."""
    number = 0
    for each in prospect.prepared:
        seen = set()
        for name in feature_metrics(each.task) if each.task.making else ():
            for need in needs_of(each.task, name).values():
                mark = digest_json([need.extraction(), need.protocol.weights, need.role])
                if mark not in seen:
                    seen.add(mark)
                    yield _Wanted(each, need, number)
                    number += 1


def _standing(one: _Wanted) -> list[Sequence[JSON]]:
    """Return what a need is about before anything is generated."""
    from lavit_eval.features.items import caption_item
    from lavit_eval.features_process import pack_item, pack_real

    samples = one.task.samples
    if one.need.role == "caption":
        return [pack_item(caption_item(sample)) for sample in samples]
    if one.need.role == "real":
        return [pack_real(sample.id, sample.targets[0].path) for sample in samples if sample.targets]
    return []
