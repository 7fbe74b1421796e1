"""Data as script files: a page that was opened from disk may load scripts, but not fetch files."""

from __future__ import annotations

import json
from pathlib import Path

from lavit_eval.errors import UsageError
from lavit_eval.sample import JSON

_SPELLED_OUT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def script_json(value: JSON) -> str:
    """Return a value as JSON that is inert within a script, wherever it stands: ASCII only, without <, > and &."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_SPELLED_OUT)


def write_script(path: Path, key: str, value: JSON) -> int:
    """Write a script that hands a value to the page under a key; return its bytes (raises UsageError, disk full)."""
    content = f"lavitReport.register({script_json(key)},{script_json(value)});\n".encode("ascii")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); free disk space or choose another --out."
        ) from error
    return len(content)
