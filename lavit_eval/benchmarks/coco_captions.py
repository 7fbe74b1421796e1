"""COCO captions, Karpathy's test split: his dataset_coco.json, or the two files that LAVIS made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from lavit_eval.benchmarks.annotations import Record, fault, read_records, refuse_duplicates, same_ids
from lavit_eval.benchmarks.folders import (
    IMAGE_SUFFIXES,
    MediaFolders,
    Source,
    first_file,
    inside,
    known_split,
    spread,
)
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source(
    "COCO captions (Karpathy test split)",
    "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip",
    "captions CC-BY-4.0; images under the COCO and Flickr terms",
)
FOLDERS = ("coco", "coco/annotations", "coco_karpathy_test", "coco_karpathy", "coco_gt", "annotations", "")
IMAGE_FOLDERS = ("coco", "coco/images", "coco_karpathy_test", "coco_karpathy", "images", "")
KARPATHY = "dataset_coco.json"
LAVIS = "coco_karpathy_test.json"
LAVIS_TRUTH = "coco_karpathy_test_gt.json"


class CocoKarpathyTest:
    """COCO captioning on Karpathy's split `test`: 5,000 images of val2014 with five captions or a few more each.

    Sample ids are COCO image ids. Where both forms lie under the data root, dataset_coco.json is read.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        path = first_file(root, [*spread(FOLDERS, KARPATHY), *spread(FOLDERS, LAVIS)], SOURCE)
        if path.name == KARPATHY:
            return Found(tuple(read_karpathy(path, root)), {"captions": path})
        truth = next((root / place for place in spread(FOLDERS, LAVIS_TRUTH) if (root / place).is_file()), None)
        samples = tuple(read_lavis(path, truth, root))
        return Found(samples, {"captions": path} if truth is None else {"captions": path, "references": truth})


def read_karpathy(path: Path, root: Path) -> list[Sample]:
    """Return the samples of dataset_coco.json whose split is "test", in the file's order."""
    fields = {"cocoid": int, "split": str, "filepath": str, "filename": str, "sentences": list}
    rows = read_records(path, fields, key="cocoid", under="images")
    chosen = {index: f"{row['filepath']}/{row['filename']}" for index, row in enumerate(rows) if row["split"] == "test"}
    if not chosen:
        raise UsageError(f'{path} has no image whose split is "test": is it Karpathy\'s file?')
    images = Images(root, chosen, path)
    samples = []
    for index, name in chosen.items():
        row = rows[index]
        captions = [one.get("raw") if isinstance(one, dict) else None for one in row["sentences"]]
        references = checked_captions(path, index, row, "cocoid", captions)
        samples.append(Sample(str(row["cocoid"]), images.of(name), "", references))
    return samples


def read_lavis(path: Path, truth: Path | None, root: Path) -> list[Sample]:
    """Return the samples of LAVIS's list, in its order; captions come from its ground-truth file where that exists."""
    rows = read_records(path, {"image": str, "caption": list})
    for index, row in enumerate(rows):
        row["image_id"] = image_id_of(path, index, row)
    refuse_duplicates(path, rows, "image_id")
    captions = {row["image_id"]: row["caption"] for row in rows}
    if truth is not None:
        captions = read_truth(truth)
        same_ids(path, (str(row["image_id"]) for row in rows), truth, map(str, captions), "image_id")
    images = Images(root, {index: row["image"] for index, row in enumerate(rows)}, path)
    return [
        Sample(
            str(row["image_id"]),
            images.of(row["image"]),
            "",
            checked_captions(truth or path, index, row, "image_id", captions[row["image_id"]]),
        )
        for index, row in enumerate(rows)
    ]


def read_truth(path: Path) -> dict[int, list[str]]:
    """Return image id -> captions of a ground-truth file in COCO's own form, in its order."""
    captions: dict[int, list[str]] = {}
    for row in read_records(path, {"image_id": int, "caption": str, "id": int}, key="id", under="annotations"):
        captions.setdefault(row["image_id"], []).append(row["caption"])
    return captions


def image_id_of(path: Path, index: int, row: Record) -> int:
    """Return the number at the end of an image's name, e.g. 42 of val2014/COCO_val2014_000000000042.jpg."""
    digits = PurePosixPath(row["image"]).stem.rpartition("_")[2]
    if not (digits.isascii() and digits.isdigit()):
        fault(path, index, row, "image", 'names an "image" that does not end in _NUMBER')
    return int(digits)


def checked_captions(path: Path, index: int, row: Record, key: str, captions: Sequence[object]) -> tuple[str, ...]:
    """Return the captions of an image; raise UsageError unless there is at least one and all are text."""
    texts = tuple(caption for caption in captions if isinstance(caption, str))
    if not texts or len(texts) != len(captions):
        fault(path, index, row, key, "has no captions" if not captions else "has a caption that is not text")
    return texts


class Images:
    """The images that an annotation file names as sub-folder/file.

    Args:
        root: The data root.
        names: Entry -> name, all of them, so that each sub-folder is listed once.
        path: The annotation file, for errors.
    """

    def __init__(self, root: Path, names: Mapping[int, str], path: Path) -> None:
        for index, name in names.items():
            if not inside(name):
                fault(path, index, {"image": name}, "image", "names a file outside the data folder")
        parents = dict.fromkeys(str(PurePosixPath(name).parent) for name in names.values())
        self._folders = {
            parent: MediaFolders(
                root, [f"{folder}/{parent}" if folder else parent for folder in IMAGE_FOLDERS], IMAGE_SUFFIXES
            )
            for parent in parents
        }

    def of(self, name: str) -> tuple[Medium, ...]:
        """Return the medium of a name; it is named even when the file is absent."""
        path = PurePosixPath(name)
        folders = self._folders[str(path.parent)]
        return (Medium("image", folders.find(path.stem) or folders.expected(path.stem), str(path)),)
