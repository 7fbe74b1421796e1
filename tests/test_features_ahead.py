"""Features beside answering are there before scoring begins and change no score; what goes wrong costs nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lavit_eval import features_ahead
from lavit_eval.engines.options import EngineOptions, Shard
from lavit_eval.errors import UsageError
from lavit_eval.evaluate import answer_run, evaluate, score_run
from lavit_eval.features import extraction
from lavit_eval.features.equipment import Equipment
from lavit_eval.features_ahead import goes_ahead
from lavit_eval.features_process import pack_need, refuse_small_card, unpack_need
from lavit_eval.metrics.backbones.i3d import I3d
from lavit_eval.prospect import foresee
from lavit_eval.recipes import needs_of
from lavit_eval.runs import Run
from tests.film_world import film_task, ids_of, write_benchmark
from tests.filmer import filmer_options

PROJECT = Path(__file__).resolve().parents[1]
COUNT = 8
ON, OFF = EngineOptions(extract_ahead="on"), EngineOptions(extract_ahead="off")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_benchmark(tmp_path / "data", COUNT)
    return tmp_path


def log_of(run: Run) -> str:
    return (run.folder / "run.log").read_text()


def features_of(run: Run) -> dict[str, bytes]:
    folder = run.task_folder("made_film") / "features"
    # A kill may leave the temporary file of a write, which nobody reads: its name begins with a dot.
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def forbid_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("scoring computed features itself")

    monkeypatch.setattr(extraction, "load_network", loaded)


@pytest.mark.parametrize("workers", [None, 2])
def test_features_are_there_before_scoring_and_change_no_byte(
    folder: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None
) -> None:
    task = film_task(folder / "tasks", COUNT)
    options = filmer_options(monkeypatch, folder, task, replace(OFF, workers=workers), "off")
    plain = evaluate(options).run
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(folder / "another cache"))
    prospect = foresee(replace(options, engine=replace(ON, workers=workers), run_id="on"))
    found = answer_run(prospect).run
    assert features_of(found) == features_of(plain)
    forbid_networks(monkeypatch)
    score_run(prospect.prepared, found)
    assert found.scores_path.read_bytes() == plain.scores_path.read_bytes()
    # The task's metrics look at 4 kinds of features of generated media, real ones and texts.
    assert "features beside answering: 48 of 48 looked at, waited" in log_of(found)
    assert "features beside answering" not in log_of(plain)
    assert not (found.folder / "workers").exists()


def test_they_are_extracted_while_others_are_answered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    features = folder / "results" / "runs" / "r" / "tasks" / "made_film" / "features"
    # The last film is made only when features lie there: of 6 films under 3 extractions, and of 8 texts.
    told = {"waits_at": ids_of(COUNT)[-1], "features": str(features), "waits_for": str(6 * 3 + 8)}
    assert evaluate(filmer_options(monkeypatch, folder, task, ON, **told)).complete


@pytest.mark.slow
def test_what_an_earlier_start_journalled_is_extracted_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    features = folder / "results" / "runs" / "r" / "tasks" / "made_film" / "features"
    options = filmer_options(monkeypatch, folder, task, OFF, fails="+".join(ids_of(COUNT)[-2:]))
    answer_run(foresee(options))
    told = {"waits_at": ids_of(COUNT)[-1], "features": str(features), "waits_for": str(6 * 3 + 8)}
    again = replace(filmer_options(monkeypatch, folder, task, ON, **told), retry_failed=True)
    assert evaluate(again).complete


@pytest.mark.slow
def test_bytes_are_equal_with_several_threads_and_a_real_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = folder / "weights"
    weights.mkdir()
    torch.manual_seed(0)
    path = weights / "i3d_pretrained_400.pt"
    torch.save(I3d(1e-5).state_dict(), path)
    fields = {"features": "published", "metrics": ["fvd"], "protocols": {"fvd": "tats"}, "primary": "fvd"}
    equipment = Equipment(weights, frozenset({path.resolve()}), allow_partial=True)
    options = filmer_options(monkeypatch, folder, film_task(folder / "tasks", COUNT, **fields), OFF, "off")
    before = torch.get_num_threads()
    try:
        options = replace(options, equipment=equipment, threads=2, limit=2)
        plain = evaluate(options).run
        monkeypatch.setenv("LAVIT_EVAL_CACHE", str(folder / "another cache"))
        prospect = foresee(replace(options, engine=ON, run_id="on"))
        found = answer_run(prospect).run
        assert len(features_of(found)) == 3
        assert features_of(found) == features_of(plain)
        score_run(prospect.prepared, found, equipment)
        assert found.scores_path.read_bytes() == plain.scores_path.read_bytes()
    finally:
        torch.set_num_threads(before)


RAISES = """
from lavit_eval import features_process
from lavit_eval.features import extraction

