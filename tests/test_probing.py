"""A probe says how long a run will take, and counts media and questions apart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from lavit_eval.models.baselines import Constant
from lavit_eval.probing import probe, spread, whole_seconds
from lavit_eval.prospect import RunOptions, foresee
from lavit_eval.sample import Medium, Request, Response, Seeds, Settings
from tests.tiny_world import msvd_task, write_msvd


def _asked(medium: int, number: int) -> Request:
    shown = Medium("video", f"/{medium}", str(medium))
    return Request(f"{medium}-{number}", 0, "answer", (shown,), "why?", Settings(), Seeds(1, 0, 1))


def test_media_are_counted_once_however_many_questions_are_asked_about_them() -> None:
    plan = [_asked(medium, number) for medium in range(20) for number in range(50)]
    asked = spread(plan, 4)
    assert len({request.media for request in asked}) == 4
    # Each medium 3 s, each question 0.5 s.
    times = {"preprocess": 2.0, "encode": 1.0, "generate": 0.5}
    responses = [Response(request.sample_id, 0, "answered", text="x", times=times) for request in asked]
    assert whole_seconds(4 * 3.5, asked, responses, plan) == pytest.approx(20 * 3.0 + 1000 * 0.5)
    # A model that does not tell them apart is taken by questions.
    plain = [Response(request.sample_id, 0, "answered", text="x") for request in asked]
    assert whole_seconds(4 * 3.5, asked, plain, plan) == pytest.approx(1000 * 3.5)


def test_samples_are_spread_and_none_is_taken_twice() -> None:
    plan = [_asked(0, number) for number in range(100)]
    assert [request.sample_id for request in spread(plan, 4)] == ["0-12", "0-37", "0-62", "0-87"]
    assert spread(plan[:3], 10) == plan[:3]


def test_the_time_is_that_of_the_run_and_media_that_are_missing_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = write_msvd(tmp_path / "data", videos=10)
    (tmp_path / "data" / "MSVD-QA" / "video" / "vid3.avi").unlink()
    answer = Constant.respond

    def slow(self: Constant, requests: Sequence[Request]) -> list[Response]:
        assert not any("vid3" in medium.path for request in requests for medium in request.media)
        time.sleep(0.02 * len(requests))
        return answer(self, requests)

    monkeypatch.setattr(Constant, "respond", slow)
    options = RunOptions(
        model="constant",
        tasks=(msvd_task(count, tmp_path / "tasks"),),
        data_root=tmp_path / "data",
        output=tmp_path / "out",
        allow_missing=True,
    )
    (found,) = probe(foresee(options)).tasks
    assert (found.asked, found.failed) == (10, 0)
    assert 36 * 0.02 <= found.seconds < 10 * 36 * 0.02
    assert 40 * 80 < found.bytes < 40 * 2_000
