"""EvalCrafter's prompts in the three forms of its clone, taken in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.benchmarks.evalcrafter import Evalcrafter
from lavit_eval.errors import UsageError
from tests.benchmarks.layouts import evalcrafter_prompts, write_evalcrafter, write_json


def write_numbered(folder: Path, prompts: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, prompt in enumerate(prompts):
        (folder / f"{number:04d}.txt").write_text(prompt)


def write_metadata(folder: Path, prompts: list[str]) -> None:
    entries = {f"{number:04d}": {"prompt": prompt, "attributes": {}} for number, prompt in enumerate(prompts)}
    write_json(folder / "metadata.json", dict(sorted(entries.items(), reverse=True)))


def test_prompts_are_taken_in_turn(tmp_path: Path) -> None:
    path = write_evalcrafter(tmp_path / "EvalCrafter")
    assert path.read_bytes().count(b"\n") == 699
    found = Evalcrafter().read(tmp_path, "test")
    assert len(found.samples) == len({sample.id for sample in found.samples}) == 2048
    ids = [sample.id for sample in found.samples]
    assert (ids[0], ids[699], ids[700], ids[2047]) == ("0000-0", "0699-0", "0000-1", "0647-2")
    first, again = found.samples[42], found.samples[742]
    assert first.question == again.question == "42 paper boats on a pond"
    assert first.references == (first.question,)
    assert (first.media, first.targets) == ((), ())
    assert first.cluster == again.cluster != found.samples[43].cluster
    assert len({sample.cluster for sample in found.samples}) == 700
    assert found.annotations == {"prompt700.txt": path}


@pytest.mark.parametrize("folder", ["EvalCrafter", "evalcrafter", "EvalCrafter/prompts"])
@pytest.mark.parametrize("write", [write_evalcrafter, write_numbered, write_metadata])
def test_every_form_gives_the_same_samples(tmp_path: Path, folder: str, write: object) -> None:
    assert callable(write)
    write(tmp_path / folder, evalcrafter_prompts(12))
    samples = Evalcrafter().read(tmp_path, "test", videos=12).samples
    assert [sample.question for sample in samples] == evalcrafter_prompts(12)
    assert samples[11].id == "0011-0"


def test_the_one_file_is_read_first_and_every_file_read_is_named(tmp_path: Path) -> None:
    root = tmp_path / "EvalCrafter"
    write_metadata(root, ["from metadata.json"])
    assert Evalcrafter().read(tmp_path, "test", videos=1).samples[0].question == "from metadata.json"
    write_numbered(root / "prompts", ["from prompts/0000.txt\n", "from prompts/0001.txt\n"])
    found = Evalcrafter().read(tmp_path, "test", videos=1)
    assert found.samples[0].question == "from prompts/0000.txt"
    assert found.annotations == {
        "prompts/0000.txt": root / "prompts" / "0000.txt",
        "prompts/0001.txt": root / "prompts" / "0001.txt",
    }
    write_evalcrafter(root, ["from prompt700.txt"])
    assert Evalcrafter().read(tmp_path, "test", videos=1).samples[0].question == "from prompt700.txt"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_last_line_may_end_or_not(tmp_path: Path, end: str) -> None:
    path = tmp_path / "prompt700.txt"
    path.write_bytes(("one\r\ntwo" + end).encode())
    assert [sample.question for sample in Evalcrafter().read(tmp_path, "test", videos=2).samples] == ["one", "two"]


def test_a_list_that_is_not_whole_is_not_taken_in_turn(tmp_path: Path) -> None:
    write_evalcrafter(tmp_path / "EvalCrafter", evalcrafter_prompts(699))
    assert len(Evalcrafter().read(tmp_path, "test", videos=699).samples) == 699
    with pytest.raises(UsageError, match=r"prompt700\.txt holds 699 prompts, not 700.*videos: 699"):
        Evalcrafter().read(tmp_path, "test")


def test_gaps_are_named(tmp_path: Path) -> None:
    root = tmp_path / "EvalCrafter"
    write_metadata(root, ["one", "two"])
    (root / "metadata.json").write_text('{"0000": {"prompt": "one"}, "0002": {"prompt": "three"}}')
    with pytest.raises(UsageError, match=r"metadata\.json has 2 entries but no '0001'"):
        Evalcrafter().read(tmp_path, "test", videos=2)
    write_numbered(root / "prompts", ["one", "two", "three"])
    (root / "prompts" / "0001.txt").unlink()
    with pytest.raises(UsageError, match=r"0001\.txt is missing, 0002\.txt follows"):
        Evalcrafter().read(tmp_path, "test", videos=2)
    (root / "prompts" / "0001.txt").write_text(" \n")
    with pytest.raises(UsageError, match=r"0001\.txt: the file is empty"):
        Evalcrafter().read(tmp_path, "test", videos=2)
    write_evalcrafter(root, ["one", "", "three"])
    with pytest.raises(UsageError, match=r"prompt700\.txt: line 2 is empty"):
        Evalcrafter().read(tmp_path, "test", videos=2)


@pytest.mark.parametrize(
    ("content", "said"),
    [([], "must be an object of prompts, not a list"), ({"0000": {"text": "x"}}, "entry '0000' has no text as")],
)
def test_other_metadata_is_refused(tmp_path: Path, content: object, said: str) -> None:
    write_json(tmp_path / "EvalCrafter" / "metadata.json", content)
    with pytest.raises(UsageError, match=said):
        Evalcrafter().read(tmp_path, "test", videos=1)


def test_missing_files_and_bad_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"EvalCrafter/prompt700\.txt, .*prompts/0000\.txt, .*metadata\.json.*clone"):
        Evalcrafter().read(tmp_path, "test")
    with pytest.raises(UsageError, match="option videos is a whole number from 1, not 0"):
        Evalcrafter().read(tmp_path, "test", videos=0)
    with pytest.raises(UsageError, match="no split 'val'"):
        Evalcrafter().read(tmp_path, "val")