def load(*_):
    raise RuntimeError("made to raise")

extraction.load_network = load
features_process.main()
"""
DIES = "import os, signal, sys; sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)"
BABBLES = "print('hello'); input()"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (RAISES, "features beside answering: RuntimeError: made to raise; scoring looks at it again"),
        (DIES, "features beside answering: their process was killed by SIGKILL; scoring looks at it again"),
        (BABBLES, "features beside answering: their process says what is no message; scoring looks at it again"),
    ],
    ids=["raises", "dies", "babbles"],
)
def test_what_goes_wrong_is_said_once_and_scoring_does_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    task = film_task(folder / "tasks", COUNT)
    plain = evaluate(filmer_options(monkeypatch, folder, task, OFF, "off")).run
    monkeypatch.setattr(features_ahead, "COMMAND", (sys.executable, "-P", "-c", script))
    outcome = evaluate(filmer_options(monkeypatch, folder, task, ON, "on"))
    assert outcome.complete
    assert log_of(outcome.run).count(said) == 1
    assert outcome.run.scores_path.read_bytes() == plain.scores_path.read_bytes()


def test_a_process_that_cannot_be_started_costs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    monkeypatch.setattr(features_ahead, "COMMAND", (str(folder / "nowhere"),))
    outcome = evaluate(filmer_options(monkeypatch, folder, task, ON))
    assert outcome.complete
    assert "their process cannot be started (No such file or directory)" in log_of(outcome.run)


@pytest.mark.slow
def test_media_without_features_are_reported_by_scoring(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    told = {"short": "+".join(ids_of(COUNT)[:2])}
    plain = evaluate(filmer_options(monkeypatch, folder, task, OFF, "off", **told)).run
    outcome = evaluate(filmer_options(monkeypatch, folder, task, ON, "on", **told))
    fvd = outcome.scores["tasks"]["made_film"]["metrics"]["fvd"]
    assert [one["sample_id"] for one in fvd["details"]["without_features"]] == ids_of(COUNT)[:2]
    assert log_of(outcome.run).count("8 frames are too few for a clip of 16") == 1
    reasons = [run.scores_path.read_text().replace(f"/{run.id}/", "/r/") for run in (plain, outcome.run)]
    assert reasons[0] == reasons[1]


@pytest.mark.slow
def test_a_medium_removed_meanwhile_is_scored_by_what_was_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    first = ids_of(COUNT)[0]
    one = evaluate(filmer_options(monkeypatch, folder, task, OFF, "off"))
    (name,) = [path.name for path in (one.run.task_folder("made_film") / "media").glob(f"{first}-*.mkv")]
    task_folder = folder / "results" / "runs" / "r" / "tasks" / "made_film"
    told = {
        "waits_at": ids_of(COUNT)[-1],
        "features": str(task_folder / "features"),
        "waits_for": str(6 * 3 + 8),
        "removes": str(task_folder / "media" / name),
    }
    outcome = evaluate(filmer_options(monkeypatch, folder, task, ON, **told))
    assert not Path(told["removes"]).exists()
    assert outcome.run.scores_path.read_bytes() == one.run.scores_path.read_bytes()


def test_nothing_is_waited_for_when_nothing_was_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    monkeypatch.setattr(features_ahead, "COMMAND", (sys.executable, "-P", "-c", "import time; time.sleep(600)"))
    began = time.monotonic()
    outcome = evaluate(filmer_options(monkeypatch, folder, task, ON, fails="+".join(ids_of(COUNT))))
    assert not outcome.complete
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_who_is_not_heard_of_is_not_waited_for_forever(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    monkeypatch.setattr(features_ahead, "COMMAND", (sys.executable, "-P", "-c", "import time; time.sleep(600)"))
    monkeypatch.setattr(features_ahead, "STALLED", 0.5)
    outcome = evaluate(filmer_options(monkeypatch, folder, task, ON))
    assert outcome.complete
    assert "nothing was heard of them for 0.5 s; scoring looks at it again" in log_of(outcome.run)
    assert "0 of 48 looked at" in log_of(outcome.run)


def test_few_wait_at_most(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    prospect = foresee(filmer_options(monkeypatch, folder, task, OFF))
    found = answer_run(prospect)
    ahead = features_ahead.Ahead(prospect, found.run, (sys.executable, "-c", "import time; time.sleep(600)"), 20)
    try:
        ahead.begin()
        ahead.batch("made_film", list(found.run.entries("made_film").values()))
        assert ahead.waiting == 20
    finally:
        ahead.stop()


SLOW = """
import sys, time
from lavit_eval import features_process
from lavit_eval.metrics.backbones.demo import DemoNetwork

