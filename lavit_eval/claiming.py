"""Which folder a run has, and taking hold of it so that no two processes write one run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lavit_eval.digests import digest_json
from lavit_eval.engines.options import Shard
from lavit_eval.errors import UsageError
from lavit_eval.journal import JournalWriter, journal_path
from lavit_eval.prospect import Prospect, adopted
from lavit_eval.provenance import code_revision, hardware, package_versions
from lavit_eval.runs import Run, differing, equal_run
from lavit_eval.sample import JSON

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Choice:
    """The folder that a run would have."""

    run: Run
    exists: bool
    """Whether an equal run lies there, to be continued or already finished."""
    set_aside: bool = False
    """Whether `--fresh` will rename what lies there."""

    @property
    def scores(self) -> Mapping[str, Any] | None:
        """The scores of an equal run that is finished."""
        return self.run.scores() if self.exists else None


def choose_run(prospect: Prospect) -> Choice:
    """Return the run to continue or to begin; nothing is changed.

    Raises:
        UsageError: The run id belongs to a run of another model, data, protocol or seed, or is no name of a folder.
    """
    options = prospect.options
    folder = options.output / "runs"
    if options.run_id is None:
        found = None if options.fresh else equal_run(options.output, prospect.identity)
        return Choice(found, True) if found is not None else Choice(Run(_new_folder(folder, options.model)), False)
    if not RUN_ID.fullmatch(options.run_id):
        raise UsageError(
            f"--run-id {options.run_id!r} cannot name a folder; use letters, digits, dots, dashes and underscores."
        )
    run = Run(folder / options.run_id)
    if not (run.folder / "manifest.json").is_file():
        return Choice(run, False)
    if options.fresh:
        return Choice(run, False, set_aside=True)
    names = differing(run.identity, prospect.identity)
    if names:
        raise UsageError(
            f"Run {options.run_id} is of another kind: it differs in {', '.join(names)}; "
            "choose another --run-id, or begin it anew with --fresh."
        )
    return Choice(run, True)


def _new_folder(runs: Path, model: str) -> Path:
    base = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{model}"
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    return next(runs / name for name in names if not (runs / name).exists())


@contextmanager
def claimed(prospect: Prospect) -> Iterator[tuple[Choice, dict[str, JournalWriter]]]:
    """Choose the run's folder and hold its journals; the manifest of a new run is written.

    Choosing and taking hold are one step under the lock of the output folder, so that of two processes that begin at
    once neither takes the other's folder. A finished run is not taken hold of. Shards of one partition hold a run
    together, each its own journals; any other two drivers exclude each other.

    Raises:
        UsageError: The run is in use, or is another one, or cannot be written.
    """
    with ExitStack() as stack:
        with _choosing(prospect.options.output / "runs"):
            choice = choose_run(prospect)
            wants_writing = choice.scores is None or _wants_retry(prospect, choice.scores)
            writers: dict[str, JournalWriter] = {}
            if wants_writing:
                if choice.set_aside:
                    _set_aside(prospect, choice.run)
                if not choice.exists and not choice.run.write_manifest(_manifest(prospect, choice.run)):
                    # The locks of this file system do not hold between machines, but one file has one first writer.
                    choice = choose_run(replace(prospect, options=replace(prospect.options, run_id=choice.run.id)))
                _check_plan(adopted(prospect, choice.run), choice.run)
                shard = prospect.options.engine.shard
                _refuse_others(choice.run, shard)
                writer = shard.writer if shard else ""
                writers = {name: stack.enter_context(_writer(choice.run, name, writer)) for name in prospect.plans}
        yield choice, writers


@contextmanager
def _choosing(runs: Path) -> Iterator[None]:
    from filelock import FileLock

    try:
        runs.mkdir(parents=True, exist_ok=True)
        lock = FileLock(runs / ".choosing.lock")
        lock.acquire()
    except OSError as error:
        raise UsageError(f"{runs} cannot be written ({error.strerror}); choose another --output-dir.") from error
    try:
        yield
    finally:
        lock.release()


def _wants_retry(prospect: Prospect, scores: Mapping[str, Any]) -> bool:
    return prospect.options.retry_failed and any(task["failed"] for task in scores["tasks"].values())


def _writer(run: Run, task: str, name: str = "") -> JournalWriter:
    return JournalWriter(journal_path(run.task_folder(task), name))


def _refuse_others(run: Run, shard: Shard | None) -> None:
    """Refuse while a driver writes the run that shares no partition with this one (UsageError).

    Asked under the lock of the output folder, so that nobody takes hold of a journal meanwhile.
    """
    from filelock import FileLock, Timeout

    for lock in sorted(run.folder.glob("tasks/*/journal*.lock")):
        if shard is not None and lock.stem.endswith(f"-of-{shard.of}"):
            continue
        try:
            with FileLock(lock, timeout=0):
                pass
        except Timeout:
            raise UsageError(
                f"Another process is writing {lock.with_suffix('.jsonl')}; wait for it to end, "
                "or take another run with --run-id (shards of one run must be I/N of the same N)."
            ) from None


def _set_aside(prospect: Prospect, run: Run) -> None:
    """Rename a run that `--fresh` replaces; refuse while a process writes it."""
    _refuse_others(run, None)
    run.folder.rename(run.folder.with_name(f"before-{datetime.now(UTC):%Y%m%d-%H%M%S}-{run.id}"))


def _check_plan(prospect: Prospect, run: Run) -> None:
    for name, plan in prospect.plans.items():
        if run.manifest["plan"][name]["digest"] != plan.digest():
            raise UsageError(f"Run {run.id} was planned otherwise (task {name}); begin it anew with --fresh.")


def _manifest(prospect: Prospect, run: Run) -> dict[str, JSON]:
    options = prospect.options
    return {
        "run_id": run.id,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "command": list(options.command),
        "identity": dict(prospect.identity),
        "identity_digest": digest_json(prospect.identity),
        "model": {
            "name": options.model,
            "label": options.label or options.model,
            "prior": bool(getattr(prospect.model_class, "prior", False)),
            "identity": dict(prospect.model_identity),
            "identity_by_kind": {kind: dict(identity) for kind, identity in prospect.identity_by_kind.items()},
        },
        "data_root": str(options.data_root.resolve()),
        "hub": {name: {"root": str(copy.root), **copy.record} for name, copy in options.copies.items()},
        "tasks": {
            each.task.task: {"fields": each.task.model_dump(mode="json"), "asking": each.asking}
            for each in prospect.prepared
        },
        "counts": dict(options.counts),
        "plan": {
            name: {**plan.sizes.in_manifest(), "requests": len(plan.requests), "digest": plan.digest()}
            for name, plan in prospect.plans.items()
        },
        "code": code_revision(),
        "packages": package_versions(),
        "hardware": hardware(options.model_options.device, options.threads),
    }


def changed_stack(run: Run, device: str) -> list[str]:
    """Return how device, packages and code differ from those that the run began with, one sentence each.

    Such a run is still continued: its parts then come from different stacks, which may move a float by rounding, and
    its log says so.
    """
    stored = run.manifest
    now = {"device": device, **package_versions(), "code revision": code_revision()["revision"]}
    then = {
        "device": stored["hardware"]["device"],
        **stored["packages"],
        "code revision": stored["code"]["revision"],
    }
    names = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
    return [f"continued with another {name}: {then.get(name)} before, {now.get(name)} now" for name in names]
