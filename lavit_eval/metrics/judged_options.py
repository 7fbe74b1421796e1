"""MMBench's CircularEval with a judge for the answers from which no rule can read a choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lavit_eval.judges.protocol import Case, Verdict
from lavit_eval.metrics.judged import Judged, noted
from lavit_eval.metrics.occurrences import grouped
from lavit_eval.metrics.option_accuracy import CircularAccuracy, choices_of
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.multiple_choice import NO_OPTION, letters_of
from lavit_eval.sample import Sample


class CircularAccuracyJudged:
    """Percentage of questions answered rightly in every rotation, undecided answers read by a judge; 0 to 100.

    As VLMEvalKit with an API: its rules come first and a wrong rotation makes the question wrong; only then is the
    judge asked which option each undecided answer of the question means, "Z" for none. Where the judge's reply names no
    option of the question, VLMEvalKit takes one at random; here the question is a failed judgement. A question of which
    rotations are missing is left out and counted in `details["incomplete"]`.
    """

    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "percent"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 100.0)
    judgement: ClassVar[str] = "mmbench_option"

    def skipped_because(self) -> str | None:
        """Return None: whether there is a judge is known later."""
        return None

    def cases(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Case | None]:
        """Return the undecided answers of whole questions of which no rotation is wrong by the rules."""
        found: list[Case | None] = [None] * len(samples)
        if not all(sample.references for sample in samples):
            return found
        options = CircularAccuracy().options(samples, texts)
        for places in _questions(samples):
            if not _whole(samples, places) or _wrong(samples, options, places):
                continue
            for place in places:
                if options[place] is None:
                    found[place] = _case(self.judgement, samples[place], texts[place])
        return found

    def measure_judged(
        self, samples: Sequence[Sample], texts: Sequence[str], verdicts: Sequence[Verdict | None]
    ) -> Judged:
        """Score questions; the first rotation of each carries the value (see `JudgedMetric.measure_judged`)."""
        options = CircularAccuracy().options(samples, texts)
        rows = np.zeros((len(samples), 2))
        notes = {place: noted(one, shows_reply=True) for place, one in enumerate(verdicts) if one is not None}
        failed = incomplete = judged = 0
        for places in _questions(samples):
            if not _whole(samples, places):
                incomplete += 1
                continue
            asked = [place for place in places if verdicts[place] is not None]
            for place in asked:
                options[place] = _meant(verdicts[place], samples[place])
            if any(options[place] is None for place in asked):
                failed += 1
                continue
            judged += bool(asked)
            rows[places[0]] = float(not _wrong(samples, options, places, strict=True)), 1.0
        right = [float(option == sample.references[0]) for option, sample in zip(options, samples, strict=True)]
        records = [
            {"score": one, "option": option, **notes.get(place, {})}
            for place, (one, option) in enumerate(zip(right, options, strict=True))
        ]
        details = {"decided_by_judge": judged, "failed_questions": failed, "incomplete": incomplete}
        if not rows[:, 1].any():
            return Judged(Measured(np.zeros((0, 2)), _percentage), (), failed, notes)
        measured = Measured(rows, _percentage, per_sample=records, details=details)
        return Judged(measured, range(len(samples)), len(samples) + failed)


def _questions(samples: Sequence[Sample]) -> list[list[int]]:
    return grouped(samples, [str(sample.extra.get("question", sample.id)) for sample in samples])


def _whole(samples: Sequence[Sample], places: Sequence[int]) -> bool:
    return len(places) == int(samples[places[0]].extra.get("rotations", 1))


def _wrong(
    samples: Sequence[Sample], options: Sequence[str | None], places: Sequence[int], strict: bool = False
) -> bool:
    """Whether a rotation names another option than the right one; strictly, also whether one names none."""
    return any(
        options[place] != samples[place].references[0] for place in places if strict or options[place] is not None
    )


def _case(judgement: str, sample: Sample, text: str) -> Case:
    choices = choices_of(sample)
    lines = [f"{letter}. {choice}" for letter, choice in zip(letters_of(choices), choices, strict=True)]
    # The question stands above its lettered choices, which the judge gets apart.
    question = sample.question.split(f"\n{lines[0]}")[0]
    return Case(judgement, {"question": question, "options": "\n".join(lines), "prediction": text})


def _meant(verdict: Verdict | None, sample: Sample) -> str | None:
    """Return which option a verdict names; None for a letter that the question does not have."""
    if verdict is None or verdict.failed is not None:
        return None
    return verdict.option if verdict.option in (*letters_of(choices_of(sample)), NO_OPTION) else None


def _percentage(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100.0 * sums[..., 0] / sums[..., 1], dtype=np.float64)
