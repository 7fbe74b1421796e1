"""Video-ChatGPT's measures of short answers to questions on videos: a judge's yes or no, and its score of 0 to 5."""

from __future__ import annotations

from typing import ClassVar

from lavit_eval.judges.protocol import Verdict
from lavit_eval.metrics.judged import MeanOfVerdicts, graded


class JudgeAccuracy(MeanOfVerdicts):
    """Percentage of answers that the judge calls right; range 0 to 100.

    As Video-ChatGPT's evaluate_activitynet_qa.py: yes / (yes + no). That script finds "yes" and "no" anywhere in the
    word given (so that "not sure" is a no) and repeats what cannot be read without end; here only yes and no count, and
    other replies are failed judgements.
    """

    unit: ClassVar[str] = "percent"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 100.0)
    judgement: ClassVar[str] = "video_qa"
    scale: ClassVar[float] = 100.0

    def number(self, verdict: Verdict) -> float:
        """Return 1 for yes, 0 for no."""
        return float(bool(verdict.right))


class JudgeScore(MeanOfVerdicts):
    """Mean of the judge's scores, each cut to a whole number as the official script's int() does; range 0 to 5."""

    unit: ClassVar[str] = "points"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 5.0)
    judgement: ClassVar[str] = "video_qa"
    shows_reply: ClassVar[bool] = False

    def number(self, verdict: Verdict) -> float:
        """Return the score cut to a whole number: 4.8 counts 4."""
        return float(int(graded(verdict)))


class JudgeScoreUntruncated(JudgeScore):
    """Mean of the judge's scores as they were given; range 0 to 5."""

    def number(self, verdict: Verdict) -> float:
        """Return the score."""
        return graded(verdict)
