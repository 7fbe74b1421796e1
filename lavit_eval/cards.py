"""What is known of each benchmark beside its reader: files, where to get them, licence, counts, traps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lavit_eval.task import Name, Task, read_yaml, validated

FOLDER = Path(__file__).resolve().parent / "benchmarks" / "cards"
Sure = Literal["counted", "read", "remembered", "inferred"]
"""How a fact is known: counted in the files; read in the authors' or the hub's words; from memory; by inference."""
CERTAIN: frozenset[Sure] = frozenset({"counted", "read"})
PREFIX = 8
"""Digits of a digest that are enough to tell a file from another version of it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _below(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path or not path:
        raise ValueError(f"{path!r} is not a path below the data root")
    return path


class DataFile(_Strict):
    """A file or folder of the official layout."""

    path: str
    """Below the data root; a folder ends in "/", a name may hold {placeholders}."""
    what: str = ""
    splits: tuple[str, ...] = ()
    """The splits that need it; empty for all."""

    _check = field_validator("path")(_below)


class Archive(_Strict):
    """Something to download."""

    name: str
    """Its file name."""
    url: str = ""
    into: str = ""
    """Where `data prepare` unpacks it, below the data root; empty where that must be done by hand."""
    holds: str
    splits: tuple[str, ...] = ()
    note: str = ""
    """What it takes to get it, e.g. a form."""

    @field_validator("into")
    @classmethod
    def _inside(cls, into: str) -> str:
        return _below(into) if into else into


class Count(_Strict):
    """One number that the files of a split must give."""

    of: str
    """`samples`, `media`, `targets`, `references`, or "AXIS=CATEGORY"; "answer=X" counts a first reference."""
    count: int = Field(ge=0)
    sure: Sure

    @field_validator("of")
    @classmethod
    def _measurable(cls, of: str) -> str:
        if of not in ("samples", "media", "targets", "references") and "=" not in of:
            raise ValueError("expected samples, media, targets, references or AXIS=CATEGORY")
        return of


class FileDigest(_Strict):
    """How the content of an official file is known."""

    file: str
    """Its file name."""
    algorithm: Literal["sha256", "md5"] = "sha256"
    begins: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{PREFIX},64}}$")]
    """The first hexadecimal digits, or all of them."""
    sure: Sure = "counted"


class SplitFacts(_Strict):
    """What is known of one split."""

    split: str
    samples: int = Field(ge=1)
    """Which task this is about: one of the same split and sample count; another count is a subset of the user's own."""
    counts: tuple[Count, ...] = ()
    digests: tuple[FileDigest, ...] = ()


class Card(_Strict):
    """One benchmark; named as its reader."""

    card: Name
    title: str
    medium: Literal["image", "video"]
    """What is asked about, described, begun from or compared with."""
    about: str
    files: tuple[DataFile, ...] = Field(min_length=1)
    archives: tuple[Archive, ...] = Field(min_length=1)
    licence: str
    gated: str = ""
    """What must be done by hand (a form, an agreement) before the data can be had; empty where nothing."""
    splits: tuple[SplitFacts, ...] = ()
    no_hub: str = ""
    """Why `--source hub` has nothing for this benchmark; empty where its tasks name hub ids."""
    scorer: str
    paper: str
    traps: tuple[str, ...] = ()
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Card:
        keys = [(facts.split, facts.samples) for facts in self.splits]
        if len(set(keys)) != len(keys):
            raise ValueError("two entries of splits have the same split and samples")
        names = [archive.name for archive in self.archives]
        if len(set(names)) != len(names):
            raise ValueError("two archives have the same name")
        return self

    def facts(self, split: str, samples: int | None) -> SplitFacts | None:
        """Return what is known of a split of that many samples; None for a subset of the user's own."""
        return next((one for one in self.splits if (one.split, one.samples) == (split, samples)), None)

    def files_of(self, split: str) -> list[DataFile]:
        """Return the files that a split needs."""
        return [file for file in self.files if not file.splits or split in file.splits]

    def archives_of(self, split: str) -> list[Archive]:
        """Return what must be downloaded for a split."""
        return [archive for archive in self.archives if not archive.splits or split in archive.splits]


def card_names() -> Iterator[str]:
    """Yield the names of all cards, in order."""
    yield from sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def read_card(name: str) -> Card:
    """Read a card by its name (raises UsageError with file and line when it is not a valid one)."""
    path = FOLDER / f"{name}.yaml"
    document, lines = read_yaml(path)
    return validated(Card, document, path, lines)


def card_of(task: Task) -> Card | None:
    """Return the card of a task's benchmark; None for a reader that comes from elsewhere."""
    return read_card(task.benchmark) if (FOLDER / f"{task.benchmark}.yaml").is_file() else None
