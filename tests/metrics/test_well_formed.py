"""The share of videos whose tokens needed no mending."""

from __future__ import annotations

from pathlib import Path

from lavit_eval.metrics.protocol import Made
from lavit_eval.metrics.well_formed import WellFormed
from lavit_eval.sample import Response, Sample


def _made(**counts: int) -> Made:
    return Made(Path("x.mkv"), Response("s", 0, "answered", medium="x.mkv", counts=counts))


def test_any_mending_counts_against_it() -> None:
    made = [_made(), _made(motion_tokens_mended=1), _made(missing_image_end=2, visual_codes_cut=0), _made(new_tokens=9)]
    measured = WellFormed().measure_files([Sample("s", (), "", ())] * 4, made)
    assert [record["score"] for record in measured.per_sample] == [1.0, 0.0, 0.0, 1.0]
    assert float(measured.reduce(measured.rows.sum(axis=0))) == 50.0
