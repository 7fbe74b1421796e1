"""Where annotation files and media lie under the data root: the official sub-folders and the usual other ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lavit_eval.errors import UsageError

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the official files come from."""

    name: str
    url: str
    licence: str


def first_file(root: Path, places: Sequence[str], source: Source) -> Path:
    """Return the first of `places` (relative to the data root) that is a file.

    Raises UsageError that lists every place tried, and says where the files come from and under which licence.
    """
    for place in places:
        path = root / place
        if path.is_file():
            return path
    if not root.is_dir():
        raise UsageError(
            f"there is no data folder {root}: name the folder that holds the benchmarks with --data-root DIR"
        )
    raise UsageError(
        f"no annotations of {source.name} under {root} (tried {', '.join(places)}): get them from {source.url} "
        f"({source.licence}) and put them at {root / places[0]}, or name another folder with --data-root DIR"
    )


def spread(folders: Sequence[str], name: str) -> list[str]:
    """Return `name` in each of the folders ("" is the data root itself)."""
    return [f"{folder}/{name}" if folder else name for folder in folders]


def known_split(split: str, known: Sequence[str], source: Source) -> str:
    """Return the split, or raise UsageError that lists the known ones."""
    if split not in known:
        raise UsageError(f"{source.name} has no split {split!r}: use one of {', '.join(known)}")
    return split


class MediaFolders:
    """The media in some folders under the data root; each folder is listed once, no file is opened.

    Args:
        root: The data root.
        folders: Sub-folders in order of preference ("" is the root itself); those that do not exist are passed over.
        suffixes: Accepted file name extensions in order of preference, lower case; letter case is ignored on disk.
    """

    def __init__(self, root: Path, folders: Sequence[str], suffixes: Sequence[str]) -> None:
        self.suffixes = tuple(suffixes)
        self._found: dict[str, str] = {}
        self._expected: Path | None = None
        for folder in dict.fromkeys(folders):
            path = root / folder
            if self._list(path) and self._expected is None:
                self._expected = path
        self._fallback = root / folders[0]

    def _list(self, folder: Path) -> bool:
        """Take in the media of one folder; return whether it holds any."""
        best: dict[str, tuple[int, str]] = {}
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise UsageError(f"{folder} cannot be listed ({error.strerror}): check its permissions") from error
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in self.suffixes:
                rank = (self.suffixes.index(suffix.lower()), name)
                best[stem] = min(best.get(stem, rank), rank)
        for stem, (_, name) in best.items():
            self._found.setdefault(stem, os.path.join(folder, name))
        return bool(best)

    def find(self, stem: str) -> str | None:
        """Return the path of the medium of this name (without extension), or None when no folder holds it."""
        return self._found.get(stem)

    def expected(self, stem: str) -> str:
        """Return the path at which a medium that was not found is expected."""
        return os.path.join(self._expected or self._fallback, stem + self.suffixes[0])


def inside(name: str) -> bool:
    """Return whether a file name from an annotation file is relative and stays in the folder it is relative to."""
    path = PurePosixPath(name)
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name
