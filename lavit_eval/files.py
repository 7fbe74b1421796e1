"""Writing so that a kill leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lavit_eval.errors import UsageError


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name beside `path`, flush it to disk, and rename it over `path`.

    Raises UsageError when that cannot be done: no space, no permission, a file where a folder should be.
    """
    with _flushed_beside(path, content) as temporary:
        os.replace(temporary, path)


@contextmanager
def _flushed_beside(path: Path, content: bytes) -> Iterator[Path]:
    # Processes of several machines may write the same file: a process id alone would not tell them apart.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); free disk space or choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII, no NaN (raises ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_text(value: Any) -> str:
    """Return a value as readable JSON with sorted keys (raises ValueError for NaN)."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON with sorted keys, atomically."""
    write_atomic(path, json_text(value).encode())


def write_first(path: Path, value: Any) -> bool:
    """Write a value as `write_json` does, unless the file is there; say whether it was written.

    Of several processes, on whatever machines, exactly one is told True.
    """
    with _flushed_beside(path, json_text(value).encode()) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:
            # A file system without hard links: whoever asks holds the lock of the output folder besides.
            if path.exists():
                return False
            os.replace(temporary, path)
    return True
