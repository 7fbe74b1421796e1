"""Task: the typed, validated form of one YAML file under tasks/, and its protocol fingerprint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError, nearest
from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.multiple_choice import LETTERS, letters_of
from lavit_eval.sample import JSON, MAKING, RequestKind, Sample, Settings

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]*$")]
SubmissionForm = Literal["vqa", "vizwiz", "nocaps", "egoschema", "perception_test", "mmbench"]
CAPTIONED = frozenset({"nocaps"})
"""Forms of captions; the others are of answers."""


class Decoding(BaseModel):
    """How answers are decoded; greedy with one beam unless a task says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    do_sample: bool = False
    num_beams: int = Field(default=1, ge=1)
    min_new_tokens: int = Field(default=1, ge=0)
    max_new_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=50, ge=0)
    repetition_penalty: float = Field(default=1.0, gt=0)
    length_penalty: float = 1.0
    truncate_answer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Decoding:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens {self.min_new_tokens} exceeds max_new_tokens {self.max_new_tokens}")
        if self.do_sample and self.num_beams > 1:
            raise ValueError("do_sample with num_beams > 1 is not defined by the published model; choose one")
        return self

    def settings(self) -> Settings:
        """Return the same values as the record that travels with a request."""
        return Settings(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Settings)})


class HubSource(BaseModel):
    """Where the hub of `datasets` has a task's rows, for `--source hub`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: tuple[str, ...] = Field(min_length=1)
    """Tried in this order, since data sets move; a folder of a downloaded copy may stand in for an id."""
    split: str
    config: str | None = None
    images: str | None = None
    """The configuration that holds the images, where they stand apart from the questions."""
    revision: str | None = None
    """A commit or tag; empty takes today's, whose commit is printed and recorded."""


class Subset(BaseModel):
    """A fixed part of a benchmark, drawn alike from every category (see `lavit_eval.subset.chosen`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(ge=1)
    """How many units."""
    seed: int = 0
    """Draws others; it is this field, never the run's seed."""
    by: tuple[str, ...] | None = None
    """The axes of categories whose combinations are the strata; all where absent."""
    unit: Literal["sample", "medium"] = "sample"
    """Whether single samples are drawn, or media with all their questions."""


