"""SEED-Bench: multiple-choice questions on images, and on videos: their segments, or one frame as LLaVA-1.5 asks."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import Kind, Record, fault, read_json, read_records
from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.multiple_choice import with_options
from lavit_eval.sample import Medium, Sample, Segment

SOURCE = Source(
    "SEED-Bench",
    "https://huggingface.co/datasets/AILab-CVC/SEED-Bench",
    "CC-BY-NC-4.0; images and videos under their sources' terms",
)
FOLDERS = ("seed_bench", "SEED-Bench", "SEED", "seed", "")
IMAGES, FRAMES = "SEED-Bench-image", "SEED-Bench-video-image"
"""The official folder of images, and LLaVA's of the middle frames of videos ({type}_{question_id}.png)."""
VIDEOS = {
    10: ("SSV2/videos", "something-something-v2", "20bn-something-something-v2"),
    11: ("EPIC-KITCHENS/3h91syskeag572hl6tvuovwv4d/videos/test", "EPIC-KITCHENS/videos/test", "EPIC-KITCHENS"),
    12: ("BreakfastII_15fps_qvga_sync",),
}
"""Question type -> where its videos may lie; the first is the folder that the official eval.py names."""
SECONDS, FRAMES_TYPE, FRAMES_PER_SECOND = 11, 12, 15
"""Segments are seconds in the one type, frame numbers at 15 a second in the other; the third shows whole videos."""
IMAGE_TYPES, VIDEO_TYPES = range(1, 10), range(10, 13)
CHOICES = ("choice_a", "choice_b", "choice_c", "choice_d")
FIELDS: dict[str, Kind] = {
    **dict.fromkeys(("answer", "question", "data_id", "data_type", *CHOICES), str),
    "question_id": (str, int),
    "question_type_id": int,
}


class SeedBench:
    """SEED-Bench (the first), splits `all` (19,242 questions), `image` and `video` (types 10 to 12).

    With the option `videos: frame` a video is shown by one frame, the middle one of its segment, cut out by LLaVA's
    script; with `videos: segment` as a video, of which the segment that the question names is shown. Sample ids are
    question ids; categories are `question_type` and `part` (image, video).
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str, videos: str = "frame") -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, ("all", "image", "video"), SOURCE)
        if videos not in ("frame", "segment"):
            raise UsageError(f"the option videos of seed_bench is frame or segment, not {videos!r}")
        path = first_file(root, spread(FOLDERS, "SEED-Bench.json"), SOURCE)
        rows = read_records(path, FIELDS, key="question_id", under="questions")
        names = type_names(path)
        beside = path.parent.relative_to(root).as_posix()
        places = [beside, *FOLDERS]
        folders = {folder: Pictures(root, places, folder) for folder in (IMAGES, FRAMES)}
        films = {number: _Films(root, places, names) for number, names in VIDEOS.items()} if videos == "segment" else {}
        samples = []
        for index, row in enumerate(rows):
            part = part_of(path, index, row, names)
            if split in ("all", part):
                film = films.get(row["question_type_id"])
                medium = picture_of(row, part, folders) if film is None else film.of(path, index, row)
                samples.append(sample_of(row, part, names[row["question_type_id"]], medium))
        return Found(tuple(samples), {"questions": path})


class Pictures:
    """The files of one folder, with or without an extension; it is listed once.

    Args:
        root: The data root.
        places: Where the folder may lie; the first place that has it counts.
        name: The folder's name.
    """

    def __init__(self, root: Path, places: list[str], name: str) -> None:
        self.name = name
        candidates = [root / place / name for place in places]
        self._folder = next((path for path in candidates if path.is_dir()), candidates[0])
        try:
            self._files = set(os.listdir(self._folder)) if self._folder.is_dir() else set()
        except OSError as error:
            raise UsageError(f"{self._folder} cannot be listed ({error.strerror}): check its permissions") from error

    def of(self, name: str) -> Medium:
        """Return the medium of this name, with any image extension; it is named even when the file is absent."""
        found = next((name + suffix for suffix in ("", *IMAGE_SUFFIXES) if name + suffix in self._files), name)
        return Medium("image", str(self._folder / found), f"{self.name}/{name}")


class _Films:
    """The videos of one question type; the first of its folders that exists counts."""

    def __init__(self, root: Path, places: list[str], names: tuple[str, ...]) -> None:
        self._name = names[0]
        candidates = [root / place / name for name in names for place in places]
        self._folder = next((path for path in candidates if path.is_dir()), candidates[0])

    def of(self, path: Path, index: int, row: Record) -> Medium:
        """Return a question's video with its segment (raises UsageError that names the entry)."""
        if not inside(row["data_id"]):
            fault(path, index, row, "question_id", 'names a video outside the data folder as "data_id"')
        name = f"{self._name}/{row['data_id']}"
        return Medium("video", str(self._folder / row["data_id"]), name, segment_of(path, index, row))


