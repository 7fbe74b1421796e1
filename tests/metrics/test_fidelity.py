"""PSNR and SSIM of reconstructions, against hand-computed values and torchmetrics' own module."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from lavit_eval.errors import UsageError
from lavit_eval.metrics.fidelity import Psnr, Ssim
from lavit_eval.metrics.protocol import Made
from lavit_eval.sample import Response, Sample
from lavit_eval.video.lossless import write_lossless

SAMPLE = Sample("s", (), "", ())


def _made(folder: Path, name: str, found: np.ndarray, source: np.ndarray) -> Made:
    made = Made(folder / f"{name}.mkv", Response(name, 0, "answered", medium=f"{name}.mkv"))
    write_lossless(made.path, found, 6)
    write_lossless(made.source, source, 6)
    return made


@pytest.fixture
def made(tmp_path: Path) -> list[Made]:
    draw = np.random.default_rng(0)
    source = draw.integers(0, 256, (3, 32, 40, 3), dtype=np.uint8)
    noisy = np.clip(source.astype(int) + draw.integers(-20, 21, source.shape), 0, 255).astype(np.uint8)
    return [_made(tmp_path, "a", noisy, source), _made(tmp_path, "b", source, source)]


def test_psnr_of_a_known_error(tmp_path: Path) -> None:
    source = np.full((2, 16, 16, 3), 100, np.uint8)
    found = source.copy()
    found[0] += 5
    found[1] += 10
    measured = Psnr().measure_files([SAMPLE], [_made(tmp_path, "a", found, source)])
    expected = (20 * math.log10(255 / 5) + 20 * math.log10(255 / 10)) / 2
    assert measured.per_sample[0]["score"] == pytest.approx(expected)


def test_both_equal_torchmetrics_frame_by_frame(made: list[Made]) -> None:
    from lavit_eval.video.lossless import read_frames

    pair = [torch.from_numpy(read_frames(path)).permute(0, 3, 1, 2).double() for path in (made[0].path, made[0].source)]
    psnr = [PeakSignalNoiseRatio(data_range=255.0)(a[None], b[None]).item() for a, b in zip(*pair, strict=True)]
    ssim = [
        StructuralSimilarityIndexMeasure(data_range=255.0)(a[None], b[None]).item() for a, b in zip(*pair, strict=True)
    ]
    assert Psnr().measure_files([SAMPLE], made[:1]).per_sample[0]["score"] == pytest.approx(np.mean(psnr), abs=1e-4)
    assert Ssim().measure_files([SAMPLE], made[:1]).per_sample[0]["score"] == pytest.approx(np.mean(ssim), abs=1e-5)


def test_equal_frames_are_finite(made: list[Made]) -> None:
    score = Psnr().measure_files([SAMPLE], made[1:]).per_sample[0]["score"]
    assert score == pytest.approx(10 * math.log10(255**2 * 32 * 40 * 3))
    assert Ssim().measure_files([SAMPLE], made[1:]).per_sample[0]["score"] == pytest.approx(1.0)


def test_order_changes_no_value(made: list[Made]) -> None:
    for metric in (Psnr(), Ssim()):
        one = metric.measure_files([SAMPLE] * 2, made)
        other = metric.measure_files([SAMPLE] * 2, made[::-1])
        assert one.rows.tolist() == other.rows[::-1].tolist()


def test_a_removed_file_is_said(made: list[Made]) -> None:
    made[0].source.unlink()
    with pytest.raises(UsageError, match="was removed"):
        Psnr().measure_files([SAMPLE], made[:1])
