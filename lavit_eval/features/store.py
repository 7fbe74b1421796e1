"""Features on disk, one small file per medium, found by how they were extracted and by the medium's content."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lavit_eval.digests import digest_json
from lavit_eval.files import write_atomic, write_json
from lavit_eval.metrics.feature_metric import Features

EXTRACTION_VERSION = 1
"""Rises when the same medium, recipe and weights would give other features."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The features of one medium."""

    features: Features
    """float32 `[D]`, or `[frames, D]`, or `[frames]` of distances."""
    frames: int
    """How many frames the medium has; 0 for a text."""
    height: int
    width: int


class FeatureStore:
    """The features of one extraction under a folder.

    Each file appears whole under its name or not at all, so a killed extraction loses one medium at most.

    Args:
        folder: Of a run's task, or of the cache.
        extraction: All that decides the features but the medium itself, JSON-able.
    """

    def __init__(self, folder: Path, extraction: Mapping[str, object]) -> None:
        self.extraction = {"version": EXTRACTION_VERSION, **extraction}
        self.folder = folder / digest_json(self.extraction)[:16]

    def find(self, digest: str) -> Stored | None:
        """Return the features of a medium; None where they are not there or cannot be read."""
        try:
            with np.load(self._path(digest), allow_pickle=False) as held:
                features, facts = held["features"], held["facts"].tolist()
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            # RuntimeError: damage may read as encryption, or as a kind of archive that zipfile does not know.
            return None
        if features.dtype != np.float32 or len(facts) != 3:
            return None
        return Stored(features, *(int(fact) for fact in facts))

    def keep(self, digest: str, stored: Stored) -> None:
        """Write the features of a medium, atomically (raises UsageError when the disk is full)."""
        told = self.folder / "extraction.json"
        if not told.is_file():
            write_json(told, self.extraction)
        buffer = io.BytesIO()
        facts = np.array([stored.frames, stored.height, stored.width], dtype=np.int64)
        np.savez(buffer, features=stored.features.astype(np.float32, copy=False), facts=facts)
        write_atomic(self._path(digest), buffer.getvalue())

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.npz"
