"""Media that annotations name, with or without a sub-folder and an extension."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lavit_eval.benchmarks.annotations import fault
from lavit_eval.benchmarks.folders import VIDEO_SUFFIXES, MediaFolders, inside
from lavit_eval.sample import Medium, MediumKind

ALL_VIDEO_SUFFIXES = (".mp4", *(suffix for suffix in VIDEO_SUFFIXES if suffix != ".mp4"), ".mov")


class NamedMedia:
    """The media under some folders of the data root, found by the names that annotations give them.

    A name may hold a sub-folder; its extension is ignored where it is one of `suffixes`. Each folder is listed once.

    Args:
        root: The data root.
        folders: Where names are relative to, in order of preference ("" is the root itself).
        suffixes: Accepted extensions in order of preference; the first is the official one.
        kind: Image or video.
        label: What the media's names within the benchmark begin with.
    """

    def __init__(
        self,
        root: Path,
        folders: Sequence[str],
        suffixes: Sequence[str] = ALL_VIDEO_SUFFIXES,
        kind: MediumKind = "video",
        label: str = "videos",
    ) -> None:
        self._root, self._folders, self._suffixes = root, folders, tuple(suffixes)
        self._kind: MediumKind = kind
        self._label = label
        self._listed: dict[str, MediaFolders] = {}

    def of(self, name: str) -> Medium:
        """Return the medium of a name; it is named even when the file is absent."""
        folder, stem = self._parts(name)
        listed = self._folder(folder)
        path = listed.find(stem) or listed.expected(stem)
        place = f"{self._label}/{folder}/" if folder else f"{self._label}/"
        return Medium(self._kind, path, f"{place}{stem}{self._suffixes[0]}")

    def has(self, name: str) -> bool:
        """Return whether a file of this name exists."""
        folder, stem = self._parts(name)
        return self._folder(folder).find(stem) is not None

    def _parts(self, name: str) -> tuple[str, str]:
        path = PurePosixPath(name)
        folder = "" if str(path.parent) == "." else str(path.parent)
        stem, suffix = os.path.splitext(path.name)
        return folder, stem if suffix.lower() in self._suffixes else path.name

    def _folder(self, folder: str) -> MediaFolders:
        if folder not in self._listed:
            places = [f"{place}/{folder}".strip("/") for place in self._folders]
            self._listed[folder] = MediaFolders(self._root, places, self._suffixes)
        return self._listed[folder]


def checked_name(path: Path, index: int, row: Mapping[str, Any], key: str | None, name: str) -> str:
    """Return a medium's name; raise UsageError that names the entry when it leads out of the data folder."""
    if not inside(name):
        fault(path, index, row, key, f"names a medium outside the data folder ({name!r})")
    return name
