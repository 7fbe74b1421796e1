"""Makes the demo data folder once, whole or not at all, and finds it again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lavit_eval.digests import digest_file
from lavit_eval.errors import UsageError
from lavit_eval.files import write_json

DEMO_VERSION = 7
"""Rises when the same seed would give other data."""
MARKER = "DEMO.json"
"""Written last: version, seed, counts, and the size and SHA-256 of every other file."""
README = """\
Demo data of lavit-eval
=======================

Pictures and clips of textured coloured shapes, with questions, answers and captions, in the official layouts of
MSVD-QA, MSRVTT-QA, MSR-VTT, UCF-101, EvalCrafter, VQAv2, COCO captions, the COCO text-to-image list and VBench-I2V.
All of it was made by code (lavit_eval/demo); it holds no third-party content and nothing of the datasets whose layouts
it uses but the names of four UCF-101 classes, whose folders hold shapes as well. It is under the Apache License 2.0, as
lavit-eval is.

Scores on it say whether the evaluation works, not how good a model is: never compare them with published numbers.

DEMO.json lists the files. A folder that differs from its list is made anew, and what else lies in it is lost.
"""


GENERATED = 4
"""Samples of each task that generates: making a video takes longer than answering."""
COMPARED = 8
"""Samples of each task whose videos are compared as sets, or one by one between runs.

A spread needs a few more, and a sign-flip test over 4 clusters could call no drop one.
"""
UCF_PER_CLASS = 2
"""With the four classes of `layouts.UCF_CLASSES`, COMPARED videos."""


def demo_counts(videos: int = 16, images: int = 16) -> dict[str, int]:
    """Return how many samples each task has in the demo data."""
    answered = {"msvd_qa": 4 * videos, "msrvtt_qa": 4 * videos, "vqav2": 3 * images, "coco_karpathy_test": images}
    return {
        **answered,
        **{f"{task}_likelihood": count for task, count in answered.items()},
        "msrvtt_t2v_demo": min(COMPARED, videos),
        "ucf101_t2v_demo": COMPARED,
        "mscoco_t2i_30k_demo": min(GENERATED, images),
        "long_video_demo": GENERATED,
        "image_to_video_demo": COMPARED,
        "video_reconstruction_demo": min(COMPARED, videos),
    }


DEMO_COUNTS: Mapping[str, int] = demo_counts()
"""Task -> samples, at the default size."""


def make_demo_data(root: Path, seed: int = 0, videos: int = 16, images: int = 16) -> Path:
    """Make the demo data in `root`, or keep what is there when it is complete and of this version, seed and size.

    Everything is made in a hidden folder beside `root` and renamed at the end, so a kill leaves nothing half made; of
    several processes that start at once, one makes it and the others wait.

    Args:
        root: The folder, afterwards usable as `--data-root`.
        seed: Another seed gives other scenes.
        videos: Clips in each of MSVD-QA and MSRVTT-QA, at least 1.
        images: Pictures, shared by VQAv2 and COCO captions, at least 1.

    Returns:
        `root`.

    Raises:
        UsageError: `root` holds something else, or cannot be written.
    """
    wanted = {"version": DEMO_VERSION, "seed": seed, "counts": {"videos": videos, "images": images}}
    if _complete(root, wanted):
        return root
    from filelock import FileLock

    try:
        place = root.resolve()
        _refuse_other_content(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(f".{place.name}.lock")):
            if not _complete(place, wanted):
                _make(place, wanted)
    except OSError as error:
        raise UsageError(
            f"The demo data cannot be written to {root} ({error.strerror or error}): "
            "make room there, or name another folder with `--data-root DIR`."
        ) from error
    return root


def _complete(root: Path, wanted: Mapping[str, Any]) -> bool:
    """Say whether every file that the marker lists is there with its size, and the marker is the wanted one."""
    try:
        marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
        if any(marker[key] != value for key, value in wanted.items()):
            return False
        return all((root / name).stat().st_size == file["bytes"] for name, file in marker["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _refuse_other_content(root: Path) -> None:
    """Raise UsageError when `root` is neither demo data, nor empty, nor missing."""
    if root.exists() and not (root / MARKER).exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(
            f"{root} holds something other than demo data, which is not overwritten: "
            "name another folder with `--data-root DIR`, or empty this one."
        )


def _make(root: Path, wanted: Mapping[str, Any]) -> None:
    """Make the folder anew; called with the lock held, so what lies beside it under our names is a dead process's."""
    from lavit_eval.demo import layouts

    making, old = root.with_name(f".{root.name}.making"), root.with_name(f".{root.name}.old")
    for leftover in (making, old):
        shutil.rmtree(leftover, ignore_errors=True)
    making.mkdir()
    try:
        seed, counts = wanted["seed"], wanted["counts"]
        (making / "README.txt").write_text(README, encoding="utf-8")
        layouts.write_msvd_qa(making, seed, counts["videos"])
        layouts.write_msrvtt_qa(making, seed, counts["videos"])
        layouts.write_msrvtt(making, seed, min(COMPARED, counts["videos"]))
        layouts.write_ucf101(making, seed, UCF_PER_CLASS)
        layouts.write_evalcrafter(making, seed, GENERATED)
        layouts.write_images(making, seed, counts["images"])
        layouts.write_text_to_image(making, seed, min(GENERATED, counts["images"]))
        layouts.write_image_to_video(making, seed, COMPARED)
        _finish(making, wanted)
        if root.exists():
            os.replace(root, old)
        os.replace(making, root)
        _sync(root.parent)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _finish(making: Path, wanted: Mapping[str, Any]) -> None:
    """Flush every file and folder to disk, then write the marker that lists them."""
    listed = {}
    for path in sorted(making.rglob("*")):
        _sync(path)
        if path.is_file():
            name = path.relative_to(making).as_posix()
            listed[name] = {"bytes": path.stat().st_size, "sha256": digest_file(path)}
    write_json(making / MARKER, {**wanted, "files": listed})
    _sync(making)


def _sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
