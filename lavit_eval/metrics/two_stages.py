"""VizWiz as LaVIT's evaluation asks it: first whether a question can be answered, then the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lavit_eval.errors import UsageError
from lavit_eval.metrics.occurrences import grouped
from lavit_eval.metrics.protocol import Floats, Measured
from lavit_eval.metrics.references import check_references
from lavit_eval.metrics.vqa_accuracy import VqaAccuracyLavit, leave_one_out
from lavit_eval.sample import Sample

STAGES = ("answerable", "answer")
REFUSING = "no"
UNANSWERABLE = "unanswerable"


class VqaAccuracyLavitTwoStages(VqaAccuracyLavit):
    """VQA accuracy of LaVIT where the reply to "is it answerable?" may replace the answer by "unanswerable".

    It does wherever the letters "no" stand in that reply, as in LaVIT's script: "not sure" and "I know" refuse too.
    Samples say in `extra["stage"]` which question they are, and in `extra["image"]` which belong together; the answers
    carry the value. Where one of the two replies is missing, the image is left out and counted in
    `details["incomplete"]`; `details["refused"]` counts the replacements. Percent, 0 to 100.
    """

    version: ClassVar[int] = 1

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        """Score pairs of replies; `per_sample` holds the `answer` as it was compared (see `Metric.measure`)."""
        check_references(samples, texts)
        names = [_image_of(sample) for sample in samples]
        rows = np.zeros((len(samples), 2))
        records: list[dict[str, object]] = [{"score": 0.0} for _ in samples]
        refused = incomplete = 0
        for places in grouped(samples, names):
            stage = {str(samples[place].extra["stage"]): place for place in places}
            if set(stage) != set(STAGES):
                incomplete += 1
                continue
            asked, place = (stage[name] for name in STAGES)
            refuses = REFUSING in texts[asked]
            refused += refuses
            answer, people = self.compared(UNANSWERABLE if refuses else texts[place], samples[place].references)
            score = leave_one_out(people.count(answer), len(people))
            rows[place] = score, 1.0
            records[place] = {"score": score, "answer": answer}
        details = {"refused": refused, "incomplete": incomplete}
        return Measured(rows, _percentage, per_sample=records, details=details)


def _image_of(sample: Sample) -> str:
    if sample.extra.get("stage") not in STAGES:
        raise UsageError(f"sample {sample.id} has no stage; this metric is for VizWiz with the option stages: two")
    return str(sample.extra["image"])


def _percentage(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100.0 * sums[..., 0] / sums[..., 1], dtype=np.float64)
