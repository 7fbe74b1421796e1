"""Video-ChatGPT's benchmark of written answers, in its authors' three JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import fault, read_records
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.identity import ContentIds
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.sample import Sample

SOURCE = Source(
    "Video-ChatGPT's benchmark",
    "https://github.com/mbzuai-oryx/Video-ChatGPT/tree/main/quantitative_evaluation",
    "CC-BY-4.0 by its licence file, CC BY-NC-SA 4.0 by its README; ActivityNet videos",
)
FOLDERS = ("vcg_bench", "VideoChatGPT", "Video-ChatGPT", "vcg_bench/Benchmarking_QA", "Benchmarking_QA")
VIDEO_FOLDERS = ("vcg_bench/Test_Videos", "VideoChatGPT/Test_Videos", "Video-ChatGPT/Test_Videos", "Test_Videos")
PARTS = {"generic": ("Q",), "temporal": ("Q",), "consistency": ("Q1", "Q2")}
"""Part -> the keys of its questions; an entry of `consistency` has two, with one answer."""
ABSENT = "None"
"""What the hub's copy has in the place of the other question of a pair."""


class VcgBench:
    """Video-ChatGPT's benchmark, split `test`: 1,996 generic, 499 temporal and 499 pairs of consistency questions.

    Category: `part`. The two questions of a pair carry the same `extra["pair"]`. Ids are digests of video, question and
    answer, since the files have none. Its five scores are those of a judge: generic answers are judged three times.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the split, or one part as a split of its own, under the data root (see `Benchmark.read`)."""
        known_split(split, ("test", *PARTS), SOURCE)
        samples: list[Sample] = []
        files = {}
        for part in PARTS if split == "test" else (split,):
            path = first_file(root, spread(FOLDERS, f"{part}_qa.json"), SOURCE)
            samples += read_part(root, path, part)
            files[part] = path
        return Found(tuple(samples), files)


def read_part(root: Path, path: Path, part: str) -> list[Sample]:
    """Return the samples of one file, in its order."""
    media = NamedMedia(root, VIDEO_FOLDERS, label="Test_Videos")
    ids = ContentIds()
    keys = PARTS[part]
    samples = []
    for index, row in enumerate(read_records(path, {**dict.fromkeys(keys, str), "A": str, "video_name": str})):
        video = checked_name(path, index, row, "video_name", row["video_name"])
        if ABSENT in [row[key] for key in keys]:
            fault(
                path, index, row, "video_name", "has \"None\" as a question, as the hub's copy; take the authors' file"
            )
        entry = ids.of(part, video, *(row[key] for key in keys), row["A"])
        for key in keys:
            paired = {"pair": entry} if len(keys) > 1 else {}
            identity = f"{entry}/{key}" if paired else entry
            samples.append(Sample(identity, (media.of(video),), row[key], (row["A"],), {"part": part}, paired))
    return samples
