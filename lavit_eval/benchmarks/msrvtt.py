"""MSR-VTT's own annotations: videos and their captions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar, Literal, cast, get_args

from lavit_eval.benchmarks.annotations import Record, fault, read_records
from lavit_eval.benchmarks.folders import MediaFolders, Source, first_file, known_split, spread
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source(
    "MSR-VTT", "the authors (the official site is down; CLIP4Clip's README names copies)", "research use only"
)
FOLDERS = ("MSRVTT", "msrvtt", "MSR-VTT", "MSRVTT/annotation", "")
ANNOTATIONS = ("test_videodatainfo.json", "MSRVTT_data.json", "MSR_VTT.json")
"""The official test file; CLIP4Clip's and Frozen-in-Time's files of all 10,000 videos have the same form."""
VIDEO_FOLDERS = (
    "MSRVTT/TestVideo",
    "MSRVTT/videos",
    "MSRVTT/videos/all",
    "msrvtt/videos",
    "MSR-VTT/videos",
    "MSRVTT-QA/videos",
    "TestVideo",
    "videos",
)
FIRST_TEST = 7010
"""The official test split is video7010 to video9999."""
Role = Literal["target", "source"]


class Msrvtt:
    """MSR-VTT, split `test` (2,990 videos): one sample a video, in the order of the videos' numbers.

    Options of a task:

    - `video`: `target` when a video is generated from a caption and only compared with the real one; `source` when the
      real one is shown to the model (reconstruction).
    - `caption_seed`: which of a video's captions is taken: `random.Random(f"{seed}:{video_id}").choice` over the
      captions in the order of their `sen_id`. The paper does not say which it took.
    - `first`: take the first so many videos only, for a subset of its own; 0 takes all.

    The caption chosen is the sample's question and only reference; its `sen_id` stands in `extra`.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str, video: str = "target", caption_seed: int = 0, first: int = 0) -> Found:
        """Read the split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        if video not in get_args(Role):
            raise UsageError(f"{SOURCE.name}: the option video is target or source, not {video!r}; mend the task.")
        if first < 0:
            raise UsageError(f"{SOURCE.name}: the option first is a number of videos, not {first}; mend the task.")
        names = [place for name in ANNOTATIONS for place in spread(FOLDERS, name)]
        path = first_file(root, names, SOURCE)
        videos = read_records(path, {"video_id": str}, key="video_id", under="videos")
        captions = captions_of(path)
        media = MediaFolders(root, VIDEO_FOLDERS, (".mp4", ".avi", ".mkv", ".webm"))
        numbered = sorted((number_of(path, index, row), str(row["video_id"])) for index, row in enumerate(videos))
        samples = [
            _sample(path, video_id, captions, media, cast(Role, video), caption_seed)
            for number, video_id in numbered
            if number >= FIRST_TEST
        ]
        return Found(tuple(samples[: first or None]), {path.name: path})


def captions_of(path: Path) -> dict[str, list[tuple[int, str]]]:
    """Return video id -> (sen_id, caption) of each of its captions, in the order of sen_id."""
    found: dict[str, list[tuple[int, str]]] = {}
    fields = {"video_id": str, "sen_id": int, "caption": str}
    for row in read_records(path, fields, key="sen_id", under="sentences"):
        found.setdefault(row["video_id"], []).append((row["sen_id"], row["caption"]))
    return {video: sorted(captions) for video, captions in found.items()}


def number_of(path: Path, index: int, row: Record) -> int:
    """Return a video's number, e.g. 7010 of video7010 (raises UsageError)."""
    name = str(row["video_id"])
    digits = name.removeprefix("video")
    if not name.startswith("video") or not digits.isdigit():
        fault(path, index, row, "video_id", "is not of the form video7010")
    return int(digits)


def _sample(
    path: Path,
    video_id: str,
    captions: dict[str, list[tuple[int, str]]],
    media: MediaFolders,
    role: Role,
    seed: int,
) -> Sample:
    if video_id not in captions:
        raise UsageError(f"{path}: {video_id} has no caption; download the file again, it may be cut off")
    sentence, caption = random.Random(f"{seed}:{video_id}").choice(captions[video_id])
    film = Medium("video", media.find(video_id) or media.expected(video_id), f"videos/{video_id}.mp4")
    return Sample(
        id=video_id,
        media=(film,) if role == "source" else (),
        question=" ".join(caption.split()),
        references=(caption,),
        extra={"sen_id": sentence},
        targets=(film,),
    )
