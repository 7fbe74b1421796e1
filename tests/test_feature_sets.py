"""Metrics of features over sets of videos that are not whole, or are others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lavit_eval.cli import main
from lavit_eval.errors import PreflightError
from lavit_eval.evaluate import evaluate
from lavit_eval.features.equipment import Equipment
from lavit_eval.metrics.feature_protocol import FOLDER
from lavit_eval.metrics.frechet import frechet_distance
from lavit_eval.registry import Catalogue
from lavit_eval.rescoring import Again, score_again
from lavit_eval.video.lossless import write_lossless
from tests.film_world import film, film_options, film_task, ids_of, kept, score_films, write_benchmark, write_media

COUNT = 8


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return write_media(tmp_path / "media", write_benchmark(tmp_path / "data", COUNT))


def test_a_prompt_without_a_video_holds_distances_back(tmp_path: Path, media: Path) -> None:
    (media / f"{ids_of(COUNT)[2]}.mkv").unlink()
    task = film_task(tmp_path / "tasks", COUNT)
    outcome, metrics = score_films(tmp_path, task, media)
    assert metrics["fvd"]["value"] is None
    assert metrics["fvd"]["incomplete"]
    assert "of 8 files, 1 generated lack features" in metrics["fvd"]["skipped"]
    assert metrics["clipsim_vitb16"]["value"] is not None
    assert (metrics["clipsim_vitb16"]["n"], metrics["clipsim_vitb16"]["coverage"]) == (7, 7 / 8)
    assert metrics["clipsim_vitb16"]["labels"] == ["demo features", "partial: lacks 1 generated"]
    again = Again(Catalogue([tmp_path / "tasks"]), equipment=Equipment(allow_partial=True))
    allowed = score_again(outcome.run, again).scores["tasks"]["made_film"]["metrics"]["fvd"]
    assert "partial: lacks 1 generated" in allowed["labels"]
    assert (allowed["n"], allowed["coverage"]) == (7, 7 / 8)
    # The real half of the pair that lacks its video does not count either.
    made = kept(outcome.run)
    real_only = film_task(tmp_path / "mirror", COUNT)
    mirror, _ = score_films(tmp_path, real_only, tmp_path / "data" / "MSRVTT" / "videos", run_id="mirror")
    real = kept(mirror.run)
    ids = [one for one in ids_of(COUNT) if one in made]
    expected = frechet_distance(np.stack([made[one] for one in ids]), np.stack([real[one] for one in ids]))
    assert allowed["value"] == pytest.approx(expected, rel=1e-6)


def test_a_damaged_file_is_named_and_others_are_scored(tmp_path: Path, media: Path) -> None:
    path = media / f"{ids_of(COUNT)[0]}.mkv"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    _, metrics = score_films(tmp_path, film_task(tmp_path / "tasks", COUNT), media)
    assert metrics["fvd"]["incomplete"]
    (failure,) = metrics["fvd"]["details"]["without_features"]
    assert failure["sample_id"] == ids_of(COUNT)[0]
    assert str(path) in failure["reason"]
    assert metrics["clipsim_vitb16"]["n"] == 7


def test_a_real_video_that_is_too_short_holds_back_and_is_named(tmp_path: Path, media: Path) -> None:
    short = tmp_path / "data" / "MSRVTT" / "videos" / f"{ids_of(COUNT)[5]}.mkv"
    write_lossless(short, film(5, 12), 6)
    _, metrics = score_films(tmp_path, film_task(tmp_path / "tasks", COUNT), media)
    (failure,) = metrics["fvd"]["details"]["without_features"]
    assert (failure["set"], failure["sample_id"]) == ("real", ids_of(COUNT)[5])
    assert "12 frames are too few" in failure["reason"]
    assert metrics["fvd"]["skipped"].startswith("of 8 files, 1 real lack features")


def test_copies_and_mixed_sizes_are_labelled(tmp_path: Path, media: Path) -> None:
    ids = ids_of(COUNT)
    shutil.copy(media / f"{ids[0]}.mkv", media / f"{ids[1]}.mkv")
    write_lossless(media / f"{ids[2]}.mkv", film(3, 24, 40, 64), 6)
    task = film_task(tmp_path / "tasks", COUNT)
    with pytest.raises(PreflightError, match="1 of the files are copies of others"):
        evaluate(film_options(tmp_path, task, media))
    _, metrics = score_films(tmp_path, task, media, equipment=Equipment(allow_partial=True))
    assert metrics["fvd"]["labels"] == ["demo features", "mixed sizes", "holds 1 copy"]
    assert metrics["fvd"]["details"]["sizes"] == {"48x32": 6, "64x40": 1}


def test_a_protocol_may_want_some_of_the_videos_or_more_than_there_are(tmp_path: Path, media: Path) -> None:
    recipe = yaml.safe_load((FOLDER / "google.yaml").read_text())
    path = tmp_path / "mine.yaml"

    def scored(videos: int, run_id: str, **fields: Any) -> dict[str, Any]:
        selection = {"videos": videos, "part": "first"}
        path.write_text(yaml.safe_dump(recipe | {"protocol": "mine", "real": selection, "generated": selection}))
        task = film_task(tmp_path / run_id, COUNT, protocols={"fvd": str(path)}, metrics=["fvd"])
        return score_films(tmp_path, task, media, run_id=run_id, **fields)[1]["fvd"]

    some = scored(5, "five")
    assert (some["n"], some["coverage"], some["labels"]) == (5, 1.0, ["demo features"])
    with pytest.raises(PreflightError, match=r"mine wants 9 generated files, there are 8.*--allow-partial"):
        scored(9, "nine")
    more = scored(9, "more", equipment=Equipment(allow_partial=True))
    assert (more["n"], more["coverage"]) == (8, 8 / 9)
    assert "partial: lacks 1 generated and 1 real" in more["labels"]


def test_a_value_that_is_held_back_leaves_with_3_and_says_how_to_go_on(
    tmp_path: Path, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film_task(tmp_path / "tasks", COUNT)
    write_lossless(media / f"{ids_of(COUNT)[3]}.mkv", film(1, 8), 6)
    arguments = ["score", "--task", "made_film", "--task-dir", str(tmp_path / "tasks"), "--media", str(media)]
    arguments += ["--data-root", str(tmp_path / "data"), "--output-dir", str(tmp_path / "results")]
    assert main(arguments) == 3
    said = capsys.readouterr().err
    assert "fvd of made_film is held back" in said
    assert "repeat the command, or take what is there: with --allow-partial" in said
    assert "8 frames are too few for a clip of 16" in said
    assert "clipsim_vitb16 of made_film" not in said
    (folder,) = (tmp_path / "results" / "runs").glob("*-external")
    more = ["--allow-partial", "--extrapolate", "--task-dir", str(tmp_path / "tasks")]
    assert main(["score", str(folder), *more]) == 0
    scores = json.loads((folder / "scores.json").read_text())["tasks"]["made_film"]["metrics"]
    assert scores["fvd"]["labels"] == ["demo features", "partial: lacks 1 generated"]
    assert "extrapolated" in scores["fvd"]["details"]


def test_real_videos_of_the_same_names_and_sizes_are_another_set(tmp_path: Path, media: Path) -> None:
    from lavit_eval.leaderboard import rows

    task = film_task(tmp_path / "tasks", COUNT, metrics=["fvd"])
    one, first = score_films(tmp_path, task, media, run_id="a")
    path = tmp_path / "data" / "MSRVTT" / "videos" / f"{ids_of(COUNT)[0]}.mkv"
    other = tmp_path / "other.mkv"
    write_lossless(other, film(77), 6)
    longest = max(path.stat().st_size, other.stat().st_size)
    path.write_bytes(path.read_bytes().ljust(longest, b"\0"))
    one, first = score_films(tmp_path, task, media, run_id="b")
    path.write_bytes(other.read_bytes().ljust(longest, b"\0"))
    two, second = score_films(tmp_path, task, media, run_id="c")
    documents = [run.scores() for run in (one.run, two.run)]
    assert documents[0]["tasks"]["made_film"]["data"] == documents[1]["tasks"]["made_film"]["data"]  # type: ignore[index]
    assert first["fvd"]["value"] != second["fvd"]["value"]
    assert first["fvd"]["recipe"]["real_set"] != second["fvd"]["recipe"]["real_set"]
    groups = {row.group for row in rows([document for document in documents if document is not None])}
    assert len(groups) == 2
