"""From which drop on a task counts as worse: a small YAML file, per task."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from lavit_eval.data_files import data_folder
from lavit_eval.errors import UsageError, nearest
from lavit_eval.task import read_yaml, validated


class Threshold(BaseModel):
    """When a drop is a regression: it is significant, and it reaches both sizes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    absolute: float = Field(default=0.0, ge=0)
    """In the unit of the task's primary metric."""
    relative: float = Field(default=0.0, ge=0)
    """Share of the absolute value of BASE's score."""
    significance: float = Field(default=0.05, gt=0, lt=0.5)
    """What the adjusted one-sided p must stay below."""

    def size(self, base: float) -> float:
        """Return the least drop that counts, given BASE's score."""
        return max(self.absolute, self.relative * abs(base))


class TaskThreshold(BaseModel):
    """What a task changes of the default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    absolute: float | None = Field(default=None, ge=0)
    relative: float | None = Field(default=None, ge=0)
    significance: float | None = Field(default=None, gt=0, lt=0.5)


class Thresholds(BaseModel):
    """A file of thresholds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: Threshold = Threshold()
    tasks: dict[str, TaskThreshold] = Field(default_factory=dict)

    def of(self, task: str) -> Threshold:
        """Return the threshold of a task."""
        own = self.tasks.get(task, TaskThreshold())
        return self.default.model_copy(update=own.model_dump(exclude_none=True))


def load_thresholds(path: Path | None) -> Thresholds:
    """Read a file of thresholds, or the shipped one (raises UsageError with file and line)."""
    path = path or data_folder("results/baselines") / "thresholds.yaml"
    document, lines = read_yaml(path)
    return validated(Thresholds, document, path, lines)


def check_names(thresholds: Thresholds, known: list[str]) -> None:
    """Raise UsageError for a task in the file that nobody knows: a misspelt one would silently take the default."""
    for name in thresholds.tasks:
        if name not in known:
            raise UsageError(f"The thresholds name an unknown task {name!r}.{nearest(name, known)}")
