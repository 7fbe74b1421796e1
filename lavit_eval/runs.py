"""A run's folder on disk: manifest, journals, scores; and finding runs again."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError
from lavit_eval.files import write_first, write_json
from lavit_eval.journal import Entry, Key, Merged, journal_paths, merge, read_journal
from lavit_eval.sample import JSON

if TYPE_CHECKING:
    import pandas

SCHEMA = 1


@dataclass(frozen=True)
class Run:
    """One model on some tasks, as a folder."""

    folder: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    def remove_leftovers(self, task: str) -> None:
        """Remove what models kept of batches under way, once all are answered."""
        shutil.rmtree(self.task_folder(task) / "stages", ignore_errors=True)

    @property
    def has_begun(self) -> bool:
        """Whether its manifest is written."""
        return (self.folder / "manifest.json").is_file()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was written first (raises UsageError when it is absent or not of this version)."""
        mend = f"restore it, or begin the run anew: its command with --run-id {self.id} --fresh"
        return _read_document(self.folder / "manifest.json", MANIFEST_KEYS, mend)

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
        """Return the scores, None while the run is unfinished (raises UsageError when the file is damaged)."""
        return _read_document(self.scores_path, SCORES_KEYS, mending(self)) if self.scores_path.is_file() else None

    def scores_under(self) -> list[dict[str, Any]]:
        """Return the scores under other protocols than the tasks' own, in the order of their names."""
        return [
            _read_document(self.folder / f"scores@{name}.json", SCORES_KEYS, mending(self, name))
            for name in self.protocols_scored
        ]

    def readable_scores(self) -> list[dict[str, Any]]:
        """Return those scores that are whole, other protocols' first: scoring anew is what mends the others."""
        found: list[dict[str, Any]] = []
        for name in (*self.protocols_scored, None):
            path = self.scores_path if name is None else self.folder / f"scores@{name}.json"
            with suppress(UsageError):
                found.append(_read_document(path, SCORES_KEYS, mending(self, name)))
        return found

    @property
    def protocols_scored(self) -> list[str]:
        """Names of the other protocols under which there are scores."""
        return [path.stem.partition("@")[2] for path in sorted(self.folder.glob("scores@*.json"))]

    def task_folder(self, task: str) -> Path:
        """Return the folder of a task's journal, media and features."""
        return self.folder / "tasks" / task

    def entries(self, task: str) -> Mapping[Key, Entry]:
        """Return the latest entry per (sample id, repeat), over the journals of all writers."""
        return self.merged(task).entries

    def merged(self, task: str) -> Merged:
        """Return what the journals of all writers hold together, duplicates counted."""
        return merge(self.all_entries(task))

    def all_entries(self, task: str) -> Iterator[Entry]:
        """Yield the entries of whole batches of every journal, in the order of the journals' names."""
        for path in journal_paths(self.task_folder(task)):
            yield from read_journal(path).entries

    def records(self, task: str) -> list[dict[str, Any]]:
        """Return every scored sample's record (`samples.jsonl`), in the task's order, repeat after repeat.

        Raises UsageError when the file is absent, damaged, or written by a version that did not note the clusters.
        """
        path, mend = self.task_folder(task) / "samples.jsonl", mending(self)
        try:
            # One document instead of one per line: reading tens of thousands of records is then twice as fast.
            found: list[dict[str, Any]] = json.loads(f"[{','.join(path.read_text(encoding='utf-8').splitlines())}]")
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read ({error}); {mend}") from error
        needed = {"sample_id", "repeat", "cluster"}
        if not all(isinstance(record, dict) and needed <= record.keys() for record in found):
            raise UsageError(f"{path} was written by an earlier version of lavit-eval; {mend}")
        return found

    def log(self, text: str) -> None:
        """Append a line with the time to `run.log`."""
        # A log that cannot be written costs nothing that was computed.
        with suppress(OSError), open(self.folder / "run.log", "a", encoding="utf-8") as stream:
            stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")

    def write_manifest(self, manifest: Mapping[str, JSON]) -> bool:
        """Write the manifest of a new run; return False, and write nothing, if another process was first."""
        return write_first(self.folder / "manifest.json", {"schema": SCHEMA, **manifest})

    def add_to_manifest(self, fields: Mapping[str, JSON]) -> None:
        """Write the manifest with more fields, or other values of them; what identifies the run stays as it is."""
        write_json(self.folder / "manifest.json", {**self.manifest, **fields})
        self.__dict__.pop("manifest", None)

    def write_scores(self, scores: Mapping[str, JSON], under: str | None = None) -> None:
        """Write the scores, atomically; those under another protocol than the tasks' own beside them."""
        path = self.scores_path if under is None else self.folder / f"scores@{under}.json"
        write_json(path, {"schema": SCHEMA, **scores})


