"""A video that lies there as a folder of pictures, e.g. at 3 a second, as MVBench has episodes of TVQA."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

import av

from lavit_eval.digests import digest_file, digest_json
from lavit_eval.errors import MediumError

SUFFIXES = (".jpg", ".jpeg", ".png")


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures of a folder in order.

    Raises:
        MediumError: There is no such folder, it holds no pictures, pictures of two kinds, or names whose order is not
            that of their numbers (img_2, img_10); or one is empty.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    except OSError as error:
        raise MediumError(f"video {folder} is no folder that can be read: {error.strerror}.") from error
    if not found:
        raise MediumError(f"video {folder} is a folder without pictures ({', '.join(SUFFIXES)}).")
    if len({path.suffix for path in found}) > 1 or len({len(path.name) for path in found}) > 1:
        raise MediumError(
            f"video {folder}: its pictures have names of two kinds or lengths, so their order is unknown."
        )
    if empty := [path.name for path in found if not path.stat().st_size]:
        raise MediumError(f"video {folder}: its picture {empty[0]} is empty.")
    return found


def folder_digest(folder: Path, rate: int) -> str:
    """Return the SHA-256 that stands for a folder of pictures at a rate: of their names, contents and the rate.

    Raises MediumError as `pictures_of`, or for a picture that cannot be read.
    """
    try:
        contents = [[path.name, digest_file(path)] for path in pictures_of(folder)]
    except OSError as error:
        raise MediumError(f"video {folder} cannot be read: {error.strerror}.") from error
    return digest_json({"pictures": contents, "rate": rate})


def open_pictures(folder: Path, rate: int) -> Any:
    """Open a folder's pictures as one video of `rate` a second, the first at time 0 (raises MediumError)."""
    suffix = pictures_of(folder)[0].suffix
    options = {"pattern_type": "glob", "framerate": str(rate), "protocol_whitelist": "file"}
    pattern = f"{glob.escape(str(folder.absolute()))}/*{suffix}"
    try:
        return av.open(pattern, format="image2", options=options)
    except (av.FFmpegError, OSError) as error:
        raise MediumError(f"video {folder}: its pictures cannot be opened.") from error
