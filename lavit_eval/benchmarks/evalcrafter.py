"""EvalCrafter's prompts for text-to-video, read from the user's clone: they have no licence, so none are shipped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from lavit_eval.benchmarks.annotations import kind_of, read_json
from lavit_eval.benchmarks.folders import Source, first_file, known_split, spread
from lavit_eval.benchmarks.plain_text import read_text
from lavit_eval.benchmarks.protocol import Found
from lavit_eval.errors import UsageError
from lavit_eval.sample import Sample

SOURCE = Source(
    "EvalCrafter", "https://github.com/evalcrafter/EvalCrafter (git clone)", "no licence is stated; not shipped"
)
FOLDERS = ("EvalCrafter", "evalcrafter", "EvalCrafter/prompts", "evalcrafter/prompts")
ONE_FILE, FIRST_OF_MANY, WITH_ATTRIBUTES = "prompt700.txt", "0000.txt", "metadata.json"
PLACES = (
    *spread((*FOLDERS, ""), ONE_FILE),
    *spread(("EvalCrafter/prompts", "evalcrafter/prompts", "EvalCrafter", "evalcrafter", "prompts"), FIRST_OF_MANY),
    *spread(FOLDERS, WITH_ATTRIBUTES),
)
OFFICIAL = 700
NUMBERED = re.compile(r"\d{4}\.txt")


class Evalcrafter:
    """EvalCrafter, split `test`: 700 prompts, each asked for several videos; there are no real videos.

    Video-LaVIT (section 4.2) makes 2,048 long videos from these prompts and compares parts of each with each other; it
    does not say which prompts come more often. Here they are taken in turn: sample i has prompt i % 700, its id is
    "0042-1" for the second video of the 43rd prompt. Samples of one prompt are one cluster.

    Option `videos`: how many samples.
    """

    version: ClassVar[int] = 1

    def read(self, root: Path, split: str, videos: int = 2048) -> Found:
        """Read the prompts under the data root (see `Benchmark.read`).

        The first form found is read: prompt700.txt, prompts/0000.txt and on, metadata.json. A file with another number
        of prompts serves for as many videos as it has prompts; for more, a UsageError says that it is not whole.
        """
        known_split(split, ("test",), SOURCE)
        if type(videos) is not int or videos < 1:
            raise UsageError(
                f"{SOURCE.name}: the option videos is a whole number from 1, not {videos!r}; mend the task."
            )
        path = first_file(root, PLACES, SOURCE)
        files = {path.name: path}
        if path.name == ONE_FILE:
            prompts = read_one_file(path)
        elif path.name == WITH_ATTRIBUTES:
            prompts = read_metadata(path)
        else:
            files = numbered_files(path.parent)
            prompts = [_checked(read_text(each), each, "the file") for each in files.values()]
        if videos > len(prompts) and len(prompts) != OFFICIAL:
            raise UsageError(
                f"{path if len(files) == 1 else path.parent} holds {len(prompts)} prompts, not {OFFICIAL}: get them "
                f"anew from {SOURCE.url}, or describe a subset of your own with the option videos: {len(prompts)}"
            )
        return Found(tuple(_sample(index, prompts) for index in range(videos)), files)


def read_one_file(path: Path) -> list[str]:
    """Return the prompts of prompt700.txt, one a line; the last line may end without a line end, as the official one.

    Raises UsageError for an empty line, since it would give the later prompts other numbers.
    """
    lines = read_text(path).removesuffix("\n").split("\n")
    return [_checked(line, path, f"line {number}") for number, line in enumerate(lines, start=1)]


def numbered_files(folder: Path) -> dict[str, Path]:
    """Return name -> path of 0000.txt, 0001.txt and so on (raises UsageError that names the first one missing)."""
    names = sorted(path.name for path in folder.iterdir() if NUMBERED.fullmatch(path.name))
    for number, name in enumerate(names):
        if name != f"{number:04d}.txt":
            raise UsageError(f"{folder / f'{number:04d}.txt'} is missing, {name} follows: get it from {SOURCE.url}")
    return {f"prompts/{name}": folder / name for name in names}


def read_metadata(path: Path) -> list[str]:
    """Return the prompts of metadata.json, {"0000": {"prompt": ...}}, in the order of their numbers.

    Raises UsageError that names file and entry.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{path} must be an object of prompts, not {kind_of(content)}: is it EvalCrafter's file?")
    prompts = []
    for number in range(len(content)):
        key = f"{number:04d}"
        if key not in content:
            raise UsageError(f"{path} has {len(content)} entries but no {key!r}: is it EvalCrafter's file, unchanged?")
        entry = content[key]
        prompt = entry.get("prompt") if isinstance(entry, dict) else None
        if not isinstance(prompt, str):
            raise UsageError(f'{path}, entry {key!r} has no text as "prompt": is it EvalCrafter\'s file, unchanged?')
        prompts.append(_checked(prompt, path, f"entry {key!r}"))
    return prompts


def _checked(text: str, path: Path, where: str) -> str:
    """Return a prompt as it is, without the white space around it."""
    prompt = text.strip().replace("\n", " ")
    if not prompt:
        raise UsageError(f"{path}: {where} is empty, where a prompt should stand: get it anew from {SOURCE.url}")
    return prompt


def _sample(index: int, prompts: Sequence[str]) -> Sample:
    turn, number = divmod(index, len(prompts))
    prompt = prompts[number]
    return Sample(
        id=f"{number:04d}-{turn}", media=(), question=prompt, references=(prompt,), group=f"prompt {number:04d}"
    )
