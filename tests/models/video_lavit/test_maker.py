from __future__ import annotations

import json
from collections.abc import Sequence
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
from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.models.video_lavit.generation_loading import PARTS
from lavit_eval.models.video_lavit.maker import Maker
from lavit_eval.models.video_lavit.parts import Parts
from lavit_eval.sample import Medium, Request, Response
from lavit_eval.video.lossless import read_frames
from tests.models.video_lavit.making import order, pixels
from tests.models.video_lavit.media import write_picture, write_video

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Medium]:
    folder = tmp_path_factory.mktemp("media")
    pictures = {name: write_picture(folder / f"{name}.png", seed) for seed, name in enumerate(("tree", "house"))}
    found = {name: Medium("image", str(path), path.name) for name, path in pictures.items()}
    video = write_video(folder / "run.mp4", 0, seconds=4)
    return {**found, "run": Medium("video", str(video), video.name)}


@pytest.fixture(scope="module")
def maker(tiny_root: Path) -> Maker:
    """Return a maker that holds no state between requests but its parts."""
    return make_maker(tiny_root)


def make_maker(root: Path, dtype: torch.dtype = torch.float32, **arguments: str) -> Maker:
    return Maker(root, Parts(root, CPU, dtype), Arguments.parse(arguments))


def orders(run: Path, media: dict[str, Medium]) -> list[Request]:
    """Return one request of every kind and form."""
    tree, video = (media["tree"],), (media["run"],)
    return [
        order(run, "picture", "generate_image", "a red ball"),
        order(run, "clip", "generate_video", "a man is running in the street"),
        order(run, "raw", "reconstruct_video", media=video),
        order(run, "remix", "generate_image", "the same at night", tree),
        order(run, "long", "generate_video", "a dog", clips=2),
        order(run, "tokens", "reconstruct_video", media=video, motion="tokens"),
        order(run, "other", "generate_image", "two green boxes on a table"),
        order(run, "moving", "generate_video", media=tree),
        order(run, "guided", "generate_video", "the tree falls", tree),
    ]


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


def kill_after(monkeypatch: pytest.MonkeyPatch, author: Any, step: str, calls: int) -> None:
    """Let the call of a step with this number (from 1) end in a kill."""
    made, work = [], getattr(author, step)

    def counted(*given: Any) -> Any:
        made.append(step)
        if len(made) == calls:
            raise Killed
        return work(*given)

    monkeypatch.setattr(author, step, counted)


def timeless(response: Response) -> Response:
    return replace(response, times={})


def test_every_kind_is_made_and_stored(tiny_root: Path, media: dict[str, Medium], tmp_path: Path) -> None:
    model = VideoLavit.load(ModelOptions(checkpoint=str(tiny_root)))
    found = {response.sample_id: response for response in model.respond(orders(tmp_path, media))}
    assert {response.outcome for response in found.values()} == {"answered"}, [one.error for one in found.values()]
    assert list(found) == [request.sample_id for request in orders(tmp_path, media)]
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


def test_response_says_what_was_done(maker: Maker, media: dict[str, Medium], tmp_path: Path) -> None:
    request = order(tmp_path, "moving", "generate_video", "it falls", (media["tree"],), max_new_tokens=137)
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
    assert response.digests["media"] == [digest_file(Path(media["tree"].path))]
    assert {"preprocess", "encode", "write", "video", "store"} <= set(response.times)
    assert all(seconds >= 0 for seconds in response.times.values())


def test_picture_given_is_the_keyframe(maker: Maker, media: dict[str, Medium], tmp_path: Path) -> None:
    from lavit_eval.digests import digest_bytes

    response = maker.respond([order(tmp_path, "moving", "generate_video", media=(media["tree"],))])[0]
    resized = Image.open(media["tree"].path).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
    assert response.digests["keyframes"] == digest_bytes(np.asarray(resized).tobytes())


def test_batch_gives_what_its_requests_give_alone(maker: Maker, media: dict[str, Medium], tmp_path: Path) -> None:
    here, there = tmp_path / "together", tmp_path / "alone"
    together = maker.respond(orders(here, media))
    alone = [maker.respond([request])[0] for request in orders(there, media)]
    for one, other in zip(together, alone, strict=True):
        assert one.text == other.text
        assert one.counts == other.counts
        found, expected = pixels(here, one), pixels(there, other)
        if one.sample_id != "long":
            # A second clip begins with the rounded last frame of the first one.
            assert abs(found - expected).max() <= 1
        assert {**one.digests, "keyframes": ""} == {**other.digests, "keyframes": ""}


def test_order_of_batches_changes_no_byte(maker: Maker, media: dict[str, Medium], tmp_path: Path) -> None:
    first, second = orders(tmp_path / "a", media)[:3], orders(tmp_path / "a", media)[3:6]
    forward = [*maker.respond(first), *maker.respond(second)]
    first, second = orders(tmp_path / "b", media)[:3], orders(tmp_path / "b", media)[3:6]
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


