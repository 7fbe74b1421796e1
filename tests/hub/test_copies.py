"""Each benchmark's hub rows become the official layout, which its own reader then reads; ids are tried in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.cli import main
from lavit_eval.errors import UsageError
from lavit_eval.hub import HubCopy, hub_copies
from lavit_eval.hub.copies import hub_copy
from lavit_eval.hub.layouts import LAYOUTS
from lavit_eval.hub.rows import locate
from lavit_eval.preparation import media_places, read_samples
from lavit_eval.registry import Catalogue
from lavit_eval.sample import Sample
from lavit_eval.task import HubSource, Task
from tests.hub import copies_of_rows as rows
from tests.hub.copies_of_rows import BLUE, RED, Rows, write_copy

CASES: dict[str, tuple[Rows, str]] = {
    "vqav2": (rows.VQAV2, "900001000"),
    "okvqa": (rows.OKVQA, "9000115"),
    "gqa": (rows.GQA, "90000001"),
    "vizwiz_vqa": (rows.VIZWIZ, "VizWiz_val_00009001.jpg"),
    "scienceqa_img": (rows.SCIENCEQA, "hub-"),
    "mme": (rows.MME, "existence/0001#1"),
    "mmbench": (rows.MMBENCH, "9001"),
    "seed_bench_image": (rows.SEED, "900001"),
    "mmvet": (rows.MMVET, "v1_900"),
    "pope": (rows.POPE, "random/1"),
    "flickr30k_karpathy_test": (rows.FLICKR, "900001"),
    "activitynet_qa": (rows.ACTIVITYNET, "v_AbCdEfGhIjK_3"),
    "nextqa_mc": (rows.NEXTQA, "9000000001_6"),
    "video_mme": (rows.VIDEO_MME, "901-1"),
    "perception_test_mc": (rows.PERCEPTION, "video_900_0"),
    "egoschema": (rows.EGOSCHEMA, "0000-aa"),
}


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAVIT_EVAL_CACHE", str(tmp_path / "cache"))


def task_at(name: str, *folders: Path, **fields: Any) -> Task:
    """Return a shipped task that takes its rows from folders."""
    task = Catalogue().task(name)
    assert task.hub is not None
    hub = task.hub.model_copy(update={"ids": tuple(map(str, folders)), **fields})
    return task.model_copy(update={"hub": hub})


def written(name: str, folder: Path, given: Rows | None = None) -> Task:
    """Write a task's hub copy into a folder, and return the task."""
    task = task_at(name, folder)
    assert task.hub is not None
    write_copy(folder, {task.hub.split: CASES[name][0] if given is None else given}, task.hub.config)
    if task.hub.images:
        write_copy(folder, {task.hub.split: rows.GQA_IMAGES}, task.hub.images)
    return task


def samples_of(task: Task, data_root: Path) -> tuple[HubCopy, tuple[Sample, ...]]:
    copy = hub_copy(task, data_root)
    return copy, read_samples(task, copy.root).samples


@pytest.mark.parametrize("name", CASES)
def test_rows_are_read_by_the_benchmarks_own_reader(name: str, tmp_path: Path) -> None:
    task = written(name, tmp_path / "copy")
    (tmp_path / "data").mkdir()
    copy, samples = samples_of(task, tmp_path / "data")
    assert samples[0].id.startswith(CASES[name][1])
    assert copy.record["commit"].startswith("files-")
    if not LAYOUTS[task.benchmark].videos:
        assert all(Path(path).is_file() for path in media_places(samples).values())


def test_every_layout_has_a_case() -> None:
    named = {Catalogue().task(name).benchmark for name in CASES}
    assert named == set(LAYOUTS)
    hubs = {task.benchmark for task in Catalogue().tasks() if task.hub is not None}
    assert hubs == set(LAYOUTS)


def test_images_are_the_hubs_bytes(tmp_path: Path) -> None:
    _, samples = samples_of(written("vqav2", tmp_path / "copy"), tmp_path)
    assert {sample.media[0].name for sample in samples} == {"val2014/COCO_val2014_000000900001.jpg"}
    assert Path(samples[0].media[0].path).read_bytes() == RED["bytes"]
    assert samples[0].references == ("red",) * 10


