"""EgoSchema in its authors' layout: all questions in one file, the public answers of 500 in another."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import read_json, read_records
from lavit_eval.benchmarks.choice_samples import choice_sample
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.named_media import NamedMedia, checked_name
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source("EgoSchema", "https://github.com/egoschema/EgoSchema", "signed agreement with Ego4D")
FOLDERS = ("egoschema", "EgoSchema", "egoschema/annotations")
VIDEO_FOLDERS = ("egoschema/videos", "EgoSchema/videos", "egoschema/good_clips_git", "EgoSchema/good_clips_git")
OPTIONS = tuple(f"option {number}" for number in range(5))
"""The keys hold a space."""


class Egoschema:
    """EgoSchema, splits `subset` (the 500 questions with public answers) and `full` (5,031, scored by the server only).

    Sample ids are the `q_uid`s, which name the videos too. The paper's number is of the full set.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, ("subset", "full"), SOURCE)
        path = first_file(root, spread(FOLDERS, "questions.json"), SOURCE)
        rows = read_records(path, {"q_uid": str, "question": str, **dict.fromkeys(OPTIONS, str)}, key="q_uid")
        files = {"questions": path}
        answers: dict[str, int] = {}
        if split == "subset":
            answers_path = first_file(root, spread(FOLDERS, "subset_answers.json"), SOURCE)
            answers = read_answers(answers_path, {row["q_uid"] for row in rows}, path)
            files["answers"] = answers_path
        media = NamedMedia(root, VIDEO_FOLDERS)
        samples: list[Sample] = []
        for index, row in enumerate(rows):
            identity = checked_name(path, index, row, "q_uid", row["q_uid"])
            if split == "subset" and identity not in answers:
                continue
            place = answers.get(identity)
            options = [row[option] for option in OPTIONS]
            samples.append(choice_sample(identity, media.of(identity), row["question"], options, place, {}))
        return Found(tuple(samples), files)


def read_answers(path: Path, questions: set[str], questions_path: Path) -> dict[str, int]:
    """Return q_uid -> the place of the right option; raise UsageError for one that has no question."""
    content = read_json(path, keyed=True)
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{path} must be an object of q_uid and number: is it the official file, unchanged?")
    for identity, place in content.items():
        if type(place) is not int or not 0 <= place < len(OPTIONS):
            raise UsageError(
                f'{path}, entry "{identity}" has {place!r} as the right option, not 0 to {len(OPTIONS) - 1}'
            )
    lost = [identity for identity in content if identity not in questions]
    if lost:
        raise UsageError(
            f"{questions_path} lacks {len(lost)} of the {len(content)} entries of {path} (first: q_uid {lost[0]}): "
            "download both again"
        )
    return content
