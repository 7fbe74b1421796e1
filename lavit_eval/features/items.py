"""Whose features a need is about, and under which digest each is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lavit_eval.digests import cache_folder, cached_digest, digest_bytes, digest_json
from lavit_eval.features.media import Item
from lavit_eval.metrics.feature_metric import Need
from lavit_eval.metrics.protocol import Made
from lavit_eval.sample import Sample

FEATURES = "features"
"""Folder of features, in a run's task and in the cache."""
Items = dict[tuple[str, int], Item]
"""(sample id, repeat) -> item; of all but generated media, repeat is 0."""


@dataclass(frozen=True, slots=True)
class Product:
    """What was generated for a sample."""

    sample: Sample
    repeat: int
    made: Made


def folder_of(need: Need, task_folder: Path) -> Path:
    """Return where the features of a need are kept: those of real media in the cache, the others with the run."""
    return (cache_folder() if need.role == "real" else task_folder) / FEATURES


def items_of(need: Need, samples: Sequence[Sample], products: Sequence[Product]) -> Items:
    """Return the media or texts that a need is about; samples without a file are left out."""
    if need.role in ("made", "pair"):
        return {(one.sample.id, one.repeat): product_item(one.sample.id, one.made, need) for one in products}
    if need.role == "caption":
        return {(sample.id, 0): caption_item(sample) for sample in samples}
    return {(sample.id, 0): real_item(sample.id, Path(sample.targets[0].path)) for sample in samples if sample.targets}


def product_item(sample_id: str, made: Made, need: Need) -> Item:
    """Return the item of what was generated for a sample."""
    content = str(made.response.medium_digest)
    if need.role != "pair":
        return Item(sample_id, content, made.path)
    # Two equal reconstructions may have different sources, which the journal knows by what was taken from them.
    source = [made.response.digests.get(name) for name in ("keyframes", "motion")]
    digest = digest_json([content, sample_id, source])
    return Item(sample_id, digest, made.path, content=content, partner=made.source)


def caption_item(sample: Sample) -> Item:
    """Return the item of a sample's text."""
    digest = digest_bytes(f"caption\x1f{sample.question}".encode())
    return Item(sample.id, digest, None, text=sample.question)


def real_item(sample_id: str, path: Path) -> Item:
    """Return the item of a real medium; one that cannot be read has a digest of its place, under which nothing lies."""
    try:
        digest = cached_digest(path)
    except OSError:
        digest = digest_bytes(f"unreadable\x1f{path}".encode())
    return Item(sample_id, digest, path)
