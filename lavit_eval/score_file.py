"""What `scores.json`, `manifest.json` and `costs.json` must hold before anything is read from them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

FORM = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Details(BaseModel):
    model_config = FORM

    left_out: list[float] = []
    groups: list[int] = []
    judge: dict[str, Any] | str | None = None


class _Score(BaseModel):
    model_config = FORM

    value: float | None
    interval: list[float] | None = Field(min_length=2, max_length=2)
    interval_method: str | None = None
    n: int = Field(ge=0)
    coverage: float
    higher_is_better: bool
    unit: str
    skipped: str | None
    incomplete: bool = False
    categories: dict[str, dict[str, dict[str, float | None]]]
    repeats: list[float | None]
    labels: list[str] = []
    protocol: str | None = None
    recipe: dict[str, Any] = {}
    details: _Details


class _Failure(BaseModel):
    model_config = FORM

    sample_id: str
    repeat: int
    outcome: str
    reason: str | None


class _Task(BaseModel):
    model_config = FORM

    protocol: str
    data: str
    benchmark: str = ""
    published_as: str | None = None
    n: int = Field(ge=0)
    answered: int = Field(ge=0)
    failed: int = Field(ge=0)
    skipped: int = Field(ge=0)
    failures: list[_Failure]
    labels: list[str]
    shows: list[str] | None = None
    primary: str
    metrics: dict[str, _Score]

    @model_validator(mode="after")
    def _has_its_primary(self) -> _Task:
        if self.primary not in self.metrics:
            raise ValueError(f"the primary metric {self.primary} is missing from its metrics")
        return self


class _Model(BaseModel):
    model_config = FORM

    name: str
    digest: str
    label: str


class ScoreFile(BaseModel):
    """Content of `scores.json`: one part per task."""

    model_config = FORM

    model: _Model
    demo: bool
    seed: int | None
    tasks: dict[str, _Task]


class _AskedModel(BaseModel):
    model_config = FORM

    name: str


class _Labelled(_AskedModel):
    label: str
    prior: bool = False
    identity: dict[str, Any] = {}
    identity_by_kind: dict[str, dict[str, Any]] = {}


class _Identity(BaseModel):
    model_config = FORM

    model: _AskedModel
    tasks: dict[str, dict[str, Any]]
    seed: int
    repeats: int = Field(ge=1)
    limit: int | None
    batch_size: int | Literal["auto"]
    visual_noise: str
    demo: bool


class ManifestFile(BaseModel):
    """Content of `manifest.json`: what was asked, of which model, planned how."""

    model_config = FORM

    created: str
    identity: _Identity
    identity_digest: str
    model: _Labelled
    plan: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    counts: dict[str, Any]
    data_root: str
    code: dict[str, Any] = {}

    @field_validator("created")
    @classmethod
    def _is_a_time(cls, given: str) -> str:
        datetime.fromisoformat(given)
        return given


class _Cost(BaseModel):
    model_config = FORM

    responses: int = Field(ge=0)
    device_seconds: float = Field(ge=0)
    waited_seconds: dict[str, float]
    samples_per_second: float | None
    new_tokens_per_second: float | None
    peak_memory_bytes: int | None
    peak_memory_of: str | None
    joules: float | None
    energy_unknown: str | None


class CostFile(BaseModel):
    """Content of `costs.json`: what answering took, by task."""

    model_config = FORM

    schema_: Literal[1] = Field(alias="schema")
    tasks: dict[str, _Cost]


class _Source(BaseModel):
    model_config = FORM

    id: str
    created: str
    code: dict[str, Any] = {}


class _Kept(BaseModel):
    model_config = FORM

    metric: str
    ids: list[str]
    cluster_names: list[str]
    clusters: list[int]
    scores: list[float]
    sums: list[list[float]] | None = None
    parts: list[float] | None = None


class BaselineFile(BaseModel):
    """Content of a baseline: scores, what they depend on, and the samples of each task's primary metric."""

    model_config = FORM

    name: str
    run: _Source
    identity: _Identity
    model: _Labelled
    tasks: dict[str, dict[str, Any]]
    scores: ScoreFile
    samples: dict[str, _Kept]


def wrong_in(kind: type[BaseModel], document: Any) -> str | None:
    """Return the first thing that is wrong in a document, with its place; None where nothing is."""
    try:
        kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        return f"{where}: {said[:1].lower()}{said[1:]}" if where else said
    return None
