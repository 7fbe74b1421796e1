"""Two runs side by side: what is comparable, what became worse, what the exit code says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lavit_eval import registry
from lavit_eval.cli import main
from lavit_eval.compare import CompareOptions, RunComparison, compare_runs
from lavit_eval.compare_sides import open_side
from lavit_eval.errors import UsageError
from lavit_eval.gate import exit_code, failures
from lavit_eval.metrics.protocol import Measured
from lavit_eval.sample import Sample
from lavit_eval.thresholds import Thresholds
from tests.compare_world import QUESTIONS, VIDEOS, made_run
from tests.film_world import film_task, score_films, write_benchmark, write_media


def one_wrong(_video: int, number: int) -> bool:
    return number == 0


def compared(root: Path, base: str = "base", new: str = "new", **options: object) -> RunComparison:
    sides = [open_side(Path(name), root / "out") for name in (base, new)]
    return compare_runs(sides[0], sides[1], CompareOptions(**options))  # type: ignore[arg-type]


def code(root: Path, *arguments: str, base: str = "base", new: str = "new") -> int:
    return main(["compare", base, new, "--output-dir", str(root / "out"), *arguments])


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
    assert "minimum detectable effect of" in capsys.readouterr().out


def test_equal_answers_of_another_seed_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base", one_wrong)
    made_run(tmp_path, "new", one_wrong, seed=7)
    assert code(tmp_path, "--gate") == 0
    said = capsys.readouterr().out
    assert "Differs besides: seed: 42 -> 7" in said
    # Five of twelve videos would have to fall by one answer of 48.
    assert "minimum detectable effect of 10.42 points" in said


def test_a_threshold_lets_small_drops_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    limits = tmp_path / "limits.yaml"
    limits.write_text("tasks:\n  made_qa: {absolute: 30}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(limits)) == 0
    assert "below threshold" in capsys.readouterr().out
    limits.write_text("tasks:\n  made_qa: {absolute: 25.0}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(limits)) == 1
    limits.write_text("default: {relative: 0.26}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(limits)) == 0
    limits.write_text("default: {significance: 0.0001}\n")
    assert code(tmp_path, "--gate", "--thresholds", str(limits)) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default: {absolut: 1}\n", r"limits.yaml:1: unknown key 'default.absolut'. Did you mean absolute"),
        ("tasks:\n  made_qq: {absolute: 1}\n", r"unknown task 'made_qq'. Did you mean made_qa"),
        ("default: {significance: 2}\n", r"limits.yaml:1: default.significance"),
        ("- 1\n", r"expected a mapping"),
    ],
)
def test_a_bad_file_of_thresholds_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    import re

    made_run(tmp_path, "base")
    (tmp_path / "limits.yaml").write_text(text)
    assert code(tmp_path, "--thresholds", str(tmp_path / "limits.yaml"), new="base") == 2
    assert re.search(said, capsys.readouterr().err)


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


def test_other_repeats_are_refused(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", repeats=2)
    assert code(tmp_path) == 4
    assert code(tmp_path, "--waive", "repeats") == 0


def test_a_misspelt_waiver_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    assert code(tmp_path, "--waive", "protocoll.prompt", new="base") == 2
    assert "Did you mean protocol" in capsys.readouterr().err


def test_a_missing_answer_is_incomplete_and_what_is_left_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong, skip="101")
    found = compared(tmp_path)
    # A regression as well, but what is missing may matter: 3 before 1.
    assert {failure.kind for failure in failures(found)} == {"incomplete", "regression"}
    assert found.tasks[0].n == VIDEOS * QUESTIONS - 1
    assert code(tmp_path, "--gate") == 3
    assert "coverage: 48 of 48 -> 47 of 48" in capsys.readouterr().out
    assert code(tmp_path, "--gate", "--waive", "coverage") == 1


def test_not_comparable_goes_before_incomplete(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", skip="101", prompt="Tell me, {question}")
    assert code(tmp_path, "--gate") == 4


def _edited(run: Path, file: str, old: str, new: str) -> None:
    text = (run / file).read_text()
    assert old in text
    (run / file).write_text(text.replace(old, new))


def test_a_task_that_new_lacks_is_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    scores = tmp_path / "out" / "runs" / "base" / "scores.json"
    document = json.loads(scores.read_text())
    document["tasks"]["other_qa"] = document["tasks"]["made_qa"]
    scores.write_text(json.dumps(document))
    _edited(
        tmp_path / "out" / "runs" / "base",
        "manifest.json",
        '"tasks": {\n  "made_qa"',
        '"tasks": {\n  "other_qa": {},\n  "made_qa"',
    )
    assert code(tmp_path, "--gate", "--junit", str(tmp_path / "j.xml")) == 3
    assert "other_qa is missing from NEW" in capsys.readouterr().out
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert {(case.get("name"), len(case.findall("error"))) for case in suite} == {("made_qa", 0), ("other_qa", 1)}
    assert code(tmp_path, "--gate", "--waive", "tasks") == 0
    assert code(tmp_path, "--gate", "--tasks", "made_qa") == 0
    assert code(tmp_path, "--gate", "--tasks", "made_qu") == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("scores.json", '"schema": 1', '"schema": 9', "another version"),
        ("scores.json", '"value": 100.0', '"value": 90.0', "the samples' scores give 100, but the score is 90"),
        ("tasks/made_qa/samples.jsonl", '"cluster"', '"clustre"', "earlier version.*lavit-eval score"),
        ("tasks/made_qa/samples.jsonl", "{", "", "cannot be read.*lavit-eval score"),
        ("manifest.json", '"schema": 1', '"schema": 9', "another version"),
    ],
)
def test_damaged_runs_are_a_sentence_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, said: str
) -> None:
    import re

    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    _edited(tmp_path / "out" / "runs" / "new", file, old, new)
    assert code(tmp_path) == 2
    assert re.search(said, capsys.readouterr().err)


def test_missing_files_are_a_sentence_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_run(tmp_path, "base").folder
    assert code(tmp_path, new="nowhere") == 2
    assert "no run at nowhere" in capsys.readouterr().err
    (run / "tasks" / "made_qa" / "samples.jsonl").unlink()
    assert code(tmp_path, new="base") == 2
    assert "lavit-eval score" in capsys.readouterr().err
    (run / "scores.json").unlink()
    assert code(tmp_path, new="base") == 2
    assert "not finished" in capsys.readouterr().err


def test_the_worst_samples_come_first_with_both_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base", lambda video, number: video == 1 and number == 1)
    made_run(tmp_path, "new", lambda video, number: video == 2 and number == 3)
    found = compared(tmp_path).tasks[0]
    assert [(flip.sample_id, flip.base, flip.new) for flip in found.flips] == [("203", 100.0, 0.0), ("101", 0.0, 100.0)]
    assert (found.flips[0].base_answer, found.flips[0].new_answer) == ("cat", "bird")
    code(tmp_path, "--samples", "1")
    assert "203" in capsys.readouterr().out


def test_hostile_names_and_answers_change_no_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    journal = tmp_path / "out" / "runs" / "new" / "tasks" / "made_qa" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"bird"', '"<b>|x|\\u001b[31m\\n`"'))
    _edited(tmp_path / "out" / "runs" / "new", "manifest.json", '"label": "external"', '"label": "<i>\\u0000&"')
    files = {name: tmp_path / name for name in ("c.json", "s.md", "j.xml")}
    arguments = ["--json", str(files["c.json"]), "--summary", str(files["s.md"]), "--junit", str(files["j.xml"])]
    assert code(tmp_path, "--gate", *arguments) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x00" not in out
    summary = files["s.md"].read_text()
    assert "<b>" not in summary.replace(r"\<b", "")
    assert r"\|x\|" in summary
    ElementTree.parse(files["j.xml"])
    assert json.loads(files["c.json"].read_text())["exit_code"] == 1


def test_junit_has_a_failure_per_regression(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    code(tmp_path, "--gate", "--junit", str(tmp_path / "j.xml"))
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "a drop of 25.00 points" in str(failure.get("message"))


def test_a_baseline_stands_in_for_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new", one_wrong)
    accept = ["baseline", "accept", "base", "--output-dir", str(tmp_path / "out")]
    assert main(accept) == 0
    shutil.rmtree(tmp_path / "out" / "runs" / "base")
    path = tmp_path / "out" / "baselines" / "nightly.json"
    for named in ("nightly", str(path)):
        assert code(tmp_path, "--gate", base=named) == 1
        said = capsys.readouterr().out
        assert "a drop of 25.00 points" in said
        assert "baseline nightly" in said
    assert main(["baseline", "accept", "new", "--name", "../x", "--output-dir", str(tmp_path / "out")]) == 2
    assert main(["baseline", "accept", "nightly", "--output-dir", str(tmp_path / "out")]) == 2


def test_a_partial_run_is_no_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base", skip="101")
    assert main(["baseline", "accept", "base", "--output-dir", str(tmp_path / "out")]) == 2
    assert "lacks responses of made_qa" in capsys.readouterr().err
    assert not (tmp_path / "out" / "baselines").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.pop("samples"), "another version"),
        (lambda document: document.update(schema=2), "another version"),
        (lambda document: document.update(kind="x"), "no baseline"),
        (lambda document: document.update(run="r"), "damaged"),
        (lambda document: document["tasks"].clear(), "the scores of made_qa are damaged"),
        (lambda document: document["samples"].clear(), "keeps the samples of nothing"),
        (lambda document: document["samples"]["made_qa"]["scores"].pop(), "damaged"),
        (lambda document: document["samples"]["made_qa"].pop("clusters"), "damaged"),
    ],
)
def test_a_damaged_baseline_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: object, said: str
) -> None:
    made_run(tmp_path, "base")
    main(["baseline", "accept", "base", "--output-dir", str(tmp_path / "out")])
    path = tmp_path / "out" / "baselines" / "nightly.json"
    document = json.loads(path.read_text())
    change(document)  # type: ignore[operator]
    path.write_text(json.dumps(document))
    assert code(tmp_path, base="nightly", new="base") == 2
    assert said in capsys.readouterr().err


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
    _edited(tmp_path / "out" / "runs" / "new", "manifest.json", '"fps": 6', '"fps": 4')
    refused = compared(tmp_path).tasks[0]
    assert [str(difference) for difference in refused.differences] == ["preprocessing.video.fps: 6 -> 4"]
    assert exit_code(failures(compared(tmp_path)), gate=False) == 4


def test_thresholds_take_the_default_field_by_field() -> None:
    limits = Thresholds.model_validate({"default": {"relative": 0.02}, "tasks": {"a": {"absolute": 1.5}}})
    assert limits.of("a").size(50.0) == 1.5
    assert limits.of("a").size(-100.0) == 2.0
    assert limits.of("b").size(50.0) == 1.0


def test_runs_without_a_task_in_common_cannot_be_compared(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    for file in ("scores.json", "manifest.json"):
        _edited(tmp_path / "out" / "runs" / "new", file, '"made_qa"', '"other_qa"')
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
    for run, expected in (("new", 3), ("base", 0)):
        path = tmp_path / "out" / "runs" / run / "scores.json"
        document = json.loads(path.read_text())
        document["tasks"]["made_qa"]["metrics"]["exact_match"].update(value=None, skipped="no Java")
        path.write_text(json.dumps(document))
        assert code(tmp_path, "--gate") == expected
        assert "not tested (no value of exact_match (no Java))" in capsys.readouterr().out


def test_a_task_without_its_fields_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    _edited(tmp_path / "out" / "runs" / "base", "scores.json", '"made_qa": {', '"strange": {')
    assert code(tmp_path, new="base") == 2
    assert "the scores of strange are damaged" in capsys.readouterr().err


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


def test_records_that_were_lost_are_not_compared_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "base")
    run = made_run(tmp_path, "new")
    path = run.task_folder("made_qa") / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))
    assert code(tmp_path, "--gate") == 2
    assert (
        f"samples.jsonl holds {len(lines) // 2} of {len(lines)} samples; score the run again" in capsys.readouterr().err
    )


def test_junit_names_what_was_waived(tmp_path: Path) -> None:
    made_run(tmp_path, "base")
    made_run(tmp_path, "new")
    plain, waived = tmp_path / "plain.xml", tmp_path / "waived.xml"
    assert code(tmp_path, "--junit", str(plain)) == 0
    assert code(tmp_path, "--junit", str(waived), "--waive", "data") == 0
    assert ElementTree.parse(plain).find("properties") is None
    found = ElementTree.parse(waived).find("properties/property")
    assert found is not None
    assert (found.get("name"), found.get("value")) == ("waived", "data")
