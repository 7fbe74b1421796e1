"""Names are found lazily; a wrong one lists the nearest, a double one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavit_eval import registry
from lavit_eval.errors import UsageError
from lavit_eval.published import all_published
from lavit_eval.registry import Catalogue, find


def test_an_unknown_task_lists_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"Unknown task 'msvd_qq'\. Did you mean .*msvd_qa.*lavit-eval tasks"):
        Catalogue().task("msvd_qq")


@pytest.mark.parametrize("kind", ["benchmark", "metric", "model"])
def test_everything_registered_exists(kind: registry.Kind) -> None:
    for name in registry.BUILT_IN[kind]:
        piece = find(kind, name)
        assert isinstance(piece, type), name
        if kind != "model":
            assert piece.version >= 1


def test_an_unknown_model_lists_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean video-lavit"):
        find("model", "video_lavit")


def test_a_folder_of_ones_own_adds_tasks(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(json.dumps({"task": "mine", "extends": "vqav2", "samples": 7}))
    assert Catalogue([tmp_path]).task("mine").samples == 7


def test_a_name_taken_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vqav2.yaml").write_text("task: vqav2\n")
    with pytest.raises(UsageError, match="'vqav2' is taken by"):
        Catalogue([tmp_path])


def test_a_file_must_be_named_as_its_task(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(json.dumps({"task": "other", "extends": "vqav2"}))
    with pytest.raises(UsageError, match="named 'mine' but says 'other'"):
        Catalogue([tmp_path]).task("mine")


def test_task_names_are_the_benchmarks_own() -> None:
    shared = Path(__file__).resolve().parents[2] / "shared" / "benchmarks.json"
    if not shared.is_file():
        pytest.skip("the benchmark cards are not at hand")
    known = {card["name"] for card in json.loads(shared.read_text())}
    catalogue = Catalogue()
    # VBench-I2V has one card, which is that of image_to_video.
    without_card = {"video_reconstruction", "long_video", "vbench_i2v", "nocaps_test"}
    variants = (
        "_reference",
        "_demo",
        "_long",
        "_tokens",
        "_best_of_4",
        "_llava",
        "_20230712",
        "_image",
        "_test",
        "_testdev",
        "_judged",
        "_full",
        "_video_ranked",
        "_ranked_letters",
        "_ranked",
        "_likelihood",
        "_video",
        "_lavit",
    )
    names = {
        name
        if name in known | without_card
        else next((name.removesuffix(end) for end in variants if name.endswith(end)), name)
        for name in catalogue.task_files
    }
    assert known <= names <= known | without_card


def test_every_shipped_suite_names_known_tasks() -> None:
    catalogue = Catalogue()
    for name in catalogue.suite_files:
        assert set(catalogue.suite(name).tasks) <= set(catalogue.task_files)


def test_the_suites_of_the_paper_are_whole() -> None:
    catalogue = Catalogue()
    assert {
        *("paper-image", "paper-video", "paper-t2v", "paper", "captions", "modern", "nightly", "demo"),
    } <= set(catalogue.suite_files)
    parts = [set(catalogue.suite(f"paper-{part}").tasks) for part in ("image", "video", "t2v")]
    whole = catalogue.suite("paper").tasks
    assert len(set(whole)) == len(whole)
    assert set.union(*parts) <= set(whole)
    published = {catalogue.task(name).published_task for name in whole}
    assert published >= {number.task for number in all_published() if number.target == "main"} - {None}
    submitted = {name for name in catalogue.task_files if catalogue.task(name).submission}
    assert set(catalogue.suite("submissions").tasks) == submitted


def test_the_nightly_takes_a_part_of_every_task() -> None:
    nightly = Catalogue().suite("nightly")
    assert set(nightly.subset) == set(nightly.tasks)
    assert sum(part.count for part in nightly.subset.values()) < 2500


def test_entry_points_add_models_and_may_not_take_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def points(name: str) -> list[metadata.EntryPoint]:
        return [metadata.EntryPoint(name, "tests.tiny_world:Echo", "lavit_eval.models")]

    registry.targets.cache_clear()
    try:
        monkeypatch.setattr(
            metadata, "entry_points", lambda group: points("mine") if group == "lavit_eval.models" else []
        )
        assert find("model", "mine").__name__ == "Echo"
        registry.targets.cache_clear()
        monkeypatch.setattr(metadata, "entry_points", lambda group: points("constant"))
        with pytest.raises(UsageError, match="'constant' is defined twice"):
            find("model", "constant")
    finally:
        registry.targets.cache_clear()