def test_a_table_holds_an_image_once_and_texts_with_tabs(tmp_path: Path) -> None:
    copy, samples = samples_of(written("mmbench", tmp_path / "copy"), tmp_path)
    table = (copy.root / "mmbench" / "MMBench_DEV_EN.tsv").read_text()
    assert table.count(rows.base64_of(RED)) == 1
    assert samples[0].question.startswith("A play\tin two acts.\nWho says")
    assert [sample.references for sample in samples] == [("A",), ("B",)]


def test_letters_that_the_hub_put_before_options_go(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    _, samples = samples_of(written("egoschema", tmp_path / "copy"), tmp_path / "data")
    assert samples[0].extra["choices"][0] == "cooking" and samples[0].references == ("C",)


def test_videos_come_from_the_data_root(tmp_path: Path) -> None:
    videos = tmp_path / "data" / "activitynet_qa" / "all_test"
    videos.mkdir(parents=True)
    (videos / "v_AbCdEfGhIjK.mp4").write_bytes(b"made")
    _, samples = samples_of(written("activitynet_qa", tmp_path / "copy"), tmp_path / "data")
    assert Path(samples[0].media[0].path).read_bytes() == b"made"


def test_local_annotations_never_pass_for_the_hubs(tmp_path: Path) -> None:
    import pandas

    folder = tmp_path / "data" / "video_mme" / "videomme"
    folder.mkdir(parents=True)
    pandas.DataFrame(rows.VIDEO_MME).to_parquet(folder / "test-00000-of-00001.parquet")
    with pytest.raises(UsageError, match="stands before the hub's annotations"):
        hub_copy(written("video_mme", tmp_path / "copy"), tmp_path / "data")


def test_a_second_time_nothing_is_fetched_and_another_commit_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = written("pope", tmp_path / "copy")
    first, before = samples_of(task, tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("fetched again")

    with monkeypatch.context() as patched:
        patched.setattr("lavit_eval.hub.copies.rows_of", refuse)
        assert samples_of(task, tmp_path) == (first, before)
    written("pope", tmp_path / "copy", [{**row, "answer": "no"} for row in rows.POPE])
    second, after = samples_of(task, tmp_path)
    assert second.record["commit"] != first.record["commit"] and after[0].references == ("no",)


def test_the_next_id_is_tried_and_all_reasons_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    task = written("mmvet", tmp_path / "copy")
    found = hub_copy(task_at("mmvet", Path("gone/never-there"), tmp_path / "copy"), tmp_path)
    assert found.record["id"] == str(tmp_path / "copy")
    (tmp_path / "empty").mkdir()
    write_copy(tmp_path / "other", {"test": [{"question": "?", "image": RED}]})
    ids = (Path("gone/never-there"), tmp_path / "empty", tmp_path / "other")
    with pytest.raises(UsageError) as raised:
        hub_copy(task_at("mmvet", *ids), tmp_path)
    said = str(raised.value)
    assert "gone/never-there (not in the cache, and the hub is switched off" in said
    assert "(the folder is empty)" in said and "has no column 'question_id'" in said
    assert "--data-root" in said and "\n" not in said
    assert task.hub is not None


def test_a_split_or_configuration_that_is_not_there(tmp_path: Path) -> None:
    write_copy(tmp_path / "copy", {"train": rows.MMVET})
    with pytest.raises(UsageError, match=r"nothing on the hub could be read: .*test"):
        hub_copy(task_at("mmvet", tmp_path / "copy"), tmp_path)


class _Hub:
    """Answers as the hub's client does."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def dataset_info(self, identity: str, revision: str | None, timeout: float) -> Any:
        if self.error is not None:
            raise self.error
        return type("Info", (), {"sha": "a" * 40, "id": "moved/" + identity.rpartition("/")[2]})()


def test_the_commit_and_todays_name_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: _Hub())
    origin = locate("lmms-lab/POPE", None)
    assert (origin.commit, origin.called) == ("a" * 40, "moved/POPE")


def test_a_token_is_never_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: _Hub(ValueError("bad token hf_abcDEF123456 given")))
    task = Catalogue().task("pope").model_copy(update={"hub": HubSource(ids=("x/y",), split="test")})
    with pytest.raises(UsageError) as raised:
        hub_copy(task, tmp_path)
    assert "hf_abc" not in str(raised.value) and "(token)" in str(raised.value)


def test_tasks_without_a_known_copy_say_so(tmp_path: Path) -> None:
    catalogue = Catalogue()
    copies, problems = hub_copies([catalogue.task("msvd_qa"), catalogue.task("nocaps_val")], tmp_path)
    assert not copies and len(problems) == 2
    assert all("no hub source for this task: use --data-root" in problem for problem in problems)
    assert "domains" in problems[1]


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("vqav2", {"image": {"bytes": b"no image at all", "path": None}}, "no image file"),
        ("vqav2", {"image": None}, "has no image in it"),
        ("vqav2", {"question_id": None}, "not as it is known"),
        ("mmvet", {"question_id": "../outside"}, "leads outside the folder"),
        ("pope", {"category": "hard"}, "unknown category"),
    ],
)
def test_rows_that_are_not_understood_leave_nothing(
    name: str, changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    task = written(name, tmp_path / "copy", [{**CASES[name][0][0], **changed}])
    with pytest.raises(UsageError, match=said):
        hub_copy(task, tmp_path)
    assert [path for path in (tmp_path / "cache" / "hub").iterdir() if path.is_dir()] == []


def test_okvqa_images_are_held_to_their_numbers(tmp_path: Path) -> None:
    same = [{**rows.OKVQA[0]}, {**rows.OKVQA[1], "question_id": "9000116", "image": BLUE}]
    with pytest.raises(UsageError, match="two different images"):
        hub_copy(written("okvqa", tmp_path / "copy", same), tmp_path)


def test_gqa_images_that_are_lacking_are_counted(tmp_path: Path) -> None:
    task = written("gqa", tmp_path / "copy", [{**rows.GQA[0], "imageId": "n7"}])
    with pytest.raises(UsageError, match=r"1 images are lacking \(first: n7\)"):
        hub_copy(task, tmp_path)


def test_a_run_records_the_commit_and_is_scored_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written("mmvet", tmp_path / "copy")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    hub = {"ids": [str(tmp_path / "copy")], "split": "test"}
    (tasks / "mine.yaml").write_text(json.dumps({"task": "mine", "extends": "mmvet", "samples": 1, "hub": hub}))
    out = str(tmp_path / "out")
    common = ["--task-dir", str(tasks), "--output-dir", out]
    run = ["run", "--model", "constant", "--tasks", "mine", "--source", "hub", "--run-id", "r", *common]
    assert main(run) == 0
    assert "split test, at files-" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "out" / "runs" / "r" / "manifest.json").read_text())
    assert manifest["hub"]["mine"]["commit"].startswith("files-")
    assert main(["score", str(tmp_path / "out" / "runs" / "r"), *common]) == 0


def test_the_digests_of_official_files_do_not_count_for_rewritten_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written("pope", tmp_path / "copy")
    (tmp_path / "tasks").mkdir()
    hub = {"ids": [str(tmp_path / "copy")], "split": "test"}
    document = {"task": "mine", "extends": "pope", "hub": hub}
    (tmp_path / "tasks" / "mine.yaml").write_text(json.dumps(document))
    arguments = ["data", "check", "mine", "--source", "hub", "--task-dir", str(tmp_path / "tasks")]
    assert main(arguments) == 2
    said = capsys.readouterr().out
    assert "holds 3 samples, the official test split has 9,000" in said and "category=random: 1, but" in said
    assert "sha256" not in said


def test_a_snapshot_in_the_hubs_cache_serves_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    kept = tmp_path / "hf" / "datasets--some--MMVet"
    write_copy(kept / "snapshots" / ("b" * 40), {"test": rows.MMVET})
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("b" * 40)
    copy, samples = samples_of(task_at("mmvet", Path("some/MMVet")), tmp_path)
    assert copy.record["commit"] == "b" * 40 and samples[0].id == "v1_900"