for name in ("clip", "frames", "caption"):
    def slow(self, given, compute=getattr(DemoNetwork, name)):
        time.sleep(0.2)
        return compute(self, given)
    setattr(DemoNetwork, name, slow)
features_process.main()
"""
RUN = """
import sys
from lavit_eval import features_ahead, registry
from lavit_eval.cli import main

features_ahead.COMMAND = (sys.executable, "-P", "-c", sys.argv[1])
registry.BUILT_IN["model"]["filmer"] = "tests.filmer:Filmer"
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGKILL", -9)])
def test_an_end_leaves_no_process_and_no_half_feature(
    folder: Path, monkeypatch: pytest.MonkeyPatch, sent: str, code: int
) -> None:
    film_task(folder / "tasks", COUNT)
    run = Run(folder / "results" / "runs" / "r")
    features = run.task_folder("made_film") / "features"
    command = ["run", "--model", "filmer", "--tasks", "made_film", "--task-dir", str(folder / "tasks"), "--run-id", "r"]
    command += ["--data-root", str(folder / "data"), "--output-dir", str(folder / "results"), "--threads", "1"]
    stop = f"waits_at={ids_of(COUNT)[-1]},waits_for=2,features={features},signals={sent}"
    told = [*command, "--extract-ahead", "on", "--model-args", stop]
    process = subprocess.Popen([sys.executable, "-c", RUN, SLOW, *told], cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    children = []
    while process.poll() is None:
        children = _children(process.pid) or children
        time.sleep(0.05)
    assert process.stderr is not None
    assert process.returncode == code, process.stderr.read()
    assert children
    deadline = time.monotonic() + 60
    while any(map(_lives, children)):
        assert time.monotonic() < deadline, "the process of features outlives its run"
        time.sleep(0.05)
    again = subprocess.run(
        [sys.executable, "-c", RUN, SLOW, *command, "--extract-ahead", "off"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    calm = evaluate(filmer_options(monkeypatch, folder, film_task(folder / "tasks", COUNT), OFF, "calm")).run
    assert features_of(run) == features_of(calm)
    assert run.scores_path.read_bytes() == calm.scores_path.read_bytes()


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_exception_of_the_run_ends_the_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = film_task(folder / "tasks", COUNT)
    spawned = []
    start = features_ahead.Ahead._spawned

    def noted(self: features_ahead.Ahead) -> subprocess.Popen[bytes]:
        spawned.append(start(self))
        return spawned[-1]

    monkeypatch.setattr(features_ahead.Ahead, "_spawned", noted)
    told = {"waits_at": ids_of(COUNT)[0], "features": "/nowhere", "waits_for": "not a number"}
    with pytest.raises(ValueError, match="not a number"):
        evaluate(filmer_options(monkeypatch, folder, task, ON, **told))
    assert [process.returncode is not None for process in spawned] == [True]


def test_auto_goes_ahead_on_a_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = filmer_options(monkeypatch, folder, film_task(folder / "tasks", COUNT), EngineOptions())
    card = replace(base, equipment=Equipment(device="cuda:0"), batch_size=8)
    assert goes_ahead(card)
    assert not goes_ahead(replace(card, batch_size=None)), "sizes that were found by trying leave no room"
    assert not goes_ahead(base)
    assert not goes_ahead(replace(base, engine=EngineOptions(workers=2)))
    assert goes_ahead(replace(base, engine=ON))
    assert not goes_ahead(replace(card, engine=OFF))
    assert not goes_ahead(replace(card, engine=EngineOptions(shard=Shard(1, 2)))), "a shard does not score"
    assert not goes_ahead(replace(card, engine=replace(ON, shard=Shard(1, 2))))


def test_a_small_card_is_not_shared_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        total_memory = 24_000_000_000

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Card)
    with pytest.raises(UsageError, match="cuda:0 has 24 GB, too few to be shared with a model"):
        refuse_small_card("cuda:0", features_ahead.LEAST_CARD_BYTES)
    refuse_small_card("cuda:0", 0)
    refuse_small_card("cpu", features_ahead.LEAST_CARD_BYTES)


def test_needs_are_the_same_on_both_sides(folder: Path) -> None:
    for name in ("fvd", "clipsim_vitb16", "fid_clip"):
        for features in ("demo", "published"):
            task = film_task(folder / "tasks", COUNT, features=features)
            for need in needs_of(task, name).values():
                assert unpack_need(pack_need(need, folder)) == need
                assert unpack_need(pack_need(need, folder)).extraction() == need.extraction()
