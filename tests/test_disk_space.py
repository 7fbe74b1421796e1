"""What a run takes on disk is foreseen, what the stages of making keep among it."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lavit_eval.cli import main
from lavit_eval.disk_space import SPARE_BYTES, Space, bytes_per_response, disk_problem
from lavit_eval.engines.options import EngineOptions, Shard
from lavit_eval.models.protocol import MOST_MADE_TOGETHER, ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.prospect import RunOptions, foresee
from lavit_eval.sample import RequestKind
from tests.film_world import film_task, write_benchmark
from tests.models.video_lavit.making import GENERATION
from tests.tiny_world import Echo

COUNT = 8
KEPT = 5_000_000


class Keeping(Echo):
    """Makes videos, and keeps five million bytes of each meanwhile."""

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"generate_video"})

    @classmethod
    def kept_bytes(cls, kind: RequestKind, making: Any) -> int:
        """Return so many."""
        assert (kind, making["clips"]) == ("generate_video", 1)
        return KEPT

    @classmethod
    def fit_batches(cls, options: ModelOptions, demands: Sequence[Any]) -> Any:
        """Is never asked here."""
        raise AssertionError


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    monkeypatch.setattr("lavit_eval.prospect.find", lambda kind, name: Keeping)
    write_benchmark(tmp_path / "data", COUNT)
    task = film_task(tmp_path / "tasks", COUNT, metrics=["well_formed"], primary="well_formed", protocols={})
    fields: dict[str, Any] = {"data_root": tmp_path / "data", "output": tmp_path / "out", "batch_size": 3}
    return RunOptions("keeping", (task,), threads=1, **fields)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, 3),
        ({"limit": 2}, 2),
        ({"engine": EngineOptions(workers=4)}, 12),
        ({"engine": EngineOptions(devices=("cuda:0", "cuda:1"))}, 6),
        ({"engine": EngineOptions(shard=Shard(1, 5))}, 15),
        ({"batch_size": None}, 3),
        ({"batch_size": None, "model_options": ModelOptions(device="cuda")}, COUNT),
    ],
)
def test_each_worker_keeps_one_planned_batch(options: RunOptions, changes: dict[str, Any], kept: int) -> None:
    space = foresee(replace(options, **changes)).space
    assert space.passing == kept * KEPT
    assert space.lasting == changes.get("limit", COUNT) * bytes_per_response(options.tasks[0])
    assert COUNT < MOST_MADE_TOGETHER


def test_a_disk_that_holds_the_files_but_not_what_is_kept_is_too_small(
    options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    lasting = COUNT * bytes_per_response(options.tasks[0])
    free = SPARE_BYTES + lasting + 3 * KEPT
    for lacking, problems in ((0, 0), (1, 1)):
        monkeypatch.setattr("shutil.disk_usage", lambda place, lacking=lacking: usage(free - lacking))
        assert len(foresee(options).problems) == problems
    assert "14 MB of them only while batches are under way" in foresee(options).problems[0]


def test_a_model_that_keeps_nothing_is_not_charged(tmp_path: Path) -> None:
    assert disk_problem(tmp_path, Space(0)) is None
    said = disk_problem(tmp_path, Space(1 << 60))
    assert said is not None
    assert "under way" not in said


def test_a_dry_run_says_what_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lavit_eval.running.runs_asked_for", lambda options_, given: [options])
    assert main(["run", "--dry-run"]) == 0
    assert "MB on disk, and 15.0 MB while batches are under way" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["generate_image", "generate_video", "reconstruct_video"])
def test_the_stages_keep_about_what_is_foreseen(tmp_path: Path, kind: RequestKind) -> None:
    """With pictures of a published size, made by nobody."""
    torch = pytest.importorskip("torch")
    from lavit_eval.models.video_lavit.draws import Rewindable, SeededDraws
    from lavit_eval.models.video_lavit.stages import KeptStages, StageSizes
    from lavit_eval.models.video_lavit.take import Take

    size = {"width": 256, "height": 192, "video_width": 192, "video_height": 128, "clips": 2, "max_new_tokens": 500}
    making = {name: size.get(name, value) for name, value in GENERATION[kind].items()}
    image, clip = torch.zeros(1, 192, 256, 3, dtype=torch.uint8), torch.zeros(24, 128, 192, 3, dtype=torch.uint8)
    takes = [Take(Rewindable(SeededDraws(place)), []) for place in range(3)]
    stages = KeptStages(StageSizes(2, 2, 1), tmp_path, ["key"], lambda: None)
    stages.number(takes)

    def write(some: Sequence[Take]) -> None:
        for take in some:
            take.ids += [48_000] * 500
            take.image_ids = take.ids[-500:]

    def paint(some: Sequence[Take]) -> None:
        for take in some:
            take.keyframes.append((image if kind == "generate_image" else clip[:1]).clone())

    def film(some: Sequence[Take]) -> None:
        for take in some:
            take.clips.append(clip.clone())

    for turn in range(2 if kind == "generate_video" else 1):
        if kind != "reconstruct_video":
            stages.run("llm", f"{turn} visual tokens", takes, write)
            if kind == "generate_video":
                stages.run("llm", f"{turn} motion tokens", takes, write)
            stages.run("image", f"{turn} keyframe", takes, paint)
        if kind != "generate_image":
            stages.run("video", f"{turn} video", takes, film)
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*.kept"))
    foreseen = len(takes) * VideoLavit.kept_bytes(kind, making)
    assert kept <= foreseen <= 1.3 * kept
