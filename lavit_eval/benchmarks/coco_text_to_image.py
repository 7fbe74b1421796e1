"""COCO val2014 for text-to-image: one caption of each of 30,000 images, and the images to compare with."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, NoReturn

from lavit_eval.benchmarks.annotations import fault, read_records, refuse_duplicates
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, MediaFolders, Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.plain_text import read_text
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source(
    "COCO text-to-image (30,000 captions of val2014)",
    "https://github.com/boomb0om/text2image-benchmark/releases",
    "captions CC-BY-4.0; images under the COCO and Flickr terms",
)
FOLDERS = ("coco", "coco/annotations", "mscoco", "mscoco/annotations", "annotations", "")
IMAGE_FOLDERS = (
    *spread(("coco", "coco/images", "mscoco", "mscoco/images", "images", ""), "val2014"),
    "coco/images",
    "mscoco/images",
)
PUBLIC = "MS-COCO_val2014_30k_captions.csv"
LAVIT = "coco_t2i_eval.json"
IMAGE = re.compile(r"COCO_val2014_(\d{12})")
Captions = list[tuple[int, str]]
"""(COCO image id, caption), in the file's order."""


class CocoTextToImage:
    """COCO val2014, split `val`: one caption of each image is the sample's question, the image its only target.

    The paper takes 30,000 random samples; which ones stands in LaVIT's own coco_t2i_eval.json, which is not public. The
    public fixed list of text2image-benchmark is read where both lie under the data root. Sample ids are COCO image ids,
    in the file's order.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the list under the data root (see `Benchmark.read`)."""
        known_split(split, ("val",), SOURCE)
        path = first_file(root, [*spread(FOLDERS, PUBLIC), *spread(FOLDERS, LAVIT)], SOURCE)
        captions = read_public(path) if path.name == PUBLIC else read_lavit(path)
        images = MediaFolders(root, IMAGE_FOLDERS, IMAGE_SUFFIXES)
        return Found(tuple(_sample(image_id, caption, images) for image_id, caption in captions), {"captions": path})


def read_public(path: Path) -> Captions:
    """Return the captions of the public list: comma-separated, columns `image_id` and `text`, others passed over.

    Raises UsageError that names file and line: another form, a row that is cut off, an image that comes twice.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    captions: Captions = []
    seen: dict[int, int] = {}
    try:
        header = [name.strip() for name in next(reader, [])]
        image_column, text_column = _columns(path, header)
        for row in filter(None, reader):
            if len(row) != len(header):
                _fault(path, reader.line_num, f"has {len(row)} columns, not {len(header)}")
            image_id, text = row[image_column].strip(), row[text_column]
            if not (image_id.isascii() and image_id.isdigit()):
                _fault(path, reader.line_num, f"has {image_id!r} as image_id, not a whole number")
            if not text.strip():
                _fault(path, reader.line_num, f"has no text for image {image_id}")
            first = seen.setdefault(int(image_id), reader.line_num)
            if first != reader.line_num:
                _fault(path, reader.line_num, f"has image {image_id} of line {first} again")
            captions.append((int(image_id), text))
    except csv.Error as error:
        _fault(path, reader.line_num, f"is not comma-separated text ({error})")
    return captions


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int]:
    """Return where image_id and text stand; pandas may have put an index without a name before them."""
    if "image_id" in header and "text" in header:
        return header.index("image_id"), header.index("text")
    if any("\t" in name for name in header):
        raise UsageError(
            f"{path}, line 1 is separated by tabs, not by commas: the file is a TSV in spite of its name; "
            f"get the original from {SOURCE.url}"
        )
    names = ", ".join(header) or "none"
    raise UsageError(
        f"{path}, line 1 must name the columns image_id and text (it names {names}): get it from {SOURCE.url}"
    )


def _fault(path: Path, line: int, what: str) -> NoReturn:
    raise UsageError(f"{path}, line {line} {what}: is it the official file, unchanged?")


def read_lavit(path: Path) -> Captions:
    """Return the captions of LaVIT's list of {"image", "text"} (raises UsageError that names file and entry)."""
    rows = read_records(path, {"image": str, "text": str})
    for index, row in enumerate(rows):
        name = PurePosixPath(row["image"])
        found = IMAGE.fullmatch(name.stem)
        if found is None or not inside(row["image"]) or name.suffix.lower() not in IMAGE_SUFFIXES:
            fault(path, index, row, "image", 'names as "image" no file COCO_val2014_*.jpg')
        if not row["text"].strip():
            fault(path, index, row, "image", "has no text")
        row["image_id"] = int(found[1])
    refuse_duplicates(path, rows, "image_id")
    return [(row["image_id"], row["text"]) for row in rows]


def _sample(image_id: int, caption: str, images: MediaFolders) -> Sample:
    stem = f"COCO_val2014_{image_id:012d}"
    return Sample(
        id=str(image_id),
        media=(),
        question=" ".join(caption.split()),
        references=(caption,),
        targets=(Medium("image", images.find(stem) or images.expected(stem), f"val2014/{stem}.jpg"),),
    )
