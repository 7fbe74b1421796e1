"""What a published number leaves open, and what is assumed for it: `results/paper/open_points.yaml` and protocols."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lavit_eval.data_files import data_folder
from lavit_eval.errors import UsageError

NAME = "open_points.yaml"


class OpenPoint(BaseModel):
    """One thing that a source does not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names or shell patterns."""
    metrics: tuple[str, ...] = ("*",)
    unknown: str
    assumption: str
    confidence: Literal["low", "medium", "high"]
    """In the assumption."""

    def concerns(self, task: str, metric: str) -> bool:
        """Say whether this is about a task's metric."""
        return any(fnmatch.fnmatchcase(task, one) for one in self.tasks) and any(
            fnmatch.fnmatchcase(metric, one) for one in self.metrics
        )


def open_points(task: str, metric: str) -> list[OpenPoint]:
    """Return what the paper leaves open for a task's metric, in the order of the file."""
    return [point for point in _read(data_folder("results/paper") / NAME) if point.concerns(task, metric)]


def protocol_assumptions(recipe: Mapping[str, object]) -> list[str]:
    """Return what the protocol of a score assumes; empty for a protocol that is not shipped or no longer the same."""
    from lavit_eval.metrics.feature_protocol import load_protocol, names

    name = str(recipe.get("protocol", ""))
    return list(load_protocol(name).assumptions) if name in names() else []


@functools.cache
def _read(path: Path) -> tuple[OpenPoint, ...]:
    import yaml

    try:
        return TypeAdapter(tuple[OpenPoint, ...]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
