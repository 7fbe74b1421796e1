"""Videos under an official scorer's names: whole or said to be lacking, never under another name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from lavit_eval import registry
from lavit_eval.cli import main
from lavit_eval.digests import digest_file
from lavit_eval.errors import UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.media_export import FORMS, export_media
from lavit_eval.models.protocol import FactoryMethods, ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.runs import Run
from lavit_eval.sample import Request, RequestKind, Response
from lavit_eval.task import Task
from lavit_eval.video.lossless import read_frames, write_lossless
from lavit_eval.video.source import VideoFile
from tests.benchmarks.layouts import I2V_ROWS, VBENCH_ROWS, write_evalcrafter, write_image_to_video, write_vbench
from tests.film_world import film

LONG = "a very long prompt, " * 11 + "that fills it wholly"


class Painter(FactoryMethods):
    """Makes a film of five frames per request, another for each sample; fails where told."""

    capabilities: ClassVar[frozenset[RequestKind]] = frozenset({"generate_video"})
    fails: ClassVar[set[str]] = set()

    def respond(self, requests: Sequence[Request]) -> list[Response]:
        """Paint a batch."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Response:
        if request.sample_id in Painter.fails:
            return Response(request.sample_id, request.repeat, "failed", error="made to fail.")
        path = Path(f"{request.output}.mkv")
        write_lossless(path, film(request.seeds.write % 1000, frames=5, height=33, width=47), 6)
        place = path.relative_to(path.parents[3]).as_posix()
        counts = {"motion_tokens_mended": 0}
        return Response(
            request.sample_id,
            request.repeat,
            "answered",
            medium=place,
            medium_digest=digest_file(path),
            counts=counts,
        )


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> type[Painter]:
    monkeypatch.setitem(registry.BUILT_IN["model"], "painter", "tests.test_media_export:Painter")  # type: ignore[arg-type]
    registry.targets.cache_clear()
    Painter.fails = set()
    return Painter


def task_of(name: str, **options: int) -> Task:
    task = Catalogue().task(name)
    return task.model_copy(update={"options": {**task.options, **options}})


def painted(folder: Path, task: Task, count: int, **fields: object) -> Run:
    options = RunOptions(
        model="painter",
        tasks=(task,),
        data_root=folder / "data",
        output=folder / "results",
        model_options=ModelOptions(),
        counts={task.task: count},
        threads=1,
        run_id="r",
    )
    return evaluate(replace(options, **fields)).run  # type: ignore[arg-type]


def test_vbench_finds_every_video_of_every_entry(tmp_path: Path, painter: type[Painter]) -> None:
    rows = [*VBENCH_ROWS, {"prompt_en": LONG, "dimension": ["scene"]}]
    write_vbench(tmp_path / "data" / "VBench", rows)
    run = painted(tmp_path, task_of("vbench", videos=2, flickering=3), 2 * 4 + 3)
    done = export_media(run, "vbench", tmp_path / "out")
    assert (done.count, done.lacking) == (11, 0)
    # As VBench looks: the suffix is that of any file, the names are compared letter by letter.
    names = {path.name for path in done.videos.iterdir()}
    assert {Path(name).suffix for name in names} == {".mp4"}
    for row in rows:
        wanted = 3 if "temporal_flickering" in row["dimension"] else 2
        assert {f"{row['prompt_en']}-{number}.mp4" for number in range(wanted)} <= names
    assert len(names) == 11
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert record["files"].keys() == names
    entries = run.entries("vbench")
    said = record["files"]["a red kite-1.mp4"]
    assert said == {"sample_id": "a red kite-1", "sha256": entries[("a red kite-1", 0)].response.medium_digest}


def test_the_videos_are_h264_at_their_rate_and_look_as_they_did(tmp_path: Path, painter: type[Painter]) -> None:
    write_image_to_video(tmp_path / "data" / "vbench2_beta_i2v")
    for path in (tmp_path / "data").rglob("*.jpg"):
        path.write_bytes(b"made")
    run = painted(tmp_path, task_of("vbench_i2v", videos=1), 2)
    done = export_media(run, "vbench_i2v", tmp_path / "out")
    assert "--ratio 7-4" in done.scorer
    stem = f"{I2V_ROWS[1]['prompt_en']}-0"
    entry = run.entries("vbench_i2v")[(stem, 0)]
    real = read_frames(run.folder / str(entry.response.medium)).astype(int)
    with VideoFile(done.videos / f"{stem}.mp4") as file:
        context = file.stream.codec_context
        assert (context.codec.canonical_name, context.pix_fmt, file.container.format.name.split(",")[0]) == (
            *("h264", "yuv420p"),
            "mov",
        )
        assert file.stream.average_rate == 6
        shown = [frame.to_ndarray(format="rgb24") for frame in file.container.decode(video=0)]
    assert len(shown) == len(real)
    # Odd sides grow by one; colours at half size and crf 10 leave a moderate mean difference on noise.
    assert shown[0].shape == (34, 48, 3)
    assert np.abs(np.stack(shown)[:, :33, :47].astype(int) - real).mean() < 30


