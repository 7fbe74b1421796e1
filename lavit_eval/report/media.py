"""The images and videos of a report: small, playable everywhere, written once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lavit_eval.digests import digest_bytes
from lavit_eval.errors import MediumError, UsageError
from lavit_eval.progress import Progress
from lavit_eval.sample import MediumKind

MediaMode = Literal["none", "previews", "copy"]
FOLDER = "media"
IMAGE_SIDE = 640
"""The longer side of a scaled image, in pixels, at most."""
SMALL_VIDEO = 4 << 20
"""Bytes up to which a playable video is copied as it is."""
SMALL_IMAGE = 200 << 10
IMAGE_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp"}
"""Formats that every browser shows, by Pillow's names."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How the page shows one medium."""

    source: str | None
    """Its file relative to the page; None where there is none."""
    note: str = ""
    """Why there is none, or what the file lacks."""


def place_media(
    wanted: Mapping[Path, MediumKind], folder: Path, mode: MediaMode, progress: Progress
) -> dict[Path, Shown]:
    """Write what the page shows of each file into the folder `media`, and remove what it does not show any more.

    A file that was written for the same content before stays as it is. One that cannot be shown has a note instead.

    Raises:
        UsageError: The folder cannot be written.
    """
    if mode == "none":
        return dict.fromkeys(wanted, Shown(None, "left out (--media none)"))
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    progress.begin("media of the report", len(wanted), 0, "files")
    found: dict[Path, Shown] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for path, shown in zip(
            wanted, pool.map(lambda path: _shown(path, wanted[path], place, mode), wanted), strict=True
        ):
            found[path] = shown
            progress.advance(1)
    progress.end()
    _remove_others(place, found.values())
    return found


def _remove_others(place: Path, kept: Iterable[Shown]) -> None:
    names = {Path(shown.source).name for shown in kept if shown.source is not None}
    for path in place.iterdir():
        if path.name not in names and path.is_file():
            path.unlink()


def _shown(path: Path, kind: MediumKind, place: Path, mode: MediaMode) -> Shown:
    preview = path.with_suffix(".preview.mp4")
    if kind == "video" and preview.is_file():
        path = preview
    try:
        facts = path.stat()
    except OSError:
        return Shown(None, "the file is not there any more")
    stem = digest_bytes(f"{path.resolve()}\0{facts.st_size}\0{facts.st_mtime_ns}\0{mode}".encode())[:20]
    try:
        if kind == "image":
            return _image(path, place, stem, mode)
        if path == preview:
            return _copied(path, place / f"{stem}.mp4")
        return _video(path, place, stem, mode)
    except MediumError as error:
        # The path on this machine is no news to the reader, and the report may travel.
        return Shown(None, f"cannot be shown: {str(error).replace(str(path), path.name)}")
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written ({error.strerror}); free disk space, or leave media out with --media none."
        ) from error


def _video(path: Path, place: Path, stem: str, mode: MediaMode) -> Shown:
    from lavit_eval.video.preview import SECONDS, playable_suffix, write_small_copy

    suffix = playable_suffix(path)
    if suffix is not None and (mode == "copy" or path.stat().st_size <= SMALL_VIDEO):
        return _copied(path, place / f"{stem}{suffix}")
    whole, cut = place / f"{stem}.mp4", place / f"{stem}-cut.mp4"
    if not whole.exists() and not cut.exists() and write_small_copy(path, whole).cut:
        os.replace(whole, cut)
    if cut.exists():
        return Shown(f"{FOLDER}/{cut.name}", f"its first {SECONDS} seconds")
    return Shown(f"{FOLDER}/{whole.name}")


def _image(path: Path, place: Path, stem: str, mode: MediaMode) -> Shown:
    from PIL import Image, ImageOps

    target = place / f"{stem}.jpg"
    if target.exists():
        return Shown(f"{FOLDER}/{target.name}")
    try:
        with Image.open(path) as picture:
            suffix = IMAGE_SUFFIXES.get(picture.format or "")
            small = max(picture.size) <= IMAGE_SIDE and path.stat().st_size <= SMALL_IMAGE
            scaled = None
            if suffix is None or not (small or mode == "copy"):
                scaled = ImageOps.exif_transpose(picture).convert("RGB")
                scaled.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
            else:
                picture.verify()
    # Pillow has no one name for what a damaged file does to it.
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise MediumError(f"image {path} is damaged or no image.") from error
    if scaled is None:
        return _copied(path, place / f"{stem}{suffix}")
    temporary = target.with_suffix(".tmp")
    scaled.save(temporary, format="JPEG", quality=85)
    os.replace(temporary, target)
    return Shown(f"{FOLDER}/{target.name}")


def _copied(path: Path, target: Path) -> Shown:
    if not target.exists():
        temporary = target.with_suffix(f"{target.suffix}.tmp")
        shutil.copyfile(path, temporary)
        os.replace(temporary, target)
    return Shown(f"{FOLDER}/{target.name}")