MANIFEST_KEYS = frozenset({"created", "identity", "identity_digest", "model", "plan", "tasks", "counts", "data_root"})
SCORES_KEYS = frozenset({"model", "tasks", "demo", "seed"})


def mending(run: Run, protocol: str | None = None) -> str:
    """Return the end of a sentence about a damaged file: the command that writes a run's scores anew."""
    under = f" --protocol {shlex.quote(protocol)}" if protocol is not None else ""
    return f"score the run again: lavit-eval score {shlex.quote(str(run.folder))}{under}"


def _read_document(path: Path, needed: frozenset[str], mend: str) -> dict[str, Any]:
    from lavit_eval.score_file import ManifestFile, ScoreFile, wrong_in

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; is {path.parent} the folder of a run?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}); {mend}") from error
    if isinstance(document, dict) and document.get("schema", SCHEMA) != SCHEMA:
        raise UsageError(f"{path} was written by another version of lavit-eval (schema {document['schema']}); {mend}")
    if not isinstance(document, dict) or not needed | {"schema"} <= set(document):
        lacking = sorted((needed | {"schema"}) - set(document)) if isinstance(document, dict) else ["all"]
        raise UsageError(f"{path} is damaged (it lacks {', '.join(lacking)}); {mend}")
    wrong = wrong_in(ManifestFile if needed is MANIFEST_KEYS else ScoreFile, document)
    if wrong is not None:
        raise UsageError(f"{path} is damaged ({wrong}); {mend}")
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


def as_frame(runs: Iterable[Run]) -> pandas.DataFrame:
    """Return the scores of finished runs as a table with one row per run, task and metric, in the order given.

    Columns: run, created (time, UTC), model, model_digest, task_model (digest of what answered this task's kind of
    request: equal in runs that asked other kinds besides), prior (whether the model has no weights), revision, dirty,
    seed, task, metric, primary, value (NaN where there is none), low and high (95 % interval), n, coverage, protocol,
    data, higher_is_better, unit, skipped, repeats (list of values). Unfinished runs are left out. Raises UsageError for
    damaged files and those of another version.
    """
    import pandas

    rows = [row for run in runs for row in _score_rows(run)]
    frame = pandas.DataFrame(rows, columns=list(FRAME_COLUMNS))
    frame["created"] = pandas.to_datetime(frame["created"], utc=True, format="ISO8601")
    return frame.astype(dict.fromkeys(("value", "low", "high", "coverage"), "float64"))


def sample_frame(run: Run, task: str) -> pandas.DataFrame:
    """Return the scores of a task's samples with one row per scored response: sample_id, repeat, cluster, each metric.

    Raises UsageError as `Run.records`.
    """
    import pandas

    rows = []
    for record in run.records(task):
        scores = {
            name: value["score"] for name, value in record.items() if isinstance(value, dict) and "score" in value
        }
        rows.append({**{name: record[name] for name in ("sample_id", "repeat", "cluster")}, **scores})
    return pandas.DataFrame(rows)


FRAME_COLUMNS = (
    "run", "created", "model", "model_digest", "task_model", "prior", "revision", "dirty", "seed", "task", "metric",
    "primary", "value", "low", "high", "n", "coverage", "protocol", "data", "higher_is_better", "unit", "skipped",
    "repeats",
)  # fmt: skip


def _score_rows(run: Run) -> Iterator[dict[str, Any]]:
    scores, manifest = run.scores(), run.manifest
    if scores is None:
        return
    model, code = scores["model"], manifest.get("code", {})
    about = {
        "run": run.id,
        "created": manifest["created"],
        "model": model.get("label") or model["name"],
        "model_digest": model["digest"],
        "prior": bool(manifest["model"].get("prior", False)),
        "revision": code.get("revision"),
        "dirty": code.get("dirty"),
        "seed": scores["seed"],
    }
    for task, scored in scores["tasks"].items():
        by_kind = manifest["model"].get("identity_by_kind", {})
        own = by_kind.get(manifest["tasks"][task]["fields"]["request"]) if task in manifest["tasks"] else None
        task_model = model["digest"] if own is None else digest_json({"name": model["name"], "identity": own})
        for metric, score in scored["metrics"].items():
            low, high = score["interval"] or (None, None)
            yield about | {
                "task": task,
                "task_model": task_model,
                "metric": metric,
                "primary": metric == scored["primary"],
                "low": low,
                "high": high,
                "protocol": score.get("protocol") or scored["protocol"],
                "data": scored["data"],
                "repeats": list(score.get("repeats") or ()),
                **{name: score.get(name) for name in ("value", "n", "coverage", "higher_is_better", "unit", "skipped")},
            }


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
