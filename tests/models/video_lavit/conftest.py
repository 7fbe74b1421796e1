"""A tiny checkpoint for all tests of the model, and a cache folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.models.video_lavit.tiny import make_tiny


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny checkpoint that no test may change."""
    return make_tiny(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))
