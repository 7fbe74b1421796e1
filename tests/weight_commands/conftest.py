"""What the tests of the commands about weight files share: a server, a folder, a catalogue and the command."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lavit_eval import downloads, weights
from lavit_eval.cli import main
from lavit_eval.weights import WeightFile, git_blob_id
from tests.weight_commands.server import REFUSED, Catalogue, Run, Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "PAUSES", (0.0, 0.0))
    # A proxy of the environment must not stand between this machine and itself.
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights folder; files of the catalogue are set by `catalogue`."""
    monkeypatch.delenv("LAVIT_EVAL_WEIGHTS", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return Path(os.environ["LAVIT_EVAL_CACHE"]) / "weights"


@pytest.fixture
def refused(tmp_path: Path) -> WeightFile:
    path = tmp_path / "refused"
    path.write_bytes(REFUSED)
    return WeightFile("bad.pt", (), "MIT", "nothing", git_blob=git_blob_id(path), refused_because="is another network")


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch, refused: WeightFile) -> Catalogue:
    def known(*files: WeightFile) -> None:
        monkeypatch.setattr(weights, "CATALOGUE", (*files, refused))

    return known


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        result = main(["weights", *map(str, arguments)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err and "internal error" not in captured.err, captured.err
        return result, captured.out, captured.err

    return command
