"""Append-only log of responses; a run that was killed goes on where its last whole batch ended."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

from lavit_eval.errors import UsageError
from lavit_eval.sample import JSON, Likelihoods, Response

SCHEMA = 1
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal: a response and the batch that it was computed in."""

    attempt: int
    batch: int
    """Number of the batch within its attempt's plan."""
    of: int
    """How many lines the batch has; fewer at the end of a file mean that a kill tore it."""
    response: Response

    @property
    def key(self) -> Key:
        """(sample id, repeat)."""
        return self.response.key

    def line(self) -> str:
        """Return the JSON line, newline included."""
        return json.dumps({"schema": SCHEMA, **_fields(self)}, separators=(",", ":"), allow_nan=False) + "\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line back (raises ValueError or KeyError for anything else)."""
        stored = json.loads(line)
        if stored.pop("schema") != SCHEMA:
            raise ValueError("written by another version of lavit-eval")
        if found := stored.pop("likelihoods", None):
            stored["likelihoods"] = Likelihoods(**{name: tuple(values) for name, values in found.items()})
        return cls(stored.pop("attempt"), stored.pop("batch"), stored.pop("of"), Response(**stored))


_RESPONSE_FIELDS = (
    "sample_id", "repeat", "outcome", "text", "medium", "medium_digest", "error", "digests", "counts", "times",
)  # fmt: skip


def _fields(entry: Entry) -> dict[str, JSON]:
    response = entry.response
    fields = {name: getattr(response, name) for name in _RESPONSE_FIELDS}
    kept = {name: value for name, value in fields.items() if value is not None and value != {}}
    if response.likelihoods is not None:
        kept["likelihoods"] = asdict(response.likelihoods)
    return {**kept, "attempt": entry.attempt, "batch": entry.batch, "of": entry.of}


@dataclass(frozen=True, slots=True)
class Log:
    """What a journal file holds."""

    entries: tuple[Entry, ...]
    """Those of whole batches, in the order written."""
    whole_bytes: int
    """Length of the file up to the end of its last whole batch; what follows was torn by a kill."""


def read_journal(path: Path) -> Log:
    """Read a journal; a torn last batch is left out, damage before it is a UsageError that names the line."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Log((), 0)
    entries: list[Entry] = []
    whole = position = 0
    open_batch: list[Entry] = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            entry = Entry.parse(line.decode())
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) - 1:
                break
            raise UsageError(
                f"{path}:{number}: not a journal line ({error}); restore the file or start anew with --fresh."
            ) from error
        position += len(line) + 1
        if open_batch and (entry.attempt, entry.batch) != (open_batch[0].attempt, open_batch[0].batch):
            raise UsageError(
                f"{path}:{number}: batch {open_batch[0].batch} is not whole; "
                "restore the file or start anew with --fresh."
            )
        open_batch.append(entry)
        if len(open_batch) == entry.of:
            entries += open_batch
            open_batch, whole = [], position
    return Log(tuple(entries), whole)


def journal_paths(folder: Path) -> list[Path]:
    """Return the journals of a task's folder, one per writer, in the order of their names."""
    return sorted(folder.glob("journal*.jsonl"))


def entries_of(folder: Path, sample_ids: Collection[str]) -> dict[Key, Entry]:
    """Return the latest entries of some samples; the other lines are not parsed, nor checked."""
    found = []
    for path in journal_paths(folder):
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                named = _SAMPLE_ID.search(line)
                # A line without its end was torn by a kill.
                if named and line.endswith("\n") and json.loads(named[1]) in sample_ids:
                    try:
                        found.append(Entry.parse(line))
                    except (ValueError, KeyError, TypeError) as error:
                        raise UsageError(f"{path}: not a journal line ({error}); restore the file.") from error
    return latest(found)


_SAMPLE_ID = re.compile(r'"sample_id": *("(?:[^"\\]|\\.)*")')


def latest(entries: Sequence[Entry]) -> dict[Key, Entry]:
    """Return, per (sample id, repeat), the entry of the highest attempt (the first such line)."""
    found: dict[Key, Entry] = {}
    for entry in entries:
        held = found.get(entry.key)
        if held is None or entry.attempt > held.attempt:
            found[entry.key] = entry
    return found


class JournalWriter:
    """Appends whole batches to one journal, whose lock it holds (freed by the system when the process dies).

    Opening cuts off a batch that a kill tore. Raises UsageError when another process writes here.
    """

    def __init__(self, path: Path) -> None:
        from filelock import FileLock, Timeout

        self.path = path
        self._lock = FileLock(path.with_suffix(".lock"), timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise UsageError(
                f"Another process is writing {path}; wait for it to end, or take another run with --run-id."
            ) from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror}); choose another --output-dir.") from error
        self.log = read_journal(path)
        self._stream: IO[bytes] = open(path, "ab")  # noqa: SIM115 - held open for the life of the writer
        if path.stat().st_size > self.log.whole_bytes:
            os.truncate(path, self.log.whole_bytes)

    def append(self, attempt: int, batch: int, responses: Sequence[Response]) -> list[Entry]:
        """Write a batch in one write and flush it to disk; raises UsageError when the disk is full."""
        entries = [Entry(attempt, batch, len(responses), response) for response in responses]
        content = "".join(entry.line() for entry in entries).encode()
        try:
            self._stream.write(content)
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise UsageError(
                f"The journal could not be written ({error.strerror}); free disk space and repeat the command: "
                "every batch before this one is kept."
            ) from error
        return entries

    def close(self) -> None:
        """Close the file and free the lock."""
        try:
            self._stream.close()
        except OSError:
            # The failed write that brought us here was reported by append; its bytes are cut off at the next opening.
            pass
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def responses_digest(entries: Mapping[Key, Entry]) -> str:
    """Return the SHA-256 over the sorted (sample id, repeat, outcome, text or media digest) of the latest entries."""
    from lavit_eval.digests import digest_json

    return digest_json(sorted(_digested(entry.response) for entry in entries.values()))


def _digested(response: Response) -> list[Any]:
    content = response.medium_digest if response.medium_digest is not None else response.text
    return [response.sample_id, response.repeat, response.outcome, content or ""]


def batches_done(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Yield (attempt, batch) of every whole batch, once each."""
    seen: set[tuple[int, int]] = set()
    for entry in entries:
        mark = (entry.attempt, entry.batch)
        if mark not in seen:
            seen.add(mark)
            yield mark
