"""The wheel carries the tasks and the published numbers, and works where the checkout is not."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_tasks_and_published_numbers(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("tasks", "results/paper", "results/baselines", "checkpoints/canary"):
        for path in (PROJECT / folder).rglob("*"):
            if path.is_file():
                assert f"lavit_eval/shipped/{path.relative_to(PROJECT).as_posix()}" in names
    assert "lavit_eval/py.typed" in names
    assert "lavit_eval/judges/prompts/video_qa.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "perf/", "training/"))]


def test_the_wheel_works_installed_elsewhere(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    script = (
        "import lavit_eval, sys; from lavit_eval.cli import main; print(lavit_eval.__file__);"
        "from lavit_eval.published import published; print(len(published('msvd_qa')) > 0); sys.exit(main(['tasks']))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(site) in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1] == "True"
    assert "msvd_qa_reference" in done.stdout
    assert "derived from MSVD" in done.stdout, "the cards are not in the wheel"


def test_the_lock_names_no_registry() -> None:
    text = (PROJECT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "torch==" in text
