"""Options shared by all tests."""

from __future__ import annotations

import os

# Before torch is imported: tiny tensors on shared cores are up to ten times slower with two threads than with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest

from lavit_eval import registry
from tests.tiny_world import Echo

PROJECT = Path(__file__).resolve().parents[1]
GOLDEN = PROJECT.parent / "shared" / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the parity tests run the cases of any folder."""
    parser.addoption("--golden", action="append", default=[], metavar="DIR", help="run the recorded cases of DIR")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every cache inside the test's own folder."""
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Echo]]:
    """Register the model `echo` for the length of a test."""
    monkeypatch.setitem(registry.BUILT_IN["model"], "echo", "tests.tiny_world:Echo")  # type: ignore[arg-type]
    registry.targets.cache_clear()
    Echo.reset()
    yield Echo
    Echo.reset()
    registry.targets.cache_clear()
