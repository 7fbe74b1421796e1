"""VATEX, English captions, in its authors' JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import read_records
from lavit_eval.benchmarks.coco_captions import checked_captions
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.sample import Sample

SOURCE = Source(
    "VATEX",
    "https://eric-xw.github.io/vatex-website/download.html",
    "annotations CC-BY-4.0; videos under the YouTube terms; check before use",
)
FOLDERS = ("vatex", "VATEX", "vatex_en", "vatex/annotations", "VATEX/annotations", "annotations", "")
FILES = {"test": "vatex_public_test_english_v1.1.json", "val": "vatex_validation_v1.0.json"}
VIDEO_FOLDERS = ("vatex/videos", "VATEX/videos", "vatex_en/videos", "vatex", "VATEX", "videos")


class VatexEn:
    """VATEX's English captions, splits `test` (the public test, 6,000 videos) and `val` (3,000), ten captions each.

    Sample ids are the videos' ids with start and end. A few hundred videos are gone from YouTube: the run names and
    counts those that are missing, and its score is of a part.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, tuple(FILES), SOURCE)
        path = first_file(root, spread(FOLDERS, FILES[split]), SOURCE)
        rows = read_records(path, {"videoID": str, "enCap": list}, key="videoID")
        media = NamedMedia(root, VIDEO_FOLDERS)
        samples = []
        for index, row in enumerate(rows):
            name = checked_name(path, index, row, "videoID", row["videoID"])
            captions = checked_captions(path, index, row, "videoID", row["enCap"])
            samples.append(Sample(name, (media.of(name),), "", captions))
        return Found(tuple(samples), {"captions": path})
