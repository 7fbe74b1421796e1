"""Caption metrics and VQA accuracies against what the official scorers gave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from lavit_eval.metrics import vqa_answers
from lavit_eval.metrics.bleu import Bleu1, Bleu2, Bleu3, Bleu4
from lavit_eval.metrics.caption_tokens import tokenise
from lavit_eval.metrics.cider import Cider
from lavit_eval.metrics.java import missing_java
from lavit_eval.metrics.meteor import Meteor
from lavit_eval.metrics.protocol import Measured, Metric
from lavit_eval.metrics.rouge import RougeL
from lavit_eval.metrics.vqa_accuracy import TextvqaAccuracy, VqaAccuracy, VqaAccuracyLavit
from lavit_eval.sample import Sample
from tests.parity.case import PROJECT, Case

CAPTION_PARTS = {"source", "raw", "tokenized_refs", "tokenized_hyp", "missing_after_tokenize", "keys"} | {
    f"{metric}{part}" for metric in ("Bleu", "ROUGE_L", "CIDEr", "METEOR") for part in ("", "_each", "_keys")
}


def total(measured: Measured) -> float:
    """Return the value over all responses, as the caller of metrics computes it."""
    return float(measured.reduce(measured.rows.sum(axis=0)))


def each(measured: Measured) -> list[float]:
    """Return the value of every response alone."""
    return [float(score) for score in measured.reduce(measured.rows)]


def near(expected: float | Sequence[float], case: Case) -> Any:
    """Return what compares equal within the case's tolerance, else within rounding."""
    tolerance = case.facts.get("tolerance", {})
    return pytest.approx(expected, rel=tolerance.get("rtol", 1e-9), abs=tolerance.get("atol", 1e-7))


def check_captions(case: Case) -> None:
    """Compare tokens, and every value of pycocoevalcap, of the corpus and of each caption."""
    if missing_java():
        pytest.skip("no Java")
    facts = case.facts
    unknown = set(facts) - CAPTION_PARTS - {"kind", "tolerance", "SPICE", "about"}
    assert not unknown, f"recorded but not compared: {sorted(unknown)}"
    samples, texts = caption_samples(facts, facts["keys"])
    tokens = tokenise(samples, texts)
    assert list(tokens.references) == [tuple(facts["tokenized_refs"][str(key)]) for key in facts["keys"]]
    assert [[caption] for caption in tokens.hypotheses] == [facts["tokenized_hyp"][str(key)] for key in facts["keys"]]
    bleus = (Bleu1(), Bleu2(), Bleu3(), Bleu4())
    expected = dict(zip(bleus, zip(facts["Bleu"], facts["Bleu_each"], strict=True), strict=True))
    for metric, (value, values) in {
        **expected,
        RougeL(): (facts["ROUGE_L"], facts["ROUGE_L_each"]),
        Cider(): (facts["CIDEr"], facts["CIDEr_each"]),
    }.items():
        compare(metric, samples, texts, value, values, case)
    samples, texts = caption_samples(facts, facts.get("METEOR_keys", facts["keys"]))
    compare(Meteor(), samples, texts, facts["METEOR"], facts["METEOR_each"], case)


def caption_samples(facts: Mapping[str, Any], keys: Sequence[object]) -> tuple[list[Sample], list[str]]:
    """Return the samples and captions of the recorded images with these keys."""
    rows = {str(key): facts["raw"][str(key)] for key in keys}
    return [Sample(key, (), "", tuple(row["refs"])) for key, row in rows.items()], [row["hyp"] for row in rows.values()]


def compare(
    metric: Metric, samples: Sequence[Sample], texts: Sequence[str], value: float, values: Sequence[float], case: Case
) -> None:
    """Compare the value of the corpus and of each caption; the recorded ones are fractions, ours are times 100."""
    measured = metric.measure(samples, texts)
    assert total(measured) == near(100 * value, case), type(metric).__name__
    assert each(measured) == near([100 * one for one in values], case), type(metric).__name__


