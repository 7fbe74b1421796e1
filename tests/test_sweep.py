"""One set of videos under every protocol, and the checks of real media alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from lavit_eval.cli import main
from lavit_eval.errors import UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.metrics.feature_protocol import FOLDER, load_protocol, names
from lavit_eval.registry import Catalogue
from lavit_eval.rescoring import Again
from lavit_eval.runs import Run
from lavit_eval.sweep import sweep
from tests.film_world import film_task, score_films, write_benchmark, write_media

COUNT = 6
DISTANCES = [name for name in names() if load_protocol(name).network == "i3d"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    media = write_media(tmp_path / "media", write_benchmark(tmp_path / "data", COUNT))
    return score_films(tmp_path, film_task(tmp_path / "tasks", COUNT, metrics=["fvd"]), media)[0].run


def again(tmp_path: Path, **fields: bool) -> Again:
    return Again(Catalogue([tmp_path / "tasks"]), equipment=Equipment(**fields))  # type: ignore[arg-type]


def test_every_protocol_has_a_row_and_those_that_want_more_videos_say_so(run: Run, tmp_path: Path) -> None:
    rows = {row.protocol.protocol: row for row in sweep(run, "made_film", again(tmp_path))}
    assert set(rows) == set(DISTANCES) - {"freenoise"}
    for name, row in rows.items():
        assert set(row.scores) == {"fvd", "kvd"}
        wanted = row.protocol.generated.videos
        if wanted is None:
            assert row.scores["fvd"].value is not None, name
        else:
            assert row.scores["fvd"].value is None
            assert f"the protocol wants {wanted:,} files, the task has 6" in row.why
            assert "add --allow-partial" in row.why
    own = json.loads(run.scores_path.read_text())["tasks"]["made_film"]["metrics"]["fvd"]["value"]
    assert rows["video-lavit"].scores["fvd"].value == own


def test_partial_sets_are_allowed_and_labelled_and_features_are_kept(run: Run, tmp_path: Path) -> None:
    first = sweep(run, "made_film", again(tmp_path, allow_partial=True))
    assert all(row.scores["fvd"].value is not None for row in first)
    assert all("partial" in row.why for row in first if row.protocol.generated.videos)
    shutil.rmtree(tmp_path / "media")
    second = sweep(run, "made_film", again(tmp_path, allow_partial=True))
    assert [row.scores for row in first] == [row.scores for row in second]


def test_the_command_prints_a_table_and_keeps_all_digits(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    recipe = yaml.safe_load((FOLDER / "google.yaml").read_text())
    mine.write_text(yaml.safe_dump(recipe | {"protocol": "mine", "frames": 9}))
    more = ["--task-dir", str(tmp_path / "tasks"), "--protocol", str(mine), "--extrapolate"]
    assert main(["sweep", str(run.folder), "made_film", *more]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines() if line[:1].isalpha()][1:] == [
        *(name for name in DISTANCES if name != "freenoise"),
        "mine",
    ]
    assert "FVD∞" in said
    stored = json.loads((run.task_folder("made_film") / "sweep.json").read_text())["rows"]
    assert stored[-1]["protocol"]["assumptions"]
    assert stored[-1]["scores"]["fvd"]["details"]["extrapolated"]


def test_a_published_protocol_without_its_weights_says_how_to_get_them(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["tasks"]["made_film"]["fields"]["features"] == "demo"
    film_task(tmp_path / "tasks", COUNT, metrics=["fvd"], features="published")
    assert main(["sweep", str(run.folder), "made_film", "--task-dir", str(tmp_path / "tasks")]) == 2
    assert "lavit-eval weights fetch" in " ".join(capsys.readouterr().out.split())


def test_mistakes_are_sentences(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no task 'made_fil'. Did you mean made_film"):
        sweep(run, "made_fil", again(tmp_path))
    mine = tmp_path / "tats.yaml"
    mine.write_text((FOLDER / "tats.yaml").read_text().replace("0.00001", "0.001"))
    with pytest.raises(UsageError, match="tats is the name of a shipped protocol that differs"):
        sweep(run, "made_film", again(tmp_path), [str(mine)])
    with pytest.raises(UsageError, match="is no protocol"):
        sweep(run, "made_film", again(tmp_path), ["nowhere.yaml"])


def test_a_selfcheck_looks_at_real_media_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_benchmark(tmp_path / "data", COUNT)
    metrics = ["fvd", "kvd", "clipsim_vitb16", "well_formed"]
    film_task(tmp_path / "tasks", COUNT, metrics=metrics)
    arguments = ["selfcheck", "made_film", "--task-dir", str(tmp_path / "tasks"), "--data-root", str(tmp_path / "data")]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[:1].isalpha()] == ["metric", "fvd", "kvd", "clipsim_vitb16"]
    assert "real halves" in lines[1]
    assert "demo features" in lines[1]


def test_a_selfcheck_finds_halves_that_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lavit_eval.digests import digest_bytes
    from lavit_eval.video.lossless import write_lossless
    from tests.film_world import film, ids_of

    count = 40
    write_benchmark(tmp_path / "data", count)
    film_task(tmp_path / "tasks", count, metrics=["kvd"], primary="kvd")
    arguments = ["selfcheck", "made_film", "--task-dir", str(tmp_path / "tasks"), "--data-root", str(tmp_path / "data")]
    assert main(arguments) == 0
    assert "SUSPICIOUS" not in capsys.readouterr().out
    ranked = sorted(ids_of(count), key=lambda one: digest_bytes(one.encode()))
    for place, one in enumerate(ranked[0::2]):
        write_lossless(tmp_path / "data" / "MSRVTT" / "videos" / f"{one}.mkv", 255 - film(place), 6)
    assert main(arguments) == 1
    assert "SUSPICIOUS" in capsys.readouterr().out


def test_a_selfcheck_names_media_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = write_benchmark(tmp_path / "data", COUNT)
    path = tmp_path / "data" / "MSRVTT" / "videos" / f"{ids[1]}.mkv"
    path.write_bytes(path.read_bytes()[:2000])
    film_task(tmp_path / "tasks", COUNT, metrics=["fvd"])
    arguments = ["selfcheck", "made_film", "--task-dir", str(tmp_path / "tasks"), "--data-root", str(tmp_path / "data")]
    assert main(arguments) == 3
    assert f"videos/{ids[1]}.mp4: " in capsys.readouterr().err


def test_a_task_without_real_media_has_nothing_to_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_benchmark(tmp_path / "data", 8)
    assert main(["selfcheck", "video_reconstruction_demo", "--data-root", str(tmp_path / "data")]) == 2
    assert "no metric that can be checked" in capsys.readouterr().err
