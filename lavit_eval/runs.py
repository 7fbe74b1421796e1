"""A run's folder on disk: manifest, journals, scores; and finding runs again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError
from lavit_eval.files import write_json
from lavit_eval.journal import Entry, Key, journal_paths, latest, read_journal
from lavit_eval.sample import JSON

SCHEMA = 1


@dataclass(frozen=True)
class Run:
    """One model on some tasks, as a folder."""

    folder: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was written first (raises UsageError when it is absent or not of this version)."""
        return _read_document(self.folder / "manifest.json", MANIFEST_KEYS)

    @property
    def identity(self) -> dict[str, Any]:
        """What the run must be equal in to be continued."""
        identity: dict[str, Any] = self.manifest["identity"]
        return identity

    @property
    def tasks(self) -> list[str]:
        """Names of the run's tasks in the order asked for."""
        return list(self.manifest["tasks"])

    @property
    def scores_path(self) -> Path:
        """Where the scores lie once the run is finished."""
        return self.folder / "scores.json"

    def scores(self) -> dict[str, Any] | None:
        """Return the scores, None while the run is unfinished."""
        return _read_document(self.scores_path, SCORES_KEYS) if self.scores_path.is_file() else None

    def scores_under(self) -> list[dict[str, Any]]:
        """Return the scores under other protocols than the tasks' own, in the order of their names."""
        return [_read_document(path, SCORES_KEYS) for path in sorted(self.folder.glob("scores@*.json"))]

    @property
    def protocols_scored(self) -> list[str]:
        """Names of the other protocols under which there are scores."""
        return [path.stem.partition("@")[2] for path in sorted(self.folder.glob("scores@*.json"))]

    def task_folder(self, task: str) -> Path:
        """Return the folder of a task's journal, media and features."""
        return self.folder / "tasks" / task

    def entries(self, task: str) -> dict[Key, Entry]:
        """Return the latest entry per (sample id, repeat), over the journals of all writers."""
        return latest([entry for path in journal_paths(self.task_folder(task)) for entry in read_journal(path).entries])

    def log(self, text: str) -> None:
        """Append a line with the time to `run.log`."""
        # A log that cannot be written costs nothing that was computed.
        with suppress(OSError), open(self.folder / "run.log", "a", encoding="utf-8") as stream:
            stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")

    def write_manifest(self, manifest: Mapping[str, JSON]) -> None:
        """Write the manifest of a new run."""
        write_json(self.folder / "manifest.json", {"schema": SCHEMA, **manifest})

    def write_scores(self, scores: Mapping[str, JSON], under: str | None = None) -> None:
        """Write the scores, atomically; those under another protocol than the tasks' own beside them."""
        path = self.scores_path if under is None else self.folder / f"scores@{under}.json"
        write_json(path, {"schema": SCHEMA, **scores})


MANIFEST_KEYS = frozenset({"created", "identity", "identity_digest", "model", "plan", "tasks", "counts", "data_root"})
SCORES_KEYS = frozenset({"model", "tasks", "demo", "seed"})


def _read_document(path: Path, needed: frozenset[str]) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; is {path.parent} the folder of a run?") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); restore it or start anew with --fresh.") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA or not needed <= set(document):
        raise UsageError(f"{path} was written by another version of lavit-eval; score it with that version.")
    return document


def open_run(folder: Path) -> Run:
    """Return the run in a folder (raises UsageError when there is none)."""
    run = Run(folder)
    _ = run.manifest
    return run


def all_runs(output: Path) -> list[Run]:
    """Return the runs under an output folder, oldest first; folders without a readable manifest are left out."""
    found = []
    for path in sorted((output / "runs").glob("*/manifest.json")):
        run = Run(path.parent)
        try:
            found.append((str(run.manifest["created"]), run.id, run))
        except UsageError:
            continue
    return [run for _, _, run in sorted(found, key=lambda triple: triple[:2])]


def equal_run(output: Path, identity: Mapping[str, JSON]) -> Run | None:
    """Return the newest run that is equal in model, data, protocol, seed and plan; None if there is none."""
    wanted = digest_json(identity)
    equal = [run for run in all_runs(output) if run.manifest["identity_digest"] == wanted]
    return equal[-1] if equal else None


def differing(stored: Mapping[str, JSON], wanted: Mapping[str, JSON], prefix: str = "") -> list[str]:
    """Return the dotted names of the fields in which two identities differ."""
    names: list[str] = []
    for key in sorted({*stored, *wanted}):
        one, other = stored.get(key), wanted.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            names += differing(one, other, f"{prefix}{key}.")
        elif one != other:
            names.append(f"{prefix}{key}")
    return names
