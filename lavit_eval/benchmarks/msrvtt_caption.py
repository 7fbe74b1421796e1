"""MSR-VTT captioning: every caption of a test video is a reference."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import read_records
from lavit_eval.benchmarks.folders import first_file, known_split, spread
from lavit_eval.benchmarks.msrvtt import (
    ANNOTATIONS,
    FIRST_TEST,
    FOLDERS,
    SOURCE,
    VIDEO_FOLDERS,
    captions_of,
    number_of,
)
from lavit_eval.benchmarks.named_media import NamedMedia
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample


class MsrvttCaption:
    """MSR-VTT captioning, split `test`: 2,990 videos (7010 to 9999) with 59,794 captions.

    References are in the order of their `sen_id`; the category is the number of the video's topic. The 1k-A test of
    retrieval papers is another set of 1,000 videos and is not read.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        path = first_file(root, [place for name in ANNOTATIONS for place in spread(FOLDERS, name)], SOURCE)
        rows = read_records(path, {"video_id": str, "category": int}, key="video_id", under="videos")
        captions = captions_of(path)
        media = NamedMedia(root, VIDEO_FOLDERS)
        numbered = sorted((number_of(path, index, row), index) for index, row in enumerate(rows))
        samples = []
        for number, index in numbered:
            if number < FIRST_TEST:
                continue
            video, topic = str(rows[index]["video_id"]), str(rows[index]["category"])
            if video not in captions:
                raise UsageError(f"{path}: {video} has no caption; download the file again, it may be cut off")
            references = tuple(caption for _, caption in captions[video])
            samples.append(Sample(video, (media.of(video),), "", references, {"category": topic}))
        return Found(tuple(samples), {"captions": path})