def test_low_memory_differs_by_rounding_only(tiny_root: Path, media: dict[str, Medium], tmp_path: Path) -> None:
    wanted = ("picture", "moving", "raw")

    def make(run: Path, **arguments: str) -> list[np.ndarray]:
        chosen = [request for request in orders(run, media) if request.sample_id in wanted]
        return [pixels(run, response) for response in make_maker(tiny_root, **arguments).respond(chosen)]

    pairs = zip(make(tmp_path / "a"), make(tmp_path / "b", low_memory="on"), strict=True)
    assert all(abs(one - other).max() <= 1 for one, other in pairs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)])
def test_half_precision_makes_sound_pictures(
    tiny_root: Path, media: dict[str, Medium], tmp_path: Path, dtype: torch.dtype
) -> None:
    wanted = ("picture", "moving", "raw")
    requests = [request for request in orders(tmp_path, media) if request.sample_id in wanted]
    for response in make_maker(tiny_root, dtype).respond(requests):
        assert response.outcome == "answered", response.error
        assert pixels(tmp_path, response).std() > 20


def test_only_what_a_kind_needs_is_loaded(tiny_root: Path, media: dict[str, Medium], tmp_path: Path) -> None:
    maker = make_maker(tiny_root)
    maker.respond([order(tmp_path, "raw", "reconstruct_video", media=(media["run"],))])
    assert [name for name in ("video_reconstructor", *PARTS["generate_video"]) if name in maker.parts] == [
        "video_reconstructor"
    ]
    maker.respond([order(tmp_path, "picture", "generate_image", "a red ball")])
    assert "image_detokenizer" in maker.parts
    assert "video_detokenizer" not in maker.parts


