"""The progress display: how far, how long still, and what several workers are doing."""

from __future__ import annotations

import io

import pytest

from lavit_eval.progress import BarProgress, PlainProgress


def test_plain_lines_name_the_workers_but_not_all_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("lavit_eval.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    progress = PlainProgress(stream)
    progress.begin("t", 100, 0)
    progress.workers({"worker 1": "t batch 1 for 2 s"})
    now[0] += 11
    progress.workers({"workers": "none is ready yet"})
    now[0] += 11
    progress.advance(50)
    now[0] += 11
    progress.workers({f"worker {number}": "waits" for number in range(1, 12)})
    progress.end()
    said = stream.getvalue().splitlines()
    assert said[1] == "t: 0/100; workers: none is ready yet"
    assert said[2] == "t: 50/100, about 22 s left; workers: none is ready yet"
    assert said[3].startswith("t: 50/100, about 33 s left; worker 1: waits; worker 2: waits;")
    assert said[3].endswith("worker 8: waits; and 3 workers more")
    assert said[4] == "t: 50/100 in 33.0 s"


def test_the_bar_has_a_row_per_worker_that_is_there() -> None:
    progress = BarProgress()
    progress.begin("t", 10, 0)
    progress.workers({"worker 1": "waits", "worker 2": "waits"})
    progress.workers({"worker 2": "t batch 3 for 1 s"})
    rows = [task.description for task in progress._bar.tasks]
    progress.end()
    assert rows == ["t", "  worker 2: t batch 3 for 1 s"]
    assert [task.description for task in progress._bar.tasks] == ["t"]
