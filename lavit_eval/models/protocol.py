"""What a model must be, and what it is given to make itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

from lavit_eval.sample import EMPTY, JSON, MediumKind, Request, RequestKind, Response, Sample, Settings

MOST_MADE_TOGETHER = 64
"""Requests of images or videos that `--batch-size auto` plans together at most: one worker holds a planned batch."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What the user said about the model on the command line."""

    checkpoint: str | None = None
    """A folder, or a hub id that is already in the local cache."""
    device: str = "cpu"
    dtype: str = "float32"
    arguments: Mapping[str, str] = field(default_factory=lambda: dict(EMPTY))
    """`--model-args k=v,...`, not yet interpreted; an unknown key is a UsageError of the model."""
    kinds: frozenset[RequestKind] = frozenset()
    """What the run will ask for; what a model needs, and so what identifies it, may depend on that."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests that may share a batch, as their largest member: what a model needs to know to say how many fit.

    A model that finds its batch sizes on its device has a class method `fit_batches(options, demands)`, which returns
    one `Fit` per demand, and the loaded model.
    """

    kind: RequestKind
    medium: MediumKind | None
    """What is shown; a video where some show one."""
    characters: int
    """The longest text."""
    option_characters: int
    """The longest sum over the options of a `choose` request, else 0."""
    settings: Settings
    generation: Mapping[str, JSON] = field(default_factory=lambda: dict(EMPTY))
    """How an image or video is made; empty for other requests."""
    media: int = 1
    """How many are shown at most, where any are."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How many requests of a demand a device takes."""

    requests: int
    """That are asked together, at least 1."""
    stages: Mapping[str, int] = field(default_factory=dict)
    """Stage -> how many of them go through it together, where the model has stages; comes back as `Request.stages`."""


class Model(Protocol):
    """Answers batches of requests.

    A model's constructor may be anything; the registry calls the class methods of `ModelFactory`.
    """

    capabilities: ClassVar[frozenset[RequestKind]]

    def prepare(self, task: str, samples: Sequence[Sample]) -> None:
        """Be told, once per task and before its first batch, all samples of the task; most models ignore it."""

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch, in the order given.

        The text of an answer must not depend on what else is in the batch (but for rounding). A sample whose medium
        cannot be used becomes a failed response; anything else that goes wrong is raised.
        """
        ...


class ModelFactory(Protocol):
    """The class-level face of a model: what can be known before it is loaded."""

    def identify(self, options: ModelOptions) -> Mapping[str, JSON]:
        """Return, without loading weights, everything that can change an answer; its digest is the model's."""
        ...

    def preflight(self, options: ModelOptions) -> list[str]:
        """Return what stands in the way, one sentence each with its mending command; empty when all is well."""
        ...

    def load(self, options: ModelOptions) -> Model:
        """Load the model (raises UsageError for what the user can mend)."""
        ...


class FactoryMethods:
    """Inherited by models whose class methods are their own factory and which have nothing to check or load."""

    default_batch_size: ClassVar[int] = 64
    """Requests per batch for `--batch-size auto`."""
    takes_checkpoint: ClassVar[bool] = False
    prior: ClassVar[bool] = False
    """Whether it looks at nothing: a floor to compare with, no stage in the history of any other model."""

    def __init__(self, options: ModelOptions) -> None:
        self.options = options

    @classmethod
    def identify(cls, options: ModelOptions) -> Mapping[str, JSON]:
        """Return the class's name and its arguments: all that this model is."""
        return {"class": cls.__name__, "arguments": dict(sorted(options.arguments.items()))}

    @classmethod
    def preflight(cls, options: ModelOptions) -> list[str]:
        """Find nothing in the way."""
        return []

    @classmethod
    def load(cls, options: ModelOptions) -> Self:
        """Make the model."""
        return cls(options)

    def prepare(self, task: str, samples: Sequence[Sample]) -> None:
        """Need nothing."""
