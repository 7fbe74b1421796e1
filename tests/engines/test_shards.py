"""Shards: fixed shares of one run, which coexist, do not score, and are merged by what they wrote."""

from __future__ import annotations

import dataclasses
import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from lavit_eval import claiming
from lavit_eval.answering import lacking_shards, owned
from lavit_eval.cli import main
from lavit_eval.engines.options import EngineOptions, Shard, parse_devices, parse_shard
from lavit_eval.errors import UsageError
from lavit_eval.evaluate import answer_run, evaluate, score_run
from lavit_eval.files import write_first
from lavit_eval.journal import Entry, JournalWriter, Standing, journal_path, merge, read_journal
from lavit_eval.prospect import RunOptions, foresee
from lavit_eval.runs import Run
from lavit_eval.sample import Response
from tests.tiny_world import Echo, msvd_task, options_for, write_msvd


@pytest.fixture
def options(tmp_path: Path, echo: type[Echo]) -> RunOptions:
    count = write_msvd(tmp_path / "data")
    return options_for(msvd_task(count, tmp_path / "tasks"), tmp_path / "data", tmp_path / "results", run_id="r")


def _shard(options: RunOptions, index: int, of: int) -> RunOptions:
    return dataclasses.replace(options, engine=EngineOptions(shard=Shard(index, of)))


def _scores(options: RunOptions) -> bytes:
    return (options.output / "runs" / str(options.run_id) / "scores.json").read_bytes()


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", ""])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not I/N with I from 1 to N"):
        parse_shard(text, {})


def test_a_share_is_taken_from_torchrun_or_slurm() -> None:
    array = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "5"}
    step = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}
    assert parse_shard("2/3", array) == Shard(2, 3)
    assert parse_shard("auto", {"RANK": "1", "WORLD_SIZE": "2", **array}) == Shard(2, 2)
    assert parse_shard("auto", {**array, **step}) == Shard(3, 4)
    assert parse_shard("auto", step) == Shard(1, 2)
    with pytest.raises(UsageError, match="write --shard I/N"):
        parse_shard("auto", {})
    with pytest.raises(UsageError, match="number a Slurm array without gaps"):
        parse_shard("auto", {**array, "SLURM_ARRAY_TASK_ID": "9"})


def test_devices() -> None:
    assert parse_devices("cuda:0, cuda:1", environment={}) == ["cuda:0", "cuda:1"]
    assert parse_devices("cuda", environment={"LOCAL_RANK": "3"}) == ["cuda:3"]
    assert parse_devices("cuda", environment={}) == ["cuda"]
    for text, said in (("tpu", "neither cpu nor"), ("cpu,cpu", "names a device twice"), ("cuda:0,", "neither cpu nor")):
        with pytest.raises(UsageError, match=said):
            parse_devices(text, environment={})


