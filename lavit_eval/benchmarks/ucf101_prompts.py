"""What stands for each class of UCF-101 in words: our own sentences, or a list of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from lavit_eval.benchmarks.plain_text import read_lines
from lavit_eval.errors import UsageError, nearest

SHIPPED = Path(__file__).with_name("ucf101_prompts.tsv")
"""Lines of class, tab, sentence; made from the names of the classes, taken from no paper."""
CLASSES = 101
COMMA_TRAP = 105
"""Lines that the list printed by PYoCo's followers has when it is cut at the commas within four of its prompts, too."""


@cache
def official_names() -> dict[str, str]:
    """Return name in lower case -> official class name, of all 101 classes."""
    return {line.partition("\t")[0].casefold(): line.partition("\t")[0] for _, line in read_lines(SHIPPED)}


def official_name(name: str) -> str | None:
    """Return the official spelling of a class name, or None when UCF-101 has no such class; letter case is ignored."""
    return official_names().get(name.casefold())


def unknown_class(name: str) -> str:
    """Return the words that say that a name is no class, with the nearest ones."""
    return f"{name!r} is no class of UCF-101.{nearest(name, sorted(official_names().values()))}"


def read_prompts(path: Path, in_order: Sequence[str] | None) -> dict[str, str]:
    """Return class -> prompt, with single spaces.

    A file with a tab in it holds lines `Class<TAB>prompt`, for all classes or some. Any other holds exactly 101 lines,
    one prompt each, in the order of classInd.txt.

    Args:
        path: The file.
        in_order: All classes of classInd.txt by their numbers; None where there is no such file.

    Raises UsageError that names the file and the line.
    """
    lines = read_lines(path)
    if any("\t" in line for _, line in lines):
        return _named(path, lines)
    if len(lines) != CLASSES:
        raise UsageError(f"{path} {_wrong_count(lines)}")
    if in_order is None or len(in_order) != CLASSES:
        have = "is not there" if in_order is None else f"names {len(in_order)} classes"
        raise UsageError(
            f"{path}, line 1 is a plain prompt; such lines are taken in the order of classInd.txt, but that {have}: "
            "put the official ucfTrainTestlist/classInd.txt under the data root, or write lines Class<TAB>prompt"
        )
    return {name: _spaced(line) for name, (_, line) in zip(in_order, lines, strict=True)}


def _named(path: Path, lines: Sequence[tuple[int, str]]) -> dict[str, str]:
    prompts: dict[str, str] = {}
    for number, line in lines:
        name, tab, prompt = line.partition("\t")
        if not tab or not prompt.strip():
            raise UsageError(f"{path}, line {number} is not of the form Class<TAB>prompt, as other lines are: mend it")
        official = official_name(name.strip())
        if official is None:
            raise UsageError(f"{path}, line {number}: {unknown_class(name.strip())} Mend or remove the line.")
        if official in prompts:
            raise UsageError(f"{path}, line {number} gives a second prompt of {official}: remove one")
        prompts[official] = _spaced(prompt)
    return prompts


def _wrong_count(lines: Sequence[tuple[int, str]]) -> str:
    wanted = f"one prompt a line, {CLASSES} lines in the order of classInd.txt, or lines Class<TAB>prompt"
    if len(lines) < CLASSES:
        return f"ends after {len(lines)} prompts, {CLASSES - len(lines)} too early: write {wanted}"
    first = f"holds {len(lines)} prompts, those from line {lines[CLASSES][0]} on are too many"
    if len(lines) != COMMA_TRAP:
        return f"{first}: write {wanted}"
    return (
        f"{first}: it seems that commas within the prompts of CleanAndJerk, HorseRace, IceDancing and WallPushups were "
        f"taken for separators; join their halves, so that there is {wanted}"
    )


def _spaced(prompt: str) -> str:
    return " ".join(prompt.split())
