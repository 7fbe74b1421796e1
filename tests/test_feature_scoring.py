"""Metrics of features in a whole run: values, recipes, and what is kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lavit_eval.cli import main
from lavit_eval.digests import digest_file
from lavit_eval.errors import PreflightError, UsageError
from lavit_eval.evaluate import evaluate
from lavit_eval.features.equipment import Equipment
from lavit_eval.metrics.backbones.i3d import I3d
from lavit_eval.metrics.feature_protocol import load_protocol
from lavit_eval.registry import Catalogue
from lavit_eval.rescoring import Again, score_again, score_under
from lavit_eval.video.lossless import write_lossless
from tests.film_world import film_options, film_task, ids_of, kept, score_films, write_benchmark, write_media

PROJECT = Path(__file__).resolve().parents[1]
COUNT = 8


@pytest.fixture
def media(tmp_path: Path) -> Path:
    return write_media(tmp_path / "media", write_benchmark(tmp_path / "data", COUNT))


def test_every_metric_has_a_value_an_interval_and_its_recipe(tmp_path: Path, media: Path) -> None:
    outcome, metrics = score_films(tmp_path, film_task(tmp_path / "tasks", COUNT), media)
    for name, score in metrics.items():
        assert score["value"] is not None, name
        assert (score["n"], score["coverage"], score["labels"]) == (COUNT, 1.0, ["demo features"]), name
        low, high = score["interval"]
        assert low <= score["value"] <= high, name
    assert "8-group jackknife over samples, for the expectation at 8" in metrics["fvd"]["interval_method"]
    assert len(metrics["fvd"]["details"]["left_out"]) == 8
    assert metrics["fvd"]["details"]["groups"] == list(range(8))
    assert metrics["fvd"]["recipe"]["protocol"] == "video-lavit"
    assert metrics["fvd"]["recipe"]["weights"] == {"demo": "demo"}
    assert metrics["fvd"]["protocol"] != metrics["kvd"]["protocol"]
    assert outcome.scores["model"]["name"] == "external"


def test_the_real_videos_themselves_lie_at_no_distance(tmp_path: Path, media: Path) -> None:
    real = tmp_path / "data" / "MSRVTT" / "videos"
    _, metrics = score_films(tmp_path, film_task(tmp_path / "tasks", COUNT), real)
    assert metrics["fvd"]["value"] == pytest.approx(0, abs=1e-6)
    assert metrics["fid_clip"]["value"] == pytest.approx(0, abs=1e-6)
    assert metrics["kvd"]["value"] < 0


def test_kept_features_are_scored_again_without_the_files(tmp_path: Path, media: Path) -> None:
    outcome, _ = score_films(tmp_path, film_task(tmp_path / "tasks", COUNT), media)
    before = outcome.run.scores_path.read_bytes()
    shutil.rmtree(media)
    outcome.run.scores_path.unlink()
    score_again(outcome.run, Again(Catalogue([tmp_path / "tasks"])))
    assert outcome.run.scores_path.read_bytes() == before


def test_other_frames_come_from_the_files_and_are_kept_too(tmp_path: Path, media: Path) -> None:
    outcome, own = score_films(tmp_path, film_task(tmp_path / "tasks", COUNT), media)
    again = Again(Catalogue([tmp_path / "tasks"]), equipment=Equipment(allow_partial=True))
    scores = score_under(outcome.run, "google", again).scores["tasks"]["made_film"]
    assert set(scores["metrics"]) == {"fvd", "kvd"}
    assert scores["metrics"]["fvd"]["value"] != own["fvd"]["value"]
    assert "protocol google" in scores["labels"]
    assert json.loads((outcome.run.folder / "scores@google.json").read_text())["tasks"]
    assert outcome.run.scores() is not None
    assert outcome.run.scores()["tasks"]["made_film"]["metrics"]["fvd"]["value"] == own["fvd"]["value"]  # type: ignore[index]
    shutil.rmtree(media)
    repeated = score_under(outcome.run, "google", again).scores["tasks"]["made_film"]
    assert repeated["metrics"] == scores["metrics"]
    refused = Again(Catalogue([tmp_path / "tasks"]))
    score_under(outcome.run, "stylegan-v", again)
    valued = (outcome.run.folder / "scores@stylegan-v.json").read_bytes()
    assert score_under(outcome.run, "stylegan-v", refused).scores["tasks"]["made_film"]["metrics"]["fvd"]["incomplete"]
    assert (outcome.run.folder / "scores@stylegan-v.json").read_bytes() == valued, "a refusal replaces no value"
    with pytest.raises(UsageError, match="applies to no metric"):
        score_under(outcome.run, "is-c3d", again)


def test_repeats_are_averaged_and_listed(tmp_path: Path, media: Path) -> None:
    ids = ids_of(COUNT)
    second = write_media(tmp_path / "second", ids, seed=500)
    rows = [f"{one},{folder / one}.mkv,{n}" for n, folder in enumerate((media, second)) for one in ids]
    listing = tmp_path / "list.csv"
    listing.write_text("\n".join(["id,path,repeat", *rows]))
    task = film_task(tmp_path / "tasks", COUNT)
    _, both = score_films(tmp_path, task, listing, repeats=2)
    _, first = score_films(tmp_path, task, media, run_id="a")
    _, other = score_films(tmp_path, task, second, run_id="b")
    for name in ("fvd", "kvd", "fid_clip"):
        assert both[name]["repeats"] == [first[name]["value"], other[name]["value"]]
        assert both[name]["value"] == pytest.approx((first[name]["value"] + other[name]["value"]) / 2)
        assert both[name]["n"] == 2 * COUNT
    assert len(both["clipsim_vitb16"]["repeats"]) == 2


def test_the_order_of_the_list_changes_no_byte(tmp_path: Path, media: Path) -> None:
    task = film_task(tmp_path / "tasks", COUNT)
    one, _ = score_films(tmp_path, task, media, run_id="a")
    listing = tmp_path / "list.csv"
    listing.write_text("\n".join(["id,path", *(f"{each},media/{each}.mkv" for each in reversed(ids_of(COUNT)))]))
    other, _ = score_films(tmp_path, task, listing, run_id="b", output=tmp_path / "other")
    assert one.scores["tasks"] == other.scores["tasks"]


def test_missing_and_wrong_weights_stop_the_run_before_it_begins(tmp_path: Path, media: Path) -> None:
    task = film_task(tmp_path / "tasks", COUNT, features="published")
    with pytest.raises(PreflightError) as caught:
        evaluate(film_options(tmp_path, task, media))
    problems = caught.value.problems
    assert len(problems) == 3
    assert "made_film (fvd, kvd): i3d_torchscript.pt" in problems[0]
    assert all("lavit-eval weights fetch" in problem for problem in problems)
    assert not (tmp_path / "results" / "runs" / "r").exists()
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "i3d_torchscript.pt").write_bytes(b"something else")
    with pytest.raises(PreflightError, match=r"is not the published i3d_torchscript\.pt"):
        evaluate(film_options(tmp_path, task, media, equipment=Equipment(weights_dir=weights)))


def test_a_trusted_network_is_loaded_for_real_and_the_score_says_so(tmp_path: Path) -> None:
    media = write_media(tmp_path / "media", write_benchmark(tmp_path / "data", 3))
    weights = tmp_path / "weights"
    weights.mkdir()
    torch.manual_seed(0)
    path = weights / "i3d_pretrained_400.pt"
    torch.save(I3d(1e-5).state_dict(), path)
    task = film_task(
        tmp_path / "tasks", 3, features="published", metrics=["fvd"], protocols={"fvd": "tats"}, primary="fvd"
    )
    equipment = Equipment(weights_dir=weights, trusted=frozenset({path.resolve()}), allow_partial=True)
    outcome, metrics = score_films(tmp_path, task, media, equipment=equipment)
    assert metrics["fvd"]["value"] > 0
    assert metrics["fvd"]["labels"] == ["unverified weights", "partial: lacks 2,045 generated and 2,045 real"]
    assert metrics["fvd"]["recipe"]["weights"]["i3d_pretrained_400.pt"].startswith("sha256:")
    assert all(features.shape == (400,) for features in kept(outcome.run, "first").values())
    path.unlink()
    before = outcome.run.scores_path.read_bytes()
    score_again(outcome.run, Again(Catalogue([tmp_path / "tasks"]), equipment=Equipment(allow_partial=True)))
    assert outcome.run.scores_path.read_bytes() == before, "what is kept is scored without the weights"


def test_protocols_of_a_task_must_fit_its_metrics(tmp_path: Path, media: Path) -> None:
    for fields, told in (
        ({"protocols": {"fvd": "is-c3d"}}, "fvd compares features of i3d"),
        ({"protocols": {"clipsim_vitb16": "clipsim-vitb32"}}, "clipsim_vitb16 is defined by ViT-B-16.pt"),
        ({"protocols": {"fvd": "video-lavitt"}}, "Did you mean"),
    ):
        task = film_task(tmp_path / "tasks", COUNT, **fields)
        with pytest.raises(PreflightError, match=told):
            evaluate(film_options(tmp_path, task, media))
    with pytest.raises(UsageError, match="protocols names 'psnr'"):
        film_task(tmp_path / "tasks", COUNT, protocols={"psnr": "tats"})


def test_the_recipe_is_part_of_the_protocol(tmp_path: Path, media: Path) -> None:
    found = {}
    for name in ("video-lavit", "google"):
        task = film_task(tmp_path / name, COUNT, protocols={"fvd": name}, metrics=["fvd"])
        outcome, metrics = score_films(tmp_path, task, media, run_id=name)
        found[name] = (outcome.scores["tasks"]["made_film"]["protocol"], metrics["fvd"]["protocol"])
    assert found["video-lavit"][0] != found["google"][0]
    assert found["video-lavit"][1] != found["google"][1]


SLOWLY = """
import sys, time
from lavit_eval.cli import main
from lavit_eval.metrics.backbones.demo import DemoNetwork