@pytest.mark.parametrize("of", [1, 2, 3, 8, 20])
def test_shares_are_disjoint_and_whole_whatever_the_order_of_tasks(options: RunOptions, of: int) -> None:
    plan = foresee(options).plans["made_qa"]
    plans = {"b": plan, "a": plan}
    shares = [owned(plans, Shard(index, of)) for index in range(1, of + 1)]
    for name in plans:
        numbers = [number for share in shares for number in share[name]]
        assert sorted(numbers) == [batch.number for batch in plan.batches()]
    sizes = [sum(map(len, share.values())) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert [owned(dict(reversed(plans.items())), Shard(index, of)) for index in range(1, of + 1)] == shares


def test_shards_answer_their_parts_and_the_run_is_that_of_one_process(options: RunOptions) -> None:
    calm = dataclasses.replace(options, run_id="calm")
    evaluate(calm)
    Echo.reset()
    unnamed = dataclasses.replace(options, output=options.output / "unnamed", run_id=None)
    first = foresee(_shard(unnamed, 1, 2))
    found = answer_run(first)
    assert found.scores is None
    assert len(Echo.asked) == 12
    assert lacking_shards(found.run, first.prepared) == ["2/2"]
    with pytest.raises(UsageError, match=r"no response to 12 requests of made_qa yet \(of shards 2/2\)"):
        score_run(first.prepared, found.run)
    second = answer_run(foresee(_shard(unnamed, 2, 2)))
    assert second.run.folder == found.run.folder
    assert lacking_shards(found.run, first.prepared) == []
    assert len(set(Echo.asked)) == len(Echo.asked) == 24
    score_run(first.prepared, found.run)
    assert found.run.scores_path.read_bytes() == _scores(calm)
    late = answer_run(foresee(_shard(unnamed, 1, 2)))
    assert late.scores is not None


def test_any_number_of_drivers_goes_on_where_others_stood(options: RunOptions) -> None:
    answer_run(foresee(_shard(options, 2, 3)))
    before = journal_path(options.output / "runs" / "r" / "tasks" / "made_qa", "shard-2-of-3").read_bytes()
    answer_run(foresee(_shard(options, 1, 2)))
    assert len(set(Echo.asked)) == len(Echo.asked)
    outcome = evaluate(options)
    assert outcome.complete
    assert len(set(Echo.asked)) == len(Echo.asked) == 24
    journals = {path.name: path for path in outcome.run.task_folder("made_qa").glob("journal*.jsonl")}
    assert set(journals) == {"journal.jsonl", "journal-shard-1-of-2.jsonl", "journal-shard-2-of-3.jsonl"}
    assert journals["journal-shard-2-of-3.jsonl"].read_bytes() == before


def test_failures_of_shards_are_asked_again_by_a_driver_of_the_whole(options: RunOptions) -> None:
    Echo.fails = {"101", "500"}
    for index in (1, 2):
        answer_run(foresee(_shard(options, index, 2)))
    Echo.reset()
    outcome = evaluate(dataclasses.replace(options, retry_failed=True))
    assert Echo.asked == [("101", 0), ("500", 0)]
    assert outcome.complete


def test_shards_of_one_partition_coexist_and_other_drivers_wait(options: RunOptions) -> None:
    answer_run(foresee(_shard(options, 1, 3)))
    folder = options.output / "runs" / "r" / "tasks" / "made_qa"
    with JournalWriter(journal_path(folder, "shard-1-of-3")):
        with pytest.raises(UsageError, match=r"Another process is writing .*shard-1-of-3"):
            evaluate(options)
        with pytest.raises(UsageError, match="must be I/N of the same N"):
            answer_run(foresee(_shard(options, 1, 2)))
        with pytest.raises(UsageError, match=r"Another process is writing .*shard-1-of-3"):
            answer_run(foresee(_shard(options, 1, 3)))
        answer_run(foresee(_shard(options, 2, 3)))
    with JournalWriter(journal_path(folder)), pytest.raises(UsageError, match="Another process is writing"):
        answer_run(foresee(_shard(options, 3, 3)))
    with JournalWriter(journal_path(folder, "shard-3-of-3")), pytest.raises(UsageError, match="Another process"):
        evaluate(dataclasses.replace(options, fresh=True))


def test_one_manifest_has_one_first_writer(options: RunOptions, tmp_path: Path) -> None:
    assert write_first(tmp_path / "m.json", {"by": 1})
    assert not write_first(tmp_path / "m.json", {"by": 2})
    assert json.loads((tmp_path / "m.json").read_text()) == {"by": 1}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_driver_that_comes_second_goes_on_in_the_first_ones_run(
    options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    prospect = foresee(_shard(options, 2, 2))
    choose, raced = claiming.choose_run, []

    def choose_late(prospect: object) -> object:
        choice = choose(prospect)  # type: ignore[arg-type]
        if not raced:
            raced.append(choice)
            monkeypatch.setattr(claiming, "choose_run", choose)
            # Another machine, where the lock of the output folder does not hold, begins the run just now.
            answer_run(foresee(_shard(options, 1, 2)))
        return choice

    with monkeypatch.context() as blind:
        blind.setattr(claiming, "_choosing", lambda runs: nullcontext())
        monkeypatch.setattr(claiming, "choose_run", choose_late)
        answer_run(prospect)
    assert raced
    assert evaluate(options).complete
    assert len(set(Echo.asked)) == len(Echo.asked) == 24


def test_a_clock_that_is_wrong_splits_no_run(options: RunOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    unnamed = dataclasses.replace(options, run_id=None)
    first = answer_run(foresee(_shard(unnamed, 1, 2)))
    path = first.run.folder / "manifest.json"
    for year in ("1970", "2199"):
        manifest = json.loads(path.read_text())
        manifest["created"] = f"{year}-01-01T00:00:00.000+00:00"
        path.write_text(json.dumps(manifest))
        assert answer_run(foresee(_shard(unnamed, 2, 2))).run.folder == first.run.folder
    assert len(Echo.asked) == 24


def _entry(text: str, attempt: int = 1, batch: int = 0, outcome: str = "answered") -> Entry:
    return Entry(attempt, batch, 1, Response("s", 0, outcome, text=text))  # type: ignore[arg-type]


def test_of_duplicates_the_first_line_counts_and_differences_are_listed() -> None:
    merged = merge([_entry("a"), _entry("a"), _entry("b"), _entry("c", attempt=2)])
    assert merged.entries == {("s", 0): _entry("c", attempt=2)}
    assert (merged.duplicates, merged.differing) == (2, (("s", 0, 1),))
    assert merge([_entry("a"), _entry("a")]).differing == ()


def test_duplicates_that_differ_stand_in_the_scores(options: RunOptions) -> None:
    run = evaluate(options).run
    clean = _scores(options)
    folder = run.task_folder("made_qa")
    batch = [entry.response for entry in read_journal(folder / "journal.jsonl").entries[:3]]
    with JournalWriter(journal_path(folder, "shard-1-of-2")) as writer:
        writer.append(1, 0, batch)
    prepared = foresee(options).prepared
    score_run(prepared, run)
    assert _scores(options) == clean, "equal duplicates say nothing"
    with JournalWriter(journal_path(folder, "shard-2-of-2")) as writer:
        writer.append(1, 0, [dataclasses.replace(batch[0], text="other"), *batch[1:]])
    assert (
        json.loads(clean)["tasks"]["made_qa"]["responses"] == score_run(prepared, run)["tasks"]["made_qa"]["responses"]
    )
    noted = json.loads(_scores(options))["tasks"]["made_qa"]["differing_duplicates"]
    assert noted == {"count": 1, "first_counts": [{"sample_id": "100", "repeat": 0, "attempt": 1}]}
    assert "6 responses stand twice, 1 of them differ" in (run.folder / "run.log").read_text()


def test_a_standing_needs_no_responses_to_know_what_failed() -> None:
    standing = Standing(
        [_entry("a", outcome="failed"), _entry("b", attempt=2, outcome="failed"), _entry("c", attempt=3)]
    )
    assert (standing.attempt, standing.done) == (3, {(1, 0), (2, 0), (3, 0)})
    assert [standing.failed_before(attempt) for attempt in (1, 2, 3, 4)] == [set(), {("s", 0)}, {("s", 0)}, set()]


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out + said.err


def test_the_command_line_of_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_msvd(tmp_path / "data")
    msvd_task(24, tmp_path / "tasks")
    task = ["--task-dir", str(tmp_path / "tasks"), "--data-root", str(tmp_path / "data")]
    output = ["--output-dir", str(tmp_path / "out")]
    run = ["run", "--model", "constant", "--tasks", "made_qa", "--batch-size", "4", "--run-id", "r", *task, *output]
    code, said = _run(capsys, *run, "--shard", "1/2")
    assert code == 0
    assert "Shard 1/2 is answered" in said
    assert "shards 2/2 lack still; then score: lavit-eval score" in said
    code, said = _run(capsys, "score", "r", *task, *output)
    assert (code, "of shards 2/2" in said) == (2, True)
    code, said = _run(capsys, *run, "--shard", "2/2")
    assert (code, "all shards are answered" in said) == (0, True)
    code, said = _run(capsys, "score", "r", *task, *output)
    assert (code, "made_qa" in said) == (0, True)
    code, said = _run(capsys, *run, "--shard", "2/2")
    assert (code, "Was finished before" in said) == (0, True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--shard", "3/2"], "--shard '3/2' is not I/N"),
        (["--shard", "1/2", "--fresh"], "give the shards a new --run-id"),
        (["--shard", "1/2", "--judge-model", "m"], "then `lavit-eval judge RUN"),
        (["--shard", "1/2", "--retry-failed"], "finish the shards, then give it without --shard"),
        (["--shard", "1/2", "--extract-ahead", "on"], "A shard does not score, and features are extracted by"),
        (["--extract-ahead", "maybe"], "'maybe'"),
        (["--ray-address", "auto"], "--ray-address belongs to --engine ray"),
        (["--engine", "ray", "--device", "cuda:0,cuda:1"], "give --device cuda, and --workers N"),
        (["--engine", "ray", "--ray-address", "nonsense"], "is not HOST:PORT"),
        (["--engine", "ray", "--ray-address", "127.0.0.1:1"], "No Ray cluster answers at 127.0.0.1:1 ("),
        (["--device", "cuda:all"], "no GPU is visible here"),
        (["--timeout", "0"], "seconds above 0"),
        (["--workers", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: list[str], said: str
) -> None:
    if "ray" in more:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    if "cuda:all" in more:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_msvd(tmp_path / "data")
    msvd_task(24, tmp_path / "tasks")
    output = tmp_path / "out"
    given = ["run", "--model", "constant", "--tasks", "made_qa", "--task-dir", str(tmp_path / "tasks")]
    code, text = _run(capsys, *given, "--data-root", str(tmp_path / "data"), "--output-dir", str(output), *more)
    assert code == 2
    assert said in text
    assert not Run(output).folder.exists()
