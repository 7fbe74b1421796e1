"""Images and videos that were made elsewhere, as a model like any other."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from lavit_eval.digests import cached_digest, digest_json
from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import FactoryMethods, ModelOptions
from lavit_eval.sample import JSON, Request, RequestKind, Response

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
VIDEOS = frozenset(
    {".mkv", ".mp4", ".avi", ".webm", ".mov", ".m4v", ".gif", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".ts", ".3gp"}
)
SUFFIXES = IMAGES | VIDEOS
COLUMNS = ("id", "path", "repeat")
Key = tuple[str, int]


class ExternalMedia(FactoryMethods):
    """Hands over files that are named by sample id in a folder, or listed in a CSV of id and path.

    The files stay where they are; the run keeps their digests, and takes no new features from one that has changed
    since. A sample without a file is a failed response; a file without a sample, or two for one, is the user's mistake.
    """

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"generate_image", "generate_video"})
    reads_media: ClassVar[bool] = False

    def __init__(self, options: ModelOptions) -> None:
        super().__init__(options)
        self._place = place_of(options)
        self._files = find_media(self._place)

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Return the digest of all files with the samples that they belong to: the files are the model."""
        files = find_media(place_of(options))
        return {
            "class": cls.__name__,
            "media": digest_json([[*key, _digest(path)] for key, path in sorted(files.items())]),
        }

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Return what is wrong with the folder or list, and which files are copies of each other."""
        try:
            files = find_media(place_of(options))
            if strange := _of_another_kind(files, options.kinds):
                return [strange]
            return [] if options.arguments.get("copies") == "allowed" else _copies(files)
        except UsageError as error:
            return [str(error)]

    @classmethod
    def load(cls, options: ModelOptions) -> Self:
        """List the files."""
        return cls(options)

    @classmethod
    def check_samples(cls, options: ModelOptions, task: str, known: frozenset[str], repeats: int) -> list[str]:
        """Return what is wrong with the files for a task: ids that it does not have, repeats that are not asked for."""
        place = place_of(options)
        files = find_media(place)
        problems = []
        strange = sorted({sample_id for sample_id, _ in files} - known)
        if strange:
            problems.append(
                f"{place}: {len(strange)} files belong to no sample of {task} (first: {strange[0]!r}); name files by "
                "sample id, give a CSV of id and path, or choose the right --task."
            )
        most = max((repeat for _, repeat in files), default=0)
        if most >= repeats:
            problems.append(f"{place}: lists files of repeat {most}; say how many repeats count: --repeats {most + 1}")
        return problems

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Return the files' places and digests."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Response:
        path = self._files.get(request.key)
        if path is None:
            return Response(
                request.sample_id,
                request.repeat,
                "failed",
                error=f"{self._place} has no file for it: a prompt without one.",
            )
        return Response(
            request.sample_id, request.repeat, "answered", medium=str(path.resolve()), medium_digest=_digest(path)
        )


def place_of(options: ModelOptions) -> Path:
    """Return the folder or list that the user named."""
    return Path(options.arguments["media"])


def find_media(place: Path) -> dict[Key, Path]:
    """Return (sample id, repeat) -> file of a folder or a CSV (raises UsageError with file and line)."""
    if place.is_dir():
        return _in_folder(place)
    if place.is_file():
        return _in_list(place)
    raise UsageError(f"{place} is neither a folder nor a CSV file; name what holds the videos with --media.")


def _in_folder(folder: Path) -> dict[Key, Path]:
    by_id: dict[str, list[Path]] = defaultdict(list)
    try:
        entries = [Path(one.path) for one in os.scandir(folder) if not one.is_dir()]
    except OSError as error:
        raise UsageError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error
    for path in sorted(entries):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            by_id[path.stem].append(path)
    if not by_id:
        raise UsageError(f"{folder} holds no video or image; name the folder that does with --media.")
    for sample_id, paths in by_id.items():
        if len(paths) > 1:
            raise UsageError(
                f"{folder} holds {len(paths)} files of sample {sample_id!r} ({', '.join(one.name for one in paths)}); "
                "keep one."
            )
    return {(sample_id, 0): paths[0] for sample_id, paths in by_id.items()}


def _in_list(listing: Path) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    try:
        with open(listing, encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            names = rows.fieldnames or []
            if not {"id", "path"} <= set(names) <= set(COLUMNS) or len(set(names)) < len(names):
                raise UsageError(
                    f"{listing}:1: the columns must be id,path (and repeat, where there are several), not "
                    f"{','.join(names) or 'nothing'}; mend the first line."
                )
            for row in rows:
                key, path = _listed(row, f"{listing}:{rows.line_num}", listing.parent)
                if key in found:
                    raise UsageError(f"{listing}:{rows.line_num}: a second file for sample {key[0]!r}; keep one.")
                found[key] = path
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{listing} cannot be read as CSV ({error}); mend it, or give a folder with --media."
        ) from error
    if not found:
        raise UsageError(f"{listing} lists no file; add lines of id,path.")
    return found


def _listed(row: Mapping[str | Any, str | Any], where: str, base: Path) -> tuple[Key, Path]:
    sample_id, path, repeat = row.get("id"), row.get("path"), row.get("repeat") or "0"
    if not sample_id or not path or not repeat.isdecimal() or None in row:
        raise UsageError(
            f"{where}: each line needs an id and a path (and a whole number as repeat, if any), no more; mend it."
        )
    place = base / path
    if not place.is_file():
        raise UsageError(
            f"{where}: there is no file {place}; mend the path (relative ones begin at the list's folder)."
        )
    return (sample_id, int(repeat)), place


def _of_another_kind(files: Mapping[Key, Path], kinds: frozenset[RequestKind]) -> str | None:
    """Return a sentence if there are videos where the task makes images, or the other way round."""
    wanted = {"generate_image": ("images", VIDEOS), "generate_video": ("videos", IMAGES)}
    for kind in kinds & wanted.keys():
        name, unfit = wanted[kind]
        found = [path for path in files.values() if path.suffix.lower() in unfit]
        if found:
            return f"The task makes {name}, but {len(found)} files are none (first: {found[0]}); give the right ones."
    return None


def _copies(files: Mapping[Key, Path]) -> list[str]:
    """Return a sentence if files of different samples have the same content: each copy would count as a video."""
    by_content: dict[str, list[Key]] = defaultdict(list)
    for key, path in sorted(files.items()):
        by_content[_digest(path)].append(key)
    groups = [keys for keys in by_content.values() if len(keys) > 1]
    if not groups:
        return []
    first = " and ".join(files[key].name for key in groups[0][:2])
    return [
        f"{sum(len(keys) - 1 for keys in groups)} of the files are copies of others (first: {first}); a copy counts as "
        "a video of its own, so remove them, or accept a score that is labelled: --allow-partial"
    ]


def _digest(path: Path) -> str:
    try:
        return cached_digest(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
