"""How often a model's own tokens make an image or video without mending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lavit_eval.metrics.feature_metric import UnmeasurableError
from lavit_eval.metrics.percentage import Percentage
from lavit_eval.metrics.protocol import Made, Measured, mean_of
from lavit_eval.sample import Sample

MENDED = ("motion_tokens_mended", "visual_codes_cut", "missing_image_end", "missing_motion_end")


class WellFormed(Percentage):
    """Share of samples for which nothing had to be mended: token counts right, end marks written, in percent.

    It says nothing of how the result looks. A model that writes too few motion tokens is filled up with code 0, as in
    the published code, and its video still counts in every other metric.
    """

    version: ClassVar[int] = 1

    def measure_files(self, samples: Sequence[Sample], made: Sequence[Made]) -> Measured:
        """Score what was made (see `FileMetric.measure_files`).

        Raises UnmeasurableError for files that were made elsewhere: what was mended in them is not known.
        """
        if not any(name in one.response.counts for one in made for name in MENDED):
            raise UnmeasurableError("made elsewhere: what had to be mended is not known")
        return mean_of([float(not any(one.response.counts.get(name, 0) for name in MENDED)) for one in made], 100.0)
