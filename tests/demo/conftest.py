"""One small demo data folder, made once for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.demo import make_demo_data

VIDEOS = 3
IMAGES = 6


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a complete demo data folder; tests must not change it."""
    return make_demo_data(tmp_path_factory.mktemp("demo") / "data", videos=VIDEOS, images=IMAGES)
