"""Every task of the registry runs on its fixture: the official layout, the tiny checkpoint, complete scores."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import ANSWERING, VideoLavit
from lavit_eval.models.video_lavit.bounded_cache import BoundedCache
from lavit_eval.models.video_lavit.sight import Sight
from lavit_eval.models.video_lavit.tiny import make_tiny
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from tests.benchmarks.layouts import write_msvd_qa
from tests.task_fixtures import count_of, make_real, small, write_fixture

VARIANTS = ("_demo", "_reference", "_long", "_tokens", "msrvtt_qa_likelihood", "test_likelihood")
"""Ends of names whose tasks differ in settings from one that is run anyway."""
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name.endswith(VARIANTS) else [])
    for name in sorted(Catalogue().task_files)
]
WITH_METEOR = "coco_karpathy_test"
"""Its Java program takes seconds to start, so that one task has it."""
REASONS = ("no Java", "no spaCy", "the split has no public answers", "judge", "cannot be divided into 10 splits")
"""Why a metric may have no value here."""
REPEATS = {"mscoco_t2i_30k_best_of_4": 4}


@dataclasses.dataclass(frozen=True)
class World:
    """What all tasks share."""

    checkpoint: Path
    cache: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give a tiny checkpoint, loaded once for all that answer and once for all that generate."""
    folder = tmp_path_factory.mktemp("every_task")
    loaded: dict[bool, Any] = {}
    load = VideoLavit.load

    def once(options: ModelOptions) -> VideoLavit:
        answers = bool(options.kinds & ANSWERING)
        if answers not in loaded:
            loaded[answers] = load(options)
        model: VideoLavit = loaded[answers]
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VideoLavit, "load", once)
        yield World(make_tiny(folder / "checkpoint"), folder / "cache")


@pytest.mark.parametrize("name", NAMES)
def test_the_task_runs_end_to_end(name: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(world.cache))
    if name != WITH_METEOR:
        monkeypatch.setattr("lavit_eval.metrics.meteor.missing_java", lambda: "no Java")
    task = small(Catalogue().task(name))
    write_fixture(task, tmp_path / "data")
    count = count_of(task, tmp_path / "data")
    options = RunOptions(
        model="video-lavit",
        tasks=(task,),
        data_root=tmp_path / "data",
        output=tmp_path / "results",
        model_options=ModelOptions(checkpoint=str(world.checkpoint)),
        counts={name: count},
        repeats=REPEATS.get(name, 1),
        threads=1,
    )
    outcome = evaluate(options)
    scores = outcome.scores["tasks"][name]
    asked = count * options.repeats
    assert (scores["n"], scores["answered"], scores["coverage"]) == (asked, asked, 1.0), scores["failures"]
    assert "partial" not in scores["labels"]
    assert set(scores["metrics"]) == set(task.metrics)
    for metric, score in scores["metrics"].items():
        if score["value"] is None:
            assert any(reason in str(score["skipped"]) for reason in REASONS), (metric, score["skipped"])
        else:
            assert score["n"] > 0, metric
    if task.submission is not None:
        assert (outcome.run.folder / scores["submission"]["file"]).is_file()


def test_a_task_without_a_fixture_is_named(tmp_path: Path) -> None:
    task = Catalogue().task("msvd_qa").model_copy(update={"split": "train"})
    with pytest.raises(LookupError, match="msvd_qa has no fixture: add split train of msvd_qa"):
        write_fixture(task, tmp_path)


def test_every_video_is_encoded_once_however_its_questions_are_spread(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(world.cache))
    # Three videos, their questions dealt out in turn: in the file's order each would be seen four times.
    rows = [
        {"answer": "cat", "id": number, "question": f"what is {number}?", "video_id": 1 + number % 3}
        for number in range(12)
    ]
    write_msvd_qa(tmp_path / "data" / "MSVD-QA", rows)
    make_real(tmp_path / "data")
    seen: list[str] = []
    encode = Sight._encode

    def counted(sight: Sight, loaded: Any, seed: int | None) -> Any:
        seen.append(loaded.digest)
        return encode(sight, loaded, seed)

    def keep_the_last(cache: BoundedCache[Any], key: Hashable, value: Any, size: int) -> None:
        cache._entries.clear()
        cache._entries[key] = (size, value)

    monkeypatch.setattr(Sight, "_encode", counted)
    # The order of the plan does it, not a large memory.
    monkeypatch.setattr(BoundedCache, "put", keep_the_last)
    options = RunOptions(
        model="video-lavit",
        tasks=(Catalogue().task("msvd_qa"),),
        data_root=tmp_path / "data",
        output=tmp_path / "results",
        model_options=ModelOptions(checkpoint=str(world.checkpoint)),
        counts={"msvd_qa": len(rows)},
        # Another seed than that of the tests above, with which the shared model may have seen these videos.
        seed=7,
        batch_size=2,
        repeats=2,
        threads=1,
    )
    run = evaluate(options).run
    # Once per repeat, since each draws its own patches.
    assert sorted(Counter(seen).values()) == [2, 2, 2]
    records = [(record["sample_id"], record["repeat"]) for record in run.records("msvd_qa")]
    assert records == [(str(row["id"]), repeat) for repeat in range(2) for row in rows]