class Task(BaseModel):
    """Data, prompt, decoding and metrics: all that can change a score."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Name
    description: str = ""
    benchmark: Name
    """Which reader turns the annotation files into samples."""
    split: str
    samples: int | None = Field(default=None, ge=1)
    """How many samples the official split has; another count stops the run."""
    subset: Subset | None = None
    """Which of the samples are taken; the score is then labelled as limited. Counts of the split stay checked."""
    request: Literal["answer", "choose", "caption", "generate_image", "generate_video", "reconstruct_video"]
    prompt: str
    """What the model is asked; `{question}` stands for the sample's question, nothing else is replaced."""
    generation: Decoding | dict[str, bool | int | float | str] = Decoding()
    """How text is decoded, or how an image or video is made; the latter has no defaults, all stands in the file."""
    ranked: Literal["texts", "letters", "references"] = "texts"
    """What a `choose` task ranks behind the prompt: options' texts, not shown before, letters of shown ones, or nothing
    but the right answer, to know how likely it is."""
    options: dict[str, bool | int | str] = Field(default_factory=dict)
    """What the reader is told beside the split, e.g. which caption of a video is taken."""
    metrics: tuple[Name, ...] = Field(min_length=1)
    primary: Name
    """The metric that stands for the task; one of `metrics`."""
    protocols: dict[Name, str] = Field(default_factory=dict)
    """Metric of features -> the named recipe, or YAML file of one, that it takes instead of its default."""
    features: Literal["published", "demo"] = "published"
    """Whether such metrics look through the published networks, or through small seeded random ones."""
    failed_samples: Literal["excluded", "empty answer"] = "excluded"
    """Whether a failed sample is left out of the value (and shown in the coverage) or scored as an empty answer."""
    submission: SubmissionForm | None = None
    """The form of the file for the server that scores the split; it is written beside the journal."""
    published_as: Name | None = None
    """The task whose published numbers belong beside this one; its own name where absent."""
    hub: HubSource | None = None
    """Where the rows stand on the hub; absent where it has none in a known form."""

    @field_validator("generation", mode="before")
    @classmethod
    def _of_the_request(cls, given: Any, info: ValidationInfo) -> Any:
        if info.data.get("request") not in MAKING:
            return Decoding.model_validate(given)
        if not isinstance(given, dict):
            raise ValueError("expected a mapping of settings")
        try:
            GenerationSettings.parse(info.data["request"], given)
        except UsageError as error:
            raise ValueError(str(error).removeprefix("generation: ").removesuffix(".")) from error
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        if self.primary not in self.metrics:
            raise ValueError(f"primary {self.primary!r} is not one of metrics {list(self.metrics)}")
        if len(set(self.metrics)) != len(self.metrics):
            raise ValueError("a metric stands twice in metrics")
        if strange := sorted(set(self.protocols) - set(self.metrics)):
            raise ValueError(f"protocols names {strange[0]!r}, which is not one of metrics {list(self.metrics)}")
        if self.submission is not None and (self.request == "caption") != (self.submission in CAPTIONED):
            raise ValueError(f"submission {self.submission} is not for tasks that ask for {self.request}")
        if self.submission is not None and self.request in MAKING:
            raise ValueError("submission is for answers and captions only")
        asks = self.request == "answer" or (self.request == "choose" and self.ranked != "references")
        if asks and "{question}" not in self.prompt:
            raise ValueError(f"the prompt of a task of request {self.request} must contain {{question}}")
        if self.ranked != "texts" and self.request != "choose":
            raise ValueError("ranked is for tasks of request choose only")
        return self

    @property
    def kind(self) -> RequestKind:
        """The kind of request that the task makes."""
        return self.request

    @property
    def writing(self) -> Settings:
        """How text is decoded; the defaults where the task makes files."""
        return self.generation.settings() if isinstance(self.generation, Decoding) else Settings()

    @property
    def making(self) -> Mapping[str, JSON]:
        """How an image or video is made; empty where the task asks for text."""
        return self.generation if isinstance(self.generation, dict) else {}

    @property
    def published_task(self) -> str:
        """Under which task's name published numbers are looked up."""
        return self.published_as or self.task

    def text(self, sample: Sample) -> str:
        """Return what the model is asked about a sample (plain replacement: braces in data are harmless)."""
        hidden = self.request == "choose" and self.ranked == "texts"
        return self.prompt.replace("{question}", (sample.stem or sample.question) if hidden else sample.question)

    def candidates(self, sample: Sample) -> tuple[str, ...]:
        """Return what is ranked behind the prompt; nothing unless this is a `choose` task.

        Where references are ranked that is one text: the most frequent reference, of equally frequent ones the first.

        Raises UsageError for a sample without options, or without the reference that is ranked.
        """
        if self.request != "choose":
            return ()
        if self.ranked == "references":
            if not sample.references:
                raise UsageError(
                    f"{self.task} ranks references, but the sample {sample.id} has none: this split publishes none, "
                    "so name another split."
                )
            return (max(sample.references, key=sample.references.count),)
        choices = sample.extra.get("choices")
        if not isinstance(choices, list | tuple) or not 2 <= len(choices) <= len(LETTERS):
            raise UsageError(
                f"{self.task} asks to choose, but the sample {sample.id} has no options: the reader {self.benchmark} "
                "is not of multiple choice; name another reader, or set request: answer."
            )
        return letters_of(choices) if self.ranked == "letters" else tuple(map(str, choices))

    def asking(self, versions: Mapping[str, int | str]) -> Mapping[str, JSON]:
        """Return all that can change a response: reader, split, prompt and decoding, with the reader's version.

        An option that names a file counts by the file's content ("file:OPTION" of the versions), not by its path.
        """
        fields = self.model_dump(mode="json", include={"task", "benchmark", "split", "request", "prompt", "generation"})
        if self.options:
            fields["options"] = {name: versions.get(f"file:{name}", given) for name, given in self.options.items()}
        if self.request == "choose":
            fields["ranked"] = self.ranked
        return {**fields, "reader_version": versions[f"benchmark:{self.benchmark}"]}

    def scoring(self, versions: Mapping[str, int | str]) -> Mapping[str, JSON]:
        """Return all that can change the score of given responses: metrics, their versions, treatment of failures.

        Metrics without a version here are those of judges, which change no other score and carry their own protocol.
        """
        recipes = {name: versions[f"recipe:{name}"] for name in sorted(self.metrics) if f"recipe:{name}" in versions}
        return {
            "metrics": {
                name: versions[f"metric:{name}"] for name in sorted(self.metrics) if f"metric:{name}" in versions
            },
            "primary": self.primary,
            "failed_samples": self.failed_samples,
            **({"recipes": recipes} if recipes else {}),
        }

    def protocol(self, versions: Mapping[str, int | str]) -> str:
        """Return the protocol fingerprint (SHA-256): equal exactly when two scores were asked and scored the same way.

        Args:
            versions: "benchmark:NAME" and "metric:NAME" -> the version of that code piece; "recipe:METRIC" and
                "file:OPTION" -> the digest of a metric's recipe and of a file that an option names.
        """
        return digest_json({"asking": self.asking(versions), "scoring": self.scoring(versions)})


