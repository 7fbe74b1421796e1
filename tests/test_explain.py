"""Why an answer changed, from the digests of what went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.cli import main
from lavit_eval.compare_sides import open_side
from lavit_eval.errors import UsageError
from lavit_eval.explain import Explanation, explain
from tests.compare_world import made_run

DIGESTS = {"media": ["m"], "prompt_ids": "p", "keyframes": "k", "motion": "o", "visual_tokens": "v"}
IDENTITY = {"class": "V", "checkpoint": "c", "dtype": "float32", "video": {"fps": 6}}


def explained(
    root: Path,
    *,
    digests: dict[str, Any] | None = None,
    identity: dict[str, Any] | None = None,
    seed: int = 42,
    text: str = "cat",
) -> Explanation:
    """Explain sample 101 of two runs that differ as said."""
    for run_id in ("a", "b"):
        run = made_run(root, run_id)
        second = run_id == "b"
        manifest = json.loads((run.folder / "manifest.json").read_text())
        manifest["model"]["identity_by_kind"] = {"answer": IDENTITY | ((identity or {}) if second else {})}
        manifest["identity"]["seed"] = seed if second else 42
        (run.folder / "manifest.json").write_text(json.dumps(manifest))
        journal = run.task_folder("made_qa") / "journal.jsonl"
        lines = []
        for line in journal.read_text().splitlines():
            entry = json.loads(line)
            entry["digests"] = DIGESTS | ((digests or {}) if second else {})
            if second and entry["sample_id"] == "101":
                entry["text"] = text
            lines.append(json.dumps(entry) + "\n")
        journal.write_text("".join(lines))
    sides = [open_side(Path(name), root / "out") for name in ("a", "b")]
    return explain(sides[0], sides[1], "101")


@pytest.mark.parametrize(
    ("differs", "cause", "said"),
    [
        ({"text": "cat"}, "same answer", "same answer"),
        ({"digests": {"media": ["x"], "keyframes": "x", "visual_tokens": "x"}}, "input", "the file itself"),
        ({"digests": {"prompt_ids": "x"}}, "input", "the prompt's token ids"),
        (
            {"digests": {"keyframes": "x", "motion": "x", "visual_tokens": "x"}, "identity": {"video": {"fps": 4}}},
            "input",
            "the decoded keyframes and the motion vectors differ, through video.fps",
        ),
        ({"digests": {"visual_tokens": "x"}, "seed": 7}, "visual selection", "drawn anew with seed 42 -> 7."),
        (
            {"digests": {"visual_tokens": "x"}, "seed": 7, "identity": {"checkpoint": "d"}},
            "visual selection",
            "the model changed as well",
        ),
        ({"digests": {"visual_tokens": "x"}, "identity": {"checkpoint": "d"}}, "weights", "with the same seed"),
        ({"digests": {"visual_tokens": "x"}}, "arithmetic", "rounding moved a choice"),
        ({"identity": {"checkpoint": "d"}}, "weights", "The same went in: the model changed (checkpoint)"),
        ({"identity": {"dtype": "bfloat16"}}, "model settings", "dtype"),
        # Greedy answers do not depend on the seed once the same was seen.
        ({"seed": 7}, "arithmetic", "code or rounding"),
        ({}, "arithmetic", "no other difference is recorded"),
    ],
)
def test_the_first_stage_that_differs_is_the_cause(
    tmp_path: Path, differs: dict[str, Any], cause: str, said: str
) -> None:
    found = explained(tmp_path, **{"text": "bird", **differs})
    assert found.cause == cause, found.sentence
    assert said in found.sentence
    assert {name for name, _, _ in found.stages} == set(DIGESTS)


def test_the_command_prints_cause_stages_and_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explained(tmp_path, digests={"visual_tokens": "x"}, seed=7, text="bi\x1brd")
    arguments = ["explain", "a", "b", "101", "--output-dir", str(tmp_path / "out")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith("made_qa, sample 101, repeat 0: visual selection\n")
    assert "differs visual_tokens" in said
    assert "\x1b" not in said
    assert main([*arguments[:3], "nothing", *arguments[4:]]) == 2
    assert "no sample 'nothing'" in capsys.readouterr().err
    assert main([*arguments, "--task", "made_qq"]) == 2
    assert "Did you mean made_qa" in capsys.readouterr().err


def test_without_digests_only_the_model_can_be_said_to_differ(tmp_path: Path) -> None:
    nothing = dict.fromkeys(DIGESTS)
    assert explained(tmp_path / "x", digests=nothing, text="bird").cause == "unknown"
    found = explained(tmp_path / "y", digests=nothing, text="bird", identity={"checkpoint": "d"})
    assert found.cause == "weights"
    assert "not known of both" in found.sentence


def test_a_baseline_explains_nothing(tmp_path: Path) -> None:
    explained(tmp_path)
    main(["baseline", "accept", "a", "--output-dir", str(tmp_path / "out")])
    sides = [open_side(Path(name), tmp_path / "out") for name in ("nightly", "b")]
    with pytest.raises(UsageError, match="keeps no journal"):
        explain(sides[0], sides[1], "101")
