"""What the model sees of a medium: once, the same for all its questions, and preprocessed ahead."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lavit_eval.models.video_lavit import sight
from lavit_eval.models.video_lavit.adapter import VideoLavit, decoder_count
from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.sample import Medium
from tests.models.video_lavit.asking import ask, facts, load, mixed, respond_alone
from tests.models.video_lavit.media import write_picture


class Counter:
    """Counts how often a model encodes."""

    def __init__(self, model: VideoLavit, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images: list[int] = []
        self.clips: list[int] = []
        language = model.respondent.model
        encode, read = language.model.visual_tokenizer.encode, language.read_motion

        def counted_encode(pixels: torch.Tensor, noise: torch.Tensor | None) -> object:
            self.images.append(len(pixels))
            return encode(pixels, noise)

        def counted_read(motion: torch.Tensor) -> torch.Tensor:
            self.clips.append(len(motion))
            return read(motion)

        monkeypatch.setattr(language.model.visual_tokenizer, "encode", counted_encode)
        monkeypatch.setattr(language, "read_motion", counted_read)


def test_each_medium_is_encoded_once_per_repeat(
    tiny_root: Path, media: dict[str, Medium], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny_root)
    counter = Counter(model, monkeypatch)
    first = model.respond(mixed(media))
    clips = first[0].counts["clips_found"]
    assert clips >= 2
    assert sorted(counter.images) == [1, 1, clips, clips]
    assert counter.clips == [clips, clips]
    model.respond([ask(media["run"], "And now?"), ask(media["tree"], "Still?")])
    assert len(counter.images) == 4
    again = model.respond([ask(media["run"], "What moves?", repeat=1), ask(media["run"], "Why?", repeat=1)])
    assert len(counter.images) == 5
    assert len(counter.clips) == 2, "no draw changes motion codes"
    assert again[0].digests["visual_tokens"] == again[1].digests["visual_tokens"]
    assert again[0].digests["visual_tokens"] != first[0].digests["visual_tokens"]
    assert again[0].digests["keyframes"] == first[0].digests["keyframes"]
    assert again[0].digests["motion"] == first[0].digests["motion"]


def test_equal_files_are_one_medium(
    tiny_root: Path, media: dict[str, Medium], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(media["tree"].path, tmp_path / "copy.png")
    model = load(tiny_root)
    counter = Counter(model, monkeypatch)
    copied = Medium("image", str(tmp_path / "copy.png"), "copy.png")
    one, other = model.respond([ask(media["tree"], "What?"), ask(copied, "What?")])
    assert counter.images == [1]
    assert one.text == other.text
    assert one.digests == other.digests


def test_a_replaced_file_is_read_again(tiny_root: Path, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", 1)
    medium = Medium("image", str(path), "a.png")
    model = load(tiny_root)
    before = model.respond([ask(medium, "What?")])[0]
    path.unlink()
    write_picture(path, 2)
    assert model.respond([ask(medium, "What?")])[0].digests["media"] != before.digests["media"]


def test_what_is_forgotten_is_seen_again_alike(
    tiny_root: Path, media: dict[str, Medium], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [facts(response) for response in load(tiny_root).respond(mixed(media))]
    monkeypatch.setattr(sight, "_SEEN_BYTES", 0)
    monkeypatch.setattr(sight, "_LOADED_BYTES", 0)
    model = load(tiny_root)
    counter = Counter(model, monkeypatch)
    assert [facts(response) for response in model.respond(mixed(media))] == expected
    assert len(counter.images) == 4, "within a batch nothing is forgotten"
    assert [facts(response) for response in model.respond(mixed(media))] == expected
    assert len(counter.images) == 8


def test_noise_per_question_draws_anew(tiny_root: Path, media: dict[str, Medium]) -> None:
    requests = [ask(media["run"], question, per_question=True) for question in ("What?", "Who?")]
    first, second = load(tiny_root).respond(requests)
    assert first.digests["visual_tokens"] != second.digests["visual_tokens"]
    assert first.digests["keyframes"] == second.digests["keyframes"]
    alike = [replace(request, seeds=replace(request.seeds, question=None)) for request in requests]
    shared = load(tiny_root).respond(alike)
    assert shared[0].digests["visual_tokens"] == shared[1].digests["visual_tokens"]


def test_argmax_draws_nothing(tiny_root: Path, media: dict[str, Medium], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> torch.Tensor:
        raise AssertionError("drew noise")

    monkeypatch.setattr(sight, "gumbel_noise", refuse)
    model = load(tiny_root, token_select="argmax")
    counter = Counter(model, monkeypatch)
    one, other = model.respond([ask(media["tree"], "What?"), ask(media["tree"], "What?", repeat=1)])
    assert one.digests == other.digests
    assert one.text == other.text
    assert counter.images == [1]
    with pytest.raises(AssertionError, match="drew noise"):
        load(tiny_root).respond([ask(media["tree"], "What?")])


def test_video_cache_changes_no_answer(tiny_root: Path, media: dict[str, Medium], tmp_path: Path) -> None:
    request = ask(media["run"], "What moves?")
    responses = [respond_alone(tiny_root, request, video_cache=state) for state in ("off", "on", "on")]
    assert len({response.text for response in responses}) == 1
    assert responses[0].digests == responses[2].digests
    assert list((tmp_path / "cache" / "clips").rglob("*.npz"))


def test_media_preprocessed_ahead_change_no_answer_and_the_wait_is_told(
    tiny_root: Path, media: dict[str, Medium], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no video")
    requests = [*mixed(media), ask(Medium("video", str(damaged), "damaged.mp4"), "What is it?")]
    plain = load(tiny_root, video_cache="off", decoders="0")
    ahead = load(tiny_root, video_cache="off", decoders="1")
    assert plain.foresee is None, "nobody need tell a model that prepares nothing"
    assert plain.respondent.sight.decoders is None
    assert ahead.foresee is not None
    ahead.foresee(requests)
    assert ahead.foresight is not None
    expected = plain.respond(requests)
    assert [facts(response) for response in ahead.respond(requests)] == [facts(response) for response in expected]
    assert expected[-1].outcome == "failed"
    assert plain.timings()["preprocess"] > 0
    assert plain.timings()["preprocess"] == 0
    ahead.foresight.decoders.close()


@pytest.mark.parametrize(
    ("device", "given", "least", "most"), [("cpu", None, 0, 0), ("cuda:0", None, 0, 4), ("cpu", 3, 3, 3)]
)
def test_media_are_preprocessed_ahead_where_the_model_leaves_cores_free(
    device: str, given: int | None, least: int, most: int
) -> None:
    assert least <= decoder_count(Arguments(decoders=given), device) <= most
