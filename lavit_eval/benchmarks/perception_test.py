"""Perception Test, multiple choice, in its authors' JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lavit_eval.benchmarks.annotations import check_records, fault, kind_of, read_json
from lavit_eval.benchmarks.choice_samples import checked_options, checked_place, choice_sample
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source(
    "Perception Test",
    "https://github.com/google-deepmind/perception_test",
    "CC-BY-4.0, annotations and videos; check before use",
)
FOLDERS = (
    *("perception_test", "perception_test_mc", "PerceptionTest", "perception_test/annotations"),
    *("perception_test/data", "PerceptionTest/annotations"),
)
FILES = {
    "valid": ("mc_question_valid.json", "all_valid.json"),
    "test": ("mc_question_test.json", "all_test.json"),
    "train": ("mc_question_train.json", "all_train.json"),
}
VIDEO_FOLDERS = ("perception_test", "perception_test_mc", "PerceptionTest")
FIELDS = {"id": int, "question": str, "options": list, "area": str, "reasoning": str}


class PerceptionTestMc:
    """Perception Test multiple choice, splits `valid` (19,140 questions), `train` and `test` (no public answers).

    Sample ids are "{video}_{id}", since an id is unique in its video only. Categories: `area` and `reasoning`. Videos
    without questions, which the files of all annotations hold, give no samples.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, tuple(FILES), SOURCE)
        path = first_file(root, [place for name in FILES[split] for place in spread(FOLDERS, name)], SOURCE)
        content = read_json(path, keyed=True)
        if not isinstance(content, dict) or not content:
            raise UsageError(f"{path} must be an object of videos, not {kind_of(content)}: is it the official file?")
        folders = [place for under in (f"{split}/videos", "videos") for place in spread(VIDEO_FOLDERS, under)]
        media = NamedMedia(root, folders)
        samples: list[Sample] = []
        for video, entry in content.items():
            samples += _of_video(path, video, entry, media, split)
        return Found(tuple(samples), {"questions": path})


def _of_video(path: Path, video: str, entry: Any, media: NamedMedia, split: str) -> list[Sample]:
    rows = entry.get("mc_question") if isinstance(entry, dict) else None
    if not isinstance(rows, list):
        raise UsageError(f'{path}, entry "{video}" has no list "mc_question": is it the official file, unchanged?')
    checked_name(path, 0, {"video": video}, "video", video)
    try:
        check_records(path, rows, FIELDS, "id")
    except UsageError as error:
        raise UsageError(f"video {video}: {error}") from error
    samples = []
    for index, row in enumerate(rows):
        named = {"id": f"{video}_{row['id']}"}
        options = checked_options(path, index, named, "id", row["options"])
        if split != "test" and "answer_id" not in row:
            fault(path, index, named, "id", 'has no field "answer_id"')
        answer = row.get("answer_id")
        place = None if split == "test" else checked_place(path, index, named, "id", answer, len(options))
        categories = {"area": row["area"], "reasoning": row["reasoning"]}
        samples.append(choice_sample(named["id"], media.of(video), row["question"], options, place, categories))
    return samples
