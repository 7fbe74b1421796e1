"""The gate's references: what is kept of a run that was accepted."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lavit_eval.compare_sides import BASELINE, BASELINE_SCHEMA, Side, packed
from lavit_eval.errors import UsageError
from lavit_eval.files import write_atomic

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
DEFAULT_NAME = "nightly"


def accept(side: Side, name: str, folder: Path) -> Path:
    """Write a finished run as the baseline of that name, in the place of an earlier one; return the file.

    It holds the scores, what they depend on, and per sample what the paired tests need of the primary metric: no
    answers, no media.

    Raises:
        UsageError: The run is not complete, or the name is none of a file.
    """
    if side.run is None:
        raise UsageError("A baseline is made from a run, not from another baseline; name a run's folder or id.")
    if not NAME.fullmatch(name):
        raise UsageError(f"--name {name!r} cannot name a file; use letters, digits, dots, dashes and underscores.")
    lacking = [task for task in side.tasks if side.task(task)["answered"] < side.task(task)["n"]]
    if lacking:
        raise UsageError(
            f"Run {side.name} lacks responses of {', '.join(lacking)}, and a gate needs a whole reference; "
            "ask again what failed: the run's command with --retry-failed"
        )
    manifest = side.run.manifest
    document = {
        "schema": BASELINE_SCHEMA,
        "kind": BASELINE,
        "name": name,
        "accepted": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": {"id": side.run.id, "created": manifest["created"], "code": manifest.get("code", {})},
        "identity": dict(side.identity),
        "model": dict(side.model),
        "tasks": {task: dict(side.fields[task]) for task in side.tasks},
        "scores": dict(side.scores),
    }
    samples = {task: found for task in side.tasks if (found := _samples(side, task)) is not None}
    path = folder / f"{name}.json"
    write_atomic(path, _text(document, samples).encode())
    return path


def _samples(side: Side, task: str) -> dict[str, Any] | None:
    metric, score = side.task(task)["primary"], side.score(task)
    if score["value"] is None or "left_out" in score["details"]:
        return None
    return packed(side.samples(task, metric), metric)


def _text(document: dict[str, Any], samples: dict[str, Any]) -> str:
    """Return JSON that a person can read and git can compare, with one line per task's samples."""
    head = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    lines = [
        f"  {json.dumps(task)}: {json.dumps(found, sort_keys=True, separators=(',', ':'), allow_nan=False)}"
        for task, found in sorted(samples.items())
    ]
    return head.removesuffix("\n}") + ',\n "samples": {\n' + ",\n".join(lines) + "\n }\n}\n"
