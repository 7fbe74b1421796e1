"""The command line as a user meets it: exit codes, one-sentence errors, what stands on the screen."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lavit_eval.cli import main
from lavit_eval.interruption import Interrupted, Interruption
from tests.tiny_world import Echo, msvd_task, write_msvd


def _arguments(tmp_path: Path, *more: str, model: str = "constant", samples: int = 24) -> list[str]:
    msvd_task(samples, tmp_path / "tasks")
    folders = [
        "--task-dir",
        str(tmp_path / "tasks"),
        "--data-root",
        str(tmp_path / "data"),
        "--output-dir",
        str(tmp_path / "out"),
    ]
    return ["run", "--model", model, "--tasks", "made_qa", *folders, *more]


def _run(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return code, captured.out, captured.err


def test_a_run_prints_its_table_and_writes_the_leaderboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_msvd(tmp_path / "data")
    code, out, _ = _run(capsys, _arguments(tmp_path, "--model-args", "answer=cat"))
    assert code == 0
    assert "made_qa" in out
    assert "50.0" in out
    for suffix in ("md", "csv", "json"):
        assert "made_qa" in (tmp_path / "out" / f"leaderboard.{suffix}").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--tasks", "msvd_qq"], "Did you mean msvd_qa"),
        (["--model", "video_lavit"], "Did you mean video-lavit"),
        (["--suite", "dem"], "Did you mean demo|either --tasks or --suite"),
        (["--limit", "0"], "at least 1"),
        (["--batch-size", "some"], "at least 1"),
        (["--model-args", "answer"], "K=V"),
        (["--model-args", "answr=x"], "answr"),
        (["--nonsense"], "nonsense"),
        (["--data-root", "nowhere"], "no data folder nowhere.*--data-root DIR"),
        (["--task-dir", "nowhere"], "does not exist"),
        (["--model", "video-lavit"], "--checkpoint"),
        (["--model", "video-lavit", "--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_a_users_mistake_is_a_sentence_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    import re

    write_msvd(tmp_path / "data")
    code, out, err = _run(capsys, _arguments(tmp_path, *more))
    assert code == 2
    assert out == ""
    assert re.search(said, err), err
    assert all(line.startswith("lavit-eval: ") for line in err.strip().splitlines())


def test_failed_samples_give_exit_3_and_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], echo: type[Echo]
) -> None:
    write_msvd(tmp_path / "data")
    echo.fails = {"101"}
    code, out, err = _run(capsys, _arguments(tmp_path, model="echo"))
    assert code == 3
    assert "partial" in out
    assert "1 of 24 responses are missing" in err


def test_an_internal_error_gives_exit_5_and_keeps_its_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], echo: type[Echo]
) -> None:
    write_msvd(tmp_path / "data")
    echo.dies_at = "302"
    code, _, err = _run(capsys, _arguments(tmp_path, model="echo"))
    assert code == 5
    assert "internal error (RuntimeError: made to die)" in err
    assert "Traceback" in (tmp_path / "out" / "run.log").read_text()


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_msvd(tmp_path / "data")
    code, out, _ = _run(capsys, _arguments(tmp_path, "--dry-run", "--limit", "5"))
    assert code == 0
    assert "made_qa: 5 of 24 samples, 0 media missing" in out
    assert "would begin" in out
    assert not (tmp_path / "out").exists()
    code, out, _ = _run(capsys, _arguments(tmp_path, "--dry-run", samples=25))
    assert code == 2
    assert "official test split has 25" in out


def test_a_probe_estimates_time_and_disk_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], echo: type[Echo]
) -> None:
    write_msvd(tmp_path / "data")
    code, out, _ = _run(capsys, _arguments(tmp_path, "--dry-run", "--probe", model="echo"))
    assert code == 0
    assert "probe: 10 samples in " in out
    assert re.search(r"made_qa: about \d+ s, 0\.0 MB\n", out)
    assert re.search(r"in all: about \d+ s, 0\.0 MB; the whole plan, without scoring", out)
    # One sample warms up.
    assert len(echo.asked) == 11
    assert not (tmp_path / "out").exists()
    code, _, err = _run(capsys, _arguments(tmp_path, "--probe"))
    assert (code, "--probe belongs to --dry-run" in err) == (2, True)


def test_answers_made_elsewhere_are_a_normal_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = write_msvd(tmp_path / "data")
    msvd_task(count, tmp_path / "tasks")
    rows = json.loads((tmp_path / "data" / "MSVD-QA" / "test_qa.json").read_text())
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"sample_id": str(row["id"]), "text": row["answer"]}) + "\n" for row in rows))
    base = ["score", "--task", "made_qa", "--task-dir", str(tmp_path / "tasks"), "--data-root", str(tmp_path / "data")]
    base += ["--output-dir", str(tmp_path / "out"), "--answers", str(answers)]
    code, out, _ = _run(capsys, [*base, "--label", "mine"])
    assert code == 0
    assert "100.0" in out
    assert "mine" in out
    answers.write_text("\n".join(answers.read_text().splitlines()[:-1]) + "\n")
    code, _, err = _run(capsys, base)
    assert code == 3
    assert "1 of 24" in err
    for broken, said in [
        ('{"sample_id": "9", "text": "x"}', "belong to no sample"),
        ("nonsense", ":24: not JSON"),
        ('{"sample_id": "100", "text": "x"}', ":24: a second answer"),
        ('{"sample_id": "603"}', ":24: expected"),
    ]:
        wrong = tmp_path / "wrong.jsonl"
        wrong.write_text(answers.read_text() + broken + "\n")
        code, _, err = _run(capsys, [*base[:-1], str(wrong)])
        assert code == 2, said
        assert said in err


def test_a_run_is_scored_again_without_its_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], echo: type[Echo]
) -> None:
    write_msvd(tmp_path / "data")
    assert main(_arguments(tmp_path, "--run-id", "r", model="echo")) == 0
    scores = tmp_path / "out" / "runs" / "r" / "scores.json"
    before = scores.read_bytes()
    scores.unlink()
    echo.asked.clear()
    again = ["score", "r", "--output-dir", str(tmp_path / "out"), "--task-dir", str(tmp_path / "tasks")]
    assert _run(capsys, again)[0] == 0
    assert scores.read_bytes() == before
    assert not echo.asked
    msvd_task(24, tmp_path / "tasks", prompt="Say: {question}")
    code, _, err = _run(capsys, again)
    assert code == 2
    assert "asks otherwise today" in err
    (tmp_path / "data" / "MSVD-QA" / "video" / "vid1.avi").write_bytes(b"other")
    msvd_task(24, tmp_path / "tasks")
    code, _, err = _run(capsys, again)
    assert code == 2
    assert "are others than those" in err


def test_runs_and_leaderboard_list_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--output-dir", str(tmp_path / "out")]
    assert "No runs" in _run(capsys, ["runs", *output])[1]
    assert _run(capsys, ["leaderboard", *output])[0] == 2
    write_msvd(tmp_path / "data")
    assert main(_arguments(tmp_path, "--run-id", "r")) == 0
    capsys.readouterr()
    out = _run(capsys, ["runs", *output])[1]
    assert "finished" in out
    assert "constant" in out
    assert "made_qa" in _run(capsys, ["leaderboard", *output])[1]


def test_an_interruption_waits_for_the_write_under_way() -> None:
    interruption = Interruption()
    seen = []

    def write() -> None:
        with interruption.shielded():
            signal.raise_signal(signal.SIGTERM)
            seen.append("written")
        seen.append("never")

    with interruption.handled(), pytest.raises(Interrupted) as caught:
        write()
    assert seen == ["written"]
    assert caught.value.exit_code == 143


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from lavit_eval import __version__

    assert _run(capsys, ["--version"])[1].strip() == f"lavit-eval {__version__}"


def test_pruning_frees_files_and_keeps_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_msvd(tmp_path / "data")
    assert main(_arguments(tmp_path, "--run-id", "r")) == 0
    media = tmp_path / "out" / "runs" / "r" / "tasks" / "made_qa" / "media"
    media.mkdir()
    for name in ("a.mkv", "a.source.mkv", "a.preview.mp4", "b.png"):
        (media / name).write_bytes(b"x" * 1000)
    output = ["--output-dir", str(tmp_path / "out")]
    code, _, _ = _run(capsys, ["runs", *output, "prune", "r", "--keep", "preview"])
    assert (code, sorted(path.name for path in media.iterdir())) == (0, ["a.preview.mp4", "b.png"])
    assert _run(capsys, ["runs", *output, "prune", "r", "--keep", "none"])[0] == 0
    assert not list(media.iterdir())
    scores = tmp_path / "out" / "runs" / "r" / "scores.json"
    assert scores.is_file()
    scores.unlink()
    code, _, err = _run(capsys, ["runs", *output, "prune", "r", "--keep", "none"])
    assert (code, "not scored yet" in err) == (2, True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--suite", "demo", "--label", "x"], "runs several models"),
        (["--suite", "demo", "--model", "constant", "--data-root", "d"], "leave out --data-root"),
        (["--model", "constant", "--tasks", "msvd_qa", "--checkpoint", "d"], "has no checkpoint"),
        (["--model", "constant", "--tasks", "msvd_qa", "--device", "tpu"], "neither cpu nor cuda"),
        (["--model", "constant", "--tasks", "msvd_qa", "--dtype", "int8"], "not one of float32"),
        (["--model", "nope", "--tasks", "msvd_qa"], "Known: constant, external"),
    ],
)
def test_flags_without_effect_are_refused(capsys: pytest.CaptureFixture[str], more: list[str], said: str) -> None:
    code, _, err = _run(capsys, ["run", *more])
    assert code == 2
    assert said in err


def test_values_of_model_arguments_may_hold_commas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_msvd(tmp_path / "data")
    assert main(_arguments(tmp_path, "--run-id", "r", "--model-args", "answer=cat, or dog")) == 0
    line = (tmp_path / "out" / "runs" / "r" / "tasks" / "made_qa" / "journal.jsonl").read_text().splitlines()[0]
    assert json.loads(line)["text"] == "cat, or dog"


def test_answers_of_repeats_and_beyond_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    msvd_task(write_msvd(tmp_path / "data"), tmp_path / "tasks")
    rows = json.loads((tmp_path / "data" / "MSVD-QA" / "test_qa.json").read_text())
    answers = tmp_path / "answers.jsonl"
    lines = [{"sample_id": str(row["id"]), "text": "a\u2028b", "repeat": repeat} for row in rows for repeat in (0, 1)]
    answers.write_text("\ufeff" + "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    base = ["score", "--task", "made_qa", "--task-dir", str(tmp_path / "tasks"), "--data-root", str(tmp_path / "data")]
    base += ["--output-dir", str(tmp_path / "out"), "--answers", str(answers)]
    code, _, err = _run(capsys, base)
    assert (code, "--repeats 2" in err) == (2, True)
    assert not (tmp_path / "out" / "runs").exists()
    assert _run(capsys, [*base, "--repeats", "2"])[0] == 0
    assert _run(capsys, [*base, "--repeats", "2", "--limit", "2"])[0] == 0


def test_a_reader_that_has_seen_enough_is_no_bug_of_ours() -> None:
    script = "import sys\nfrom lavit_eval.cli import main\nsys.exit(main(['tasks']))\n"
    process = subprocess.Popen([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (141, b"")