def check_vqa(case: Case) -> None:
    """Compare the official accuracy of each question, overall and by type, and the normalised texts."""
    rows = case.facts["cases"]
    samples = [vqa_sample(row, row["answers"]) for row in rows]
    texts = [row["prediction"] for row in rows]
    measured = VqaAccuracy().measure(samples, texts)
    assert each(measured) == near([row["official_acc"] for row in rows], case)
    assert [vqa_answers.official(row["prediction"]) for row in rows] == [row["pred_processed"] for row in rows]
    for row in rows:
        assert [vqa_answers.official(answer) for answer in row["answers"]] == row["answers_processed"]
    compare_accuracies(measured, rows, case.facts["accuracy"])
    again = VqaAccuracy().measure(samples, texts)
    assert total(again) == total(measured), "scoring twice must give the first score twice"


def check_vqa_lavit(case: Case) -> None:
    """Compare LaVIT's accuracy; the annotations are those of the `vqa_accuracy` case beside it."""
    rows = case.facts["cases"]
    annotated = vqa_annotations(case)
    rows = [{**annotated.get(row["question_id"], {}), **row} for row in rows]
    measured = VqaAccuracyLavit().measure([vqa_sample(row, row["answers"]) for row in rows], texts_of(rows))
    assert [record["answer"] for record in measured.per_sample] == [row["processed"] for row in rows]
    assert each(measured) == near([row["acc"] for row in rows], case)
    compare_accuracies(measured, rows, case.facts["accuracy"])
    for example in case.facts.get("process_examples", []):
        assert vqa_answers.without_opening(example["in"]) == example["out"]


def vqa_annotations(case: Case) -> dict[object, dict[str, Any]]:
    """Return question id -> recorded question of the `vqa_accuracy` case beside this one."""
    places = [case.folder, PROJECT.parent / "shared" / "golden" / "metrics"]
    path = next(place / "vqa_accuracy.json" for place in places if (place / "vqa_accuracy.json").is_file())
    return {row["question_id"]: row for row in Case(path, "vqa_accuracy").facts["cases"]}


def texts_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the predictions."""
    return [row["prediction"] for row in rows]


def vqa_sample(row: Mapping[str, Any], answers: Sequence[str]) -> Sample:
    """Return the sample of a recorded question."""
    return Sample(str(row["question_id"]), (), "", tuple(answers))


def compare_accuracies(measured: Measured, rows: Sequence[Mapping[str, Any]], accuracy: Mapping[str, Any]) -> None:
    """Compare the accuracy overall and per type; the scorers round it to at least two digits."""
    assert total(measured) == pytest.approx(accuracy["overall"], abs=0.005)
    for part, field in (("perQuestionType", "question_type"), ("perAnswerType", "answer_type")):
        groups: dict[str, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            groups[row[field]].append(index)
        found = {name: float(measured.reduce(measured.rows[indices].sum(axis=0))) for name, indices in groups.items()}
        assert found == pytest.approx(accuracy[part], abs=0.005)


def check_textvqa(case: Case) -> None:
    """Compare the accuracy of TextVQA's evaluator and the texts that its processor gives."""
    rows = case.facts["cases"]
    measured = TextvqaAccuracy().measure(
        [vqa_sample(row, row["answers"]) for row in rows], [row["pred"] for row in rows]
    )
    assert [record["answer"] for record in measured.per_sample] == [row["pred_processed"] for row in rows]
    assert each(measured) == near([100 * row["score"] for row in rows], case)
    assert total(measured) == near(float(100 * np.float64(case.facts["mean"])), case)


CHECKS: dict[str, Callable[[Case], None]] = {
    "captions": check_captions,
    "vqa_accuracy": check_vqa,
    "vqa_accuracy_lavit": check_vqa_lavit,
    "textvqa_accuracy": check_textvqa,
}
