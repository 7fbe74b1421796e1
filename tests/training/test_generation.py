"""The whole training of the generating half, a few steps of each stage: what it writes is loaded and makes videos."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.models.video_lavit.generation_loading import READERS, read_part
from lavit_eval.models.video_lavit.maker import Maker
from lavit_eval.models.video_lavit.parts import Parts
from lavit_eval.registry import Catalogue
from tests.models.video_lavit.making import order, pixels
from training.generation import FOLDER, POINTS, train_generation
from training.generation_recipe import BRIEF_GENERATION, STAGES
from training.judge_generation import TASK
from training.train import main as train

TASKS = Path(__file__).resolve().parents[2] / "training" / "tasks"
LIMIT = 20_000_000
"""Bytes of a checkpoint with both halves."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train_generation(out, BRIEF_GENERATION)
    return out / FOLDER


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_broken_off_training_goes_on_to_equal_bytes(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "data", tmp_path / FOLDER / "data")
    for stage in STAGES[::2]:
        train_generation(tmp_path, BRIEF_GENERATION, until=stage, pause=1)
    train_generation(tmp_path, BRIEF_GENERATION)
    for point in POINTS:
        whole, parted = (contents(root / "checkpoints" / point) for root in (trained, tmp_path / FOLDER))
        assert whole == parted


@pytest.mark.slow
def test_every_part_of_every_checkpoint_can_be_loaded(trained: Path) -> None:
    for point in POINTS:
        root = trained / "checkpoints" / point
        for name in READERS:
            read_part(name, root).load(torch.float32)
        assert sum(len(content) for content in contents(root).values()) < LIMIT
    names = ("image_detokenizer", "video_detokenizer", "language_model")
    early, final = (contents(trained / "checkpoints" / point) for point in ("early", "final"))
    for name in names:
        assert any(early[path] != final[path] for path in early if path.startswith(f"{name}/")), name


@pytest.mark.slow
def test_a_checkpoint_makes_videos_by_the_real_path(trained: Path, tmp_path: Path) -> None:
    root, text = trained / "checkpoints" / "final", "a red square moves to the left"
    maker = Maker(root, Parts(root, torch.device("cpu"), torch.float32), Arguments.parse({}))
    for name, task in (("demo", Catalogue().task("msrvtt_t2v_demo")), ("judged", Catalogue([TASKS]).task(TASK))):
        assert isinstance(task.generation, dict)
        request = order(tmp_path, name, "generate_video", text, **task.generation)
        (response,) = maker.respond([request])
        assert (response.outcome, response.error) == ("answered", None)
        assert pixels(tmp_path, response).shape == (24, 64, 64, 3)
        assert json.loads(str(response.text))["prompt"] == text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["generation", "--until", "films"], "There is no stage 'films'"),
        (["generation", "--steps", "films=2"], "STAGE=NUMBER"),
        (["generation", "--understanding", "nowhere"], "nowhere"),
        (["generation", "--device", "tpu"], "no device"),
        (["understanding", "--device", "cuda"], "are for generation"),
        (["understanding", "--until", "film"], "There is no stage 'film'"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train([*arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
