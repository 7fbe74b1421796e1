"""The recipe of a video distance as data: all that can change an FVD, under a name and a fingerprint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError, nearest

FOLDER = Path(__file__).resolve().parent / "protocols"

Count = Annotated[int, Field(ge=2)]
Digest = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})$")]


class Selection(BaseModel):
    """Which videos of a set count, and which of their frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    videos: Count | None
    """How many; null takes all that the task has."""
    part: Literal["first", "central", "last", "random"]
    """Which part of a video the clip is."""


class FeatureProtocol(BaseModel):
    """All that stands between two folders of videos and one number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9\-]*$")]
    description: str
    assumptions: tuple[str, ...] = Field(min_length=1)
    """What the source leaves open, and how it was filled; one sentence each."""

    network: Literal["i3d"]
    feature: Literal["logits"]
    """400 logits averaged over time, before the softmax."""
    weights: str
    """The file's name in the catalogue of weights."""
    weights_digest: Digest
    batch_norm_eps: float
    """0.001 as the published network, 0.00001 as VideoGPT and its followers run it."""

    first_resize: Literal["short_side_crop", "squash", "none"]
    """To the resolution at which videos are compared, antialiased and rounded to bytes; "none" keeps theirs."""
    first_side: Annotated[int, Field(ge=16)] | None
    resize: Literal["squash", "squash_tf1", "short_side_crop", "none"]
    """To the network's input."""
    side: Literal[224]

    frames: Annotated[int, Field(ge=9)]
    stride: Annotated[int, Field(ge=1)]
    frames_per_second: Annotated[float, Field(gt=0)] | None
    """The rate to which videos are brought; null keeps the native one and takes every `stride`-th frame."""

    real: Selection
    generated: Selection
    equal_counts: bool
    """Whether both sets must have the same number of videos."""
    sampling_seed: Annotated[int, Field(ge=0, lt=2**63)]
    """Chooses real videos where there are more than wanted, and the start of random parts."""

    covariance_ddof: Literal[0, 1]
    compute_dtype: Literal["float32", "bfloat16"]
    """Of the network; TF32 is off in float32. Statistics are always float64."""

    @model_validator(mode="after")
    def _consistent(self) -> FeatureProtocol:
        if self.batch_norm_eps not in (1e-3, 1e-5):
            raise ValueError(f"batch_norm_eps must be 0.001 or 0.00001, not {self.batch_norm_eps}")
        if (self.first_resize == "none") != (self.first_side is None):
            raise ValueError("first_side belongs to a first_resize, and only to one")
        if self.frames_per_second is not None and self.stride != 1:
            raise ValueError("frames_per_second and a stride exclude each other")
        counts = self.real.videos, self.generated.videos
        if self.equal_counts and counts[0] != counts[1]:
            raise ValueError(f"equal_counts, but {counts[0]} real and {counts[1]} generated videos")
        return self

    def fingerprint(self) -> str:
        """Return 64 hexadecimal digits that change with everything that can change the value, and with nothing else."""
        fields = self.model_dump(mode="json")
        for told in ("protocol", "description", "assumptions", "weights"):
            del fields[told]
        return digest_json(fields)

    def extraction(self, selection: Selection) -> dict[str, object]:
        """Return what decides the features of one set's videos, for the key of stored features.

        The number of videos, the other set and the covariance are not in it: they only choose among features.
        """
        names = (
            "network", "feature", "weights_digest", "batch_norm_eps", "first_resize", "first_side", "resize", "side",
            "frames", "stride", "frames_per_second", "compute_dtype",
        )  # fmt: skip
        key = {name: getattr(self, name) for name in names}
        return key | {"part": selection.part, "seed": self.sampling_seed if selection.part == "random" else None}


def names() -> list[str]:
    """Return the names of the shipped protocols."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_protocol(name: str) -> FeatureProtocol:
    """Return a shipped protocol by name, or one from a YAML file by path.

    Raises UsageError for an unknown name or a file that is no protocol, naming its first wrong field.
    """
    path = FOLDER / f"{name}.yaml"
    if name not in names():
        path = Path(name)
        if path.suffix not in {".yaml", ".yml"} or not path.is_file():
            raise UsageError(f"{name} is no protocol, and no YAML file.{nearest(name, names())}")
    try:
        found = FeatureProtocol.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise UsageError(f"{path}: {where}: {first['msg']}.") from error
    return found