def test_evalcrafter_has_numbers_and_one_place_each(tmp_path: Path, painter: type[Painter]) -> None:
    write_evalcrafter(tmp_path / "data" / "EvalCrafter", ["a boat", "two boats"])
    run = painted(tmp_path, task_of("evalcrafter", videos=2), 2)
    assert {path.name for path in export_media(run, "evalcrafter", tmp_path / "out").videos.iterdir()} == {
        *("0000.mp4", "0001.mp4"),
    }


def test_more_turns_than_evalcrafter_has_places_for_are_refused(
    tmp_path: Path, painter: type[Painter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lavit_eval.benchmarks.evalcrafter.OFFICIAL", 2)
    write_evalcrafter(tmp_path / "data" / "EvalCrafter", ["a boat", "two boats"])
    run = painted(tmp_path, task_of("evalcrafter", videos=3), 3)
    with pytest.raises(UsageError, match=r"more videos than evalcrafter has places for \(first: 0000-1\)"):
        export_media(run, "evalcrafter", tmp_path / "out")


def test_lacking_videos_are_refused_or_said(
    tmp_path: Path, painter: type[Painter], capsys: pytest.CaptureFixture[str]
) -> None:
    write_vbench(tmp_path / "data" / "VBench", VBENCH_ROWS[:1])
    Painter.fails = {"a goat in snow-1"}
    run = painted(tmp_path, task_of("vbench", videos=3), 3)
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"has 2 of the 3 videos of vbench.*--allow-missing"):
        export_media(run, "vbench", out)
    assert not out.exists()
    capsys.readouterr()
    command = ["runs", "--output-dir", str(tmp_path / "results"), "export", "r", "--as", "vbench", str(out)]
    assert main(command) == 2
    assert main([*command, "--allow-missing"]) == 3
    said = capsys.readouterr()
    assert "2 videos in" in said.out
    assert "vbench evaluate --videos_path" in said.out
    assert "1 videos are lacking" in said.err
    assert json.loads((out / "export.json").read_text())["lacking"] == 1


def test_a_limited_run_lacks_the_rest(tmp_path: Path, painter: type[Painter]) -> None:
    write_vbench(tmp_path / "data" / "VBench", VBENCH_ROWS[:1])
    run = painted(tmp_path, task_of("vbench", videos=3), 3, limit=2)
    with pytest.raises(UsageError, match="has 2 of the 3 videos"):
        export_media(run, "vbench", tmp_path / "out")


def test_an_export_goes_on_and_another_folder_is_left_alone(tmp_path: Path, painter: type[Painter]) -> None:
    write_vbench(tmp_path / "data" / "VBench", VBENCH_ROWS[:1])
    run = painted(tmp_path, task_of("vbench", videos=2), 2, repeats=2)
    out = tmp_path / "out"
    videos = export_media(run, "vbench", out).videos
    kept, lost = sorted(videos.iterdir())
    lost.unlink()
    stamp = kept.stat().st_mtime_ns
    assert export_media(run, "vbench", out).count == 2
    assert (kept.stat().st_mtime_ns, lost.is_file()) == (stamp, True)
    with pytest.raises(UsageError, match="holds another export"):
        export_media(run, "vbench", out, repeat=1)
    (videos / "mine.mp4").touch()
    with pytest.raises(UsageError, match=r"holds 'mine\.mp4', which is not of this export"):
        export_media(run, "vbench", out)
    with pytest.raises(UsageError, match="is not empty and holds no export"):
        export_media(run, "vbench", videos)
    with pytest.raises(UsageError, match="has no task of the benchmark evalcrafter"):
        export_media(run, "evalcrafter", tmp_path / "other")


def test_files_that_are_gone_or_changed_are_named(tmp_path: Path, painter: type[Painter]) -> None:
    write_vbench(tmp_path / "data" / "VBench", VBENCH_ROWS[:1])
    run = painted(tmp_path, task_of("vbench", videos=1), 1)
    (entry,) = run.entries("vbench").values()
    path = run.folder / str(entry.response.medium)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UsageError, match="has changed since it was made"):
        export_media(run, "vbench", tmp_path / "out")
    path.unlink()
    with pytest.raises(UsageError, match=r"is gone .*prune"):
        export_media(run, "vbench", tmp_path / "out")
    assert not list((tmp_path / "out" / "videos").iterdir())


def test_the_command_line_knows_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["runs", "export", "--help"])
    assert f"--as {{{','.join(FORMS)}}}" in capsys.readouterr().out.replace("\n", "")
    assert main(["runs", "export", "r", "out", "--as", "evalcraft"]) == 2
