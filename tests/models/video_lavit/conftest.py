"""A tiny checkpoint and small media for all tests of the model, and a cache folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.models.video_lavit.maker import Maker
from lavit_eval.models.video_lavit.tiny import make_tiny
from lavit_eval.sample import Medium
from tests.models.video_lavit.made_requests import make_maker
from tests.models.video_lavit.media import write_media


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny checkpoint that no test may change."""
    return make_tiny(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Medium]:
    """Return two pictures and two videos that no test may change."""
    return write_media(tmp_path_factory.mktemp("media"), ("tree", "house"), ("run", "jump"))


@pytest.fixture(scope="session")
def brief_media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Medium]:
    """Return two pictures and a video of few frames, which can be made again in a moment; no test may change them."""
    return write_media(tmp_path_factory.mktemp("brief"), ("tree", "house"), ("run",), seconds=4)


@pytest.fixture(scope="module")
def maker(tiny_root: Path) -> Maker:
    """Return a maker that holds no state between requests but its parts."""
    return make_maker(tiny_root)
