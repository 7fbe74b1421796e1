"""The records that flow through a run: Sample, Request, Response, Score."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, Self

MediumKind = Literal["image", "video"]
RequestKind = Literal["answer", "choose", "caption", "generate_image", "generate_video", "reconstruct_video"]
MAKING: frozenset[str] = frozenset({"generate_image", "generate_video", "reconstruct_video"})
"""Kinds of request whose answer is a file."""
Outcome = Literal["answered", "failed", "skipped"]
JSON = Any
"""A value that `json.dumps` takes."""

EMPTY: Mapping[str, JSON] = {}


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a video: the pictures with start <= time < end, in seconds from the file's beginning.

    Times are exact fractions, so that a frame number stands for one picture and no rounding decides about it.
    """

    start: Fraction
    end: Fraction

    def __post_init__(self) -> None:
        """Refuse what holds no moment (ValueError)."""
        if not 0 <= self.start < self.end:
            raise ValueError(f"a segment begins at 0 or later and ends after its start, unlike {self}")

    @classmethod
    def seconds(cls, start: int | float, end: int | float) -> Self:
        """Return the segment between two times; a decimal number means what is written (1.2 is 6/5)."""
        return cls(Fraction(str(start)), Fraction(str(end)))

    @classmethod
    def frames(cls, first: int, end: int, fps: int) -> Self:
        """Return the segment of the frames first <= number < end of a video of `fps` frames per second."""
        return cls(Fraction(first, fps), Fraction(end, fps))

    def __str__(self) -> str:
        return f"{float(self.start):g}-{float(self.end):g} s"


