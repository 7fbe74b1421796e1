"""SEED-Bench's videos from their files to a score: segments are cut, options ranked, likelihoods kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lavit_eval.digests import digest_file
from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.prospect import RunOptions
from lavit_eval.registry import Catalogue
from lavit_eval.rescoring import Again, score_again
from lavit_eval.sample import Segment
from lavit_eval.video.clips import medium_digest
from tests.benchmarks.image_layouts import SEED_ROWS, write_seed_bench
from tests.models.video_lavit.media import write_video as write_film
from tests.video.made import moving, write_video

TYPES = {"Action Recognition": 10, "Action Prediction": 11, "Procedure Understanding": 12}
KITCHEN = "EPIC-KITCHENS/3h91syskeag572hl6tvuovwv4d/videos/test/P99/P99_01.MP4"
BREAKFAST = "BreakfastII_15fps_qvga_sync/P9/cam01/P9_tea.avi"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SEED-Bench's video part: a whole video, two segments of another in seconds, one in frames, one past the end."""
    root = tmp_path_factory.mktemp("data")
    for name in ("SSV2/videos/94.mp4", KITCHEN, BREAKFAST):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_film(root / "SSV2/videos/94.mp4", 1, seconds=5)
    write_film(root / "kitchen.mp4", 2, seconds=16)
    (root / "kitchen.mp4").rename(root / KITCHEN)
    write_video(root / BREAKFAST, moving(150), rate=15, codec="mpeg4")
    asked: list[tuple[int, str, list[float] | list[int] | None]] = [
        (10, "94.mp4", None),
        (11, "P99/P99_01.MP4", [2.0, 8.0]),
        (11, "P99/P99_01.MP4", [9.0, 15.0]),
        (12, "P9/cam01/P9_tea.avi", [18, 130]),
        (12, "P9/cam01/P9_tea.avi", [1800, 1900]),
    ]
    rows = [
        {**SEED_ROWS[1], "question_id": f"v{n}", "question_type_id": kind, "data_id": name, "segment": part}
        for n, (kind, name, part) in enumerate(asked)
    ]
    write_seed_bench(root / "seed_bench", rows, TYPES)
    return root


@pytest.mark.parametrize("batch", [1, 4])
def test_seed_bench_video_ranked(tiny_root: Path, data: Path, tmp_path: Path, batch: int) -> None:
    task = Catalogue().task("seed_bench_video_ranked")
    options = RunOptions(
        model="video-lavit",
        tasks=(task,),
        data_root=data,
        output=tmp_path,
        model_options=ModelOptions(checkpoint=str(tiny_root)),
        counts={task.task: 5},
        batch_size=batch,
        threads=1,
    )
    outcome = evaluate(options)
    scored = outcome.scores["tasks"][task.task]
    assert (scored["answered"], scored["failed"]) == (4, 1)
    assert "has no picture in its segment 120-126.667 s" in scored["failures"][0]["reason"]
    assert BREAKFAST in scored["failures"][0]["reason"]
    found = {one.response.sample_id: one.response for one in outcome.run.entries(task.task).values()}
    for response in (found[f"v{number}"] for number in range(4)):
        assert response.likelihoods is not None
        assert len(response.likelihoods.summed) == 4
        assert response.text == "ABCD"[int(np.argmax(response.likelihoods.normalised))]
    kitchen, parts = digest_file(data / KITCHEN), [Segment.seconds(2, 8), Segment.seconds(9, 15)]
    for name, part in zip(("v1", "v2"), parts, strict=True):
        assert found[name].digests["media"] == [medium_digest(kitchen, part)]
        assert found[name].digests["files"] == [kitchen]
        assert found[name].counts["clips_found"] >= 1
    assert "files" not in found["v0"].digests
    assert found["v1"].digests["keyframes"] != found["v2"].digests["keyframes"]
    assert found["v1"].digests["visual_tokens"] != found["v2"].digests["visual_tokens"]
    for name, form in (("ranked_accuracy", "normalised"), ("ranked_accuracy_summed", "summed")):
        right = [int(np.argmax(getattr(found[f"v{n}"].likelihoods, form))) == 1 for n in range(4)]
        assert scored["metrics"][name]["value"] == 100 * sum(right) / 4
        assert set(scored["metrics"][name]["categories"]["question_type"]) == set(TYPES)
    before = outcome.run.scores_path.read_bytes()
    score_again(outcome.run, Again(Catalogue()))
    assert outcome.run.scores_path.read_bytes() == before, "a journal holds all that the scores need"
    lines = [json.loads(line) for line in (outcome.run.task_folder(task.task) / "samples.jsonl").open()]
    assert {line["ranked_accuracy"]["option"] for line in lines} <= set("ABCD")