for name in ("clip", "frames"):
    def slow(self, frames, compute=getattr(DemoNetwork, name)):
        time.sleep(0.05)
        return compute(self, frames)
    setattr(DemoNetwork, name, slow)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_kill_while_features_are_extracted_loses_one_at_most(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film_task(tmp_path / "tasks", COUNT)
    arguments = ["score", "--task", "made_film", "--task-dir", str(tmp_path / "tasks"), "--media", str(media)]
    arguments += ["--data-root", str(tmp_path / "data"), "--output-dir", str(tmp_path / "results")]

    def start(run_id: str, cache: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SLOWLY, *arguments, "--run-id", run_id]
        environment = {**os.environ, "LAVIT_EVAL_CACHE": str(tmp_path / cache)}
        return subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
        )

    assert start("calm", "one").wait(120) == 0
    stormy = tmp_path / "results" / "runs" / "stormy"
    seen: dict[Path, int] = {}
    for goal in (3, 12):
        process = start("stormy", "two")
        deadline = time.monotonic() + 60
        while len(list(stormy.rglob("*.npz"))) < goal and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = {path: path.stat().st_mtime_ns for path in stormy.rglob("*.npz")}
        assert {path: now[path] for path in seen} == seen
        seen = now
    assert 12 <= len(seen) < 24
    assert not (stormy / "scores.json").exists()
    assert start("stormy", "two").wait(120) == 0
    assert {path: path.stat().st_mtime_ns for path in seen} == seen
    calm = (tmp_path / "results" / "runs" / "calm" / "scores.json").read_bytes()
    assert (stormy / "scores.json").read_bytes() == calm


