"""The recipe of a video distance as data: all that can change an FVD, under a name and a fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError, nearest

FOLDER = Path(__file__).resolve().parent / "protocols"

Count = Annotated[int, Field(ge=2)]
Digest = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})$")]


Network = Literal["i3d", "c3d", "clip", "inception", "lpips"]
FirstResize = Literal["short_side_crop", "squash", "bicubic_squash", "none"]
Resize = Literal[
    "squash", "squash_tf1", "short_side_crop", "none", "inside", "clip_crop", "clip_squash", "inception",
    "inception_antialias",
]  # fmt: skip
Part = Literal["first", "central", "last", "random"]


class Selection(BaseModel):
    """Which videos of a set count, and which of their frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    videos: Count | None
    """How many; null takes all that the task has."""
    part: Part
    """Which part of a video the clip is."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a feature network gives and takes."""

    feature: str
    resizes: frozenset[str]
    side: int | None
    """Of its input, where the recipe says it; null where the network or its own preprocessing does."""
    frames: Callable[[int | None], bool]
    wants_frames: str


def _any(frames: int | None) -> bool:
    return True


KINDS: Mapping[str, _Kind] = {
    "i3d": _Kind(
        "logits",
        frozenset({"squash", "squash_tf1", "short_side_crop", "none"}),
        224,
        lambda frames: frames is not None and frames >= 9,
        "9 or more",
    ),
    "c3d": _Kind("probabilities", frozenset({"inside"}), None, lambda frames: frames == 16, "16"),
    "clip": _Kind("embedding", frozenset({"clip_crop", "clip_squash"}), None, _any, "any"),
    "inception": _Kind("pool", frozenset({"inception", "inception_antialias"}), 299, _any, "any"),
    "lpips": _Kind("distance", frozenset({"none"}), None, lambda frames: frames is None, "null (all)"),
}


