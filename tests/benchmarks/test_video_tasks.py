"""Each captioning and video task runs from its official layout to a score."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from tests.benchmarks.video_versions import VIDEO_CASES

CAPTIONS = {"nocaps_val", "flickr30k_karpathy_test", "msrvtt_caption", "msvd_caption", "vatex_en"}
ANSWER = {
    "videohallucer": "yes and no",
    **dict.fromkeys(("egoschema", "mvbench", "nextqa_mc", "perception_test_mc", "video_mme"), "A"),
}
"""Task -> what `constant` says, where "yes" would show nothing."""
EXPECTED: dict[str, float] = {
    "activitynet_qa": 100 / 3,
    "tgif_qa_frame": 100 / 3,
    "videohallucer": 100.0,
    "egoschema": 50.0,
    "mvbench": 50.0,
    "nextqa_mc": 100 / 3,
    "perception_test_mc": 50.0,
    "vcg_bench": 100 / 3,
    "video_mme": 100 / 3,
}
"""Task -> its primary value on the fixture."""


@pytest.fixture(autouse=True)
def _without_meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its Java program takes seconds to start; tests/test_every_task.py runs it once.
    monkeypatch.setattr("lavit_eval.metrics.meteor.missing_java", lambda: "no Java")


@pytest.mark.parametrize("name", sorted(VIDEO_CASES))
def test_the_task_runs_on_its_fixture(name: str, tmp_path: Path) -> None:
    _, write, folder, _ = VIDEO_CASES[name]
    write(tmp_path / "data" / folder)
    task = Catalogue().task(name)
    assert task.writing.min_new_tokens == 1
    assert not task.writing.do_sample
    count = len(VIDEO_CASES[name][0].read(tmp_path / "data", task.split).samples)
    options = RunOptions(
        model="constant",
        tasks=(task,),
        data_root=tmp_path / "data",
        output=tmp_path / "results",
        model_options=ModelOptions(arguments={"answer": ANSWER.get(name, "yes")}),
        counts={name: count},
        threads=1,
    )
    scored = evaluate(options).scores["tasks"][name]
    assert (scored["n"], scored["answered"]) == (count, count)
    primary = scored["metrics"][task.primary]
    if primary["skipped"] is None:
        assert primary["n"] == count
        assert primary["value"] == pytest.approx(EXPECTED.get(name, 0.0))
    else:
        assert name in CAPTIONS
        assert primary["skipped"] == "no Java"
