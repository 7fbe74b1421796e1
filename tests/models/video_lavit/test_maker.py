"""Images and videos that are made, by every kind of request."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lavit_eval.digests import digest_file
from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.models.video_lavit.generation_loading import PARTS
from lavit_eval.models.video_lavit.maker import Maker
from lavit_eval.sample import Medium
from lavit_eval.video.lossless import read_frames
from tests.models.video_lavit.made_requests import make_maker, orders, timeless
from tests.models.video_lavit.making import order, pixels


def test_every_kind_is_made_and_stored(tiny_root: Path, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    model = VideoLavit.load(ModelOptions(checkpoint=str(tiny_root)))
    found = {response.sample_id: response for response in model.respond(orders(tmp_path, brief_media))}
    assert {response.outcome for response in found.values()} == {"answered"}, [one.error for one in found.values()]
    assert list(found) == [request.sample_id for request in orders(tmp_path, brief_media)]
    for name, response in found.items():
        assert response.medium is not None
        assert response.medium.startswith(f"tasks/t/media/{name}.")
        assert response.medium_digest == digest_file(tmp_path / response.medium)
        frames = pixels(tmp_path, response)
        assert 40 < frames.mean() < 215
        assert frames.std() > 20
    shapes = {name: pixels(tmp_path, response).shape for name, response in found.items()}
    assert shapes["picture"] == (1, 64, 64, 3)
    assert shapes["clip"] == shapes["moving"] == shapes["raw"] == (24, 32, 32, 3)
    assert shapes["long"] == (47, 32, 32, 3)
    folder = tmp_path / "tasks" / "t" / "media"
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.png" for name in ("picture", "remix", "other")),
        *(f"{name}.{end}" for name in ("clip", "long", "moving", "guided") for end in ("mkv", "preview.mp4")),
        *(f"{name}.{end}" for name in ("raw", "tokens") for end in ("mkv", "preview.mp4", "source.mkv")),
    }
    assert read_frames(folder / "raw.source.mkv").shape == (24, 32, 32, 3)


def test_response_says_what_was_done(maker: Maker, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    request = order(tmp_path, "moving", "generate_video", "it falls", (brief_media["tree"],), max_new_tokens=137)
    response = maker.respond([request])[0]
    record = json.loads(response.text or "")
    assert (record["prompt"], record["seed"], record["fps"]) == ("it falls", request.seeds.write, 6)
    prompt = response.counts["prompt_tokens"]
    text = maker.tokenizer.encode("it falls")
    assert record["ids"][: len(text)] == text, "the picture follows the text"
    assert record["ids"][len(text)] == maker.tokens.image_start
    assert record["ids"][prompt - 1] == maker.tokens.image_end
    assert record["ids"][prompt] == maker.tokens.motion_start
    assert response.counts["motion_tokens"] == 137
    mended = {"motion_tokens_mended": 1, "visual_codes_cut": 0, "missing_image_end": 0, "missing_motion_end": 1}
    assert {name: response.counts[name] for name in mended} == mended
    names = {"media", "visual_tokens", "prompt_ids", "visual_ids", "motion_ids", "keyframes"}
    assert set(response.digests) == names
    assert response.digests["media"] == [digest_file(Path(brief_media["tree"].path))]
    assert {"preprocess", "encode", "write", "video", "store"} <= set(response.times)
    assert all(seconds >= 0 for seconds in response.times.values())


def test_picture_given_is_the_keyframe(maker: Maker, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    from lavit_eval.digests import digest_bytes

    response = maker.respond([order(tmp_path, "moving", "generate_video", media=(brief_media["tree"],))])[0]
    resized = Image.open(brief_media["tree"].path).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
    assert response.digests["keyframes"] == digest_bytes(np.asarray(resized).tobytes())


def test_batch_gives_what_its_requests_give_alone(maker: Maker, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    here, there = tmp_path / "together", tmp_path / "alone"
    together = maker.respond(orders(here, brief_media))
    alone = [maker.respond([request])[0] for request in orders(there, brief_media)]
    for one, other in zip(together, alone, strict=True):
        assert one.text == other.text
        assert one.counts == other.counts
        found, expected = pixels(here, one), pixels(there, other)
        if one.sample_id != "long":
            # A second clip begins with the rounded last frame of the first one.
            assert abs(found - expected).max() <= 1
        assert {**one.digests, "keyframes": ""} == {**other.digests, "keyframes": ""}


def test_order_of_batches_changes_no_byte(maker: Maker, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    first, second = orders(tmp_path / "a", brief_media)[:3], orders(tmp_path / "a", brief_media)[3:6]
    forward = [*maker.respond(first), *maker.respond(second)]
    first, second = orders(tmp_path / "b", brief_media)[:3], orders(tmp_path / "b", brief_media)[3:6]
    backward = maker.respond(second)
    backward = [*maker.respond(first), *backward]
    assert [timeless(response) for response in forward] == [timeless(response) for response in backward]


def test_settings_decide_who_shares_a_batch(maker: Maker, tmp_path: Path) -> None:
    large, small = order(tmp_path, "a", "generate_image", "a"), order(tmp_path, "b", "generate_image", "b", width=32)
    responses = maker.respond([large, small, replace(large, sample_id="c")])
    assert [pixels(tmp_path, response).shape[2] for response in responses] == [64, 32, 64]


def test_seed_and_prompt_decide(maker: Maker, tmp_path: Path) -> None:
    request = order(tmp_path, "a", "generate_image", "a red ball")
    other = replace(request, seeds=replace(request.seeds, write=1))
    words = replace(request, text="a green box")
    digests = {maker.respond([one])[0].medium_digest for one in (request, other, words)}
    assert len(digests) == 3
    assert maker.respond([request])[0].medium_digest in digests


def test_low_memory_differs_by_rounding_only(tiny_root: Path, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    wanted = ("picture", "moving", "raw")

    def make(run: Path, **arguments: str) -> list[np.ndarray]:
        chosen = [request for request in orders(run, brief_media) if request.sample_id in wanted]
        return [pixels(run, response) for response in make_maker(tiny_root, **arguments).respond(chosen)]

    pairs = zip(make(tmp_path / "a"), make(tmp_path / "b", low_memory="on"), strict=True)
    assert all(abs(one - other).max() <= 1 for one, other in pairs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)])
def test_half_precision_makes_sound_pictures(
    tiny_root: Path, brief_media: dict[str, Medium], tmp_path: Path, dtype: torch.dtype
) -> None:
    wanted = ("picture", "moving", "raw")
    requests = [request for request in orders(tmp_path, brief_media) if request.sample_id in wanted]
    for response in make_maker(tiny_root, dtype).respond(requests):
        assert response.outcome == "answered", response.error
        assert pixels(tmp_path, response).std() > 20


def test_only_what_a_kind_needs_is_loaded(tiny_root: Path, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    maker = make_maker(tiny_root)
    maker.respond([order(tmp_path, "raw", "reconstruct_video", media=(brief_media["run"],))])
    assert [name for name in ("video_reconstructor", *PARTS["generate_video"]) if name in maker.parts] == [
        "video_reconstructor"
    ]
    maker.respond([order(tmp_path, "picture", "generate_image", "a red ball")])
    assert "image_detokenizer" in maker.parts
    assert "video_detokenizer" not in maker.parts


def test_bad_media_fail_alone(maker: Maker, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = Medium("image", str(tmp_path / "broken.png"), "broken.png")
    gone = Medium("video", str(tmp_path / "gone.mp4"), "gone.mp4")
    tree, house = brief_media["tree"], brief_media["house"]
    requests = [
        order(tmp_path, "broken", "generate_video", "a", (broken,)),
        order(tmp_path, "two", "generate_video", "a", (tree, house)),
        order(tmp_path, "film", "generate_image", "a", (brief_media["run"],)),
        order(tmp_path, "gone", "reconstruct_video", media=(gone,)),
        order(tmp_path, "none", "reconstruct_video"),
        order(tmp_path, "empty", "generate_image", "  "),
        order(tmp_path, "fine", "generate_video", "a", (tree,)),
    ]
    reasons = ["cannot be decoded", "one picture at most, not 2", "is a video", "does not exist", "one video, not 0"]
    responses = maker.respond(requests)
    assert [response.outcome for response in responses] == ["failed"] * 6 + ["answered"]
    for response, reason in zip(responses, [*reasons, "neither a text nor a picture"], strict=False):
        assert reason in (response.error or "")
        assert response.medium is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"width": 60}, "multiple of 8"), ({"steps": None}, "steps"), ({"seed": 3}, "no generation setting 'seed'")],
)
def test_settings_that_cannot_be(maker: Maker, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        maker.respond([order(tmp_path, "a", "generate_image", "a", **changes)])


def test_values_that_are_no_numbers_fail_with_the_stage(tiny_root: Path, tmp_path: Path) -> None:
    maker = make_maker(tiny_root)
    maker.parts.get("image_detokenizer").unet.conv_out.bias.data.fill_(float("nan"))
    response = maker.respond([order(tmp_path, "a", "generate_image", "a")])[0]
    assert response.outcome == "failed"
    assert "image denoising, step 1 of 3" in str(response.error)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_arguments_that_choose_patches(tiny_root: Path, brief_media: dict[str, Medium], tmp_path: Path) -> None:
    request = order(tmp_path, "a", "generate_video", media=(brief_media["tree"],))
    repeated = replace(request, seeds=replace(request.seeds, repeat=1))
    drawn = [make_maker(tiny_root).respond([one])[0].digests["visual_tokens"] for one in (request, repeated)]
    likely = make_maker(tiny_root, token_select="argmax")
    fixed = [likely.respond([one])[0].digests["visual_tokens"] for one in (request, repeated)]
    assert drawn[0] != drawn[1]
    assert fixed[0] == fixed[1]
