"""NoCaps: captions of Open Images pictures, in its authors' JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import fault, read_records
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, Source, first_file, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source(
    "NoCaps", "https://nocaps.org/download", "captions CC-BY-2.0, images of Open Images CC-BY; check before use"
)
FOLDERS = ("nocaps", "NoCaps", "nocaps/annotations", "NoCaps/annotations", "annotations", "")
ANNOTATIONS = "nocaps_val_4500_captions.json"
IMAGES_ONLY = "nocaps_test_image_info.json"
"""The test split's, which has neither captions nor domains."""
IMAGE_FOLDERS = (
    *("nocaps/images", "nocaps/val", "nocaps/images/val", "nocaps/validation"),
    *("NoCaps/images", "nocaps", "NoCaps", "open_images/validation", "images"),
)
TEST_FOLDERS = ("nocaps/test", "nocaps/images/test", "NoCaps/test", "open_images/test", *IMAGE_FOLDERS)
DOMAINS = ("in-domain", "near-domain", "out-domain")


class Nocaps:
    """NoCaps, splits `val` (4,500 images with ten captions each) and `test` (10,600 images, scored by the server only).

    Sample ids are image ids, which begin with 0.

    Category: `domain` (in-domain, near-domain, out-domain). Copies without domains are refused, since the benchmark's
    numbers are printed by domain.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        if known_split(split, ("val", "test"), SOURCE) == "test":
            return self._unanswered(root)
        path = first_file(root, spread(FOLDERS, ANNOTATIONS), SOURCE)
        rows = read_records(path, {"id": int, "file_name": str, "domain": str}, key="id", under="images")
        captions: dict[int, list[str]] = {row["id"]: [] for row in rows}
        fields = {"image_id": int, "id": int, "caption": str}
        for index, row in enumerate(read_records(path, fields, key="id", under="annotations")):
            if row["image_id"] not in captions:
                fault(path, index, row, "id", f"is of image {row['image_id']}, which the file does not list")
            captions[row["image_id"]].append(row["caption"])
        images = NamedMedia(root, IMAGE_FOLDERS, IMAGE_SUFFIXES, "image", "images")
        samples = []
        for index, row in enumerate(rows):
            if row["domain"] not in DOMAINS:
                fault(path, index, row, "id", f'has the domain "{row["domain"]}", not one of {", ".join(DOMAINS)}')
            if not captions[row["id"]]:
                raise UsageError(f"{path}: image {row['id']} has no caption; download the file again")
            medium = images.of(checked_name(path, index, row, "id", row["file_name"]))
            samples.append(Sample(str(row["id"]), (medium,), "", tuple(captions[row["id"]]), {"domain": row["domain"]}))
        return Found(tuple(samples), {"captions": path})

    def _unanswered(self, root: Path) -> Found:
        path = first_file(root, spread(FOLDERS, IMAGES_ONLY), SOURCE)
        rows = read_records(path, {"id": int, "file_name": str}, key="id", under="images")
        images = NamedMedia(root, TEST_FOLDERS, IMAGE_SUFFIXES, "image", "images")
        names = [checked_name(path, index, row, "id", row["file_name"]) for index, row in enumerate(rows)]
        samples = [Sample(str(row["id"]), (images.of(name),), "", ()) for row, name in zip(rows, names, strict=True)]
        return Found(tuple(samples), {"images": path})
