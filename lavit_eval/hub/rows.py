"""The rows of a data set on the hub, at a commit that is known; no code of a data set is ever run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavit_eval.digests import cached_digest, digest_json
from lavit_eval.errors import UsageError

Row = dict[str, Any]
BATCH = 64
"""Rows held at once; those of some benchmarks hold an image of a megabyte each."""
TIMEOUT = 20.0
"""Seconds after which the hub is taken for silent."""
_SECRET = re.compile(r"hf_[A-Za-z0-9]{8,}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class NotThere(Exception):
    """An id gives no rows; `str(error)` says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A data set at a commit."""

    id: str
    """As it was asked for, or a folder."""
    commit: str
    """The hub's commit; "files-" and a digest for a folder."""
    called: str
    """What the hub calls it today; another name than `id` where it moved."""


def locate(identity: str, revision: str | None) -> Origin:
    """Return a data set with its commit (raises NotThere)."""
    if Path(identity).is_dir():
        return _folder(Path(identity), identity)
    if offline():
        return Origin(identity, _cached_commit(identity, revision), identity)
    from huggingface_hub import HfApi

    try:
        found = HfApi().dataset_info(identity, revision=revision, timeout=TIMEOUT)
    except Exception as error:  # the hub's libraries raise those of several HTTP clients; each becomes a reason
        raise NotThere(_why(error, revision)) from error
    return Origin(identity, str(found.sha), str(found.id))


def offline() -> bool:
    """Return whether the user asked the hub's libraries to stay off the network."""
    truths = {"1", "true", "yes", "on"}
    return any(os.environ.get(name, "").lower() in truths for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"))


def rows_of(origin: Origin, config: str | None, split: str, columns: Sequence[str], apart: Path) -> Iterator[Row]:
    """Return the rows of a split, images as {"bytes", "path"} and never decoded.

    Args:
        origin: The data set.
        config: Its configuration; None for the only one.
        split: The hub's name of the split; the files of no other are fetched.
        columns: Which must be there.
        apart: A folder for the tables that `datasets` makes of the files, to be removed after use: its own cache tells
            local folders apart by their names alone. The fetched files themselves are in the hub's cache.

    Raises NotThere at once when there is no such data set, configuration, split or column; loading scripts are refused.
    """
    import datasets

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    place, revision = _place(origin)
    try:
        builder = datasets.load_dataset_builder(place, config, revision=revision, cache_dir=str(apart))
        files = {str(name): paths for name, paths in (builder.config.data_files or {}).items()}
        if split not in files:
            raise NotThere(f"it has no split {split!r}, only {', '.join(files) or 'none'}")
        # The files of one split alone: `load_dataset` would fetch those of all.
        builder.config.data_files = datasets.data_files.DataFilesDict({split: files[split]})
        builder.download_and_prepare(verification_mode="no_checks")
        loaded = builder.as_dataset(split=split)
    except NotThere:
        raise
    except Exception as error:  # as above, and whatever a parser finds in the files
        raise NotThere(_why(error, None)) from error
    lacking = [column for column in columns if column not in loaded.column_names]
    if lacking:
        raise NotThere(f"it has no column {lacking[0]!r}, only {', '.join(loaded.column_names)}")
    return _iterated(loaded)


def _place(origin: Origin) -> tuple[str, str | None]:
    """Return what is loaded, and at which revision: a folder, the snapshot in the hub's cache, or an id."""
    if Path(origin.id).is_dir():
        return origin.id, None
    if offline():
        snapshot = _cache_of(origin.id) / "snapshots" / origin.commit
        if not snapshot.is_dir():
            raise NotThere("not in the cache at this commit, and the hub is switched off (HF_HUB_OFFLINE)")
        return str(snapshot), None
    return origin.id, origin.commit


def _cache_of(identity: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / str(repo_folder_name(repo_id=identity, repo_type="dataset"))


def _iterated(loaded: Any) -> Iterator[Row]:
    for batch in loaded.with_format("arrow").iter(batch_size=BATCH):
        yield from batch.to_pylist()


def _folder(folder: Path, identity: str) -> Origin:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise NotThere("the folder is empty")
    digest = digest_json([[path.relative_to(folder).as_posix(), cached_digest(path)] for path in files])
    return Origin(identity, f"files-{digest[:12]}", identity)


def _cached_commit(identity: str, revision: str | None) -> str:
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    try:
        return str((_cache_of(identity) / "refs" / (revision or "main")).read_text().strip())
    except OSError:
        raise NotThere("not in the cache, and the hub is switched off (HF_HUB_OFFLINE)") from None


def _why(error: Exception, revision: str | None) -> str:
    """Return in a few words why the hub gave nothing; what could hold a token is left out."""
    kind = type(error).__name__
    if kind == "GatedRepoError":
        return "gated: accept its terms on the hub and log in with `hf auth login`"
    if kind in ("RepositoryNotFoundError", "DatasetNotFoundError"):
        return "gone, renamed or not public"
    if kind == "RevisionNotFoundError":
        return f"it has no revision {revision!r}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the hub answers {status}"
    if isinstance(error, RuntimeError) and "script" in str(error):
        return "it is a loading script, which is never run"
    if "Connect" in kind or "Timeout" in kind or "Offline" in kind:
        return "no connection to the hub"
    return f"{kind}: {_SECRET.sub('(token)', ' '.join(str(error).split()))[:120]}"


def no_source(task: str, reasons: Sequence[tuple[str, str]]) -> UsageError:
    """Return the error for a task none of whose ids gives rows."""
    tried = "; ".join(f"{identity} ({reason})" for identity, reason in reasons)
    return UsageError(
        f"{task}: nothing on the hub could be read: {tried}. Use the official files with --data-root (lavit-eval tasks "
        f"{task}), or name another id under hub: in a task of your own"
    )
