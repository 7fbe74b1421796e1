"""MME, MMBench's circular evaluation and ScienceQA's parsing against what the official scripts gave."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from lavit_eval.category_scores import categories
from lavit_eval.metrics.mme import COGNITION, PERCEPTION, MmeCognition, MmePerception, MmeScore
from lavit_eval.metrics.option_accuracy import Accuracy, CircularAccuracy
from lavit_eval.metrics.protocol import Measured
from lavit_eval.multiple_choice import letters_of, scienceqa_option, vlmevalkit_option
from lavit_eval.sample import Sample
from tests.parity.case import Case
from tests.parity.checks_text_metrics import total


def check_mme(case: Case) -> None:
    """Compare every parsed answer, the score of each subtask, and both sums."""
    items = case.facts["items"]
    assert set(items) == {*PERCEPTION, *COGNITION}
    samples, texts, parsed = [], [], []
    for subtask, rows in items.items():
        for number, (image, question, truth, answer) in enumerate(rows):
            name = f"{subtask}/{image}"
            samples.append(Sample(f"{name}#{number}", (), question, (truth,), {"subtask": subtask}, group=name))
            # The script reads lines of a file, so each answer ends with its newline.
            texts.append(answer + "\n")
        parsed += case.facts["parsed"][subtask]["parsed"]
    expected = case.facts["task_score"]
    halves: tuple[tuple[MmeScore, tuple[str, ...], str], ...] = (
        (MmePerception(), PERCEPTION, "perception"),
        (MmeCognition(), COGNITION, "cognition"),
    )
    for metric, subtasks, half in halves:
        measured = metric.measure(samples, texts)
        assert [record["answer"] for record in measured.per_sample] == parsed
        assert total(measured) == pytest.approx(case.facts[half], abs=1e-9)
        found = categories(measured, samples)["subtask"]
        assert {name: found[name]["value"] for name in subtasks} == pytest.approx(
            {name: expected[name] for name in subtasks}, abs=1e-9
        )


def check_mmbench_circular(case: Case) -> None:
    """Compare the option read from each answer, each question's result, and the accuracies overall and by category."""
    rows = case.facts["rows"]
    counts = Counter(row["g_index"] for row in rows)
    samples = [circular_sample(row, counts[row["g_index"]]) for row in rows]
    texts = [row["prediction"] for row in rows]
    inferred = [vlmevalkit_option(text, sample.extra["choices"]) for sample, text in zip(samples, texts, strict=True)]
    assert inferred == [row["inferred"] for row in rows]
    measured = CircularAccuracy().measure(samples, texts)
    assert question_results(samples, measured) == {
        name: hit or 0 for name, hit in case.facts["group_hit_prefetch"].items()
    }
    undecided = sum(hit is None for hit in case.facts["group_hit_prefetch"].values())
    assert measured.details == {"undecided": undecided, "incomplete": 0}
    report = {name: values[0] for name, values in case.facts["report_acc"].items() if name != "split"}
    assert total(measured) == pytest.approx(100 * report.pop("Overall"), abs=1e-9)
    found = categories(measured, samples)
    by_name = {name: each["value"] / 100 for axis in found.values() for name, each in axis.items()}
    initials = {"".join(word[0] for word in name.split("_")).upper(): name for name in found["category"]}
    assert {name: by_name[initials.get(name, name)] for name in report} == pytest.approx(report, abs=1e-9)
    assert total(Accuracy().measure(samples, texts)) == pytest.approx(100 * case.facts["vanilla_acc"], abs=1e-9)


def circular_sample(row: dict[str, Any], rotations: int) -> Sample:
    """Return the sample of a recorded row."""
    choices = [row[letter] for letter in "ABCD" if row[letter] is not None]
    extra = {"reading": "vlmevalkit", "choices": choices, "question": str(row["g_index"]), "rotations": rotations}
    groups = {"category": row["category"], "l2_category": row["l2-category"]}
    return Sample(str(row["index"]), (), row["question"], (row["GT"],), groups, extra)


def question_results(samples: list[Sample], measured: Measured) -> dict[str, int]:
    """Return question -> 1 where every rotation was right."""
    found: defaultdict[str, int] = defaultdict(int)
    for sample, (hit, _) in zip(samples, measured.rows.tolist(), strict=True):
        found[sample.extra["question"]] += int(hit)
    return dict(found)


def check_scienceqa(case: Case) -> None:
    """Compare the parsed letter and the index of the choice that it stands for."""
    for row in case.facts["cases"]:
        choices = ["choice"] * row["n_choices"]
        letter = scienceqa_option(row["pred"], choices)
        assert (letter or "FAILED") == row["parsed"], row
        letters = letters_of(choices)
        assert (letters.index(letter) if letter in letters else -1) == row["idx"], row


CHECKS: dict[str, Callable[[Case], None]] = {
    "mme": check_mme,
    "mmbench_circular": check_mmbench_circular,
    "scienceqa_parse": check_scienceqa,
}
