from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import GENERATING, VideoLavit
from lavit_eval.models.video_lavit.tiny import make_tiny
from lavit_eval.registry import Catalogue
from lavit_eval.sample import Medium, Request, RequestKind, Seeds, Settings
from tests.models.video_lavit.making import order
from tests.models.video_lavit.media import write_video


def asking(root: Path, kinds: Iterable[RequestKind], dtype: str = "float32", **arguments: str) -> ModelOptions:
    return ModelOptions(str(root), "cpu", dtype, arguments, frozenset(kinds))


def identify(root: Path, *kinds: RequestKind, **others: str) -> dict[str, Any]:
    return dict(VideoLavit.identify(asking(root, kinds, **others)))


def question(name: str) -> Request:
    return Request(name, 0, "answer", (), "Name a colour.", Settings(max_new_tokens=4), Seeds(42, 0, 1))


def test_answers_and_files_in_one_batch(tiny_root: Path, tmp_path: Path) -> None:
    model = VideoLavit.load(ModelOptions(str(tiny_root)))
    requests = [question("a"), order(tmp_path, "b", "generate_image", "a red ball"), question("c")]
    responses = model.respond(requests)
    assert [response.sample_id for response in responses] == ["a", "b", "c"]
    assert [response.medium is None for response in responses] == [True, False, True]
    assert responses[0].text == model.respond([question("a")])[0].text


def test_generating_needs_no_understanding_half(tiny_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "half"
    shutil.copytree(tiny_root, root)
    shutil.rmtree(root / "language_model_sft")
    options = asking(root, {"generate_image"})
    assert VideoLavit.preflight(options) == []
    assert "checkpoint" not in VideoLavit.identify(options)
    model = VideoLavit.load(options)
    request = order(tmp_path, "b", "generate_image", "a red ball")
    assert model.respond([request])[0].outcome == "answered"


def test_reconstructing_needs_the_video_detokenizer_only(tiny_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "part"
    shutil.copytree(tiny_root / "video_detokenizer", root / "video_detokenizer")
    for name in ("motion_tokenizer.bin", "video_3d_unet.bin", "lavit_eval.json"):
        shutil.copy(tiny_root / name, root / name)
    assert VideoLavit.preflight(asking(root, {"reconstruct_video"})) == []
    assert identify(root, "reconstruct_video") == identify(tiny_root, "reconstruct_video")


def test_answering_needs_no_generating_half(tiny_root: Path, tmp_path: Path) -> None:
    root = make_tiny(tmp_path, generation=False)
    assert VideoLavit.preflight(ModelOptions(str(root))) == []
    assert identify(root) == identify(tiny_root) == identify(tiny_root, "answer")


def test_identity_covers_what_can_change_a_file(tiny_root: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(tiny_root, moved)
    expected = identify(tiny_root, "generate_video")
    assert identify(moved, "generate_video") == expected
    assert identify(tiny_root / "language_model_sft", "generate_video") == expected
    assert identify(tiny_root, "generate_video", offload="on") == expected
    others = [
        identify(make_tiny(tmp_path / "other", seed=5), "generate_video"),
        identify(tiny_root, "generate_video", "answer"),
        identify(tiny_root, "generate_image"),
        identify(tiny_root, "reconstruct_video"),
        identify(tiny_root, "generate_video", dtype="bfloat16"),
        identify(tiny_root, "generate_video", low_memory="on"),
        identify(tiny_root, "generate_video", token_select="argmax"),
    ]
    assert len({json.dumps(identity, sort_keys=True) for identity in (expected, *others)}) == 8


def test_recordings_taken_ahead_change_no_byte(tiny_root: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "run.mp4", 0, seconds=5)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no video")
    media = {"raw": video, "tokens": video, "damaged": damaged}

    def orders(run: str) -> list[Request]:
        found = [
            order(
                tmp_path / run, name, "reconstruct_video", media=(Medium("video", str(path), path.name),), motion=motion
            )
            for (name, path), motion in zip(media.items(), ("raw", "tokens", "raw"), strict=True)
        ]
        return [*found, order(tmp_path / run, "none", "reconstruct_video")]

    plain = VideoLavit.load(asking(tiny_root, {"reconstruct_video"}, decoders="0"))
    ahead = VideoLavit.load(asking(tiny_root, {"reconstruct_video"}, decoders="1"))
    assert plain.foresee is None
    assert ahead.foresee is not None
    assert ahead.foresight is not None
    requests = orders("ahead")
    ahead.foresee(requests)
    decoders, deadline = ahead.foresight.decoders, time.monotonic() + 120
    while len(decoders._ready) < len(media):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    expected, found = plain.respond(orders("plain")), ahead.respond(requests)
    assert not decoders._ready, "what was foreseen is what was taken"
    assert [replace(each, times={}) for each in found] == [replace(each, times={}) for each in expected]
    assert [response.outcome for response in expected] == ["answered", "answered", "failed", "failed"]
    for one, other in zip(expected[:2], found[:2], strict=True):
        made = tmp_path / "plain" / str(one.medium), tmp_path / "ahead" / str(other.medium)
        assert made[0].read_bytes() == made[1].read_bytes()
    assert plain.timings()["preprocess"] > 0
    assert plain.timings() == {"preprocess": 0.0}
    decoders.close()


def test_decoders_are_not_kept_for_what_needs_none(tiny_root: Path) -> None:
    assert VideoLavit.load(asking(tiny_root, {"generate_image"}, decoders="2")).foresee is None


def test_preflight_names_every_gap_at_once(tiny_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "gaps"
    shutil.copytree(tiny_root, root)
    shutil.rmtree(root / "language_model")
    shutil.rmtree(root / "image_detokenizer" / "unet")
    (root / "video_3d_unet.bin").unlink()
    problems = VideoLavit.preflight(asking(root, GENERATING))
    assert len(problems) == 3
    for problem, part in zip(problems, ("language_model", "image_detokenizer/unet", "video_3d_unet.bin"), strict=True):
        assert part in problem
        assert "hf download" in problem
    assert VideoLavit.preflight(asking(root, {"answer"})) == []
    folder = str(tmp_path)
    assert (
        "no index of a diffusers pipeline"
        in VideoLavit.preflight(asking(tiny_root, {"generate_video"}, keyframe_pipeline=folder))[0]
    )


@pytest.mark.parametrize("kind", sorted(GENERATING))
def test_every_kind_is_a_capability(kind: RequestKind) -> None:
    assert kind in VideoLavit.capabilities


def test_importing_the_adapter_is_light() -> None:
    script = "import sys, lavit_eval.models.video_lavit.adapter; print({'torch', 'diffusers', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("task", "field", "value", "said"),
    [
        ("msrvtt_t2v_demo", "video_width", 72, "width of a generated video must be a multiple of"),
        ("msrvtt_t2v_demo", "steps", 1001, None),
        ("video_reconstruction_demo", "video_height", 72, "height of a generated video must be a multiple of"),
        ("image_to_video_demo", "width", 64, ""),
    ],
)
def test_settings_that_the_parts_cannot_have_are_found_before_the_run(
    tiny_root: Path, task: str, field: str, value: int, said: str | None
) -> None:
    known = Catalogue().task(task)
    options = asking(tiny_root, [known.kind])
    changed = {**known.making, field: value}
    if said is None:
        with pytest.raises(UsageError, match="steps lies from"):
            VideoLavit.check_making(options, task, known.kind, changed)
        return
    problems = VideoLavit.check_making(options, task, known.kind, changed)
    assert [said in problem and problem.startswith(task) for problem in problems] == ([True] if said else [])
