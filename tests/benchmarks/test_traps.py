"""What cards of benchmarks warn of and no reader's or metric's own test shows: sizes, prompts, primary metrics."""

from __future__ import annotations

import pytest

from lavit_eval.metrics.option_accuracy import ChoiceAccuracy
from lavit_eval.registry import Catalogue
from lavit_eval.statistics import total_value
from tests.metrics.test_option_accuracy import questions

SIZES = {
    "pope": 9000,
    "pope_llava": 8910,
    "mmbench": 4329,
    "mmbench_20230712": 4377,
    "mme": 2374,
    "gqa": 12578,
    "scienceqa_img": 2017,
    "vizwiz_vqa": 4319,
    "vizwiz_vqa_test": 8000,
    "seed_bench": 19242,
    "seed_bench_ranked": 19242,
    "seed_bench_image": 14233,
    "seed_bench_video": 5009,
    "mvbench": 4000,
    "nextqa_mc": 8564,
    "perception_test_mc": 19140,
    "egoschema": 500,
    "video_mme": 2700,
}
"""Task -> the questions of the set that its name says; sets of nearly equal names differ."""
SPLITS = {
    "nextqa_mc": "test",
    "perception_test_mc": "valid",
    "egoschema": "subset",
    "vizwiz_vqa": "val",
    "gqa": "testdev_balanced",
}
"""Task -> its split, where papers report several under one name."""


@pytest.mark.parametrize("name", sorted(SIZES))
def test_a_task_says_how_large_its_set_is(name: str) -> None:
    assert Catalogue().task(name).samples == SIZES[name]


@pytest.mark.parametrize("name", sorted(SPLITS))
def test_a_task_says_which_split_it_is(name: str) -> None:
    assert Catalogue().task(name).split == SPLITS[name]


def test_video_mme_is_asked_without_a_word_on_subtitles() -> None:
    """lmms-eval's prompt speaks of subtitles that are not shown, and gives a second instruction."""
    prompt = Catalogue().task("video_mme").prompt
    assert "subtitle" not in prompt
    assert "directly" not in prompt
    assert prompt.count("{question}") == 1


def test_only_vizwiz_offers_not_to_answer() -> None:
    """lmms-eval asks OK-VQA so as well, which lowers its score."""
    catalogue = Catalogue()
    asked = {name for name in catalogue.task_files if "Unanswerable" in catalogue.task(name).prompt}
    assert asked == {"vizwiz_vqa", "vizwiz_vqa_test"}


def test_what_papers_print_of_mme_is_perception() -> None:
    task = Catalogue().task("mme")
    assert task.primary == "mme_perception"
    assert "mme_cognition" in task.metrics


def test_an_answer_that_names_no_option_is_never_given_one_at_random() -> None:
    """lmms-eval draws a letter for NExT-QA and MMBench where it can read none."""
    asked = questions("ABC" * 40)
    values = {total_value(ChoiceAccuracy().measure(asked, ["I do not know"] * 120)) for _ in range(3)}
    assert values == {0.0}
