"""The files of UCF-101: class folders, classInd.txt, and the lists of the official train and test splits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lavit_eval.benchmarks.folders import Source, spread
from lavit_eval.benchmarks.plain_text import read_lines
from lavit_eval.benchmarks.ucf101_prompts import official_name, unknown_class
from lavit_eval.errors import UsageError

SOURCE = Source("UCF-101", "https://www.crcv.ucf.edu/data/UCF101.php", "research use; no explicit licence")
VIDEO_FOLDERS = (
    "UCF-101",
    "UCF101/UCF-101",
    "ucf101/UCF-101",
    "UCF-101/UCF-101",
    "UCF101/videos",
    "ucf101/videos",
    "UCF101",
    "ucf101",
)
_PARENTS = ("", "UCF101", "ucf101", "UCF-101", "UCF101TrainTestSplits-RecognitionTask", "UCF101/annotations")
SPLIT_FOLDERS = (*spread(_PARENTS, "ucfTrainTestlist"), "ucf101/annotations")
LISTS = tuple(f"{part}list{number:02d}" for part in ("test", "train") for number in (1, 2, 3))
VIDEO = re.compile(r"v_([A-Za-z]+)_g\d+_c\d+")
LIST_LINE = re.compile(rf"([^/\s]+)/({VIDEO.pattern})\.avi(?:\s+(\d+))?", re.IGNORECASE)
SUFFIX = ".avi"


@dataclass(frozen=True, slots=True)
class ClassIndex:
    """The content of classInd.txt."""

    path: Path
    numbers: Mapping[str, int]
    """Class -> its number, which starts at 1; in the order of the numbers."""


def find_index(root: Path) -> ClassIndex | None:
    """Return what ucfTrainTestlist/classInd.txt holds (lines `1 ApplyEyeMakeup`), or None where there is none.

    Raises UsageError that names file and line for an unknown class, a number below 1, or one that comes twice.
    """
    path = next((root / place for place in spread(SPLIT_FOLDERS, "classInd.txt") if (root / place).is_file()), None)
    if path is None:
        return None
    numbers: dict[str, int] = {}
    for line_number, line in read_lines(path):
        digits, *words = line.split()
        if not (digits.isascii() and digits.isdigit()) or int(digits) < 1 or len(words) != 1:
            raise UsageError(
                f'{path}, line {line_number} is not of the form "1 ApplyEyeMakeup", numbers from 1: '
                "is it the official file, unchanged?"
            )
        name = official_name(words[0])
        if name is None:
            raise UsageError(f"{path}, line {line_number}: {unknown_class(words[0])} Is it the official file?")
        if name in numbers or int(digits) in numbers.values():
            raise UsageError(f"{path}, line {line_number} repeats a class or a number: is it the official file?")
        numbers[name] = int(digits)
    return ClassIndex(path, dict(sorted(numbers.items(), key=lambda pair: pair[1])))


def read_list(path: Path, index: ClassIndex | None) -> dict[str, list[str]]:
    """Return class -> names of its videos (without extension) of an official list, in its order.

    The lines of a train list end in the class's number, those of a test list do not. Raises UsageError that names file
    and line.
    """
    labelled = path.name.startswith("train")
    videos: dict[str, list[str]] = {}
    seen: set[str] = set()
    for number, line in read_lines(path):
        found = LIST_LINE.fullmatch(line)
        name = official_name(found[1]) if found else None
        if found is None or name is None or official_name(found[3]) != name or (found[4] is not None) != labelled:
            form = "Class/v_Class_g01_c01.avi" + (" 1" if labelled else "")
            raise UsageError(f"{path}, line {number} is not of the form {form}: is it the official file, unchanged?")
        if index is not None and labelled and index.numbers.get(name, int(found[4])) != int(found[4]):
            raise UsageError(
                f"{path}, line {number} gives {name} the number {found[4]}, but {index.path} says "
                f"{index.numbers[name]}: the files are of different sources, get both from {SOURCE.url}"
            )
        if found[2].casefold() in seen:
            raise UsageError(f"{path}, line {number} names {found[2]} a second time: is it the official file?")
        seen.add(found[2].casefold())
        videos.setdefault(name, []).append(found[2])
    return videos


class ClassFolders:
    """The class folders under the data root; each is listed when it is first asked for, no video is opened.

    Letter case is ignored: the videos of the folder HandstandPushups are named v_HandStandPushups_*.

    Args:
        root: The data root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / VIDEO_FOLDERS[0]
        self._folders: dict[str, str] = {}
        self._videos: dict[str, dict[str, str]] = {}
        for place in VIDEO_FOLDERS:
            names = [(official_name(name), name) for name in _entries(root / place) if (root / place / name).is_dir()]
            # The name spelled as the official one comes last, so it wins over others that differ in letter case.
            found = {known: name for known, name in sorted(names, key=lambda pair: pair[0] == pair[1]) if known}
            if found:
                self.folder, self._folders = root / place, found
                return

    @property
    def present(self) -> list[str]:
        """The classes that have a folder."""
        return sorted(self._folders)

    def require(self) -> None:
        """Raise UsageError, with all places tried, when there is no class folder at all."""
        if not self._folders:
            raise UsageError(
                f"no class folders of {SOURCE.name} under {self.root} (tried {', '.join(VIDEO_FOLDERS)}): get the "
                f"videos from {SOURCE.url} ({SOURCE.licence}) and put them at {self.folder}/Class/*{SUFFIX}, "
                "or name another folder with --data-root DIR"
            )

    def names(self, name: str) -> list[str]:
        """Return the names (without extension) of the videos in a class's folder."""
        return [os.path.splitext(os.path.basename(path))[0] for path in self._listed(name).values()]

    def place(self, name: str, video: str) -> str:
        """Return the path of a video of a class, or where it is expected when the folder lacks it."""
        expected = os.path.join(self.folder, self._folders.get(name, name), video + SUFFIX)
        return self._listed(name).get(video.casefold(), expected)

    def _listed(self, name: str) -> dict[str, str]:
        """Return name in lower case -> path of the videos in a class's folder."""
        if name not in self._videos:
            self._videos[name] = self._list(name) if name in self._folders else {}
        return self._videos[name]

    def _list(self, name: str) -> dict[str, str]:
        folder, found = self.folder / self._folders[name], dict[str, str]()
        for entry in sorted(_entries(folder)):
            stem, suffix = os.path.splitext(entry)
            match = VIDEO.fullmatch(stem)
            if match is None or suffix.lower() != SUFFIX:
                continue
            if official_name(match[1]) != name:
                raise UsageError(f"{folder / entry} lies in the folder of another class: move it to {match[1]}")
            found.setdefault(stem.casefold(), os.path.join(folder, entry))
        return found


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder; none where there is no such folder."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UsageError(f"{folder} cannot be listed ({error.strerror}): check its permissions") from error
