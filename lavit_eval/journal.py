"""Append-only log of responses; a run that was killed goes on where its last whole batch ended."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
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


def journal_path(folder: Path, writer: str = "") -> Path:
    """Return the journal of a writer in a task's folder; a driver of the whole run has no name."""
    return folder / (f"journal-{writer}.jsonl" if writer else "journal.jsonl")


def lock_path(journal: Path) -> Path:
    """Return what a journal's writer locks."""
    return journal.with_suffix(".lock")


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


@dataclass(frozen=True, slots=True)
class Merged:
    """What the journals of all writers hold together."""

    entries: Mapping[Key, Entry]
    """The latest entry per (sample id, repeat); of several of one attempt the first whole one counts."""
    duplicates: int
    """Further lines of the same sample, repeat and attempt: two writers answered it."""
    differing: tuple[tuple[str, int, int], ...]
    """(sample id, repeat, attempt) of those duplicates whose answer is another one, sorted."""


def merge(entries: Iterable[Entry]) -> Merged:
    """Merge the journals of a task, given in the order of their names: the first whole line counts."""
    first: dict[tuple[str, int, int], Entry] = {}
    duplicates, differing = 0, set()
    for entry in entries:
        mark = (*entry.key, entry.attempt)
        held = first.setdefault(mark, entry)
        if held is not entry:
            duplicates += 1
            if _digested(held.response) != _digested(entry.response):
                differing.add(mark)
    return Merged(latest(list(first.values())), duplicates, tuple(sorted(differing)))


class Standing:
    """How far a task is, in little memory: which batches are done, and which requests ever failed."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.done: set[tuple[int, int]] = set()
        """(attempt, batch) of every whole batch."""
        self.attempt = 1
        """The highest attempt so far."""
        self._failed: dict[Key, dict[int, bool]] = {}
        self.note(entries)

    def note(self, entries: Iterable[Entry]) -> None:
        """Take account of entries that are on disk; of two batches that are the same one the first counts."""
        for entry in entries:
            self.done.add((entry.attempt, entry.batch))
            self.attempt = max(self.attempt, entry.attempt)
            failed = entry.response.outcome == "failed"
            # A request that was answered at once never matters again.
            if failed or entry.attempt > 1:
                self._failed.setdefault(entry.key, {}).setdefault(entry.attempt, failed)

    def failed_before(self, attempt: int) -> set[Key]:
        """Return the requests whose latest response before an attempt is a failure."""
        earlier = {key: [a for a in tries if a < attempt] for key, tries in self._failed.items()}
        return {key for key, tries in earlier.items() if tries and self._failed[key][max(tries)]}


class JournalWriter:
    """Appends whole batches to one journal, whose lock it holds (freed by the system when the process dies).

    Opening cuts off a batch that a kill tore. Raises UsageError when another process writes here.
    """

    def __init__(self, path: Path) -> None:
        from filelock import FileLock, Timeout

        self.path = path
        self._lock = FileLock(lock_path(path), timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise UsageError(
                f"Another process is writing {path}; wait for it to end, or take another run with --run-id."
            ) from None
        except NotImplementedError:
            raise UsageError(
                f"{path} lies on a file system without locks, where two drivers could write one run; "
                "choose another --output-dir, or mount it with locks."
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
