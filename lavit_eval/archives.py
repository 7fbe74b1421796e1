"""Unpacks zip and tar archives: members are checked before anything is written, and no other file is overwritten."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lavit_eval.digests import cache_folder, digest_json
from lavit_eval.errors import UsageError

CHUNK = 1 << 20
LARGEST_RATIO = 300
"""Bytes that come out of an archive for each byte of it: annotation files give up to a hundred, bombs thousands."""
SMALL = 64 << 20
"""Bytes that may come out of any archive, whatever its ratio."""
MOST_MEMBERS = 5_000_000
SPARE_BYTES = 200 << 20
LONGEST_NAME = 255
SHOWN = 5
_DRIVE = re.compile(r"[A-Za-z]:")
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError)

Told = Callable[[int], None]
"""Called with the number of members that are done, now and then."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of an archive."""

    written: int
    """Files that are new."""
    present: int
    """Files that were there with the same content."""
    passed_over: int
    """Members that macOS or Windows add for themselves."""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    """As the archive has it."""
    parts: tuple[str, ...]
    size: int


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip or tar archive, packed or not, by its content."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except OSError:
        return False


def unpack(archive: Path, folder: Path, told: Told = lambda _: None) -> Unpacked:
    """Unpack an archive into a folder; a top folder of the archive with the folder's own name is left out.

    Members come out in a hidden folder beside their places and are moved when all are out, so that a kill leaves no
    half file; the same command goes on where it stood. A file that is there with the same content is left alone.

    Raises:
        UsageError: The archive is damaged or encrypted; a member is a link or device, leads outside the folder, or
            stands twice; it would grow beyond reason or the disk; a file with other content lies in a member's place.
            Nothing is moved then.
    """
    members, passed_over = _checked(archive)
    places = _places(members, folder)
    with _alone(folder):
        _refuse_conflicts(archive, [place for place, member in places.items() if _differs(place, member.size)])
        _require_space(archive, folder, sum(member.size for place, member in places.items() if not place.exists()))
        hidden = folder / f".unpacking-{_identity(archive)}"
        try:
            written, present = _bring_out(archive, places, hidden, told)
        except UsageError:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        except _BROKEN as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise _damaged(archive, error) from error
        except OSError as error:
            raise UsageError(
                f"{folder}: {archive.name} cannot be unpacked ({error.strerror}); free disk space or mend the folder's "
                "permissions, then repeat the command: it goes on where it stood"
            ) from error
        shutil.rmtree(hidden, ignore_errors=True)
    return Unpacked(written, present, passed_over)


def place_file(source: Path, target: Path) -> bool:
    """Copy a file to a place, atomically; return False where it is there already with the same content.

    Raises UsageError when another file is there, or the copy cannot be written.
    """
    if os.path.lexists(target):
        if target.is_file() and _same_content(source, target):
            return False
        _refuse_conflicts(source, [target])
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        os.replace(part, target)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written ({error.strerror}): free disk space or mend permissions"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return True


def _identity(archive: Path) -> str:
    found = archive.stat()
    return digest_json([archive.name, found.st_size, found.st_mtime_ns])[:12]


def _checked(archive: Path) -> tuple[list[_Member], int]:
    """Return the files of an archive after a look at every member; nothing is unpacked."""
    allowed = max(SMALL, archive.stat().st_size * LARGEST_RATIO)
    members: list[_Member] = []
    files: set[tuple[str, ...]] = set()
    folders: set[tuple[str, ...]] = set()
    total = passed_over = 0
    for name, size, kind in _listed(archive):
        parts = _parts(archive, name, kind)
        if kind == "folder" or not parts:
            continue
        if _is_litter(parts):
            passed_over += 1
            continue
        if parts in files:
            raise UsageError(f"{archive}: the member {name!r} stands twice; download it again from its official place")
        files.add(parts)
        folders.update(parts[:cut] for cut in range(1, len(parts)))
        total += size
        members.append(_Member(name, parts, size))
        if total > allowed or len(members) > MOST_MEMBERS:
            raise UsageError(
                f"{archive}: more than {allowed >> 20:,} MB or {MOST_MEMBERS:,} files would come out of "
                f"{archive.stat().st_size >> 20:,} MB; this is no data set's archive, nothing was unpacked"
            )
    if both := files & folders:
        raise UsageError(f"{archive}: {'/'.join(min(both))!r} is a file and a folder at once; download it again")
    if not members:
        raise UsageError(f"{archive} holds no files; download it again")
    return members, passed_over


def _listed(archive: Path) -> Iterator[tuple[str, int, str]]:
    """Yield (name, bytes, "file", "folder" or what else it is) of every member."""
    with _opened(archive) as opened:
        if isinstance(opened, zipfile.ZipFile):
            for entry in opened.infolist():
                if entry.flag_bits & 1:
                    raise UsageError(f"{archive} is encrypted; unpack it by hand with the password that came with it")
                yield entry.filename, entry.file_size, _zip_kind(entry)
        else:
            for info in opened:
                yield info.name, info.size, _tar_kind(info)


def _zip_kind(entry: zipfile.ZipInfo) -> str:
    mode = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir():
        return "folder"
    return "file" if mode in (0, stat.S_IFREG) else "link" if mode == stat.S_IFLNK else "device"


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "folder"
    return "file" if info.isreg() else "link" if info.issym() or info.islnk() else "device"


