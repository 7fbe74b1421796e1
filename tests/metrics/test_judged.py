"""Metrics whose scores a judge gives: what is judged, what a verdict counts, and their versions."""

from __future__ import annotations

import numpy as np
import pytest

from lavit_eval.digests import digest_json
from lavit_eval.errors import UsageError
from lavit_eval.judges.parsing import PARSER_VERSION, read
from lavit_eval.judges.protocol import Case, Verdict
from lavit_eval.judges.templates import PLACEHOLDERS, READINGS
from lavit_eval.metrics.judged import JudgedMetric
from lavit_eval.metrics.judged_mmvet import MmvetScore
from lavit_eval.metrics.judged_options import CircularAccuracyJudged
from lavit_eval.metrics.judged_vcg import (
    VcgConsistency,
    VcgConsistencyUntruncated,
    VcgContext,
    VcgContextUntruncated,
    VcgCorrectness,
    VcgCorrectnessUntruncated,
    VcgDetail,
    VcgDetailUntruncated,
    VcgTemporal,
    VcgTemporalUntruncated,
)
from lavit_eval.metrics.judged_video_qa import JudgeAccuracy, JudgeScore, JudgeScoreUntruncated
from lavit_eval.sample import Sample
from tests.metrics.captions import total
from tests.metrics.choices import rotated

JUDGED_KNOWN: dict[type[JudgedMetric], tuple[int, str]] = {
    JudgeAccuracy: (1, "c4bd46d7e7bcd86c"),
    JudgeScore: (1, "335b8596630aa701"),
    JudgeScoreUntruncated: (1, "2284221b2bd61914"),
    MmvetScore: (1, "678084bd5e3924fa"),
    CircularAccuracyJudged: (1, "e0287a5e070a41e0"),
    VcgConsistency: (1, "204104b035d56844"),
    VcgConsistencyUntruncated: (1, "4fe3051a84962fd1"),
    VcgContext: (1, "62e4f3a3f4e0dd34"),
    VcgContextUntruncated: (1, "90d6dfc2a5c2c8dc"),
    VcgCorrectness: (1, "4991057cbd6927ea"),
    VcgCorrectnessUntruncated: (1, "633dfc6b0b5fcb9e"),
    VcgDetail: (1, "c3d12e455253d048"),
    VcgDetailUntruncated: (1, "dc0474198acab644"),
    VcgTemporal: (1, "fc3646dd79ef7a53"),
    VcgTemporalUntruncated: (1, "8487b73b1c5a1983"),
}
REPLIES = {
    "yes_no_score": ["{'pred': 'yes', 'score': 4.8}", '{"pred": "no", "score": 0}', "perhaps", "pred: yes, score: 3"],
    "score": ["{'score': 4.8}", "{''score': 2.2}", "no idea", '{"score": 5}'],
    "fraction": ["0.5", "1.0", "good", "0.0 since it is wrong"],
    "option": ["A", "Z", "none of them", "B"],
}
PARSED = (1, "2cfe3f0322532a78")


def video(number: int, part: str = "", **extra: object) -> Sample:
    categories = {"part": part} if part else {}
    return Sample(f"{number:02}", (), f"question {number}?", (f"answer {number}",), categories, extra)


