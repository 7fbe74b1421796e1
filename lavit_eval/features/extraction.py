"""Makes sure that features are there: those that are kept are read, the others are computed and kept."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from lavit_eval.digests import cached_digest
from lavit_eval.errors import MediumError, UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.features.media import Item, frames_of, partner_frames
from lavit_eval.features.networks import FeatureNetwork, load_network, weights_at_hand
from lavit_eval.features.store import FeatureStore, Stored
from lavit_eval.metrics.feature_metric import Need
from lavit_eval.metrics.feature_protocol import FeatureProtocol
from lavit_eval.metrics.video_input import Frames
from lavit_eval.video.ahead import run_ahead
from lavit_eval.weights import entry, locate


class Watch(Protocol):
    """Told how far an extraction is (the same face as `lavit_eval.progress.Progress`)."""

    def begin(self, task: str, total: int, done: int, what: str = ...) -> None:
        """Start on a set of which `done` media have features already."""
        ...

    def advance(self, by: int) -> None:
        """Note more media."""
        ...

    def end(self) -> None:
        """Finish the set."""
        ...


@dataclass(frozen=True, slots=True)
class Extracted:
    """The features of some items."""

    found: dict[str, Stored]
    """Digest -> features."""
    failed: dict[str, str]
    """Digest -> why there are none."""


Memo = dict[Path, Extracted]
"""Folder of a store -> what was read from it, extracted into it, or failed, in this process."""


@dataclass(frozen=True, slots=True)
class _Read:
    """An item's frames, or why there are none."""

    item: Item
    frames: Frames | None = None
    others: Frames | None = None
    total: int = 0
    error: str = ""


class Extraction:
    """The features of one need: where they are kept, and the network that makes those that are not.

    The network is loaded when a first medium asks for it: what is kept already can be scored without any weights.

    Args:
        need: What to look at.
        equipment: Weights and device.
        folder: Where features are kept.
        known: The weights by which features were extracted before (`weights` of then), where the file is gone.

    Attributes:
        weights: The digest of the weight file with its kind, or "demo".
        verified: Whether that is the published file's.
    """

    def __init__(self, need: Need, equipment: Equipment, folder: Path, known: str | None = None) -> None:
        self.need, self.equipment = need, equipment
        self.weights, self.verified = _identity(need.protocol, equipment, known)
        self.store = FeatureStore(folder, {**need.extraction(), "weights": self.weights})

    @cached_property
    def network(self) -> FeatureNetwork:
        """The network, loaded at its first use (raises UsageError when its weights are missing or wrong)."""
        return load_network(self.need.protocol, self.equipment)

    def run(self, items: Sequence[Item], title: str, watch: Watch, memo: Memo | None = None) -> Extracted:
        """Return the features of the items; each medium is computed once, whatever stands for it how often.

        Media are decoded in a thread of their own, a few ahead of the network.

        Args:
            items: What is wanted.
            title: Of the extraction, for the watch.
            watch: Told how far it is.
            memo: What was read, or failed, in this process already; it is filled up.

        Raises:
            UsageError: Weights are missing or wrong, a feature is not finite, or the disk is full.
        """
        wanted = {item.digest: item for item in items}
        before = (memo if memo is not None else {}).setdefault(self.store.folder, Extracted({}, {}))
        found = {digest: one for digest, one in before.found.items() if digest in wanted}
        failed = {digest: reason for digest, reason in before.failed.items() if digest in wanted}
        unread = [digest for digest in wanted if digest not in found and digest not in failed]
        found |= {digest: kept for digest in unread if (kept := self.store.find(digest)) is not None}
        missing = [wanted[digest] for digest in unread if digest not in found]
        if missing:
            self._extract(missing, title, watch, found, failed)
        before.found.update(found)
        before.failed.update(failed)
        return Extracted(found, failed)

    def _extract(
        self,
        missing: Sequence[Item],
        title: str,
        watch: Watch,
        found: dict[str, Stored],
        failed: dict[str, str],
    ) -> None:
        total, done = len(missing) + len(found) + len(failed), len(found) + len(failed)
        watch.begin(title, total, done, "media")
        try:
            with closing(run_ahead(self._read(missing))) as readings:
                for reading in readings:
                    if reading.error:
                        failed[reading.item.digest] = reading.error
                    else:
                        found[reading.item.digest] = self._keep(reading)
                    watch.advance(1)
        finally:
            watch.end()

    def _read(self, items: Sequence[Item]) -> Generator[_Read, None, None]:
        for item in items:
            if item.text is not None:
                yield _Read(item)
                continue
            try:
                _check_unchanged(item, self.need)
                excerpt = frames_of(item, self.need)
                others = partner_frames(item, self.need) if self.need.role == "pair" else None
                if others is not None and others.shape != excerpt.frames.shape:
                    sizes = f"{excerpt.frames.shape} values, its source {others.shape}"
                    raise MediumError(f"{item.path} has {sizes}: not the same frames.")
            except MediumError as error:
                yield _Read(item, error=str(error))
                continue
            yield _Read(item, excerpt.frames, others, excerpt.total)

    def _keep(self, reading: _Read) -> Stored:
        item, frames = reading.item, reading.frames
        if item.text is not None:
            stored = Stored(self.network.of_caption(item.text), 0, 0, 0)
        elif frames is None:
            raise ValueError(f"{item.sample_id} was not read")
        else:
            pair = reading.others
            features = self.network.of_frames(frames) if pair is None else self.network.of_pair(frames, pair)
            stored = Stored(features, reading.total, frames.shape[1], frames.shape[2])
        if not np.isfinite(stored.features).all():
            protocol = self.need.protocol
            raise UsageError(
                f"The features of {item.path or item.sample_id} under {protocol.protocol} are not finite; "
                f"look at that file and at {protocol.weights} (lavit-eval weights check), then score again."
            )
        self.store.keep(item.digest, stored)
        return stored


def _identity(protocol: FeatureProtocol, equipment: Equipment, known: str | None) -> tuple[str, bool]:
    """Return what stands for a weight file in the key of stored features, and whether it is the published file's.

    Of a file that was used before, and of the published one, it is known without the file, so that their features are
    found on a machine that lacks it.
    """
    if protocol.demo:
        return "demo", True
    file, wanted = entry(protocol.weights), protocol.weights_digest
    published = file.digest
    absent = locate(file.name, equipment.weights_dir) is None
    if absent and known is not None:
        return known, known == published
    if absent and published is not None:
        if wanted in (None, published, f"git:{file.git_blob}"):
            return published, True
        return wanted, False
    found = weights_at_hand(protocol, equipment)
    if found is not None and not found.published:
        return f"sha256:{found.sha256}", False
    return str(published), True


def _check_unchanged(item: Item, need: Need) -> None:
    """Raise MediumError for a file that is gone, or has not the content that it had when it was made."""
    if item.path is None or not item.path.is_file():
        if need.role == "real":
            raise MediumError(f"{item.path} does not exist.")
        raise MediumError(
            f"{item.path} is gone (removed by --keep-media or runs prune?), so these features cannot be computed."
        )
    if need.role == "pair" and (item.partner is None or not item.partner.is_file()):
        raise MediumError(f"{item.path} has no source beside it, so they cannot be compared.")
    try:
        found = cached_digest(item.path)
    except OSError as error:
        raise MediumError(f"{item.path} cannot be read: {error.strerror}.") from error
    if found != (item.content or item.digest):
        raise MediumError(f"{item.path} is not the file that it was when it was made or first read.")
