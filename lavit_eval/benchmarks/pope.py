"""POPE: is there such an object in the image? Three files of questions on COCO images, in JSON lines."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

from lavit_eval.benchmarks.annotations import fault
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, MediaFolders, Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.json_lines import read_json_lines
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.sample import Medium, Sample

SOURCE = Source(
    "POPE", "https://github.com/AoiDragon/POPE/tree/main/output/coco", "MIT; images under the COCO and Flickr terms"
)
CATEGORIES = ("random", "popular", "adversarial")
FOLDERS = ("pope", "POPE", "POPE/output/coco", "pope/output/coco", "pope/coco", "POPE/coco", "output/coco", "")
IMAGE_FOLDERS = ("coco", "coco/images", "pope", "POPE", "vqav2", "images", "")
FIELDS = {"question_id": int, "image": str, "text": str, "label": str}


class Pope:
    """POPE on COCO, split `test`: the random, popular and adversarial questions, in this order.

    The official files hold 3,000 questions each; those that LLaVA pins have 2,910 random ones. Sample ids are
    category/question_id, since each file counts from 1; `category` is also the only category.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the three files under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        images = MediaFolders(root, spread(IMAGE_FOLDERS, "val2014"), IMAGE_SUFFIXES)
        samples: list[Sample] = []
        files = {}
        for category in CATEGORIES:
            path = first_file(root, spread(FOLDERS, f"coco_pope_{category}.json"), SOURCE)
            files[category] = path
            samples += read_category(path, category, images)
        return Found(tuple(samples), files)


def read_category(path: Path, category: str, images: MediaFolders) -> list[Sample]:
    """Return the samples of one file, in its order."""
    samples = []
    for index, row in enumerate(read_json_lines(path, FIELDS, key="question_id")):
        if row["label"] not in ("yes", "no"):
            fault(path, index, row, "question_id", f'has {row["label"]!r} as "label", not yes or no')
        if not inside(row["image"]):
            fault(path, index, row, "question_id", 'names an "image" outside the data folder')
        stem = PurePosixPath(row["image"]).stem
        medium = Medium("image", images.find(stem) or images.expected(stem), f"val2014/{row['image']}")
        identity = f"{category}/{row['question_id']}"
        samples.append(Sample(identity, (medium,), row["text"], (row["label"],), {"category": category}))
    return samples
