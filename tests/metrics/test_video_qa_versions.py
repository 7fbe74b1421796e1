"""A metric of captions by domain, choices or pairs that gives another value must have another version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lavit_eval.digests import digest_json
from lavit_eval.metrics.cider_within_domain import CiderWithinDomain
from lavit_eval.metrics.exact_match_verbatim import ExactMatchVerbatim
from lavit_eval.metrics.java import missing_java
from lavit_eval.metrics.mvbench import MvbenchAccuracy, MvbenchAccuracyOfficial
from lavit_eval.metrics.option_accuracy import ChoiceAccuracy, ChoiceAccuracyVideomme
from lavit_eval.metrics.paired_answers import BasicAccuracy, HallucinationAccuracy, PairAccuracy, PairAccuracyStrict
from lavit_eval.metrics.protocol import Metric
from lavit_eval.sample import Sample
from tests.metrics.captions import TEXTS, samples, total
from tests.metrics.test_option_accuracy import questions
from tests.metrics.test_paired_answers import pair

VIDEO_METRICS: dict[type[Metric], tuple[int, str]] = {
    ChoiceAccuracy: (1, "d07f90a345194f0f"),
    ChoiceAccuracyVideomme: (1, "8acab54ed9b3a8ed"),
    MvbenchAccuracy: (1, "bd026ef853ebad4a"),
    MvbenchAccuracyOfficial: (1, "f75c3d570b07f8b9"),
    ExactMatchVerbatim: (1, "71a869098a1e4436"),
    PairAccuracy: (1, "e833b03cc2459441"),
    PairAccuracyStrict: (1, "11f488c800d2e656"),
    BasicAccuracy: (1, "96ee257a7c00a074"),
    HallucinationAccuracy: (1, "da6764ab51bc00fe"),
    CiderWithinDomain: (1, "f843e13aefc4f070"),
}


ANSWERS = [
    *("Yes.", "No", "yes", "Yes", "yes and no", "no or yes"),
    *("two dogs", "know", "yes", "no, it is not", "", "NO!"),
]

CHOICES = [
    "A",
    "(B)",
    "ran",
    "ate.",
    "",
    "B. ate",
    "The answer is A",
    "b",
    "A or B",
    "Bob",
    "C",
    "(",
    "a)",
    "I cannot tell",
]


def material(kind: type[Metric]) -> tuple[list[Sample], list[str]]:
    """Return what a metric is asked to score here."""
    if kind in (ChoiceAccuracy, ChoiceAccuracyVideomme, MvbenchAccuracy, MvbenchAccuracyOfficial):
        return questions("AB" * 7), CHOICES
    if kind is ExactMatchVerbatim:
        return [Sample(str(number), (), "", ("yes", "two dogs")) for number in range(len(ANSWERS))], ANSWERS
    if kind in (PairAccuracy, PairAccuracyStrict, BasicAccuracy, HallucinationAccuracy):
        pairs = [one for number in range(6) for one in pair(str(number), "AB"[number > 1])]
        return pairs, ANSWERS
    domains = ["a", "a", "b", "b", "b"]
    return [replace(one, categories={"domain": name}) for one, name in zip(samples(), domains, strict=True)], TEXTS


@pytest.mark.parametrize("kind", list(VIDEO_METRICS), ids=lambda kind: kind.__name__)
def test_the_version_belongs_to_the_output(kind: type[Metric]) -> None:
    metric = kind()
    if metric.skipped_because() is not None:
        pytest.skip(str(missing_java()))
    measured = metric.measure(*material(kind))
    scores = [f"{float(record['score']):.9g}" for record in measured.per_sample]
    value = total(measured)
    found = (metric.version, digest_json([f"{value:.9g}", *scores])[:16])
    assert metric.bounds is not None
    assert metric.bounds[0] <= value <= metric.bounds[1]
    assert found == VIDEO_METRICS[kind], f"{kind.__name__} gives other values: raise its version and record {found}"
