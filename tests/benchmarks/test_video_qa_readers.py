"""ActivityNet-QA, TGIF-QA and VideoHallucer: the official layouts and what is known to go wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavit_eval.benchmarks.activitynet_qa import ActivitynetQa
from lavit_eval.benchmarks.tgif_qa import TgifQaFrame
from lavit_eval.benchmarks.videohallucer import Videohallucer
from lavit_eval.errors import UsageError
from lavit_eval.registry import Catalogue
from tests.benchmarks.caption_layouts import put
from tests.benchmarks.layouts import write_json
from tests.benchmarks.video_qa_layouts import (
    ACTIVITYNET_ROWS,
    HALLUCER_SUBSETS,
    TGIF_ROWS,
    hallucer_pairs,
    only,
    write_activitynet_qa,
    write_tgif_qa,
    write_videohallucer,
)


def test_activitynet_is_joined_by_id_and_its_videos_have_a_prefix(tmp_path: Path) -> None:
    write_activitynet_qa(tmp_path / "activitynet_qa")
    samples = ActivitynetQa().read(tmp_path, "test").samples
    assert [(sample.id, sample.references) for sample in samples] == [
        ("v_-bCdEfGhIjK_3", ("yes",)),
        ("v_-bCdEfGhIjK_4", ("jump",)),
        ("v__bCdEfGhIjL_0", ("red",)),
    ]
    assert samples[0].categories == {"type": "yes/no", "free": "all"}
    assert samples[1].categories == {"type": "temporal"}
    assert Path(samples[0].media[0].path) == tmp_path / "activitynet_qa" / "all_test" / "v_-bCdEfGhIjK.mp4"
    assert samples[0].question == "is the dog running"


def test_activitynet_faults_are_named(tmp_path: Path) -> None:
    write_activitynet_qa(tmp_path / "activitynet_qa", only(ACTIVITYNET_ROWS, type=9))
    with pytest.raises(UsageError, match=r"entry 1 .*v_-bCdEfGhIjK_3\) has the type 9"):
        ActivitynetQa().read(tmp_path, "test")
    write_json(
        tmp_path / "activitynet_qa/dataset/test_a.json", [{"answer": "no", "type": 3, "question_id": "v_other_3"}]
    )
    with pytest.raises(UsageError, match=r"test_a\.json lacks 1 of the 1 entries"):
        ActivitynetQa().read(tmp_path, "test")
    (tmp_path / "activitynet_qa/dataset/test_a.json").unlink()
    with pytest.raises(UsageError, match=r"test_a\.json is missing beside test_q\.json"):
        ActivitynetQa().read(tmp_path, "test")


def test_tgif_is_tab_separated_with_quotes_as_text(tmp_path: Path) -> None:
    write_tgif_qa(tmp_path / "tgif_qa")
    samples = TgifQaFrame().read(tmp_path, "test").samples
    assert [sample.id for sample in samples] == ["FRAMEQA90001", "FRAMEQA90002", "FRAMEQA90003"]
    assert samples[1].question == 'how many "cats, sit ?'
    assert [sample.categories["type"] for sample in samples] == ["object", "number", "location"]
    assert samples[0].media == samples[2].media
    assert Path(samples[0].media[0].path).is_file()


def test_tgif_descriptions_never_reach_the_model(tmp_path: Path) -> None:
    write_tgif_qa(tmp_path / "tgif_qa")
    task = Catalogue().task("tgif_qa_frame")
    for sample, row in zip(TgifQaFrame().read(tmp_path, "test").samples, TGIF_ROWS, strict=True):
        assert row[6] not in task.text(sample)
        assert row[6] not in str(sample)


def test_tgif_bad_files_are_named_with_the_line(tmp_path: Path) -> None:
    path = write_tgif_qa(tmp_path / "tgif_qa", delimiter=",")
    with pytest.raises(UsageError, match=r"question\.csv, line 1 must name the columns .*separated by tabs"):
        TgifQaFrame().read(tmp_path, "test")
    write_tgif_qa(tmp_path / "tgif_qa", [TGIF_ROWS[0], TGIF_ROWS[1][:6]])
    with pytest.raises(UsageError, match="line 3 has 6 tab-separated columns"):
        TgifQaFrame().read(tmp_path, "test")
    write_tgif_qa(tmp_path / "tgif_qa", [TGIF_ROWS[0], TGIF_ROWS[0]])
    with pytest.raises(UsageError, match=r"entry 2 \(vid_id FRAMEQA90001\) has the vid_id of entry 1"):
        TgifQaFrame().read(tmp_path, "test")
    path.write_bytes(path.read_bytes().replace(b"cake", b"ca\0e"))
    with pytest.raises(UsageError, match="line 2 holds a NUL byte"):
        TgifQaFrame().read(tmp_path, "test")


def test_videohallucer_pairs_and_groups(tmp_path: Path) -> None:
    write_videohallucer(tmp_path / "videohallucer_datasets")
    samples = Videohallucer().read(tmp_path, "test").samples
    assert len(samples) == 4 * len(HALLUCER_SUBSETS)
    assert len({sample.id for sample in samples}) == len(samples)
    assert list(dict.fromkeys(sample.categories["subset"] for sample in samples)) == [
        *("Object-Relation", "Temporal", "Semantic Detail", "Extrinsic Fact", "Extrinsic Non-fact")
    ]
    semantic = [sample for sample in samples if sample.categories["subset"] == "Semantic Detail"]
    assert [Path(sample.media[0].path).name for sample in semantic[:2]] == ["900_a.mp4", "900_b.mp4"]
    assert semantic[0].cluster == semantic[1].cluster != semantic[2].cluster
    assert semantic[0].extra == semantic[1].extra != semantic[2].extra
    assert [sample.references for sample in semantic[:2]] == [("yes",), ("no",)]


def test_videohallucer_ids_do_not_depend_on_the_place_in_the_file(tmp_path: Path) -> None:
    write_videohallucer(tmp_path / "videohallucer")
    before = {sample.id for sample in Videohallucer().read(tmp_path, "test").samples}
    backwards = {subset: list(reversed(hallucer_pairs(subset))) for subset in HALLUCER_SUBSETS}
    write_videohallucer(tmp_path / "videohallucer", backwards)
    assert {sample.id for sample in Videohallucer().read(tmp_path, "test").samples} == before
    twice = {subset: hallucer_pairs(subset)[:1] * 2 for subset in HALLUCER_SUBSETS}
    write_videohallucer(tmp_path / "videohallucer", twice)
    samples = Videohallucer().read(tmp_path, "test").samples
    assert len({sample.id for sample in samples}) == len(samples) == 20


def test_videohallucer_extra_subsets_are_splits_of_their_own(tmp_path: Path) -> None:
    write_json(tmp_path / "videohallucer" / "interaction" / "interaction.json", hallucer_pairs("interaction"))
    put(tmp_path / "videohallucer" / "interaction" / "videos", ["900_a.mp4"])
    samples = Videohallucer().read(tmp_path, "interaction").samples
    assert {sample.categories["subset"] for sample in samples} == {"Interaction"}
    with pytest.raises(UsageError, match=r"object_relation/object_relation\.json"):
        Videohallucer().read(tmp_path, "test")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("answer", "maybe", 'the answer "maybe" in its hallucination question'),
        ("question", None, 'no text "question" in its hallucination question'),
        ("video", "../x.mp4", "outside the data folder"),
    ],
)
def test_videohallucer_faults_are_named(tmp_path: Path, field: str, value: object, said: str) -> None:
    rows = hallucer_pairs("temporal")
    rows[1]["hallucination"] = {**rows[1]["hallucination"], field: value}
    write_videohallucer(tmp_path / "videohallucer")
    write_json(tmp_path / "videohallucer" / "temporal" / "temporal.json", rows)
    with pytest.raises(UsageError, match=rf"temporal\.json, entry 2 .*{said}"):
        Videohallucer().read(tmp_path, "test")
