"""The progress display: how far, how long still, and what several workers are doing."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from typing import Literal

import pytest

from lavit_eval.progress import BarProgress, Estimate, PlainProgress, Step, duration
from lavit_eval.sample import Medium, Request, Seeds, Settings
from lavit_eval.workload import MAKING_TOKENS, Workload


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


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("workers", [1, 4])
def test_the_time_left_is_right_within_a_fifth_after_a_tenth_of_the_work(seed: int, workers: int) -> None:
    """A simulated run: each kind of cost is off by up to 15 %, each batch by 30 %, and loading is 500 s on top."""
    draw, now = random.Random(seed), [0.0]
    plan = [batch for name in ("images", "videos") for batch in _batches(name, draw)]
    off = {name: draw.uniform(0.85, 1.15) for name in ("encoding", "reading", "writing")}
    load, work, costs = Workload(), {"images": 0.0, "videos": 0.0}, []
    for name, requests in plan:
        weight = load.weigh_all(requests)
        work[name] += weight
        costs.append((name, weight, _seconds(requests, off, draw)))
    estimate = Estimate(work, lambda: now[0])
    estimate.workers = workers
    ends = _finished(costs, workers, loading=500.0)
    whole, done, said, counted = sum(work.values()), 0.0, None, 0
    for at, name, weight, seconds in ends:
        now[0] = at
        estimate.advance(Step(name, weight, seconds))
        done, counted = done + weight, counted + 1
        if done >= 0.1 * whole:
            said = estimate.left()
            break
    left = ends[-1][0] - now[0]
    assert said == pytest.approx(left, rel=0.2)
    # The count of batches alone, with the loading in it, is not.
    assert (len(ends) - counted) * now[0] / counted != pytest.approx(left, rel=0.2)


def _batches(task: str, draw: random.Random) -> list[tuple[str, list[Request]]]:
    """Return batches of 8: half of the media are asked 2 questions, the others 30; captions of one task are longer."""
    kind: Literal["image", "video"] = "image" if task == "images" else "video"
    requests = []
    for medium in range(60):
        shown = Medium(kind, f"/{task}/{medium}", str(medium))
        for number in range(2 if medium % 2 else 30):
            text = "w" * draw.randint(20, 400)
            settings = Settings(max_new_tokens=10 if task == "images" else 128)
            requests.append(Request(f"{medium}-{number}", 0, "answer", (shown,), text, settings, Seeds(1, 0, 1)))
    return [(task, requests[start : start + 8]) for start in range(0, len(requests), 8)]


def _seconds(requests: Sequence[Request], off: Mapping[str, float], draw: random.Random) -> float:
    media = {medium for request in requests for medium in request.media}
    encoding = sum(1.6 if medium.kind == "video" else 0.1 for medium in media)
    reading = sum(0.52 if request.media[0].kind == "video" else 0.038 for request in requests)
    writing = sum(0.0016 * min(request.settings.max_new_tokens, 48) for request in requests)
    whole = encoding * off["encoding"] + reading * off["reading"] + writing * off["writing"]
    return whole * draw.uniform(0.7, 1.3)


def _finished(
    costs: Sequence[tuple[str, float, float]], workers: int, loading: float
) -> list[tuple[float, str, float, float]]:
    """Return (second, task, weight, seconds) of every batch in the order in which workers finish them."""
    free = [loading] * workers
    ends = []
    for name, weight, seconds in costs:
        worker = free.index(min(free))
        free[worker] += seconds
        ends.append((free[worker], name, weight, seconds))
    return sorted(ends)


@pytest.mark.parametrize(
    ("seconds", "said"), [(7, "7 s"), (119, "119 s"), (720, "12 min"), (11_100, "3 h 05 min"), (187_200, "2 d 4 h")]
)
def test_time_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_an_answer_weighs_more_with_a_longer_text_a_film_and_more_to_write() -> None:
    def weight(*media: Medium, text: str = "why?", tokens: int = 8) -> float:
        request = Request("1", 0, "answer", media, text, Settings(max_new_tokens=tokens), Seeds(1, 0, 1))
        return Workload().weigh(request)

    image, video = Medium("image", "/i", "i"), Medium("video", "/v", "v")
    assert weight() < weight(text="why? " * 99) < weight(image, text="why? " * 99) < weight(video)
    assert weight() < weight(tokens=40)
    making = Request("1", 0, "generate_video", (), "a cat", Settings(), Seeds(1, 0, 1), generation={"clips": 2})
    assert Workload().weigh(making) > 1.9 * MAKING_TOKENS["generate_video"]