def made(kind: type[JudgedMetric]) -> tuple[list[Sample], list[str]]:
    """Return samples and answers of which the metric wants several judged."""
    if kind is CircularAccuracyJudged:
        samples = [one for question in range(5) for one in rotated(question)]
        return samples, ["A", "B", "well", "?", "?", "?", *["no option"] * 9]
    samples = [video(n) for n in range(4)]
    if kind.judgement.startswith("vcg"):
        samples = [video(n, "generic") for n in range(4)] + [video(n, "temporal") for n in range(4, 8)]
        samples += [video(n, "consistency", pair=str(n // 2)) for n in range(8, 16)]
    return samples, [f"text {place}" for place in range(len(samples))]


def verdicts_for(cases: list[Case | None]) -> list[Verdict | None]:
    """Give the replies of the case's kind in turn."""
    count = iter(range(1000))
    return [
        None if case is None else read(REPLIES[READINGS[case.judgement]][next(count) % 4], READINGS[case.judgement])
        for case in cases
    ]


@pytest.mark.parametrize("kind", list(JUDGED_KNOWN), ids=lambda kind: kind.__name__)
def test_the_version_belongs_to_cases_and_output(kind: type[JudgedMetric]) -> None:
    samples, texts = made(kind)
    metric = kind()
    cases = metric.cases(samples, texts)
    assert all(set(case.fields) == PLACEHOLDERS[kind.judgement] for case in cases if case is not None)
    judged = metric.measure_judged(samples, texts, verdicts_for(cases))
    assert 0 < len(judged.places) < judged.wanted
    assert kind.bounds is not None and kind.bounds[0] <= total(judged.measured) <= kind.bounds[1]
    asked = [None if case is None else [case.judgement, dict(case.fields)] for case in cases]
    scores = [f"{float(record['score']):.9g}" for record in judged.measured.per_sample]
    content = [asked, f"{total(judged.measured):.9g}", scores, list(judged.places), judged.wanted]
    found = (kind.version, digest_json(content)[:16])
    assert found == JUDGED_KNOWN[kind], f"{kind.__name__} gives other values: raise its version and record {found}"


def test_the_parsers_version_belongs_to_what_it_reads() -> None:
    said = [read(reply, reading) for reading, replies in REPLIES.items() for reply in replies]
    found = (PARSER_VERSION, digest_json([[one.failed, one.right, one.score, one.option] for one in said])[:16])
    assert found == PARSED, f"replies are read otherwise: raise PARSER_VERSION and record {found} here"


def test_accuracy_and_scores_of_a_hand_computed_case() -> None:
    samples, texts = made(JudgeAccuracy)
    verdicts = verdicts_for(JudgeAccuracy().cases(samples, texts))
    values = [
        total(kind().measure_judged(samples, texts, verdicts).measured)
        for kind in (JudgeAccuracy, JudgeScore, JudgeScoreUntruncated)
    ]
    # yes 4.8, no 0, unreadable, yes 3
    assert values == pytest.approx([200 / 3, 7 / 3, 7.8 / 3])
    judged = JudgeAccuracy().measure_judged(samples, texts, verdicts)
    assert judged.places == [0, 1, 3] and judged.wanted == 4
    assert judged.notes == {2: {"judge_reply": "perhaps", "judge_failed": "it says neither yes nor no"}}


def test_consistency_is_judged_once_per_pair_and_only_of_whole_pairs() -> None:
    samples, texts = made(VcgConsistency)
    cases = VcgConsistency().cases(samples[:-1], texts[:-1])
    assert [place for place, case in enumerate(cases) if case is not None] == [8, 10, 12]
    case = cases[8]
    assert case is not None and case.fields == {
        "question_1": "question 8?", "question_2": "question 9?", "answer": "answer 8",
        "prediction_1": "text 8", "prediction_2": "text 9",
    }  # fmt: skip
    with pytest.raises(UsageError, match="a pair of 3 questions"):
        VcgConsistency().cases([video(n, "consistency", pair="0") for n in range(3)], ["", "", ""])
    # A repeat pairs with itself.
    twice = VcgConsistency().cases(samples[8:10] * 2, ["a", "b", "c", "d"])
    assert [case and case.fields["prediction_2"] for case in twice] == ["b", None, "d", None]


def test_each_aspect_has_its_own_questions() -> None:
    samples, texts = made(VcgDetail)
    asked = {
        kind: [place for place, case in enumerate(kind().cases(samples, texts)) if case is not None]
        for kind in (VcgCorrectness, VcgDetail, VcgContext, VcgTemporal)
    }
    assert asked == {
        VcgCorrectness: [0, 1, 2, 3],
        VcgDetail: [0, 1, 2, 3],
        VcgContext: [0, 1, 2, 3],
        VcgTemporal: [4, 5, 6, 7],
    }


def test_mmvet_shows_the_judge_what_is_needed() -> None:
    sample = Sample("v1_901", (), "Name?", ("robin, wren",), {}, {"answer": "robin<AND>wren<OR> two birds"})
    (case,) = MmvetScore().cases([sample], ["a robin"])
    assert case is not None and case.fields["answer"] == "robin <AND> wren <OR> two birds"


@pytest.mark.parametrize(
    ("texts", "letters", "value", "asked"),
    [
        (["A", "B", "C"], "", 100.0, 0),
        (["A", "B", "?"], "C", 100.0, 1),
        (["A", "B", "?"], "A", 0.0, 1),
        (["A", "B", "?"], "Z", 0.0, 1),
        # A wrong rotation decides; the judge is not asked for the rest.
        (["B", "?", "?"], "", 0.0, 0),
        (["?", "?", "?"], "ABC", 100.0, 3),
    ],
)
def test_the_judge_reads_what_the_rules_cannot(texts: list[str], letters: str, value: float, asked: int) -> None:
    samples = rotated(7)
    metric = CircularAccuracyJudged()
    cases = metric.cases(samples, texts)
    assert sum(case is not None for case in cases) == asked
    said = iter(letters)
    verdicts = [None if case is None else Verdict(option=next(said)) for case in cases]
    judged = metric.measure_judged(samples, texts, verdicts)
    assert total(judged.measured) == value and judged.wanted == len(judged.places)


def test_a_question_whose_judgement_failed_is_left_out_and_never_guessed() -> None:
    samples = [*rotated(7), *rotated(8)]
    texts = ["A", "B", "C", "A", "B", "?"]
    metric = CircularAccuracyJudged()
    for verdict in (Verdict("?", failed="it names no letter"), Verdict("D", option="D")):
        verdicts = [verdict if case is not None else None for case in metric.cases(samples, texts)]
        judged = metric.measure_judged(samples, texts, verdicts)
        assert total(judged.measured) == 100.0
        assert judged.measured.details["failed_questions"] == 1 and judged.wanted == len(judged.places) + 1
        alone = metric.measure_judged(samples[3:], texts[3:], verdicts[3:])
        assert len(alone.places) == 0 and alone.wanted == 1


def test_the_judge_of_options_sees_the_question_without_its_choices() -> None:
    (sample, *_) = rotated(7)
    question = Sample(sample.id, (), "Where?\nA. left\nB. a dog\nC. two", ("A",), {}, {**sample.extra, "rotations": 1})
    (case,) = CircularAccuracyJudged().cases([question], ["hm"])
    assert case is not None
    assert case.fields == {"question": "Where?", "options": "A. left\nB. a dog\nC. two", "prediction": "hm"}


def test_without_references_nothing_is_judged() -> None:
    sample = Sample("1", (), "?", ())
    for kind in (JudgeAccuracy, MmvetScore, CircularAccuracyJudged):
        assert kind().cases([sample], ["x"]) == [None]
    assert np.isnan(total(JudgeAccuracy().measure_judged([sample], ["x"], [None]).measured))