def segment_of(path: Path, index: int, row: Record) -> Segment | None:
    """Return the part of a video that a question is about, None for a whole one (raises UsageError)."""
    number, given = row["question_type_id"], row.get("segment")
    if number not in (SECONDS, FRAMES_TYPE):
        return None
    numbers = (int,) if number == FRAMES_TYPE else (int, float)
    if not isinstance(given, list) or len(given) != 2 or any(type(one) not in numbers for one in given):
        unit = "frame numbers" if number == FRAMES_TYPE else "seconds"
        fault(path, index, row, "question_id", f'has no two {unit} as "segment"')
    if not 0 <= given[0] < given[1] < math.inf:
        fault(path, index, row, "question_id", f"has the segment {given}, which does not end after its start")
    first, end = given
    return Segment.frames(first, end, FRAMES_PER_SECOND) if number == FRAMES_TYPE else Segment.seconds(first, end)


def type_names(path: Path) -> dict[int, str]:
    """Return the number of each question type -> its name."""
    given = read_json(path).get("question_type")
    if not isinstance(given, dict) or any(type(number) is not int for number in given.values()):
        raise UsageError(f'{path} must be a JSON object with an object "question_type" of names and numbers')
    return {number: name for name, number in given.items()}


def part_of(path: Path, index: int, row: Record, names: Mapping[int, str]) -> str:
    """Return whether a question is of the image or the video part; raise UsageError where its fields do not agree."""
    number = row["question_type_id"]
    part = "image" if number in IMAGE_TYPES else "video" if number in VIDEO_TYPES else None
    if part is None or number not in names:
        fault(path, index, row, "question_id", f"has the unknown question_type_id {number}")
    if row["data_type"] != part:
        fault(path, index, row, "question_id", f'has the data_type "{row["data_type"]}", but a type of the {part} part')
    if row["answer"] not in ("A", "B", "C", "D"):
        fault(path, index, row, "question_id", f"has the answer {row['answer']!r}, not a letter from A to D")
    if part == "image" and not inside(row["data_id"]):
        fault(path, index, row, "question_id", 'names an image outside the data folder as "data_id"')
    return part


def picture_of(row: Record, part: str, folders: Mapping[str, Pictures]) -> Medium:
    """Return the image of a question, or the frame that stands for its video."""
    frame = f"{row['question_type_id']}_{row['question_id']}.png"
    return folders[IMAGES].of(row["data_id"]) if part == "image" else folders[FRAMES].of(frame)


def sample_of(row: Record, part: str, type_name: str, medium: Medium) -> Sample:
    """Return the sample of a question."""
    choices = [row[name] for name in CHOICES]
    return Sample(
        id=str(row["question_id"]),
        media=(medium,),
        question=with_options(row["question"], choices),
        stem=row["question"],
        references=(row["answer"],),
        categories={"question_type": type_name, "part": part},
        extra={"choices": choices, "reading": "exact"},
    )
