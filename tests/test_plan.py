"""The plan depends on task, data, seed and batch size only; questions on one medium stand together."""

from __future__ import annotations

from lavit_eval.plan import BatchSizes, TaskPlan, VisualNoise, plan_task
from lavit_eval.registry import Catalogue
from lavit_eval.sample import Medium, Sample, Seeds


def _samples(count: int = 6) -> list[Sample]:
    media = [Medium("video", f"v{number}", f"v{number}") for number in range(2)]
    return [Sample(f"q{index}", (media[index % 2],), f"what {index}?", ("cat",)) for index in range(count)]


def _plan(
    repeats: int = 1, seed: int = 42, size: int = 4, noise: VisualNoise = "per-medium", samples: int = 6
) -> TaskPlan:
    task = Catalogue().task("msvd_qa")
    return plan_task(
        task, _samples(samples), seed=seed, repeats=repeats, sizes=BatchSizes.even(size), visual_noise=noise
    )


def test_questions_on_one_medium_and_repeat_follow_each_other() -> None:
    keys = [request.key for request in _plan(repeats=2).requests]
    first = [("q0", 0), ("q2", 0), ("q4", 0), ("q0", 1), ("q2", 1), ("q4", 1)]
    assert keys == first + [(name.replace(name[1], str(int(name[1]) + 1)), repeat) for name, repeat in first]


def test_batches_hold_every_request_once() -> None:
    plan = _plan(repeats=3, size=4)
    batches = plan.batches()
    assert [len(batch.requests) for batch in batches] == [4, 4, 4, 4, 2]
    assert [request for batch in batches for request in batch.requests] == list(plan.requests)


def test_seeds_depend_on_run_seed_task_sample_and_repeat_only() -> None:
    def seeds(plan: TaskPlan) -> dict[tuple[str, int], int]:
        return {request.key: request.seeds.write for request in plan.requests}

    full = seeds(_plan(repeats=2))
    assert len(set(full.values())) == 12
    assert {key: full[key] for key in seeds(_plan())} == seeds(_plan(size=1))
    few = seeds(_plan(samples=3))
    assert {key: full[key] for key in few} == few
    assert not set(full.values()) & set(seeds(_plan(seed=43, repeats=2)).values())


def test_questions_on_one_medium_share_what_is_seen_unless_told_otherwise() -> None:
    shared = {request.seeds.see("digest") for request in _plan().requests}
    assert len(shared) == 1
    own = {request.seeds.see("digest") for request in _plan(noise="per-question").requests}
    assert len(own) == 6


def test_what_is_seen_differs_by_medium_repeat_and_run() -> None:
    seeds = {Seeds(run, repeat, 0).see(digest) for run in (1, 2) for repeat in (0, 1) for digest in ("a", "b")}
    assert len(seeds) == 8


def test_a_retry_asks_the_failed_again_in_the_order_of_the_plan() -> None:
    batches = _plan(size=2).retry({("q5", 0), ("q0", 0), ("q1", 0)}, attempt=2)
    assert [[request.sample_id for request in batch.requests] for batch in batches] == [["q0", "q1"], ["q5"]]
    assert {batch.attempt for batch in batches} == {2}


def test_the_digest_of_the_plan_sees_order_and_batch_size() -> None:
    assert _plan().digest() == _plan(seed=1).digest()
    assert len({_plan().digest(), _plan(size=5).digest(), _plan(repeats=2).digest()}) == 3
