"""The shipped table of published numbers, and when one may stand beside a score."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from lavit_eval import data_files
from lavit_eval.data_files import data_folder
from lavit_eval.errors import UsageError
from lavit_eval.published import all_published, beside, published
from tests.conftest import PROJECT

SOURCE = PROJECT.parent / "shared" / "paper_results.csv"
BENCHMARKS = PROJECT.parent / "shared" / "benchmarks.json"


@pytest.mark.skipif(not SOURCE.exists(), reason="the collected numbers are not beside this checkout")
def test_every_collected_number_is_shipped_exactly_once() -> None:
    with open(SOURCE, encoding="utf-8", newline="") as stream:
        collected = Counter(tuple(row.values()) for row in csv.DictReader(stream))
    shipped = Counter(
        (n.benchmark, n.split, n.published_metric, n.direction, n.model, n.value, n.source, n.confidence)
        for n in all_published()
    )
    assert shipped == collected


@pytest.mark.skipif(not BENCHMARKS.exists(), reason="the list of benchmarks is not beside this checkout")
def test_every_task_is_one_of_ours() -> None:
    names = {benchmark["name"] for benchmark in json.loads(BENCHMARKS.read_text())}
    without_card = {"long_video"}
    assert {number.task for number in all_published()} - {""} <= names | without_card


def test_a_main_target_is_unique_per_task_metric_and_split() -> None:
    places = Counter((n.benchmark, n.metric, n.split) for n in all_published() if n.target == "main")
    assert set(places.values()) == {1}


def test_the_two_detokenizers_are_told_apart() -> None:
    targets = {number.target: number.value for number in published("ucf101_t2v", "fvd") if number.target}
    assert targets == {"main": "280.57", "svd_init": "274.96"}


def test_published_filters_by_task_and_metric() -> None:
    scores = published("msvd_qa", "judge_score_gpt35")
    assert {number.metric for number in scores} == {"judge_score_gpt35"}
    assert len(scores) < len(published("msvd_qa"))
    assert published("no_such_task") == []


def test_values_are_kept_as_printed() -> None:
    (number,) = [n for n in published("msrvtt_t2v", "clipsim_vitb16") if n.target == "svd_init"]
    assert number.value == "0.3010"
    assert number.number == 0.301


def test_the_same_metric_is_comparable() -> None:
    found = beside("msvd_qa", "judge_accuracy_gpt35", primary=True)
    assert found is not None
    assert found.comparable
    assert str(found) == "73.2"


@pytest.mark.parametrize(
    ("task", "metric", "said"),
    [
        ("msvd_qa", "judge_accuracy", "73.2 (GPT-3.5 judge): not comparable (another judge)"),
        ("msvd_qa", "judge_score", "3.9 (GPT-3.5 judge): not comparable (another judge)"),
        ("mmvet", "mmvet_score", "33.2 (GPT-4 score): not comparable (another judge)"),
    ],
)
def test_the_papers_judge_stands_beside_ours_and_is_another(task: str, metric: str, said: str) -> None:
    found = beside(task, metric, primary=False)
    assert found is not None and str(found) == said and not found.comparable
    assert found.remark == f"not comparable: {found.qualifier}"
    assert beside("msvd_qa", "judge_score_untruncated", primary=False) is None


def test_a_judged_accuracy_is_never_set_against_exact_match() -> None:
    found = beside("msvd_qa", "exact_match", primary=True)
    assert found is not None
    assert not found.comparable
    assert str(found) == "73.2 (GPT-3.5 judge): another metric"
    assert found.remark == "another metric: GPT-3.5 judge"


def test_labels_and_another_split_make_a_number_incomparable() -> None:
    demo = beside("mme", "mme_perception", primary=True, labels=["demo data"])
    assert str(demo) == "1551.8: not comparable (demo data)"
    split = beside("vqav2", "vqa_accuracy", primary=True)
    assert str(split) == "80.3: not comparable (another split: test-dev)"
    both = beside("msrvtt_qa", "exact_match", primary=True, labels=["limited to 4"])
    assert str(both) == "59.3 (GPT-3.5 judge): not comparable (another metric, limited to 4)"


def test_nothing_stands_beside_a_secondary_metric_or_an_unknown_task() -> None:
    assert beside("msvd_qa", "exact_match", primary=False) is None
    assert beside("coco_karpathy_test", "cider", primary=True) is None


def test_an_installed_package_reads_its_own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_files, "PACKAGE", tmp_path / "lavit_eval")
    beside_checkout = tmp_path / "results" / "paper"
    beside_checkout.mkdir(parents=True)
    assert data_folder("results/paper") == beside_checkout
    inside = tmp_path / "lavit_eval" / "shipped" / "results" / "paper"
    inside.mkdir(parents=True)
    assert data_folder("results/paper") == inside
    with pytest.raises(UsageError, match="tasks is missing"):
        data_folder("tasks")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("task,metric", "job,metric"), "columns must be"),
        (("73.2", "a lot"), "line 2"),
        (("higher", "up"), "direction"),
        (("main,", "main,,"), "one field per column"),
    ],
)
def test_a_spoilt_file_is_named(
    change: tuple[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "task,metric,benchmark,split,published_metric,direction,model,value,source,confidence,target,note\n"
        "msvd_qa,exact_match,MSVD-QA,test,accuracy,higher,M,73.2,S,paper_text,main,\n"
    )
    monkeypatch.setattr(data_files, "PACKAGE", tmp_path / "lavit_eval")
    folder = tmp_path / "results" / "paper"
    folder.mkdir(parents=True)
    (folder / "made.csv").write_text(text.replace(*change))
    with pytest.raises(UsageError, match=message) as caught:
        all_published()
    assert "made.csv" in str(caught.value)
