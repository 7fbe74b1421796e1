"""Why a file is not where it is looked for: often it has the same name in other letters' case."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

Names = dict[str, list[str]]
"""Lower-case name, with and without extension -> the names on disk."""


class CaseHints:
    """Finds files whose names differ from the wanted ones by letters' case only; each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[str, Names] = {}

    def of(self, path: str) -> str | None:
        """Return the path of such a file or folder, or None where there is none.

        >>> CaseHints().of("/no such folder/anywhere.avi") is None
        True
        """
        here = Path(path)
        for parent in reversed(here.parents):
            if parent.is_dir():
                continue
            return self._like(parent, with_stem=False)
        return self._like(here, with_stem=True)

    def first(self, paths: Iterable[str]) -> tuple[str, str] | None:
        """Return the first path that has such a file, with that file."""
        return next(((path, found) for path in paths if (found := self.of(path)) is not None), None)

    def _like(self, path: Path, with_stem: bool) -> str | None:
        names = self._names(str(path.parent))
        candidates = names.get(path.name.lower(), [])
        if not candidates and with_stem:
            candidates = names.get(path.stem.lower(), [])
        other = [name for name in candidates if name != path.name]
        return str(path.parent / min(other)) if other else None

    def _names(self, folder: str) -> Names:
        if folder not in self._listed:
            found: Names = {}
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            for name in names:
                for key in {name.lower(), os.path.splitext(name)[0].lower()}:
                    found.setdefault(key, []).append(name)
            self._listed[folder] = found
        return self._listed[folder]