@dataclass(frozen=True, slots=True)
class Medium:
    """One image or video that belongs to a sample."""

    kind: MediumKind
    path: str
    """Where the file lies on this machine."""
    name: str
    """Its name within the benchmark (relative to the data folder, with "/"), the same on every machine."""
    segment: Segment | None = None
    """The part of a video that is shown; None shows all of it."""
    rate: int | None = None
    """Of a video that is a folder of pictures, named in their order: how many a second; None for a file."""

    def __post_init__(self) -> None:
        """Refuse a segment or rate of an image (ValueError)."""
        if (self.segment is not None or self.rate is not None) and self.kind != "video":
            raise ValueError(f"only a video has a segment or a rate, unlike {self.name}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a benchmark, as its annotation files state it."""

    id: str
    """Unique within the task; never built from a list index."""
    media: tuple[Medium, ...]
    question: str
    """What is asked; empty for a captioning task, whose prompt stands in the task."""
    references: tuple[str, ...]
    """Right answers or reference captions in the annotation's order; empty where the split publishes none."""
    categories: Mapping[str, str] = field(default_factory=dict)
    """Axis -> category, e.g. {"answer_type": "yes/no"}; scores are broken down along each axis."""
    extra: Mapping[str, JSON] = field(default_factory=dict)
    """What only this benchmark's scorer needs."""
    targets: tuple[Medium, ...] = ()
    """Real media that a generated one is compared with; never shown to the model."""
    stem: str = ""
    """The question without its options, where `question` shows them; empty where it does not."""
    group: str = ""
    """What makes samples dependent in the place of a shared medium, e.g. one prompt that is asked several times."""

    @property
    def cluster(self) -> str:
        """What samples share that makes them dependent: their group, else their first medium, else themselves."""
        if self.group:
            return self.group
        return self.media[0].name if self.media else self.id


@dataclass(frozen=True, slots=True)
class Settings:
    """How text is decoded; the defaults are greedy with one beam."""

    do_sample: bool = False
    num_beams: int = 1
    min_new_tokens: int = 1
    max_new_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 50
    """Used when sampling only; 0 turns it off."""
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    truncate_answer: bool = False
    """Cut the answer at the first newline . ! , ? (model_spec 2.4.6, `truct_vqa`)."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seeds of one request; what is drawn depends on nothing else."""

    run: int
    repeat: int
    write: int
    """Seeds what the model writes: (run seed, task, sample id, repeat)."""
    question: str | None = None
    """With `--visual-noise per-question`: "task/sample id", so that each question draws its own patch selection."""

    def see(self, medium_digest: str) -> int:
        """Return the seed of what the model sees of a medium: (run seed, digest of the medium, repeat)."""
        parts = ["see", str(self.run), medium_digest, str(self.repeat)]
        return derive_seed(*parts, *([self.question] if self.question is not None else []))


def derive_seed(*parts: str) -> int:
    """Return a seed in [0, 2^63) that depends on every part and on their order (SHA-256)."""
    joined = "\x1f".join(parts).encode()
    return int.from_bytes(hashlib.sha256(joined).digest()[:8], "big") >> 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked."""

    sample_id: str
    repeat: int
    kind: RequestKind
    media: tuple[Medium, ...]
    text: str
    """The question after the task's prompt template; the model adds its own chat template."""
    settings: Settings
    seeds: Seeds
    options: tuple[str, ...] = ()
    """The candidates of a `choose` request, 1 to 26 texts; each is ranked as a continuation of the prompt."""
    generation: Mapping[str, JSON] = field(default_factory=dict)
    """How an image or video is made: the task's own settings, uninterpreted."""
    output: str | None = None
    """Where a generated file goes: an absolute path without suffix; None for requests that make no file."""
    stages: Mapping[str, int] = field(default_factory=dict)
    """Stage of making -> how many requests of a batch go through it together; the model decides where none is named."""

    @property
    def key(self) -> tuple[str, int]:
        """What identifies the request within its task."""
        return self.sample_id, self.repeat


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """How likely a model finds each option of a `choose` request after the prompt, in the request's order."""

    summed: tuple[float, ...]
    """Sum of the natural logarithms of the option's token probabilities; at most 0."""
    normalised: tuple[float, ...]
    """The same per token: the sum divided by the number of tokens."""
    tokens: tuple[int, ...]
    """Tokens of each option, at least 1."""

    @classmethod
    def of(cls, summed: Sequence[float], tokens: Sequence[int]) -> Self:
        """Return the record of some sums (raises ValueError unless all are numbers and have tokens)."""
        if not all(map(math.isfinite, summed)) or not all(count > 0 for count in tokens):
            raise ValueError(f"log-likelihoods {list(summed)} of {list(tokens)} tokens")
        normalised = (total / count for total, count in zip(summed, tokens, strict=True))
        return cls(tuple(summed), tuple(normalised), tuple(tokens))

    @staticmethod
    def best(values: Sequence[float]) -> int:
        """Return the place of the greatest value, of equal ones the first."""
        return max(range(len(values)), key=lambda place: (values[place], -place))


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: a text, or a file, or the reason why there is none."""

    sample_id: str
    repeat: int
    outcome: Outcome
    text: str | None = None
    """What was written; of a `choose` request the letter of the option with the greatest normalised likelihood, of one
    option alone that option."""
    medium: str | None = None
    """A generated file's path relative to the run's folder."""
    medium_digest: str | None = None
    error: str | None = None
    """One sentence, only where the outcome is not `answered`."""
    digests: Mapping[str, str | list[str]] = field(default_factory=dict)
    """SHA-256 of what went in: `media`, `prompt_ids`, `keyframes`, `motion`, `visual_tokens`; of a segment `media` is
    that of file and times, and `files` that of the file alone."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """`prompt_tokens`, `visual_tokens`, `motion_tokens`, `new_tokens`, `clips_found`, `clips_used`."""
    times: Mapping[str, float] = field(default_factory=dict)
    """Seconds per stage: `preprocess`, `encode`, `generate`; a batch's shared time is divided evenly."""
    likelihoods: Likelihoods | None = None
    """Of a `choose` request's options, where the model has such."""

    @property
    def key(self) -> tuple[str, int]:
        """The key of the request that this answers."""
        return self.sample_id, self.repeat


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one task."""

    metric: str
    value: float | None
    """None when skipped or when no sample could be scored."""
    interval: tuple[float, float] | None
    """95 % confidence interval."""
    interval_method: str | None
    n: int
    """Scored responses."""
    clusters: int
    coverage: float
    """Scored responses divided by all that the task has (after --limit), in [0, 1]."""
    higher_is_better: bool
    unit: str
    categories: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    """Axis -> category -> {"value", "n", "low", "high"}; the last two are the ends of the 95 % interval."""
    repeats: tuple[float | None, ...] = ()
    """The value of each repeat, when there is more than one; None where it is undefined."""
    skipped: str | None = None
    """Why there is no value, e.g. "no Java"."""
    incomplete: bool = False
    """Whether the value is held back because its sets are not whole: `--allow-partial` gives it."""
    labels: tuple[str, ...] = ()
    """What makes this value another quantity than its name says, e.g. "demo features"."""
    protocol: str | None = None
    """Digest of all that can change this value, where the task's own does not say it: recipe and weights at hand."""
    recipe: Mapping[str, JSON] = field(default_factory=dict)
    """How features became a number: the name and fingerprint of the protocol, and the digests of the weights."""
    details: Mapping[str, JSON] = field(default_factory=dict)
