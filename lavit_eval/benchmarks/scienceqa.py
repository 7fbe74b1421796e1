"""ScienceQA: multiple-choice school questions; here those with an image."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import Record, check_records, fault, read_json
from lavit_eval.benchmarks.folders import Source, first_file, inside, known_split, spread
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.multiple_choice import LETTERS
from lavit_eval.sample import Medium, Sample

SOURCE = Source("ScienceQA", "https://github.com/lupantech/ScienceQA", "CC BY-NC-SA 4.0")
FOLDERS = (
    *("scienceqa", "ScienceQA", "ScienceQA/data/scienceqa", "scienceqa/data/scienceqa", "data/scienceqa"),
    *("scienceqa/data", "ScienceQA/data", ""),
)
FIELDS = {"question": str, "choices": list, "answer": int, "hint": str, "subject": str, "grade": str}
SPLITS = ("test", "val", "train")


class ScienceqaImg:
    """ScienceQA's questions with an image; split `test`: 2,017 of 4,241 questions.

    Sample ids are the problems' own; the question is LLaVA's: context, question and options in one text. The answer is
    a letter. Categories: `subject`, `grade`.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read one split under the data root (see `Benchmark.read`)."""
        known_split(split, SPLITS, SOURCE)
        path = first_file(root, spread(FOLDERS, "problems.json"), SOURCE)
        folder = path.parent.relative_to(root).as_posix()
        splits_path = first_file(root, [f"{folder}/pid_splits.json", *spread(FOLDERS, "pid_splits.json")], SOURCE)
        problems = read_problems(path)
        images = images_folder(path.parent, split)
        samples = []
        for pid in read_split(splits_path, split):
            if pid not in problems:
                raise UsageError(f"{path} lacks the problem {pid} of {splits_path}: download both again")
            index, row = problems[pid]
            if row["image"] is not None:
                samples.append(sample_of(path, index, row, images, split))
        return Found(tuple(samples), {"problems": path, "splits": splits_path})


def read_problems(path: Path) -> dict[str, tuple[int, Record]]:
    """Return problem id -> (place in the file, problem), each checked."""
    content = read_json(path, keyed=True)
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{path} must be a JSON object of problems by their ids: is it the right file?")
    rows = [{**row, "pid": pid} if isinstance(row, dict) else row for pid, row in content.items()]
    check_records(path, rows, FIELDS, None)
    for index, row in enumerate(rows):
        choices = row["choices"]
        if not choices or len(choices) > len(LETTERS) or any(type(choice) is not str for choice in choices):
            fault(path, index, row, "pid", 'has no list of texts as "choices"')
        if not 0 <= row["answer"] < len(choices):
            fault(path, index, row, "pid", f"has the answer {row['answer']}, but {len(choices)} choices")
        if "image" not in row or type(row["image"]) not in (str, type(None)):
            fault(path, index, row, "pid", 'has no file name or null as "image"')
    return {row["pid"]: (index, row) for index, row in enumerate(rows)}


def read_split(path: Path, split: str) -> list[str]:
    """Return the problem ids of a split, in the file's order."""
    content = read_json(path)
    ids = content.get(split) if isinstance(content, dict) else None
    if not isinstance(ids, list) or any(type(pid) is not str for pid in ids):
        raise UsageError(f'{path} must be a JSON object with a list of problem ids "{split}": is it the right file?')
    if len(set(ids)) != len(ids):
        twice = next(pid for place, pid in enumerate(ids) if pid in ids[:place])
        raise UsageError(f"{path} names the problem {twice} twice in {split}: download it again")
    return ids


def images_folder(folder: Path, split: str) -> Path:
    """Return the folder with one folder of images per problem."""
    places = [folder / "images" / split, folder / split, folder.parent / "images" / split]
    return next((place for place in places if place.is_dir()), places[0])


def sample_of(path: Path, index: int, row: Record, images: Path, split: str) -> Sample:
    """Return the sample of a problem with an image."""
    name = f"{row['pid']}/{row['image']}"
    if not inside(name):
        fault(path, index, row, "pid", 'names an "image" outside the data folder')
    options = " ".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, row["choices"], strict=False))
    stem = f"Context: {row['hint'].strip() or 'N/A'}\nQuestion: {row['question']}"
    return Sample(
        id=row["pid"],
        media=(Medium("image", str(images / row["pid"] / row["image"]), f"{split}/{name}"),),
        question=f"{stem}\nOptions: {options}",
        stem=stem,
        references=(LETTERS[row["answer"]],),
        categories={"subject": row["subject"], "grade": row["grade"]},
        extra={"choices": row["choices"], "reading": "scienceqa"},
    )
