"""MSR-VTT's own layout: one sample a video, one caption drawn by the task's seed."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.benchmarks.msrvtt import Msrvtt
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import MSRVTT_DOCUMENT, write_msrvtt


@pytest.fixture
def document() -> dict[str, Any]:
    return copy.deepcopy(MSRVTT_DOCUMENT)


def _write(root: Path, document: dict[str, Any]) -> None:
    write_msrvtt(root / "MSRVTT", document)


def test_the_test_split_in_the_order_of_the_numbers(tmp_path: Path, document: dict[str, Any]) -> None:
    _write(tmp_path, document)
    samples = Msrvtt().read(tmp_path, "test").samples
    assert [sample.id for sample in samples] == ["video7010", "video7011"]
    assert [sample.media for sample in samples] == [(), ()]
    assert samples[0].targets[0].path == str(tmp_path / "MSRVTT" / "TestVideo" / "video7010.mp4")
    assert samples[0].cluster == "video7010"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_caption_is_the_seeds_choice_over_sorted_sentences(
    tmp_path: Path, document: dict[str, Any], seed: int
) -> None:
    _write(tmp_path, document)
    sample = Msrvtt().read(tmp_path, "test", caption_seed=seed).samples[0]
    expected = random.Random(f"{seed}:video7010").choice([(1, 1), (2, 2), (3, 3)])[0]
    assert sample.extra == {"sen_id": expected}
    assert sample.question == f"caption {expected} of video7010"


def test_a_source_is_shown_to_the_model(tmp_path: Path, document: dict[str, Any]) -> None:
    _write(tmp_path, document)
    sample = Msrvtt().read(tmp_path, "test", video="source").samples[0]
    assert sample.media == sample.targets


def test_the_first_videos_are_a_subset_of_their_own(tmp_path: Path, document: dict[str, Any]) -> None:
    _write(tmp_path, document)
    assert [sample.id for sample in Msrvtt().read(tmp_path, "test", first=1).samples] == ["video7010"]
    assert len(Msrvtt().read(tmp_path, "test", first=9).samples) == 2
    with pytest.raises(UsageError, match="option first is a number of videos, not -1"):
        Msrvtt().read(tmp_path, "test", first=-1)


def test_bad_files_are_named(tmp_path: Path, document: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"no annotations of MSR-VTT.*test_videodatainfo\.json"):
        Msrvtt().read(tmp_path, "test")
    _write(tmp_path, {**document, "sentences": document["sentences"][:1]})
    with pytest.raises(UsageError, match="video7010 has no caption"):
        Msrvtt().read(tmp_path, "test")
    _write(tmp_path, {**document, "videos": [*document["videos"], {"video_id": "film1"}]})
    with pytest.raises(UsageError, match="not of the form video7010"):
        Msrvtt().read(tmp_path, "test")
    with pytest.raises(UsageError, match="target or source"):
        Msrvtt().read(tmp_path, "test", video="none")
    with pytest.raises(UsageError, match="no split 'val'"):
        Msrvtt().read(tmp_path, "val")