def test_bad_media_fail_alone(maker: Maker, media: dict[str, Medium], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = Medium("image", str(tmp_path / "broken.png"), "broken.png")
    gone = Medium("video", str(tmp_path / "gone.mp4"), "gone.mp4")
    tree, house = media["tree"], media["house"]
    requests = [
        order(tmp_path, "broken", "generate_video", "a", (broken,)),
        order(tmp_path, "two", "generate_video", "a", (tree, house)),
        order(tmp_path, "film", "generate_image", "a", (media["run"],)),
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


class Greedy:
    """Lets a maker's memory suffice for so many images, or clips, at once."""

    def __init__(self, maker: Maker, most: int, monkeypatch: pytest.MonkeyPatch, step: str = "paint") -> None:
        self.batches: list[int] = []
        author = maker.author(step == "film")
        make = getattr(author, step)

        def limited(first: Sequence[Any], *others: Any) -> Any:
            self.batches.append(len(first))
            made = make(first, *others)
            if len(first) > most:
                raise torch.OutOfMemoryError("out of memory")
            return made

        monkeypatch.setattr(author, step, limited)


def test_a_batch_too_large_is_made_in_halves(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def three(run: Path) -> list[Request]:
        return [order(run, name, "generate_image", f"{name} ball") for name in ("red", "green", "blue")]

    whole = maker.respond(three(tmp_path / "whole"))
    greedy = Greedy(maker, 1, monkeypatch)
    halves = maker.respond(three(tmp_path / "halves"))
    assert greedy.batches == [3, 2, 1, 1, 1], "the stage alone is halved, until it fits"
    assert [response.counts["batch_halved"] for response in halves] == [1, 1, 1]
    assert [response.text for response in halves] == [response.text for response in whole]
    assert not any("batch_halved" in response.counts for response in whole)
    for one, other in zip(whole, halves, strict=True):
        assert abs(pixels(tmp_path / "whole", one) - pixels(tmp_path / "halves", other)).max() <= 1
    assert not list(tmp_path.rglob("stages/*")), "what was kept is removed when the files are made"


def test_a_batch_that_was_halved_is_halved_again_where_memory_suffices(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [order(tmp_path, name, "generate_image", f"{name} ball") for name in ("red", "green", "blue")]
    with monkeypatch.context() as scarce:
        Greedy(maker, 2, scarce)
        first = maker.respond(requests)
    with monkeypatch.context() as killed:
        greedy = Greedy(maker, 2, killed)
        kill_after(killed, maker.author(False), "paint", 3)
        with pytest.raises(Killed):
            maker.respond(requests)
    plenty = Greedy(maker, 9, monkeypatch)
    again = maker.respond(requests)
    assert (greedy.batches, plenty.batches) == ([3, 2], [1]), "the first half was kept, the second is made"
    assert [response.medium_digest for response in again] == [response.medium_digest for response in first]
    assert maker.respond(requests[:2])[0].counts.get("batch_halved") is None, "another batch was never halved"


def test_a_picture_that_does_not_fit_fails_its_request_only(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = maker._pictures

    def scarce(request: Request, settings: Any) -> Any:
        if request.sample_id == "green":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return pictures(request, settings)

    monkeypatch.setattr(maker, "_pictures", scarce)
    responses = maker.respond([order(tmp_path, name, "generate_image", f"{name} ball") for name in ("red", "green")])
    assert [response.outcome for response in responses] == ["answered", "failed"]
    assert "memory does not suffice" in str(responses[1].error)


def test_another_runtime_error_is_raised(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(maker.author(False), "paint", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        maker.respond([order(tmp_path, "red", "generate_image", "red ball")])


def test_what_does_not_fit_alone_fails(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Greedy(maker, 0, monkeypatch)
    responses = maker.respond([order(tmp_path, name, "generate_image", name) for name in ("a", "b", "c")])
    assert [response.outcome for response in responses] == ["failed"] * 3
    assert "low_memory=on" in str(responses[0].error)


def test_reconstruction_in_halves_is_the_same(
    maker: Maker, media: dict[str, Medium], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(run: Path) -> list[Request]:
        return [order(run, name, "reconstruct_video", media=(media["run"],)) for name in ("a", "b")]

    whole = maker.respond(two(tmp_path / "whole"))
    detokenizer = maker.parts.get("video_reconstructor")
    sample = detokenizer.sample

    def limited(images: torch.Tensor, *others: Any) -> Any:
        if len(images) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return sample(images, *others)

    monkeypatch.setattr(detokenizer, "sample", limited)
    halves = maker.respond(two(tmp_path / "halves"))
    for one, other in zip(whole, halves, strict=True):
        assert abs(pixels(tmp_path / "whole", one) - pixels(tmp_path / "halves", other)).max() <= 1
        assert other.counts["batch_halved"] == 1


def test_arguments_that_choose_patches(tiny_root: Path, media: dict[str, Medium], tmp_path: Path) -> None:
    request = order(tmp_path, "a", "generate_video", media=(media["tree"],))
    repeated = replace(request, seeds=replace(request.seeds, repeat=1))
    drawn = [make_maker(tiny_root).respond([one])[0].digests["visual_tokens"] for one in (request, repeated)]
    likely = make_maker(tiny_root, token_select="argmax")
    fixed = [likely.respond([one])[0].digests["visual_tokens"] for one in (request, repeated)]
    assert drawn[0] != drawn[1]
    assert fixed[0] == fixed[1]


@pytest.mark.parametrize(
    ("step", "calls", "redone"),
    [
        ("write_image_ids", 2, {"write_image_ids": 3, "write_motion_ids": 4, "paint": 4, "film": 6}),
        ("paint", 2, {"write_image_ids": 2, "write_motion_ids": 2, "paint": 3, "film": 6}),
        ("film", 5, {"write_image_ids": 0, "write_motion_ids": 0, "paint": 0, "film": 2}),
    ],
)
def test_a_killed_batch_goes_on_inside_the_stage(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, calls: int, redone: dict[str, int]
) -> None:
    monkeypatch.setattr(maker, "arguments", replace(maker.arguments, llm_batch=2, image_batch=2, video_batch=1))

    def three(run: Path) -> list[Request]:
        return [order(run, name, "generate_video", f"{name} ball", clips=2) for name in ("red", "green", "blue")]

    whole = maker.respond(three(tmp_path / "whole"))
    author = maker.author(True)
    with monkeypatch.context() as killed:
        kill_after(killed, author, step, calls)
        with pytest.raises(Killed):
            maker.respond(three(tmp_path / "killed"))
    kept = sorted(tmp_path.glob("killed/tasks/*/stages/*/*.kept"))
    assert kept, "what was made before the kill is kept"
    counts = dict.fromkeys(redone, 0)
    for name in redone:
        _count(monkeypatch, author, name, counts)
    resumed = maker.respond(three(tmp_path / "killed"))
    assert counts == redone
    assert [timeless(response) for response in resumed] == [timeless(response) for response in whole]
    assert not list(tmp_path.glob("killed/tasks/*/stages/*"))


def _count(monkeypatch: pytest.MonkeyPatch, author: Any, name: str, counts: dict[str, int]) -> None:
    work = getattr(author, name)

    def counted(*given: Any) -> Any:
        counts[name] += 1
        return work(*given)

    monkeypatch.setattr(author, name, counted)


def test_damaged_leftovers_are_made_again(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(run: Path) -> list[Request]:
        return [order(run, "red", "generate_video", "red ball")]

    whole = maker.respond(one(tmp_path / "whole"))
    with monkeypatch.context() as killed:
        kill_after(killed, maker.author(True), "film", 1)
        with pytest.raises(Killed):
            maker.respond(one(tmp_path / "killed"))
    for place, path in enumerate(sorted(tmp_path.glob("killed/tasks/*/stages/*/*.kept"))):
        content = path.read_bytes()
        path.write_bytes((content[: len(content) // 2], content[:-1] + b"?", b"")[place % 3])
    assert [timeless(each) for each in maker.respond(one(tmp_path / "killed"))] == [timeless(each) for each in whole]