def test_shipped_protocols_are_named_in_a_sentence_of_their_own() -> None:
    assert load_protocol("video-lavit").real is not None
    assert load_protocol("freenoise").real is None


def test_equal_reconstructions_of_different_sources_have_distances_of_their_own(tmp_path: Path) -> None:
    from lavit_eval.feature_scoring import Product, Tools, Workshop
    from lavit_eval.metrics.protocol import Made
    from lavit_eval.preparation import PreparedTask
    from lavit_eval.progress import Silence
    from lavit_eval.sample import Response, Sample

    products = []
    for name, level in (("black", 0), ("white", 255)):
        made = tmp_path / f"{name}.mkv"
        write_lossless(made, np.full((2, 32, 32, 3), 128, np.uint8), 6)
        write_lossless(made.with_suffix(".source.mkv"), np.full((2, 32, 32, 3), level, np.uint8), 6)
        digests = {"keyframes": name, "motion": "none"}
        response = Response(name, 0, "answered", medium=str(made), medium_digest=digest_file(made), digests=digests)
        products.append(Product(Sample(name, (), "", ()), 0, Made(made, response)))
    assert products[0].made.response.medium_digest == products[1].made.response.medium_digest
    task = Catalogue().task("video_reconstruction_demo")
    samples = tuple(one.sample for one in products)
    prepared = PreparedTask(task, samples, frozenset({"black", "white"}), "p", "a", "d", (), {})
    workshop = Workshop(prepared, products, 1, tmp_path / "run", Tools(Equipment(), Silence(), {}, {}))
    black, white = (record["score"] for record in workshop.compare("lpips").measured[0].per_sample)
    assert black != white


def test_a_device_that_is_not_there_is_a_sentence(
    tmp_path: Path, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film_task(tmp_path / "tasks", COUNT, features="published", metrics=["fvd"])
    arguments = ["score", "--task", "made_film", "--task-dir", str(tmp_path / "tasks"), "--media", str(media)]
    arguments += ["--data-root", str(tmp_path / "data"), "--output-dir", str(tmp_path / "results")]
    assert main([*arguments, "--device", "cuda:99"]) == 2
    assert "--device cuda:99: this machine has" in capsys.readouterr().err
