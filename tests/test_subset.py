"""A subset looks like the whole, and depends on nothing but its fields and the samples' ids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from lavit_eval.cli import main
from lavit_eval.errors import UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.registry import Catalogue
from lavit_eval.rescoring import Again, score_again
from lavit_eval.sample import Medium, Sample
from lavit_eval.subset import chosen
from lavit_eval.task import Subset
from tests.tiny_world import Echo, msvd_task, options_for, write_msvd

SHARES = {"yes/no": 60, "number": 30, "other": 10}


def made(shares: dict[str, int] = SHARES) -> list[Sample]:
    kinds = [kind for kind, count in shares.items() for _ in range(count)]
    return [
        Sample(
            str(number),
            (Medium("image", "", f"{number % 20}.jpg"),),
            "?",
            ("a",),
            {"kind": kind, "half": "ab"[number % 2]},
        )
        for number, kind in enumerate(kinds)
    ]


def ids(samples: Sequence[Sample]) -> list[str]:
    return [sample.id for sample in samples]


@pytest.mark.parametrize("seed", range(5))
def test_every_category_has_its_share(seed: int) -> None:
    found = chosen(made(), Subset(count=20, seed=seed, by=("kind",)))
    assert Counter(sample.categories["kind"] for sample in found) == {"yes/no": 12, "number": 6, "other": 2}
    both = Counter(tuple(sample.categories.values()) for sample in chosen(made(), Subset(count=20, seed=seed)))
    assert all(abs(both[(kind, half)] - share / 10) <= 1 for kind, share in SHARES.items() for half in "ab")


def test_the_order_is_the_official_one_and_does_not_choose() -> None:
    samples = made()
    found = ids(chosen(samples, Subset(count=20)))
    assert found == sorted(found, key=int)
    assert sorted(ids(chosen(samples[::-1], Subset(count=20)))) == sorted(found)


def test_the_seed_of_the_field_draws_others() -> None:
    draws = [frozenset(ids(chosen(made(), Subset(count=20, seed=seed)))) for seed in range(4)]
    assert len(set(draws)) == 4
    assert draws[0] == frozenset(ids(chosen(made(), Subset(count=20, seed=0))))


def test_the_first_samples_are_not_preferred() -> None:
    places = [int(one) for seed in range(40) for one in ids(chosen(made({"x": 100}), Subset(count=10, seed=seed)))]
    assert len(places) == 400
    # Uniform places would have a mean of 49.5 with a standard error of 1.4.
    assert 43 < sum(places) / len(places) < 56
    assert len(set(places)) > 90


def test_what_belongs_together_is_taken_whole() -> None:
    grouped = [Sample(f"{pair}{role}", (), "?", (), group=f"pair {pair}") for pair in range(30) for role in "ab"]
    found = ids(chosen(grouped, Subset(count=7)))
    assert len(found) == 14
    assert {one[:-1] for one in found if one.endswith("a")} == {one[:-1] for one in found if one.endswith("b")}
    media = {sample.media[0].name for sample in chosen(made(), Subset(count=4, unit="medium"))}
    assert len(media) == 4
    assert len(chosen(made(), Subset(count=4, unit="medium"))) == 20


def test_a_subset_as_large_as_the_whole_is_the_whole() -> None:
    assert ids(chosen(made(), Subset(count=100))) == ids(chosen(made(), Subset(count=7000))) == ids(made())


def test_a_run_on_a_subset_is_labelled_and_scored_again(tmp_path: Path, echo: type[Echo]) -> None:
    count = write_msvd(tmp_path / "data")
    task = msvd_task(count, tmp_path / "tasks", subset={"count": 5, "seed": 3})
    outcome = evaluate(options_for(task, tmp_path / "data", tmp_path / "results", run_id="r"))
    scored = outcome.scores["tasks"]["made_qa"]
    assert (scored["n"], scored["labels"]) == (5, ["limited to 5, stratified"])
    asked = set(Echo.asked)
    Echo.asked.clear()
    other = evaluate(options_for(task, tmp_path / "data", tmp_path / "other", seed=7, run_id="r"))
    # The run's seed has no part in the choice.
    assert set(Echo.asked) == asked
    assert other.scores["tasks"]["made_qa"]["data"] == scored["data"]
    fewer = evaluate(options_for(task, tmp_path / "data", tmp_path / "fewer", limit=2, run_id="r"))
    assert fewer.scores["tasks"]["made_qa"]["labels"] == ["limited to 2, stratified"]
    before = outcome.run.scores_path.read_bytes()
    score_again(outcome.run, Again(Catalogue([tmp_path / "tasks"])))
    assert outcome.run.scores_path.read_bytes() == before


def test_a_suite_takes_parts_of_its_tasks_and_scores_them_again(tmp_path: Path, echo: type[Echo]) -> None:
    count = write_msvd(tmp_path / "data")
    msvd_task(count, tmp_path / "tasks")
    suite = {"suite": "mine", "tasks": ["made_qa"], "subset": {"made_qa": {"count": 6}}}
    (tmp_path / "tasks" / "suites").mkdir()
    (tmp_path / "tasks" / "suites" / "mine.yaml").write_text(json.dumps(suite))
    folders = ["--output-dir", str(tmp_path / "results"), "--task-dir", str(tmp_path / "tasks")]
    command = ["run", "--suite", "mine", "--model", "echo", "--data-root", str(tmp_path / "data"), "--run-id", "r"]
    assert main([*command, *folders]) == 0
    stored = json.loads((tmp_path / "results" / "runs" / "r" / "scores.json").read_text())
    assert stored["tasks"]["made_qa"]["labels"] == ["limited to 6, stratified"]
    assert main(["score", "r", *folders]) == 0
    again = json.loads((tmp_path / "results" / "runs" / "r" / "scores.json").read_text())
    assert again == stored
    # The task by itself is another run, of other data: the two are not compared.
    whole = [*command[:1], "--tasks", "made_qa", *command[3:-1], "whole"]
    assert main([*whole, *folders]) == 0
    assert main(["compare", "r", "whole", "--output-dir", str(tmp_path / "results"), "--gate"]) == 4


def test_a_suite_that_takes_a_part_of_a_strange_task_is_refused(tmp_path: Path) -> None:
    (tmp_path / "suites").mkdir()
    document = {"suite": "mine", "tasks": ["vqav2"], "subset": {"vqav": {"count": 6}}}
    (tmp_path / "suites" / "mine.yaml").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="subset names 'vqav', which is not one of the suite's tasks"):
        Catalogue([tmp_path]).suite("mine")
