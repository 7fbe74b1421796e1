"""Two runs side by side: what is comparable, and what became worse."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lavit_eval import registry
from lavit_eval.cli import main
from lavit_eval.compare import CompareOptions, Whole, compare_runs
from lavit_eval.compare_numbers import whole
from lavit_eval.compare_sides import open_side
from lavit_eval.errors import UsageError
from lavit_eval.gate import exit_code, failures
from lavit_eval.metrics.protocol import Measured
from lavit_eval.sample import Sample
from tests.compare_world import QUESTIONS, VIDEOS, code, compared, edited, made_run, one_wrong
from tests.film_world import film_task, score_films, write_benchmark, write_media


def test_a_drop_of_one_answer_per_video_is_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    found = compared(tmp_path).tasks[0]
    assert (found.base, found.new) == (100.0, 75.0)
    assert found.test is not None
    # Twelve videos all fell: one of 4,096 sign patterns.
    assert found.test.p == found.adjusted == 1 / 2**VIDEOS
    assert found.test.drop == 25.0
    assert (found.worse, found.better, found.n) == (VIDEOS, 0, VIDEOS * QUESTIONS)
    assert [failure.kind for failure in failures(compared(tmp_path))] == ["regression"]
    assert code(tmp_path) == 0, "without --gate it is a report"
    assert code(tmp_path, "--gate") == 1
    said = capsys.readouterr().out
    assert "made_qa is worse: exact_match went from 100.00 to 75.00, a drop of 25.00 points" in said
    assert "Gate: failed, exit code 1" in said


def test_an_improvement_passes(tmp_path: Path) -> None:
    made_run(tmp_path, "base", one_wrong)
    made_run(tmp_path, "new")
    assert code(tmp_path, "--gate") == 0
    found = compared(tmp_path).tasks[0]
    assert found.test is not None
    assert (found.test.drop, found.test.p) == (-25.0, 1.0)


def test_a_few_answers_of_one_video_are_no_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", lambda video, _: video == 3)
    # All four answers of one video: one cluster, p = 1/2, however many samples.
    found = compared(tmp_path).tasks[0]
    assert found.test is not None
    assert (found.test.p, found.worse) == (0.5, 4)
    assert code(tmp_path, "--gate") == 0
    said = capsys.readouterr().out
    assert "minimum detectable effect of" in said
    assert "this comparison would find a true drop of that size 8 times of 10" in said


def test_equal_answers_of_another_seed_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base", one_wrong)
    made_run(tmp_path, "new", one_wrong, seed=7)
    assert code(tmp_path, "--gate") == 0
    said = capsys.readouterr().out
    assert "Differs besides: seed: 42 -> 7" in said
    # Five of twelve videos would have to fall by one answer of 48.
    assert "could not have seen a drop of less than the minimum detectable effect of 10.42 points" in said


def test_another_protocol_is_refused_with_its_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong, prompt="Tell me, {question}")
    for gate in ([], ["--gate"]):
        assert code(tmp_path, *gate) == 4
        said = capsys.readouterr().out
        assert "protocol.prompt: {question} -> Tell me, {question}" in said
        assert "--waive protocol.prompt" in said
    assert code(tmp_path, "--gate", "--waive", "protocol.prompt", "--json", str(tmp_path / "c.json")) == 1
    assert "Waived: protocol.prompt" in capsys.readouterr().out
    stored = json.loads((tmp_path / "c.json").read_text())
    assert stored["waived"] == ["protocol.prompt"]
    assert stored["tasks"][0]["differences"][0]["waived"] is True
    assert code(tmp_path, "--waive", "protocol") == 0, "a beginning of the name covers it"
    assert code(tmp_path, "--waive", "protocol.generation") == 4


def test_other_data_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    (tmp_path / "data" / "MSVD-QA" / "video" / "vid1.avi").write_bytes(b"another video")
    made_run(tmp_path, "new")
    assert code(tmp_path, "--gate") == 4
    assert "not comparable: data:" in capsys.readouterr().out
    assert code(tmp_path, "--gate", "--waive", "data") == 0


def test_a_limited_run_is_refused_and_waived_it_is_compared_on_what_both_have(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", limit=8)
    refused = compared(tmp_path).tasks[0]
    assert {difference.field for difference in refused.differences} == {"data", "limit"}
    assert refused.test is None
    allowed = compared(tmp_path, waive=("data", "limit")).tasks[0]
    assert allowed.n == 8


def test_the_columns_are_of_the_samples_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # BASE is wrong only where NEW was not asked, NEW in one of the eight that both have.
    made_run(tmp_path, "base", lambda video, _: video > 2)
    made_run(tmp_path, "new", lambda video, number: (video, number) == (1, 0), limit=8)
    waived = ["--waive", "data", "--waive", "limit"]
    assert code(tmp_path, *waived) == 0
    said = capsys.readouterr().out
    row = next(line for line in said.splitlines() if line.startswith("made_qa "))
    assert row.split()[3:6] == ["100.00", "87.50", "-12.50"]
    own = "of all: 16.67 on BASE's 48, 87.50 on NEW's 8"
    assert f"made_qa: BASE and NEW are of the 8 samples that both runs have; {own}." in said
    found = compared(tmp_path, waive=("data", "limit")).tasks[0]
    assert (found.base, found.new) == (100.0, 87.5)
    assert found.test is not None
    assert found.base - found.new == pytest.approx(found.test.drop)
    assert compared(tmp_path, new="base").tasks[0].whole is None


def test_motion_tokens_refuse_tasks_with_videos_only(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    for name, more in (("base", {}), ("new", {"motion_tokens": "off"})):
        path = tmp_path / "out" / "runs" / name / "manifest.json"
        document = json.loads(path.read_text())
        document["model"]["identity_by_kind"] = {"answer": {"class": "V", "checkpoint": "c", **more}}
        path.write_text(json.dumps(document))
    assert json.loads((tmp_path / "out/runs/new/scores.json").read_text())["tasks"]["made_qa"]["shows"] == ["video"]
    field = "preprocessing.motion_tokens: null -> off"
    assert [str(one) for one in compared(tmp_path).tasks[0].differences] == [field]
    for name in ("base", "new"):
        path = tmp_path / "out" / "runs" / name / "scores.json"
        path.write_text(path.read_text().replace('"video"', '"image"'))
    found = compared(tmp_path).tasks[0]
    assert found.differences == ()
    assert [str(one) for one in found.beside] == ["model.motion_tokens: null -> off"]


def test_other_repeats_are_refused(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", repeats=2)
    assert code(tmp_path) == 4
    assert code(tmp_path, "--waive", "repeats") == 0


def test_a_misspelt_waiver_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    assert code(tmp_path, "--waive", "protocoll.prompt", new="base") == 2
    assert "Did you mean protocol" in capsys.readouterr().err


def test_the_worst_samples_come_first_with_both_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base", lambda video, number: video == 1 and number == 1)
    made_run(tmp_path, "new", lambda video, number: video == 2 and number == 3)
    found = compared(tmp_path).tasks[0]
    assert [(flip.sample_id, flip.base, flip.new) for flip in found.flips] == [("203", 100.0, 0.0), ("101", 0.0, 100.0)]
    assert (found.flips[0].base_answer, found.flips[0].new_answer) == ("cat", "bird")
    code(tmp_path, "--samples", "1")
    assert "203" in capsys.readouterr().out


def test_models_are_looked_at_by_what_the_task_asks(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    for name, kinds in (("base", ["answer"]), ("new", ["answer", "generate_video"])):
        path = tmp_path / "out" / "runs" / name / "manifest.json"
        document = json.loads(path.read_text())
        own = {"class": "V", "video": {"fps": 6}, "checkpoint": "c"}
        document["model"]["identity"] = own | ({"generation": "g"} if len(kinds) > 1 else {})
        document["model"]["identity_by_kind"] = {"answer": own, **{kind: {"class": "V"} for kind in kinds[1:]}}
        document["identity"]["model"]["digest"] = name
        path.write_text(json.dumps(document))
    assert compared(tmp_path).tasks[0].beside == ()
    edited(tmp_path / "out" / "runs" / "new", "manifest.json", '"fps": 6', '"fps": 4')
    refused = compared(tmp_path).tasks[0]
    assert [str(difference) for difference in refused.differences] == ["preprocessing.video.fps: 6 -> 4"]
    assert exit_code(failures(compared(tmp_path)), gate=False) == 4


def test_runs_without_a_task_in_common_cannot_be_compared(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    for file in ("scores.json", "manifest.json"):
        edited(tmp_path / "out" / "runs" / "new", file, '"made_qa"', '"other_qa"')
    with pytest.raises(UsageError, match="share no task"):
        compared(tmp_path)


def test_a_corpus_metric_is_compared_by_its_sums(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("java") is None:
        pytest.skip("no Java")
    fields = {"metrics": ["exact_match", "bleu_1"], "primary": "bleu_1"}
    made_run(tmp_path, "base", **fields)
    made_run(tmp_path, "new", one_wrong, **fields)
    found = compared(tmp_path).tasks[0]
    assert found.test is not None
    assert found.test.method == f"paired jackknife over {VIDEOS} clusters"
    assert found.base is not None
    assert found.new is not None
    assert found.test.drop == pytest.approx(found.base - found.new) == pytest.approx(25.0)
    # Every video lost exactly one answer: a drop without variation between clusters cannot be weighed by Student's t.
    made_run(tmp_path, "uneven", lambda video, number: number < video % 3, **fields)
    uneven = compared(tmp_path, new="uneven").tasks[0]
    assert uneven.is_regression
    assert main(["baseline", "accept", "base", "--output-dir", str(tmp_path / "out")]) == 0
    assert compared(tmp_path, base="nightly", new="uneven").tasks[0].test == uneven.test


def test_distances_of_sets_are_compared_by_the_groups_left_out(tmp_path: Path) -> None:
    ids = write_benchmark(tmp_path / "data", 8)
    task = film_task(tmp_path / "tasks", 8)
    for run_id, seed in (("base", 100), ("new", 500)):
        media = write_media(tmp_path / run_id, ids, seed)
        score_films(tmp_path, task, media, run_id=run_id)
    sides = [open_side(Path(name), tmp_path / "results") for name in ("base", "new")]
    found = compare_runs(sides[0], sides[1], CompareOptions()).tasks[0]
    assert (found.metric, found.higher_is_better) == ("fvd", False)
    assert found.test is not None
    assert found.test.method == "paired 8-group jackknife over samples"
    assert found.base is not None
    assert found.new is not None
    # A distance that grows is a drop.
    assert found.test.drop == pytest.approx(found.new - found.base)
    again = compare_runs(sides[1], sides[0], CompareOptions()).tasks[0]
    assert again.test is not None
    assert again.test.drop == -found.test.drop
    assert again.test.p == pytest.approx(1 - (found.test.p or 0))
    assert main(["baseline", "accept", "base", "--output-dir", str(tmp_path / "results")]) == 0
    kept = open_side(Path("nightly"), tmp_path / "results")
    assert compare_runs(kept, sides[1], CompareOptions()).tasks[0].test == found.test
    assert compare_runs(kept, sides[1], CompareOptions()).tasks[0].whole is None
    # A value of whole sets cannot be cut down to shared samples, which is said.
    data, kept.scores["tasks"]["made_film"]["data"] = kept.scores["tasks"]["made_film"]["data"], "d" * 64
    waived = compare_runs(kept, sides[1], CompareOptions(waive=("data",))).tasks[0]
    assert waived.whole == Whole(found.base, found.new, 8, 8, restricted=False)
    assert "of whole sets, so BASE and NEW are of each run's own samples" in str(whole(waived))
    kept.scores["tasks"]["made_film"]["data"] = data
    # Values without different groups cannot be paired, however many there are.
    details = kept.scores["tasks"]["made_film"]["metrics"]["fvd"]["details"]
    details["groups"] = [group + 1 for group in details["groups"]]
    apart = compare_runs(kept, sides[1], CompareOptions()).tasks[0]
    assert apart.test is None
    assert apart.untested == "the runs lack different groups of samples"


def test_a_value_that_one_run_lacks_is_incomplete_and_one_that_both_lack_is_not_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    for run, why in (("new", "value: 100 -> none (no Java)"), ("base", "no task could be tested")):
        path = tmp_path / "out" / "runs" / run / "scores.json"
        document = json.loads(path.read_text())
        document["tasks"]["made_qa"]["metrics"]["exact_match"].update(value=None, skipped="no Java")
        path.write_text(json.dumps(document))
        assert code(tmp_path, "--gate") == 3
        said = capsys.readouterr().out
        assert "not tested (no value of exact_match (no Java))" in said
        assert re.search(rf"INCOMPLETE: .*{re.escape(why)}", said), said


class Harmonic:
    """A made metric that is no mean and cannot turn stored sums into a value: 2 r / (r + n) of r right among n."""

    version, higher_is_better, unit, bounds = 1, True, "percent", (0.0, 100.0)

    def skipped_because(self) -> None:
        return None

    def measure(self, samples: Sequence[Sample], texts: Sequence[str]) -> Measured:
        right = [float(text == sample.references[0]) for sample, text in zip(samples, texts, strict=True)]
        rows = np.stack([np.array(right), np.ones(len(right))], axis=1)
        return Measured(
            rows,
            lambda sums: 200.0 * sums[..., 0] / (sums[..., 0] + sums[..., 1]),
            per_sample=[{"score": one} for one in right],
        )


def test_a_metric_that_is_no_mean_is_compared_by_pseudo_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN["metric"], "harmonic", "tests.test_compare:Harmonic")  # type: ignore[arg-type]
    registry.targets.cache_clear()
    fields = {"metrics": ["harmonic"], "primary": "harmonic"}
    made_run(tmp_path, "base", **fields)
    made_run(tmp_path, "new", one_wrong, **fields)
    found = compared(tmp_path).tasks[0]
    assert (found.base, found.new) == (100.0, pytest.approx(200 * 36 / 84))
    assert found.test is not None
    # The jackknife's estimate differs from the value by its bias alone.
    assert found.test.drop == pytest.approx(100 - 200 * 36 / 84, abs=0.3)
    assert found.test.p == 1 / 2**VIDEOS
    assert found.is_regression
    assert main(["baseline", "accept", "base", "--output-dir", str(tmp_path / "out")]) == 0
    assert compared(tmp_path, base="nightly").tasks[0].test == found.test
    registry.targets.cache_clear()
