"""Judgements on disk: one line each, written once, never changed; a kill costs at most the line being written."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from lavit_eval.digests import cache_folder
from lavit_eval.errors import UsageError

SCHEMA = 1
SYNC_SECONDS = 1.0
"""Between two flushes to the disk itself: a power cut costs no more than what was judged meanwhile."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One reply of a judge, or its refusal, as it is kept."""

    key: str
    """`case_key`: judge, template and what was filled in."""
    reply: str
    refused: str | None = None
    """Why the judge will not answer this request."""
    served: str | None = None
    requests: int = 1
    """How many were answered for it; more than one where a reply could not be read."""
    prompt_tokens: int | None = None
    """Over all of these requests; None where the server did not count."""
    completion_tokens: int | None = None
    cached: bool = False
    """Whether it was taken from the cache, and cost this run nothing."""

    def line(self) -> str:
        """Return the JSON line, newline included."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, separators=(",", ":"), allow_nan=False) + "\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line back (raises ValueError, KeyError or TypeError for anything else)."""
        stored = json.loads(line)
        if not isinstance(stored, dict) or stored.pop("schema", None) != SCHEMA:
            raise ValueError("not a judgement of this version")
        found = cls(**stored)
        if not isinstance(found.key, str) or not isinstance(found.reply, str):
            raise ValueError("key or reply is no text")
        return found


def read_judgements(path: Path, *, strict: bool = True) -> dict[str, Judgement]:
    """Return key -> judgement of a file, the last of equal keys (see `all_judgements`)."""
    return {one.key: one for one in all_judgements(path, strict=strict)}


def all_judgements(path: Path, *, strict: bool = True) -> list[Judgement]:
    """Return every judgement of a file in the order written; none where there is no file.

    A last line without its end was torn by a kill and is left out. Of other damage a strict reading raises UsageError
    that names the line; else such lines are left out: of a cache they cost a request each.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); mend its permissions.") from error
    found: list[Judgement] = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        if not line:
            continue
        try:
            found.append(Judgement.parse(line.decode()))
        except (ValueError, KeyError, TypeError) as error:
            if strict and not _torn(lines, number):
                raise UsageError(
                    f"{path}:{number}: not a judgement ({error}); restore the file, or remove it and judge again"
                ) from error
    return found


def _torn(lines: list[bytes], number: int) -> bool:
    """Whether a writer that came later closed this line, torn by a kill, with an empty one."""
    return number < len(lines) - 1 and lines[number] == b""


class JudgementLog:
    """Appends judgements to a file from any thread, each in one write.

    A line that a kill tore is closed first, so that the next one stands alone. Raises UsageError when the file cannot
    be written; what was appended before is kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock, self._synced = threading.Lock(), time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            size = os.fstat(self._descriptor).st_size
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                os.write(self._descriptor, b"\n\n")
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror}); free disk space and repeat.") from error

    def append(self, judgement: Judgement) -> None:
        """Write one judgement; it outlives this process at once, and a power cut within a second."""
        content = judgement.line().encode()
        with self._lock:
            try:
                while content:
                    content = content[os.write(self._descriptor, content) :]
                if time.monotonic() - self._synced >= SYNC_SECONDS:
                    self._sync()
            except OSError as error:
                raise UsageError(
                    f"{self.path} could not be written ({error.strerror}); free disk space and repeat the command: "
                    "every judgement before this one is kept."
                ) from error

    def _sync(self) -> None:
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Flush to disk and close."""
        with self._lock:
            with suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cache_path(judge: str) -> Path:
    """Return the file that keeps the judgements of one judge over all runs.

    Args:
        judge: `judge_digest` of the judge.
    """
    return cache_folder() / "judgements" / f"{judge}.jsonl"
