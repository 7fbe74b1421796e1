"""MME: two questions on each image, in fourteen folders of two styles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.folders import IMAGE_SUFFIXES, MediaFolders, Source, known_split
from lavit_eval.benchmarks.plain_text import read_lines
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Medium, Sample

SOURCE = Source(
    "MME",
    "https://github.com/BradyFU/Awesome-Multimodal-Large-Language-Models/tree/Evaluation",
    "research only, images on request",
)
RELEASE = "MME_Benchmark_release_version"
FOLDERS = (f"{RELEASE}/MME_Benchmark", RELEASE, f"mme/{RELEASE}/MME_Benchmark", f"mme/{RELEASE}", "mme", "MME", "")
SUBTASKS = {
    "perception": (
        *("existence", "count", "position", "color", "posters"),
        *("celebrity", "scene", "landmark", "artwork", "OCR"),
    ),
    "cognition": ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
}
QUESTIONS_FOLDER, IMAGES_FOLDER = "questions_answers_YN", "images"
"""What five of the subtasks have; in the others questions and images lie side by side."""
INSTRUCTION = "Please answer yes or no."


class Mme:
    """MME, split `test`: 1,187 images with two questions each, one to be answered with Yes, one with No.

    Sample ids are subtask/image#line, the image without its extension; categories are `subtask` and `area`
    (perception, cognition). Two subtasks hold images of equal names, so that an image is known by both. The sentence
    "Please answer yes or no." is taken off the questions' ends, as LLaVA and lmms-eval do; a task's prompt may bring it
    back.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str) -> Found:
        """Read all subtasks under the data root (see `Benchmark.read`)."""
        known_split(split, ("test",), SOURCE)
        base = find_base(root)
        samples: list[Sample] = []
        files: dict[str, Path] = {}
        for area, subtasks in SUBTASKS.items():
            for subtask in subtasks:
                for path, found in read_subtask(root, base / subtask, area):
                    files[f"{subtask}/{path.name}"] = path
                    samples += found
        return Found(tuple(samples), files)


def find_base(root: Path) -> Path:
    """Return the folder that holds the subtasks; raise UsageError when there is none or one lacks a subtask."""
    expected = [subtask for subtasks in SUBTASKS.values() for subtask in subtasks]
    for folder in FOLDERS:
        base = root / folder
        present = [subtask for subtask in expected if (base / subtask).is_dir()]
        if len(present) == len(expected):
            return base
        if present:
            lacking = [subtask for subtask in expected if subtask not in present]
            raise UsageError(f"{base} lacks the subtasks {', '.join(lacking)} of MME: unpack the whole archive again")
    if not root.is_dir():
        raise UsageError(
            f"there is no data folder {root}: name the folder that holds the benchmarks with --data-root DIR"
        )
    raise UsageError(
        f"no folders of MME under {root} (tried {', '.join(place or '.' for place in FOLDERS)}): get them from "
        f"{SOURCE.url} ({SOURCE.licence}) and unpack them at {root / RELEASE}, or name another folder with "
        "--data-root DIR"
    )


def read_subtask(root: Path, folder: Path, area: str) -> Iterator[tuple[Path, list[Sample]]]:
    """Yield every text file of a subtask, by name, with its two samples."""
    split_style = (folder / QUESTIONS_FOLDER).is_dir()
    questions = folder / QUESTIONS_FOLDER if split_style else folder
    pictures = folder / IMAGES_FOLDER if split_style else folder
    images = MediaFolders(root, [pictures.relative_to(root).as_posix()], IMAGE_SUFFIXES)
    paths = sorted(path for path in questions.glob("*.txt") if not path.name.startswith("."))
    if not paths:
        raise UsageError(f"{questions} holds no questions (*.txt) of MME: unpack the archive again")
    for path in paths:
        place = images.find(path.stem) or images.expected(path.stem)
        medium = Medium("image", place, f"{folder.name}/{Path(place).name}")
        yield path, [sample_of(medium, *entry, folder.name, area) for entry in read_pair(path)]


def read_pair(path: Path) -> list[tuple[int, str, str]]:
    """Return (line, question, answer) of the two lines of a text file: one answer is Yes, the other No."""
    found = []
    for number, line in read_lines(path):
        question, tab, answer = line.rpartition("\t")
        if not tab or answer.strip() not in ("Yes", "No"):
            raise UsageError(f"{path}, line {number} must be a question, a tab, and Yes or No: is it MME's own file?")
        found.append((number, question.strip(), answer.strip()))
    if sorted(answer for _, _, answer in found) != ["No", "Yes"]:
        answers = ", ".join(answer for _, _, answer in found) or "nothing"
        raise UsageError(
            f"{path} must hold two questions, one with the answer Yes and one with No, not {answers}: "
            "is it MME's own file?"
        )
    return found


def sample_of(medium: Medium, line: int, question: str, answer: str, subtask: str, area: str) -> Sample:
    """Return the sample of one question."""
    asked = question.removesuffix(INSTRUCTION).rstrip()
    return Sample(
        f"{subtask}/{Path(medium.name).stem}#{line}", (medium,), asked, (answer,), {"subtask": subtask, "area": area}
    )
