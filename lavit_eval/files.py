"""Writing so that a kill leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lavit_eval.errors import UsageError


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name beside `path`, flush it to disk, and rename it over `path`.

    Raises UsageError when that cannot be done: no space, no permission, a file where a folder should be.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
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
