"""The likelihood of right answers: its mean, what has none, and what a task of it asks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.metrics.feature_metric import UnmeasurableError
from lavit_eval.metrics.reference_likelihood import ReferenceLogLikelihood
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.sample import Likelihoods, Sample
from lavit_eval.statistics import interval
from tests.benchmarks.layouts import write_msvd_qa


def _asked(*references: str) -> Sample:
    return Sample("/".join(references), (), "who?", references)


def test_the_value_is_the_mean_over_answers_and_the_perplexity_is_per_token() -> None:
    samples = [_asked("dog"), _asked("polar bear")]
    found = [Likelihoods.of([-0.5], [1]), Likelihoods.of([-2.5], [3])]
    measured = ReferenceLogLikelihood().measure_ranked(samples, ["A", "A"], found)
    assert float(measured.reduce(measured.rows.sum(0))) == -1.5
    assert measured.details == {"perplexity": pytest.approx(math.exp(3.0 / 4))}
    assert list(measured.per_sample) == [{"score": -0.5, "tokens": 1}, {"score": -2.5, "tokens": 3}]


def test_answers_without_likelihoods_have_no_value() -> None:
    asked, known = [_asked("dog"), _asked("cat")], Likelihoods.of([-0.25], [1])
    with pytest.raises(UnmeasurableError, match="1 of 2 answers have no likelihoods"):
        ReferenceLogLikelihood().measure_ranked(asked, ["dog", "A"], [None, known])
    with pytest.raises(UnmeasurableError, match="2 of 2"):
        ReferenceLogLikelihood().measure(asked, ["dog", "cat"])


def test_no_interval_goes_where_no_probability_can() -> None:
    found = [Likelihoods.of([value], [1]) for value in (-1e-6, -1e-6, -1e-6, -2.0)]
    samples = [Sample(str(number), (), "who?", ("dog",)) for number in range(4)]
    names, metric = [sample.id for sample in samples], ReferenceLogLikelihood()
    ends = interval(metric.measure_ranked(samples, ["A"] * 4, found), names, bounds=metric.bounds).bounds
    assert ends is not None
    assert ends[0] < -0.5 < ends[1] <= 0.0
    same = metric.measure_ranked(samples, ["A"] * 4, found[:1] * 4)
    assert interval(same, names, bounds=metric.bounds).bounds is None


def test_the_most_frequent_reference_is_ranked_and_of_equal_ones_the_first() -> None:
    task = Catalogue().task("vqav2_likelihood")
    assert task.candidates(_asked("cat", "dog", "dog", "cat", "dog")) == ("dog",)
    assert task.candidates(_asked("cat", "dog", "dog", "cat")) == ("cat",)
    with pytest.raises(UsageError, match="vqav2_likelihood ranks references, but the sample x has none"):
        task.candidates(replace(_asked("cat"), id="x", references=()))


@pytest.mark.parametrize("model", ["most-common-answer", "constant"])
def test_a_baseline_has_no_value_and_says_why(model: str, tmp_path: Path) -> None:
    write_msvd_qa(tmp_path / "data" / "MSVD-QA")
    for path in (tmp_path / "data").rglob("*.avi"):
        path.write_bytes(b"never decoded")
    task = Catalogue().task("msvd_qa_likelihood")
    options = RunOptions(
        model=model, tasks=(task,), data_root=tmp_path / "data", output=tmp_path / "results", counts={task.task: 3}
    )
    scored = evaluate(options).scores["tasks"][task.task]
    score = scored["metrics"]["reference_log_likelihood"]
    assert (score["value"], score["skipped"]) == (None, "3 of 3 answers have no likelihoods")