class FeatureProtocol(BaseModel):
    """All that stands between two folders of videos and one number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9\-]*$")]
    description: str
    assumptions: tuple[str, ...] = Field(min_length=1)
    """What the source leaves open, and how it was filled; one sentence each."""

    network: Network
    feature: Literal["logits", "probabilities", "embedding", "pool", "distance"]
    """I3D: 400 logits averaged over time, before the softmax; C3D: 101 probabilities of a clip; CLIP: a frame's
    embedding; Inception: 2,048 pooled values of a frame; LPIPS: a frame's distance from its source."""
    weights: str
    """The file's name in the catalogue of weights."""
    weights_digest: Digest | None
    """Null where no digest of the published file is known: that of the file at hand then stands beside the score."""
    batch_norm_eps: float | None
    """Of I3D: 0.001 as the published network, 0.00001 as VideoGPT and its followers run it."""

    first_resize: FirstResize
    """To the resolution at which videos are compared, antialiased and rounded to bytes (`bicubic_squash`: by Pillow);
    "none" keeps theirs."""
    first_side: Annotated[int, Field(ge=16)] | None
    resize: Resize
    """To the network's input; "inside": the network's file does it."""
    side: Annotated[int, Field(ge=16)] | None

    frames: Annotated[int, Field(ge=1)] | None
    """Of a clip; null takes every frame."""
    stride: Annotated[int, Field(ge=1)]
    frames_per_second: Annotated[float, Field(gt=0)] | None
    """The rate to which videos are brought; null keeps the native one and takes every `stride`-th frame."""
    span: Annotated[int, Field(ge=1)] | None = None
    """Only so many frames of a video count, from its beginning; null lets all count."""

    real: Selection | None
    """Null where nothing real is compared with."""
    generated: Selection
    equal_counts: bool
    """Whether both sets must have the same number of videos."""
    sampling_seed: Annotated[int, Field(ge=0, lt=2**63)]
    """Chooses videos where there are more than wanted, and the start of random parts."""

    covariance_ddof: Literal[0, 1] | None
    """Covariances are divided by N minus this; null where there is none."""
    splits: Annotated[int, Field(ge=1)] | None = None
    """Of the Inception Score; more splits lower it."""
    shuffle_seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """The order of samples before splitting, by NumPy's legacy generator; null keeps the task's order."""
    compute_dtype: Literal["float32", "bfloat16"]
    """Of the network; TF32 is off in float32. Statistics are always float64."""
    demo: bool = False
    """A small seeded random network takes the place of the published one: the score says "demo features"."""

    @model_validator(mode="after")
    def _consistent(self) -> FeatureProtocol:
        kind = KINDS[self.network]
        if self.feature != kind.feature:
            raise ValueError(f"the feature of {self.network} is {kind.feature!r}, not {self.feature!r}")
        if self.resize not in kind.resizes:
            raise ValueError(f"resize for {self.network} is one of {', '.join(sorted(kind.resizes))}")
        if self.side != kind.side:
            raise ValueError(f"side for {self.network} is {kind.side}, not {self.side}")
        if not kind.frames(self.frames):
            raise ValueError(f"frames for {self.network}: {kind.wants_frames}, not {self.frames}")
        if (self.network == "i3d") != (self.batch_norm_eps is not None):
            raise ValueError("batch_norm_eps belongs to i3d, and only to it")
        if self.batch_norm_eps not in (None, 1e-3, 1e-5):
            raise ValueError(f"batch_norm_eps must be 0.001 or 0.00001, not {self.batch_norm_eps}")
        if (self.first_resize == "none") != (self.first_side is None):
            raise ValueError("first_side belongs to a first_resize, and only to one")
        self._check_sets()
        return self

    def _check_sets(self) -> None:
        if self.frames is None and (self.stride != 1 or self.frames_per_second is not None):
            raise ValueError("all frames (null) exclude a stride and frames_per_second")
        if self.frames_per_second is not None and self.stride != 1:
            raise ValueError("frames_per_second and a stride exclude each other")
        if self.equal_counts and self.real is None:
            raise ValueError("equal_counts needs a real set")
        if self.real is not None and self.equal_counts and self.real.videos != self.generated.videos:
            raise ValueError(f"equal_counts, but {self.real.videos} real and {self.generated.videos} generated videos")
        if (self.splits is not None) != (self.network == "c3d"):
            raise ValueError("splits belong to c3d, and only to it")
        if self.shuffle_seed is not None and self.network != "c3d":
            raise ValueError("shuffle_seed belongs to c3d")
        if self.span is not None and self.span < (self.frames or 1):
            raise ValueError(f"a span of {self.span} frames has no room for a clip of {self.frames}")
        if self.real is not None and self.covariance_ddof is None:
            raise ValueError("a distance from a real set needs a covariance_ddof")
        if self.compute_dtype != "float32" and self.network != "i3d":
            raise ValueError(f"compute_dtype {self.compute_dtype} is for i3d only")

    def fingerprint(self) -> str:
        """Return 64 hexadecimal digits that change with everything that can change the value, and with nothing else."""
        fields = self.model_dump(mode="json")
        for told in ("protocol", "description", "assumptions", "weights"):
            del fields[told]
        if self.weights_digest is None:
            fields["weights"] = self.weights
        return digest_json(fields)

    def extraction(self, selection: Selection) -> dict[str, object]:
        """Return what decides the features of one set's videos, for the key of stored features.

        The number of videos, the other set and the covariance are not in it: they only choose among features.
        """
        names = (
            "network", "feature", "batch_norm_eps", "first_resize", "first_side", "resize", "side", "frames", "stride",
            "frames_per_second", "span", "compute_dtype", "demo",
        )  # fmt: skip
        key = {name: getattr(self, name) for name in names}
        # Every frame is every frame, whatever part it would be.
        part = None if self.frames is None else selection.part
        return key | {"part": part, "seed": self.sampling_seed if part == "random" else None}

    def with_demo_features(self) -> FeatureProtocol:
        """Return the same recipe with a small seeded random network in the place of the published one."""
        return self.model_copy(update={"demo": True, "weights": "demo", "weights_digest": None})


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
    shipped = path.parent == FOLDER or found.protocol not in names()
    if not shipped and found.fingerprint() != load_protocol(found.protocol).fingerprint():
        raise UsageError(
            f"{path}: protocol: {found.protocol} is the name of a shipped protocol that differs from this one; "
            "give yours a name of its own."
        )
    return found
