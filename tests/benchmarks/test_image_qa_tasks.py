"""Every task of image questions runs on its benchmark's layout and gives the scores that its baseline must have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from tests.benchmarks.image_layouts import (
    mmbench_rows,
    write_gqa,
    write_mmbench,
    write_mme,
    write_mmvet,
    write_okvqa,
    write_pope,
    write_scienceqa,
    write_seed_bench,
    write_table,
    write_vizwiz,
)

CASES: dict[str, tuple[Callable[[Path], object], str, int, str, Mapping[str, float | None]]] = {
    "pope": (
        write_pope,
        "pope",
        6,
        "yes",
        {
            "pope_f1": 200 / 3,
            "pope_accuracy": 50.0,
            "pope_precision": 50.0,
            "pope_recall": 100.0,
            "pope_yes_ratio": 100.0,
            "pope_f1_strict": 200 / 3,
            "pope_accuracy_strict": 50.0,
        },
    ),
    "pope_llava": (write_pope, "pope", 6, "", {"pope_f1": 200 / 3, "pope_f1_strict": 0.0}),
    "mme": (
        write_mme,
        "MME_Benchmark_release_version",
        28,
        "Yes",
        {
            "mme_perception": 500.0,
            "mme_cognition": 200.0,
            "mme_perception_lmms_eval": 500.0,
            "mme_cognition_lmms_eval": 200.0,
        },
    ),
    "scienceqa_img": (write_scienceqa, "scienceqa", 2, "A", {"accuracy": 50.0, "accuracy_scienceqa_lmms_eval": 50.0}),
    "gqa": (
        write_gqa,
        "gqa",
        2,
        "No.",
        {"exact_match": 50.0, "exact_match_gqa": 50.0, "exact_match_gqa_lmms_eval": 50.0},
    ),
    "gqa_lavit": (write_gqa, "gqa", 2, "No.", {"exact_match_gqa_lavit": None, "exact_match_gqa": 50.0}),
    "okvqa": (write_okvqa, "okvqa", 2, "shoe", {"vqa_accuracy": 100.0, "vqa_accuracy_lavit": 100.0}),
    "vizwiz_vqa": (
        write_vizwiz,
        "vizwiz",
        2,
        "Unanswerable",
        # All ten agree on the second: the official rule compares as they stand, the two others normalise.
        {"vqa_accuracy": 50.0, "vqa_accuracy_evalai": 100.0, "vqa_accuracy_lavit": 100.0},
    ),
    "vizwiz_vqa_lavit": (
        write_vizwiz,
        "vizwiz",
        4,
        "I know",
        # The letters "no" in it make both answers "unanswerable", which is right for both questions.
        {"vqa_accuracy_lavit_two_stages": 100.0},
    ),
    "mmbench": (write_mmbench, "mmbench", 5, "A", {"circular_accuracy": 0.0, "accuracy": 40.0}),
    "mmbench_judged": (write_mmbench, "mmbench", 5, "A", {"circular_accuracy": 0.0, "accuracy": 40.0}),
    "mmbench_20230712": (
        lambda folder: write_table(folder / "mmbench_dev_20230712.tsv", mmbench_rows(pointers=True)),
        "mmbench",
        5,
        "kite",
        {"circular_accuracy": 50.0, "accuracy": 60.0},
    ),
    "seed_bench": (write_seed_bench, "seed_bench", 2, "B.", {"accuracy": 0.0, "accuracy_first_letter": 50.0}),
    "seed_bench_image": (write_seed_bench, "seed_bench", 1, "C", {"accuracy": 100.0, "accuracy_first_letter": 100.0}),
    "seed_bench_ranked": (
        write_seed_bench,
        "seed_bench",
        2,
        "stir pot",
        {"ranked_accuracy": 50.0, "ranked_accuracy_summed": 50.0},
    ),
    "seed_bench_ranked_letters": (
        write_seed_bench,
        "seed_bench",
        2,
        "C",
        {"ranked_accuracy": 50.0, "ranked_accuracy_summed": 50.0},
    ),
    "mmvet": (write_mmvet, "mm-vet", 2, "Twelve", {"exact_match": 50.0, "exact_match_verbatim": 0.0}),
}


SUBMITTED = {"vqav2_testdev", "vizwiz_vqa_test", "mmbench_test"}
"""See tests/test_submissions.py."""


def run(name: str, folder: Path) -> dict[str, Any]:
    """Return the task's part of the scores of a constant answer."""
    write, place, count, answer, _ = CASES[name]
    write(folder / "data" / place)
    for path in (folder / "data").rglob("*"):
        if path.is_file() and not path.stat().st_size:
            path.write_bytes(b"made")
    options = RunOptions(
        model="constant",
        tasks=(Catalogue().task(name),),
        data_root=folder / "data",
        output=folder / "results",
        model_options=ModelOptions(arguments={"answer": answer}),
        counts={name: count},
        repeats=2,
        threads=1,
    )
    found: dict[str, Any] = evaluate(options).scores["tasks"][name]
    return found


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_constant_answer(tmp_path: Path, name: str) -> None:
    scores = run(name, tmp_path)
    assert (scores["answered"], scores["coverage"]) == (2 * CASES[name][2], 1.0)
    for metric, value in CASES[name][4].items():
        found = scores["metrics"][metric]
        if value is None:
            assert "no spaCy" in found["skipped"] or found["value"] is not None
            continue
        assert found["value"] == pytest.approx(value), metric
        assert found["repeats"] == pytest.approx([value, value]), metric
    assert scores["primary"] in CASES[name][4]


def test_the_greedy_short_answer_is_asked_for() -> None:
    catalogue = Catalogue()
    for name in CASES:
        task = catalogue.task(name)
        assert (task.writing.do_sample, task.writing.num_beams, task.writing.min_new_tokens) == (False, 1, 1), name
        asked = task.prompt.replace("{question}", "").strip()
        assert asked.startswith(("Answer", "When the provided")) or name in ("mmvet", "seed_bench_ranked"), name


def test_every_task_of_image_questions_is_run_here() -> None:
    names = {name for name, path in Catalogue().task_files.items() if path.parent.name == "image_qa"}
    assert names - {"vqav2", "vqav2_reference", "vqav2_likelihood", *SUBMITTED} == set(CASES)
