"""Which hub rows a task takes, and the folder in the cache where they lie as official files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lavit_eval.benchmarks.protocol import Found
from lavit_eval.cards import card_of
from lavit_eval.digests import cache_folder, digest_json
from lavit_eval.errors import UsageError
from lavit_eval.files import write_json
from lavit_eval.hub.folder import Folder
from lavit_eval.hub.layouts import Layout, layout_of
from lavit_eval.hub.rows import NotThere, Origin, Row, locate, no_source, rows_of
from lavit_eval.registry import find
from lavit_eval.sample import JSON
from lavit_eval.task import HubSource, Task

RECORD = "hub.json"
"""Written last: a folder without it is not whole."""


@dataclass(frozen=True, slots=True)
class HubCopy:
    """A task's data from the hub."""

    root: Path
    """A data root of its own: what the task's reader reads."""
    record: Mapping[str, JSON]
    """`id`, `called`, `commit`, `config`, `images`, `split`, and `revision` as the task asked for it."""

    def __str__(self) -> str:
        moved = f" (today {self.record['called']})" if self.record["called"] != self.record["id"] else ""
        return f"{self.record['id']}{moved}, split {self.record['split']}, at {self.record['commit']}"


def hub_copies(tasks: Sequence[Task], data_root: Path) -> tuple[dict[str, HubCopy], list[str]]:
    """Return the hub data of every task by its name, and a sentence for every task that has none.

    Rows are fetched by `datasets`, images as they are and without decoding, and written once into the cache; a commit
    that is there is not fetched again. Where videos stand apart, those under the data root are taken.
    """
    copies: dict[str, HubCopy] = {}
    problems: list[str] = []
    for task in tasks:
        try:
            copies[task.task] = hub_copy(task, data_root)
        except UsageError as error:
            problems.append(str(error))
    return copies, problems


def hub_copy(task: Task, data_root: Path) -> HubCopy:
    """Return one task's data from the first of its ids that gives rows (raises UsageError)."""
    card = card_of(task)
    if task.hub is None:
        why = card.no_hub if card is not None else ""
        raise UsageError(f"{task.task}: no hub source for this task: use --data-root. {why}".strip())
    layout = layout_of(task.task, task.benchmark, card.no_hub if card is not None else "")
    reasons: list[tuple[str, str]] = []
    for identity in task.hub.ids:
        try:
            origin = locate(identity, task.hub.revision)
            folder = _written(task, task.hub, layout, origin)
        except NotThere as error:
            reasons.append((identity, str(error)))
            continue
        root = _with_videos(task, folder, data_root) if layout.videos else folder
        return HubCopy(root, _record(task.hub, origin))
    raise no_source(task.task, reasons)


def _record(hub: HubSource, origin: Origin) -> dict[str, JSON]:
    asked = hub.model_dump(mode="json", include={"config", "images", "split", "revision"})
    return {"id": origin.id, "called": origin.called, "commit": origin.commit, **asked}


def _written(task: Task, hub: HubSource, layout: Layout, origin: Origin) -> Path:
    record = _record(hub, origin)
    key = digest_json([task.benchmark, task.split, layout.version, {**record, "revision": None, "called": None}])[:16]
    folder = cache_folder() / "hub" / f"{task.benchmark}-{task.split}-{key}"
    if (folder / RECORD).is_file():
        return folder
    with _alone(folder):
        if not (folder / RECORD).is_file():
            _write(task, hub, layout, origin, folder)
    return folder


def _write(task: Task, hub: HubSource, layout: Layout, origin: Origin, folder: Path) -> None:
    apart = folder.with_name(f".{folder.name}.rows")
    try:
        rows = rows_of(origin, hub.config, hub.split, layout.columns, apart)
        images = rows_of(origin, hub.images, hub.split, layout.image_columns, apart) if hub.images else iter(())
        _fill(task, hub, layout, origin, folder, rows, images)
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def _fill(
    task: Task, hub: HubSource, layout: Layout, origin: Origin, folder: Path, rows: Iterator[Row], images: Iterator[Row]
) -> None:
    where = f"{task.task}, {origin.id} at {origin.commit}"
    half = folder.with_name(f".{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    try:
        layout.write(Folder(half, where), rows, images, task.split)
        write_json(half / RECORD, {"schema": 1, **_record(hub, origin)})
        shutil.rmtree(folder, ignore_errors=True)
        half.rename(folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{where}: a row is not as it is known ({type(error).__name__}: {str(error)[:80]}); use --data-root with "
            "the official files"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror}); free disk space, or move the cache: LAVIT_EVAL_CACHE"
        ) from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            yield
    except PermissionError as error:
        raise UsageError(f"{folder.parent} cannot be written ({error.strerror}); set LAVIT_EVAL_CACHE") from error


def _with_videos(task: Task, folder: Path, data_root: Path) -> Path:
    """Return a folder of links in which the hub's annotations stand over the data root."""
    if not data_root.is_dir():
        raise UsageError(
            f"{task.task}: the hub has its annotations only; name the folder that holds its videos with --data-root DIR"
        )
    root = cache_folder() / "hub" / "with-videos" / f"{folder.name}-{digest_json(str(data_root.resolve()))[:16]}"
    try:
        _overlay(folder, data_root.resolve(), root)
    except OSError as error:
        raise UsageError(
            f"{root} cannot be written ({error.strerror}); set LAVIT_EVAL_CACHE to another folder"
        ) from error
    found: Found = find("benchmark", task.benchmark)().read(root, task.split, **task.options)
    inside = folder.resolve()
    for path in found.annotations.values():
        if inside not in path.resolve().parents:
            raise UsageError(
                f"{task.task}: {path.resolve()} stands before the hub's annotations; move it away, or leave out "
                "--source hub"
            )
    return root


def _overlay(over: Path, under: Path, root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    above = {path.name: path for path in over.iterdir() if path.name != RECORD}
    below = {path.name: path for path in under.iterdir()} if under.is_dir() else {}
    for name, path in {**below, **above}.items():
        if name in above and path.is_dir():
            _overlay(path, under / name, root / name)
        else:
            _link(root / name, path)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and os.readlink(link) == str(target):
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.replace(fresh, link)