class SuiteRun(BaseModel):
    """One model of a suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    label: str | None = None
    checkpoint: str | None = None
    arguments: dict[str, str] = Field(default_factory=dict)
    run: Name | None = None
    """What tells its run from those of the suite's other models; the model's name where absent."""

    @property
    def name(self) -> str:
        """How the id of its run ends, where one was given."""
        return self.run or self.model


class Suite(BaseModel):
    """A named list of tasks, and for the demo also its data and models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: Name
    description: str = ""
    tasks: tuple[Name, ...] = Field(min_length=1)
    subset: dict[Name, Subset] = Field(default_factory=dict)
    """Task -> the part of it that is taken."""
    data: Literal["yours", "demo"] = "yours"
    size: int = Field(default=16, ge=1)
    """Of demo data: videos of each benchmark, and images."""
    models: tuple[SuiteRun, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        if strange := sorted(set(self.subset) - set(self.tasks)):
            raise ValueError(f"subset names {strange[0]!r}, which is not one of the suite's tasks")
        return self


def load_task(path: Path, parents: Mapping[str, Path]) -> Task:
    """Read one task file; `extends: NAME` takes another file's fields first (one level deep).

    Raises UsageError with file and line for bad YAML, an unknown or ill-typed field, or an unknown parent.
    """
    document, lines = read_yaml(path)
    parent_name = document.pop("extends", None)
    if parent_name is not None:
        if parent_name not in parents:
            raise UsageError(
                f"{path}:{lines.get(('extends',), 1)}: extends unknown task {parent_name!r}."
                f"{nearest(str(parent_name), sorted(parents))}"
            )
        base, _ = read_yaml(parents[parent_name])
        if "extends" in base:
            raise UsageError(
                f"{path}:{lines.get(('extends',), 1)}: {parent_name} itself extends {base['extends']}; extend that one."
            )
        document = _merged({"published_as": parent_name, **base}, document)
    return validated(Task, document, path, lines)


def load_suite(path: Path) -> Suite:
    """Read one suite file (raises UsageError with file and line)."""
    document, lines = read_yaml(path)
    return validated(Suite, document, path, lines)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = {**base, **over}
    if isinstance(base.get("generation"), dict) and isinstance(over.get("generation"), dict):
        merged["generation"] = {**base["generation"], **over["generation"]}
    if "metrics" in over and "protocols" not in over and isinstance(base.get("protocols"), dict):
        # Recipes of metrics that are left out are left out with them.
        merged["protocols"] = {name: given for name, given in base["protocols"].items() if name in over["metrics"]}
    return merged


Location = tuple[str | int, ...]
Document = TypeVar("Document", bound=BaseModel)


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """Return a YAML mapping and the line on which each of its keys stands (raises UsageError with file and line)."""
    import yaml

    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = loader_class(path.read_text(encoding="utf-8"))
        try:
            node = loader.get_single_node()
            lines: dict[Location, int] = {}
            if node is not None:
                _index_lines(node, (), lines, path)
            document = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise UsageError(
            f"{path}:{line}: not valid YAML: {getattr(error, 'problem', None) or 'unreadable'}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}.") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}:1: expected a mapping of keys and values.")
    return document, lines


def _index_lines(node: Any, at: Location, lines: dict[Location, int], path: Path) -> None:
    import yaml

    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*at, str(key.value))
            if below in lines:
                raise UsageError(f"{path}:{key.start_mark.line + 1}: the key {key.value!r} stands twice.")
            lines[below] = key.start_mark.line + 1
            _index_lines(value, below, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _index_lines(value, (*at, index), lines, path)


def validated(kind: type[Document], document: dict[str, Any], path: Path, lines: Mapping[Location, int]) -> Document:
    """Return a document as a record (raises UsageError with file and line for the first thing that is wrong)."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        # A misspelt key is also a missing one: say the misspelling, which is the cause.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        location = tuple(first["loc"])
        line = next((lines[location[:cut]] for cut in range(len(location), -1, -1) if location[:cut] in lines), 1)
        key = ".".join(str(part) for part in location)
        if first["type"] == "extra_forbidden":
            known = _fields_at(kind, location[:-1])
            raise UsageError(f"{path}:{line}: unknown key {key!r}.{nearest(str(location[-1]), known)}") from error
        where = f"{key}: " if key else ""
        raise UsageError(f"{path}:{line}: {where}{first['msg'].removeprefix('Value error, ')}.") from error


def _fields_at(kind: type[BaseModel], location: Location) -> list[str]:
    for part in location:
        if isinstance(part, str) and part in kind.model_fields:
            annotation = kind.model_fields[part].annotation
            for inner in (annotation, *get_args(annotation)):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    kind = inner
    return sorted(kind.model_fields)
