"""Content digests; those of large files are cached by (path, size, mtime, inode)."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from lavit_eval.errors import UsageError
from lavit_eval.files import canonical_json, write_atomic


def digest_bytes(content: bytes) -> str:
    """Return the SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest_json(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return digest_bytes(canonical_json(value).encode())


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's content (raises OSError)."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cache_folder() -> Path:
    """Return the folder of all caches: $LAVIT_EVAL_CACHE, else $XDG_CACHE_HOME/lavit-eval, else ~/.cache/lavit-eval."""
    named = os.environ.get("LAVIT_EVAL_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lavit-eval"


def cached_digest(path: Path) -> str:
    """Return a file's SHA-256, computed once per (path, size, mtime, inode).

    A cache that cannot be read or written costs time only. Raises OSError if the file itself cannot be read.
    """
    real = path.resolve()
    stat = real.stat()
    identity = [str(real), stat.st_size, stat.st_mtime_ns, stat.st_ino]
    entry = cache_folder() / "digests" / f"{digest_json(str(real))}.json"
    try:
        stored = json.loads(entry.read_text())
        if stored["identity"] == identity:
            return str(stored["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = digest_file(real)
    with suppress(OSError, UsageError):
        write_atomic(entry, json.dumps({"identity": identity, "sha256": found}).encode())
    return found
