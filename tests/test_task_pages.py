"""Every task has a card; the table and the pages say what a user needs to get the data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lavit_eval.cards import Card, card_names, card_of, read_card
from lavit_eval.cli import main
from lavit_eval.errors import UsageError
from lavit_eval.preparation import read_samples
from lavit_eval.registry import Catalogue, targets
from lavit_eval.task_pages import KINDS, kind_of, page_data, paper_number, render_page, tasks_by_kind, tree_lines

TASKS = sorted(Catalogue().task_files)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_card_whose_facts_are_its_own(name: str) -> None:
    task = Catalogue().task(name)
    card = card_of(task)
    assert card is not None, f"write lavit_eval/benchmarks/cards/{task.benchmark}.yaml"
    assert kind_of(task) in KINDS.values()
    in_parts = ("pope", "mmbench", "seed_bench", "perception_test_mc")
    assert (task.hub is None) == bool(card.no_hub) or card.card in in_parts
    official = task.features == "published" and not name.endswith("_demo")
    assert not official or card.facts(task.split, task.samples) is not None, "no facts of this split and sample count"


@pytest.mark.parametrize("name", list(card_names()))
def test_every_card_is_of_a_reader_and_is_valid(name: str) -> None:
    card = read_card(name)
    assert card.card == name
    assert all(fact.samples == count.count for fact in card.splits for count in fact.counts if count.of == "samples")


def test_a_card_is_held_to_its_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lavit_eval.cards.FOLDER", tmp_path)
    read_card.cache_clear()
    (tmp_path / "x.yaml").write_text("card: x\ntitle: X\nlicense: MIT\n")
    with pytest.raises(UsageError, match=r"x\.yaml:3: unknown key 'license'. Did you mean licence"):
        read_card("x")
    with pytest.raises(ValueError, match="not a path below the data root"):
        Card.model_validate({**page_data_card(), "files": [{"path": "../x"}]})
    read_card.cache_clear()


def page_data_card() -> dict[str, object]:
    return {
        "card": "x",
        "title": "X",
        "medium": "image",
        "about": "a",
        "licence": "MIT",
        "scorer": "s",
        "paper": "p",
        "archives": [{"name": "a.zip", "holds": "h"}],
        "sources": ["s"],
    }


def test_the_page_of_a_task_leads_to_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "msvd_qa"]) == 0
    said = capsys.readouterr().out
    for part in (
        *("test_qa.json", "YouTubeClips.tar", "research only", "73.2", "13,157", "no source for this task"),
        *("lavit-eval data check msvd_qa", "lavit-eval data prepare msvd_qa", "--tasks msvd_qa", "Traps"),
    ):
        assert part in said, part


def test_a_page_names_its_hub_ids_in_their_order() -> None:
    page = " ".join(render_page(Catalogue().task("gqa")).split())
    assert "lmms-lab-encoder/GQA, lmms-lab/GQA, tried in this order" in page
    assert "images in testdev_balanced_images" in page and "--source hub" in page


@pytest.mark.parametrize("name", TASKS)
def test_every_page_can_be_printed_and_is_json(name: str) -> None:
    task = Catalogue().task(name)
    assert render_page(task).startswith(f"{name}: ")
    assert json.loads(json.dumps(page_data(task)))["card"]["licence"]


def test_the_table_lists_all_tasks_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks"]) == 0
    said = capsys.readouterr().out
    heads = [line.lower() for line in said.splitlines() if line.isupper()]
    assert heads == list(tasks_by_kind(Catalogue().tasks()))
    row = next(line for line in said.splitlines() if line.startswith("gqa "))
    assert " ".join(row.split()) == "gqa testdev_balanced 12,578 exact_match 64.4 CC-BY-4.0 (MIT on the hub)"
    assert main(["tasks", "--json"]) == 0
    assert [one["task"] for one in json.loads(capsys.readouterr().out)] == TASKS


@pytest.mark.parametrize(("name", "number"), [("vqav2_testdev", "80.3"), ("vizwiz_vqa_test", "56.0")])
def test_the_split_of_the_server_is_the_papers(name: str, number: str) -> None:
    assert str(paper_number(Catalogue().task(name))) == number
    assert "another split" in str(paper_number(Catalogue().task(name.rsplit("_", 1)[0])))


def test_a_task_of_a_foreign_reader_says_that_it_has_no_card(tmp_path: Path) -> None:
    task = Catalogue().task("gqa").model_copy(update={"benchmark": "elsewhere"})
    assert "There is no card of this benchmark" in render_page(task) and kind_of(task) == "answer"
    assert "elsewhere" not in targets("benchmark")


def expanded(path: str) -> list[str]:
    """Return the paths that a path with {a,b} stands for; none where it has another placeholder."""
    found = re.search(r"\{([^{}]*)\}", path)
    if found is None:
        return [path]
    if "," not in found[1] or "." in found[1]:
        return []
    return [one for name in found[1].split(",") for one in expanded(path.replace(found[0], name, 1))]


@pytest.mark.parametrize("name", TASKS)
def test_readers_look_where_the_card_says(name: str, tmp_path: Path) -> None:
    task = Catalogue().task(name)
    card = card_of(task)
    assert card is not None
    files = [path for file in card.files_of(task.split) for path in expanded(file.path) if not path.endswith("/")]
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("{no annotations")
    if not files or task.benchmark == "ucf101":
        return  # folders name these
    with pytest.raises(UsageError) as raised:
        read_samples(task, tmp_path)
    assert "(tried " not in str(raised.value)
    assert any(str(tmp_path / path) in str(raised.value) for path in files), raised.value


def test_braces_with_slashes_are_one_name_in_the_tree() -> None:
    from lavit_eval.cards import DataFile

    assert tree_lines([DataFile(path="a/{b/c}/x.json")]) == ["DATA/", "└── a/", "    └── {b/c}/", "        └── x.json"]
