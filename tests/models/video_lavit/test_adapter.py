"""Answers of the whole model, and what does not change them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.models.video_lavit.tiny import make_tiny
from lavit_eval.sample import Medium, Settings
from tests.models.video_lavit.asking import GREEDY, SAMPLED, ask, facts, load, mixed, respond_alone


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED, Settings(max_new_tokens=6, num_beams=3)], ids=str)
def test_mixed_batch_gives_the_answers_of_one_by_one(
    tiny_root: Path, media: dict[str, Medium], settings: Settings
) -> None:
    requests = mixed(media, settings)
    model = load(tiny_root)
    together = model.respond(requests)
    alone = [load(tiny_root).respond([request])[0] for request in requests]
    assert [facts(response) for response in together] == [facts(response) for response in alone]
    assert [response.outcome for response in together] == ["answered"] * len(requests)
    assert [response.key for response in together] == [request.key for request in requests]
    assert len({response.text for response in together}) > 3


def test_order_and_company_change_nothing(tiny_root: Path, media: dict[str, Medium]) -> None:
    requests = mixed(media)
    forward = {response.sample_id: facts(response) for response in load(tiny_root).respond(requests)}
    model = load(tiny_root)
    backward = [model.respond(list(part)) for part in (requests[:2:-1], requests[2::-1])]
    assert forward == {response.sample_id: facts(response) for part in backward for response in part}


def test_settings_may_differ_within_a_batch(tiny_root: Path, media: dict[str, Medium]) -> None:
    short, long = ask(media["tree"], "A?", Settings(max_new_tokens=2)), ask(media["tree"], "B?", GREEDY)
    responses = load(tiny_root).respond([short, long, replace(short, sample_id="again")])
    assert all(response.counts["new_tokens"] <= most for response, most in zip(responses, (2, 8, 2), strict=True))
    assert responses[0].text == responses[2].text
    assert [response.sample_id for response in responses] == [short.sample_id, long.sample_id, "again"]


def test_no_global_generator_is_used(tiny_root: Path, media: dict[str, Medium]) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = load(tiny_root).respond(mixed(media, SAMPLED))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert [facts(response) for response in load(tiny_root).respond(mixed(media, SAMPLED))] == list(map(facts, first))


def test_sampling_follows_the_seed(tiny_root: Path, media: dict[str, Medium]) -> None:
    request = ask(media["tree"], "What?", Settings(max_new_tokens=12, do_sample=True, temperature=3.0))
    other = replace(request, seeds=replace(request.seeds, write=request.seeds.write + 1))
    texts = [response.text for response in load(tiny_root).respond([request, other, request])]
    assert texts[0] == texts[2] != texts[1]


def test_unusable_medium_fails_its_requests_and_no_others(
    tiny_root: Path, media: dict[str, Medium], tmp_path: Path
) -> None:
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(Path(media["run"].path).read_bytes()[:2000])
    broken = [Medium("video", str(torn), "torn.mp4"), Medium("image", str(tmp_path / "none.png"), "none.png")]
    requests = [ask(broken[0], "What?"), ask(media["tree"], "What?"), ask(broken[0], "Who?"), ask(broken[1], "Where?")]
    responses = load(tiny_root).respond(requests)
    assert [response.outcome for response in responses] == ["failed", "answered", "failed", "failed"]
    assert all(response.text is None for response in responses if response.outcome == "failed")
    assert "torn.mp4" in str(responses[0].error)
    assert responses[0].error == responses[2].error
    assert "none.png" in str(responses[3].error)
    assert responses[1].text == load(tiny_root).respond([requests[1]])[0].text


def test_nothing_asked_nothing_answered(tiny_root: Path) -> None:
    assert load(tiny_root).respond([]) == []


def test_two_media_in_one_question_fail(tiny_root: Path, media: dict[str, Medium]) -> None:
    request = replace(ask(media["tree"], "What?"), media=(media["tree"], media["house"]))
    response = load(tiny_root).respond([request])[0]
    assert response.outcome == "failed"
    assert "one image or video" in str(response.error)


def test_counts_and_digests_say_what_went_in(tiny_root: Path, media: dict[str, Medium]) -> None:
    video, text, image = load(tiny_root).respond(mixed(media))[:3]
    clips = video.counts["clips_used"]
    assert video.counts["clips_found"] == clips
    assert video.counts["motion_tokens"] == 135 * clips
    assert set(video.digests) == {"media", "prompt_ids", "keyframes", "motion", "visual_tokens"}
    assert set(image.digests) == {"media", "prompt_ids", "keyframes", "visual_tokens"}
    assert set(text.digests) == {"prompt_ids"}
    assert (image.counts["motion_tokens"], text.counts["visual_tokens"]) == (0, 0)
    assert 0 < image.counts["visual_tokens"] < 64
    marks = {"video": 4 * clips, "image": 2, "text": 0}
    words = [
        counts["prompt_tokens"] - counts["visual_tokens"] - counts["motion_tokens"] - marks[kind]
        for counts, kind in ((video.counts, "video"), (text.counts, "text"), (image.counts, "image"))
    ]
    assert all(80 < count < 200 for count in words)
    assert set(video.times) == {"preprocess", "encode", "generate"}
    assert all(seconds > 0 for seconds in video.times.values())


def cramped(tmp_path: Path, context: int, **more: int) -> Path:
    """Return a tiny checkpoint with a small context."""
    root = make_tiny(tmp_path / f"context{context}{len(more)}", context=context)
    config = root / "language_model_sft" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **more}))
    return root


def test_long_prompt_takes_fewer_clips_and_keeps_the_question(
    tiny_root: Path, media: dict[str, Medium], tmp_path: Path
) -> None:
    request = ask(media["run"], "Which way does the square move?")
    whole = respond_alone(tiny_root, request)
    context = whole.counts["prompt_tokens"] + GREEDY.max_new_tokens
    assert facts(respond_alone(cramped(tmp_path, context), request)) == facts(whole)
    fewer = respond_alone(cramped(tmp_path, context - 1), request)
    assert fewer.outcome == "answered"
    assert fewer.counts["clips_found"] == whole.counts["clips_found"]
    assert fewer.counts["clips_used"] == whole.counts["clips_used"] - 1
    assert fewer.digests["prompt_ids"] == whole.digests["prompt_ids"]
    assert fewer.digests["keyframes"] != whole.digests["keyframes"]
    assert fewer.counts["prompt_tokens"] + GREEDY.max_new_tokens < context


def test_prompt_that_never_fits_is_a_failed_sample(media: dict[str, Medium], tmp_path: Path) -> None:
    root = cramped(tmp_path, 150)
    video, text = load(root).respond([ask(media["run"], "What moves?"), ask(None, "word " * 200)])
    assert (video.outcome, text.outcome) == ("failed", "failed")
    assert "the model has 150" in str(video.error)


def test_reference_keeps_all_clips_and_cuts_the_end(tiny_root: Path, media: dict[str, Medium], tmp_path: Path) -> None:
    request = ask(media["run"], "What moves?")
    whole = respond_alone(tiny_root, request)
    root = cramped(tmp_path, 4096, tokenizer_model_max_length=300)
    cut = respond_alone(root, request, long_prompt="reference")
    assert cut.counts["prompt_tokens"] == 300
    assert cut.counts["clips_used"] == whole.counts["clips_found"]
    uncut = respond_alone(cramped(tmp_path, 200), request, long_prompt="reference")
    assert uncut.counts["prompt_tokens"] == whole.counts["prompt_tokens"]


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_half_precision_answers(tiny_root: Path, media: dict[str, Medium], name: str) -> None:
    model = VideoLavit.load(ModelOptions(checkpoint=str(tiny_root), dtype=name))
    responses = model.respond(mixed(media))
    assert {response.outcome for response in responses} == {"answered"}
    assert all(response.text for response in responses)


def test_captions_are_served_and_other_kinds_are_not(tiny_root: Path, media: dict[str, Medium]) -> None:
    model = load(tiny_root)
    request = ask(media["tree"], "Describe this image.")
    assert model.respond([replace(request, kind="caption")])[0].outcome == "answered"
    with pytest.raises(ValueError, match="sing"):
        model.respond([replace(request, kind="sing")])  # type: ignore[arg-type]
