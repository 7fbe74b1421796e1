"""Judges that fail are asked again at once in tests; a made run to be judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.judges import asking
from lavit_eval.prospect import RunOptions
from tests.tiny_world import Echo, msvd_task, write_msvd
from tests.tiny_world import options_for as run_options


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.001)


@pytest.fixture
def world(tmp_path: Path, echo: type[Echo]) -> RunOptions:
    count = write_msvd(tmp_path / "data")
    task = msvd_task(count, tmp_path / "tasks")
    return run_options(task, tmp_path / "data", tmp_path / "results", run_id="r")
