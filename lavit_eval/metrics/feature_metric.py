"""What a metric over features must be: which features it looks at, and how it compares the sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from lavit_eval.digests import digest_json
from lavit_eval.metrics.feature_protocol import FeatureProtocol, Network, Selection
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.sample import JSON

Role = Literal["made", "real", "caption", "pair"]
Features = npt.NDArray[np.float32]
GROUPS = 20
"""Of the jackknife."""
NO_LESS_THAN_ZERO = (0.0, math.inf)
"""The bounds of a distance."""


class UnmeasurableError(Exception):
    """A value cannot be given for these sets; the message is one sentence that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Need:
    """Features of one set that a metric looks at."""

    role: Role
    """`made`: what was generated; `real`: the samples' real media; `caption`: their texts; `pair`: a reconstruction and
    its source."""
    protocol: FeatureProtocol
    selection: Selection

    def extraction(self) -> dict[str, object]:
        """Return what decides these features, beside the weight file at hand."""
        key: dict[str, object] = {"network": self.protocol.network, "demo": self.protocol.demo}
        if self.role == "caption":
            return key | {"of": "caption", "dtype": self.protocol.compute_dtype}
        return self.protocol.extraction(self.selection) | {"of": "pair" if self.role == "pair" else "frames"}


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Features of one set, one entry per sample."""

    ids: tuple[str, ...]
    """Sample ids, in the task's order."""
    groups: npt.NDArray[np.int64]
    """[N] group of each sample for the jackknife: equal in every run of the same samples."""
    rows: tuple[Features, ...]
    """Of each sample `[D]`, or `[frames, D]`."""

    def stacked(self) -> Features:
        """Return `[N, D]` of samples with one row each."""
        return np.stack(self.rows)

    def pooled(self) -> tuple[Features, npt.NDArray[np.int64]]:
        """Return every frame's row `[sum of frames, D]` and the group of each."""
        counts = [len(rows) for rows in self.rows]
        return np.concatenate(self.rows), np.repeat(self.groups, counts)


Gathered = Mapping[str, FeatureRows]
"""Need's name -> its features; sets of equal length hold the same samples in the same order."""


@dataclass(frozen=True, slots=True)
class SetMeasured:
    """What a metric of whole sets found; its interval is a jackknife over groups of prompts."""

    value: float
    left_out: Floats
    """[G] the value without each group in turn."""
    groups: tuple[int, ...] = ()
    """[G] which group each is without; those that hold nothing are not among them."""
    details: Mapping[str, JSON] = field(default_factory=dict)


class FeatureMetric(Protocol):
    """A metric of generated images or videos by the features of a network; class attributes as in `Metric`."""

    version: ClassVar[int]
    higher_is_better: ClassVar[bool]
    unit: ClassVar[str]
    bounds: ClassVar[tuple[float, float] | None]
    network: ClassVar[Network]
    """Whose protocols it takes."""
    weights: ClassVar[str | None]
    """The only weight file that its name allows; None where the protocol chooses."""
    default_protocol: ClassVar[str]
    of_sets: ClassVar[bool]
    """Whether it compares whole sets: one that lacks videos is another set, and its value another quantity."""
    chooses_among_repeats: ClassVar[bool]
    """Whether the repeats of a sample are candidates of which it takes one, and not runs of their own."""

    def needs(self, protocol: FeatureProtocol) -> Mapping[str, Need]:
        """Return name -> features that it looks at under a protocol."""
        ...

    def measure_features(
        self, protocol: FeatureProtocol, gathered: Gathered, extrapolate: bool = False
    ) -> Measured | SetMeasured:
        """Compare the sets.

        Args:
            protocol: The recipe.
            gathered: The features of every need. Sets of `Measured` metrics hold the same samples.
            extrapolate: Add to the details of a biased distance where it tends with ever more samples.

        Raises:
            UnmeasurableError: The sets are too small or do not fit together.
            UsageError: A feature is not finite.
        """
        ...


def recipe_fingerprint(needs: Mapping[str, Need]) -> str:
    """Return 64 hexadecimal digits of all recipes that a metric uses."""
    return digest_json({name: [need.role, need.protocol.fingerprint()] for name, need in sorted(needs.items())})


def prompt_groups(prompts: Mapping[str, str]) -> dict[str, int]:
    """Return sample id -> jackknife group, 0 to 19 (fewer for fewer prompts), of nearly equal size.

    Samples of one prompt share a group. Membership depends on the prompts alone, so that two runs of the same samples
    have the same groups, whatever failed in either.

    Args:
        prompts: Sample id -> what samples share that makes them dependent (`Sample.cluster`).
    """
    ranked = sorted(set(prompts.values()), key=digest_json)
    groups = {prompt: rank % min(GROUPS, max(len(ranked), 1)) for rank, prompt in enumerate(ranked)}
    return {sample_id: groups[prompt] for sample_id, prompt in prompts.items()}