def _parts(archive: Path, name: str, kind: str) -> tuple[str, ...]:
    """Return the parts of a member's name (raises UsageError for one that must not be unpacked)."""
    shown = repr(name[:100])
    if kind not in ("file", "folder"):
        raise UsageError(f"{archive}: the member {shown} is a {kind}, which is never unpacked; nothing was")
    path = PurePosixPath(name)
    if path.is_absolute() or _DRIVE.match(name) or ".." in path.parts or "\\" in name:
        raise UsageError(f"{archive}: the member {shown} leads outside the folder; nothing was unpacked")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise UsageError(f"{archive}: the member {shown} has control characters in its name; nothing was unpacked")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        raise UsageError(f"{archive}: the member {shown} has a name too long for a file; nothing was unpacked")
    return path.parts


def _is_litter(parts: tuple[str, ...]) -> bool:
    return "__MACOSX" in parts or parts[-1] in (".DS_Store", "Thumbs.db") or parts[-1].startswith("._")


def _places(members: Iterable[_Member], folder: Path) -> dict[Path, _Member]:
    members = list(members)
    tops = {member.parts[0].lower() for member in members if len(member.parts) > 1}
    cut = int(tops == {folder.name.lower()} and all(len(member.parts) > 1 for member in members))
    inside = folder.resolve()
    sound: set[Path] = set()
    places = {}
    for member in members:
        place = folder.joinpath(*member.parts[cut:])
        if place.parent not in sound:
            real = place.parent.resolve()
            if real != inside and inside not in real.parents:
                raise UsageError(f"{place.parent} is a link that leads outside {folder}; nothing was unpacked")
            sound.add(place.parent)
        places[place] = member
    return places


def _differs(place: Path, size: int) -> bool:
    """Return whether something else than a file of that size lies there."""
    return os.path.lexists(place) and (not place.is_file() or place.stat().st_size != size)


def _refuse_conflicts(source: Path, conflicts: list[Path]) -> None:
    if conflicts:
        more = f" and {len(conflicts) - SHOWN} more" if len(conflicts) > SHOWN else ""
        raise UsageError(
            f"{', '.join(map(str, conflicts[:SHOWN]))}{more}: other files than those of {source} lie there; move them "
            "away, or take another --data-root (nothing was overwritten)"
        )


def _require_space(archive: Path, folder: Path, needed: int) -> None:
    place = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed + SPARE_BYTES:
        raise UsageError(
            f"{place}: {free >> 20:,} MB are free, {archive.name} needs {(needed + SPARE_BYTES) >> 20:,} MB; free some"
        )


def _bring_out(archive: Path, places: dict[Path, _Member], hidden: Path, told: Told) -> tuple[int, int]:
    """Write what is not there yet into the hidden folder, then move it; return how many are new and were there."""
    targets = {member.name: place for place, member in places.items()}
    moves: dict[Path, Path] = {}
    conflicts: list[Path] = []
    present = 0
    for number, (name, size, stream) in enumerate(_contents(archive, targets), start=1):
        place = targets[name]
        waiting = hidden.joinpath(*places[place].parts)
        if place.exists():
            if _same_stream(stream, place):
                present += 1
            else:
                conflicts.append(place)
        else:
            if not waiting.is_file() or waiting.stat().st_size != size:
                _write(archive, stream, waiting, size)
            moves[place] = waiting
        if number % 256 == 0:
            told(number)
    _refuse_conflicts(archive, conflicts)
    for place, waiting in moves.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(waiting, place)
    return len(moves), present


def _contents(archive: Path, wanted: dict[str, Path]) -> Iterator[tuple[str, int, IO[bytes]]]:
    with _opened(archive) as opened:
        if isinstance(opened, zipfile.ZipFile):
            for entry in opened.infolist():
                if entry.filename in wanted and not entry.is_dir():
                    with opened.open(entry) as stream:
                        yield entry.filename, entry.file_size, stream
        else:
            for info in opened:
                content = opened.extractfile(info) if info.name in wanted and info.isreg() else None
                if content is not None:
                    yield info.name, info.size, content


def _write(archive: Path, stream: IO[bytes], place: Path, size: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name[:200]}.part")
    written = 0
    with open(part, "wb") as out:
        while chunk := stream.read(CHUNK):
            written += len(chunk)
            if written > size:
                break
            out.write(chunk)
    if written != size:
        raise UsageError(f"{archive}: {place.name} has {written} bytes or more, not {size}; download the archive again")
    os.replace(part, place)


def _same_stream(stream: IO[bytes], place: Path) -> bool:
    with open(place, "rb") as other:
        while True:
            mine, theirs = stream.read(CHUNK), other.read(CHUNK)
            if mine != theirs:
                return False
            if not mine:
                return True


def _same_content(one: Path, other: Path) -> bool:
    with open(one, "rb") as stream:
        return one.stat().st_size == other.stat().st_size and _same_stream(stream, other)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """Open an archive, and turn what is wrong with it into one sentence."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                yield packed
        else:
            with tarfile.open(archive, "r:*") as tape:
                yield tape
    except _BROKEN as error:
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{archive} cannot be unpacked ({' '.join(str(error).split())[:100]}): it is cut off, damaged, or no zip or "
        "tar archive; download it again"
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    locks = cache_folder() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{digest_json(str(folder.resolve()))}.lock", timeout=0):
            yield
    except Timeout:
        raise UsageError(f"Another process is unpacking into {folder}; wait for it to end.") from None
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}): choose another --data-root") from error
