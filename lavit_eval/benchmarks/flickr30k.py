"""Flickr30k captions, Karpathy's test split: his dataset_flickr30k.json, or the list that LAVIS made of it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

from lavit_eval.benchmarks.annotations import fault, read_records, refuse_duplicates
from lavit_eval.benchmarks.coco_captions import checked_captions
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, Source, first_file, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source(
    "Flickr30k (Karpathy test split)",
    "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip",
    "images on request from the University of Illinois, for research and education only",
)
FOLDERS = ("flickr30k", "Flickr30k", "flickr30k/annotations", "annotations", "")
KARPATHY = "dataset_flickr30k.json"
LAVIS = "flickr30k_test.json"
IMAGE_FOLDERS = (
    *("flickr30k/flickr30k-images", "flickr30k/images", "flickr30k/images/flickr30k-images", "flickr30k"),
    *("Flickr30k/flickr30k-images", "flickr30k-images"),
)


class Flickr30kKarpathyTest:
    """Flickr30k captioning on Karpathy's split `test`: 1,000 images with five captions each.

    Sample ids are the images' numbers on Flickr. The set of all 31,783 images, which some harnesses call "test", has
    no splits in its own file (results_20130124.token) and is not read.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        path = first_file(root, [*spread(FOLDERS, KARPATHY), *spread(FOLDERS, LAVIS)], SOURCE)
        entries = read_karpathy(path) if path.name == KARPATHY else read_lavis(path)
        images = NamedMedia(root, IMAGE_FOLDERS, IMAGE_SUFFIXES, "image", "flickr30k-images")
        samples = []
        for name, captions in entries:
            samples.append(Sample(PurePosixPath(name).stem, (images.of(name),), "", captions))
        return Found(tuple(samples), {"captions": path})


def read_karpathy(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Return (file name, captions) of the entries whose split is "test"; they have no `cocoid`."""
    fields = {"filename": str, "split": str, "sentences": list}
    found = []
    for index, row in enumerate(read_records(path, fields, key="filename", under="images")):
        if row["split"] != "test":
            continue
        raw = [one.get("raw") if isinstance(one, dict) else None for one in row["sentences"]]
        name = checked_name(path, index, row, "filename", row["filename"])
        found.append((name, checked_captions(path, index, row, "filename", raw)))
    if not found:
        raise UsageError(f'{path} has no image whose split is "test": is it Karpathy\'s file?')
    return found


def read_lavis(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Return (file name, captions) of LAVIS's list, whose names begin with the images' folder."""
    rows = read_records(path, {"image": str, "caption": list})
    found = []
    for index, row in enumerate(rows):
        checked_name(path, index, row, "image", row["image"])
        row["name"] = PurePosixPath(row["image"]).name
        if not PurePosixPath(row["name"]).stem.isdigit():
            fault(path, index, row, "image", "does not name an image by its number")
        found.append((row["name"], checked_captions(path, index, row, "image", row["caption"])))
    refuse_duplicates(path, rows, "name")
    return found
