"""Judges that fail are asked again at once in tests."""

from __future__ import annotations

import pytest

from lavit_eval.judges import asking


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.001)
