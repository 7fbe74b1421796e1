"""MSVD-QA and MSRVTT-QA of Xu et al. (2017), in the official layout and in that of Video-LLaVA's evaluation files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lavit_eval.benchmarks.annotations import Record, fault, read_records, same_ids
from lavit_eval.benchmarks.folders import VIDEO_SUFFIXES, MediaFolders, Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

QUESTION_WORDS = ("what", "who", "how", "when", "where")
"""The five question types of the paper; anything else is "other"."""

Mapped = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """What differs between the two benchmarks."""

    source: Source
    folders: tuple[str, ...]
    """Where the official {train,val,test}_qa.json may lie, relative to the data root."""
    paired_folders: tuple[str, ...]
    """Where Video-LLaVA's test_q.json and test_a.json may lie."""
    video_folders: tuple[str, ...]
    """Where the videos may lie: relative to the folder of the annotations, or to the data root."""
    stem: str
    """A video's name from its number, e.g. "vid{}"."""
    suffix: str
    """The official extension."""
    mappings: tuple[str, ...] = ()
    """Where a list "<name on YouTube> <stem>" may lie."""
    has_category: bool = False
    """Whether the entries carry `category_id`: the files of the two benchmarks have the same names."""


def read_qa(layout: Layout, root: Path, split: str) -> Found:
    """Read one split of MSVD-QA or MSRVTT-QA under the data root (see `Benchmark.read`)."""
    known_split(split, ("test", "val", "train"), layout.source)
    places = spread(layout.folders, f"{split}_qa.json")
    if split == "test":
        places += spread(layout.paired_folders, "test_q.json")
    path = first_file(root, places, layout.source)
    folder = os.path.relpath(path.parent, root)
    beside = [os.path.join(folder, name) for name in layout.video_folders]
    suffixes = dict.fromkeys((layout.suffix, *VIDEO_SUFFIXES))
    videos = MediaFolders(root, [*beside, *layout.video_folders, folder], tuple(suffixes))
    if path.name == "test_q.json":
        return read_pair(layout, path, videos)
    return read_official(layout, path, videos, root)


def read_official(layout: Layout, path: Path, videos: MediaFolders, root: Path) -> Found:
    """Read a list of {"id", "video_id", "question", "answer"}; sample ids are the `id`s."""
    fields = {"id": int, "video_id": int, "question": str, "answer": str}
    rows = read_records(path, fields, key="id")
    for index, row in enumerate(rows):
        if layout.has_category and not isinstance(row.get("category_id"), int):
            fault(path, index, row, "id", f'has no whole number "category_id", as each of {layout.source.name} has')
        if not layout.has_category and "category_id" in row:
            fault(path, index, row, "id", f'has a "category_id", which no entry of {layout.source.name} has')
    media: dict[int, tuple[Medium, ...]] = {}
    files = {"questions": path}
    names: Mapped | None = None
    for number in dict.fromkeys(row["video_id"] for row in rows):
        stem = layout.stem.format(number)
        found = videos.find(stem)
        if found is None and layout.mappings:
            if names is None:
                names = read_mapping(layout, path.parent, root, files)
            found = videos.find(names[stem]) if stem in names else None
        media[number] = (medium_of(layout, stem, found or videos.expected(stem)),)
    samples = tuple(
        Sample(str(row["id"]), media[row["video_id"]], row["question"], (row["answer"],), categories_of(layout, row))
        for row in rows
    )
    return Found(samples, files)


def read_mapping(layout: Layout, folder: Path, root: Path, files: dict[str, Path]) -> Mapped:
    """Return stem -> name on YouTube from youtube_mapping.txt, if there is one, and add the file to `files`."""
    places = [folder / "youtube_mapping.txt", *(root / place for place in layout.mappings)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    names: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text ({error}): get it again with the videos") from error
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not inside(words[0]) or words[1] in names:
            raise UsageError(f'{path}, line {number} is not "<name> <vidN>" with a new vidN: get the file again')
        names[words[1]] = words[0]
    files["youtube_mapping"] = path
    return names


def read_pair(layout: Layout, path: Path, videos: MediaFolders) -> Found:
    """Read Video-LLaVA's questions and answers, joined by question_id (never by position); ids are the question ids."""
    answers_path = path.with_name("test_a.json")
    if not answers_path.is_file():
        raise UsageError(f"{answers_path} is missing beside {path.name}: copy it there, both come in one download")
    questions = read_records(path, {"question_id": (str, int), "video_name": str, "question": str}, key="question_id")
    rows = read_records(answers_path, {"question_id": (str, int), "answer": str}, key="question_id")
    answers = {str(row["question_id"]): row["answer"] for row in rows}
    same_ids(path, (str(row["question_id"]) for row in questions), answers_path, answers, "question_id")
    samples = []
    for index, row in enumerate(questions):
        name = row["video_name"]
        if not inside(name):
            fault(path, index, row, "question_id", f"names a video outside the data folder ({name!r})")
        stem = name.removesuffix(os.path.splitext(name)[1]) if name.lower().endswith(VIDEO_SUFFIXES) else name
        medium = medium_of(layout, stem, videos.find(stem) or videos.expected(stem))
        identity = str(row["question_id"])
        samples.append(
            Sample(identity, (medium,), row["question"], (answers[identity],), {"question_word": word_of(row)})
        )
    return Found(tuple(samples), {"questions": path, "answers": answers_path})


def medium_of(layout: Layout, stem: str, path: str) -> Medium:
    """Return the Medium of a video; its name does not depend on where or in which container the file lies."""
    return Medium("video", path, f"video/{stem}{layout.suffix}")


def categories_of(layout: Layout, row: Record) -> dict[str, str]:
    """Return the categories of an official entry."""
    words = {"question_word": word_of(row)}
    return {**words, "category": str(row["category_id"])} if layout.has_category else words


def word_of(row: Record) -> str:
    """Return the first word of a question if it is one of the paper's five, else "other"."""
    first = row["question"].split(maxsplit=1)[:1]
    return first[0].lower() if first and first[0].lower() in QUESTION_WORDS else "other"
