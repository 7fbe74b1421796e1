"""Video-MME: the hub's Parquet file, or the authors' template of results, which is not quite JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from lavit_eval.benchmarks.annotations import Record, check_records, fault, kind_of, parse_json
from lavit_eval.benchmarks.choice_samples import checked_options, choice_sample
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.plain_text import read_text
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source(
    "Video-MME",
    "https://huggingface.co/datasets/lmms-lab/Video-MME",
    "academic research only, no redistribution without approval",
)
FOLDERS = ("video_mme", "Video-MME", "videomme", "video_mme/videomme", "Video-MME/videomme", "Video-MME/evaluation")
FILES = ("test-00000-of-00001.parquet", "Video-MME.json", "output_test_template.json")
VIDEO_FOLDERS = ("video_mme/data", "Video-MME/data", "videomme/data", "video_mme/videos", "Video-MME/videos")
OF_VIDEO = ("video_id", "duration", "domain", "sub_category")
FIELDS = {
    **dict.fromkeys((*OF_VIDEO, "question_id", "task_type", "question", "answer"), str),
    "options": list,
}
LETTERS = ("A", "B", "C", "D")
TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(\s*[\]}])')
"""A string, which is left alone, or a comma before a closing bracket."""


class VideoMme:
    """Video-MME without subtitles, split `test`: 2,700 questions on 900 videos.

    Sample ids are the question ids; categories are `duration`, `domain`, `sub_category` and `task_type`. A video is
    `{videoID}.mp4`; the authors' template has no videoID, so its videos are looked for by the end of `url`, else by
    `video_id`.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read the split under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        path = first_file(root, [place for name in FILES for place in spread(FOLDERS, name)], SOURCE)
        rows = read_parquet(path) if path.suffix == ".parquet" else read_template(path)
        check_records(path, rows, FIELDS, "question_id")
        media = NamedMedia(root, VIDEO_FOLDERS, label="data")
        return Found(tuple(_sample(path, index, row, media) for index, row in enumerate(rows)), {"questions": path})


def read_parquet(path: Path) -> list[Record]:
    """Return the rows of a Parquet file (raises UsageError)."""
    import pandas

    try:
        rows = pandas.read_parquet(path).to_dict("records")
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"{path} cannot be read as Parquet ({error}): download it again") from error
    if not rows:
        raise UsageError(f"{path} holds no entries: download it again")
    return [{**row, "options": list(row["options"]) if "options" in row else None} for row in rows]


def read_template(path: Path) -> list[Record]:
    """Return the questions of a list of videos with `questions` each, or of a list of questions.

    Commas before a closing bracket, as in the authors' own template, are passed over.
    """
    try:
        content = parse_json(TRAILING.sub(lambda found: found[1] or found[2], read_text(path)))
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON ({error}): download it again, it may be cut off") from error
    if not isinstance(content, list) or not content:
        raise UsageError(f"{path} must be a list of entries, not {kind_of(content)}: is it the right file?")
    rows: list[Any] = []
    for index, entry in enumerate(content):
        if not isinstance(entry, dict) or "questions" not in entry:
            rows.append(entry)
            continue
        if not isinstance(entry["questions"], list) or not all(isinstance(one, dict) for one in entry["questions"]):
            fault(path, index, entry, "video_id", 'has no list of objects as "questions"')
        above = {name: value for name, value in entry.items() if name != "questions"}
        rows += [{**above, **question} for question in entry["questions"]]
    return rows


def _sample(path: Path, index: int, row: Record, media: NamedMedia) -> Sample:
    options = checked_options(path, index, row, "question_id", row["options"])
    if len(options) != len(LETTERS) or row["answer"] not in LETTERS:
        what = f'has {len(options)} options and the answer "{row["answer"]}", not four and one of A to D'
        fault(path, index, row, "question_id", what)
    if not all(option.startswith(f"{letter}.") for letter, option in zip(LETTERS, options, strict=True)):
        fault(path, index, row, "question_id", "has options that do not begin with their letters, as in A. Open.")
    name = checked_name(path, index, row, "question_id", video_name(row))
    categories = {axis: row[axis] for axis in ("duration", "domain", "sub_category", "task_type")}
    place = LETTERS.index(row["answer"])
    return choice_sample(row["question_id"], media.of(name), row["question"], options, place, categories, named=True)


def video_name(row: Record) -> str:
    """Return the name of a question's video: its id on YouTube where that is said."""
    if isinstance(row.get("videoID"), str) and row["videoID"]:
        return str(row["videoID"])
    url = row.get("url")
    return url.rpartition("=")[2].rpartition("/")[2] if isinstance(url, str) and url else str(row["video_id"])
