from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit import sight
from lavit_eval.models.video_lavit.adapter import VideoLavit, decoder_count
from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.models.video_lavit.tiny import make_tiny
from lavit_eval.sample import Medium, Request, Response, Seeds, Settings, derive_seed
from tests.models.video_lavit.media import write_picture, write_video

GREEDY = Settings(max_new_tokens=8)
SAMPLED = Settings(max_new_tokens=8, do_sample=True, temperature=0.9, top_p=0.95)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Medium]:
    folder = tmp_path_factory.mktemp("media")
    pictures = {name: write_picture(folder / f"{name}.png", seed) for seed, name in enumerate(("tree", "house"))}
    videos = {name: write_video(folder / f"{name}.mp4", seed) for seed, name in enumerate(("run", "jump"))}
    found = {name: Medium("image", str(path), path.name) for name, path in pictures.items()}
    return found | {name: Medium("video", str(path), path.name) for name, path in videos.items()}


def load(root: Path, **arguments: str) -> VideoLavit:
    return VideoLavit.load(ModelOptions(checkpoint=str(root), arguments=arguments))


def ask(
    medium: Medium | None,
    question: str,
    settings: Settings = GREEDY,
    repeat: int = 0,
    per_question: bool = False,
) -> Request:
    name = f"{medium.name if medium else 'nothing'}: {question}"
    seeds = Seeds(42 + repeat, repeat, derive_seed("write", name, str(repeat)), name if per_question else None)
    return Request(name, repeat, "answer", (medium,) if medium else (), question, settings, seeds)


def mixed(media: dict[str, Medium], settings: Settings = GREEDY) -> list[Request]:
    return [
        ask(media["run"], "What moves?", settings),
        ask(None, "Name three colours.", settings),
        ask(media["tree"], "Is the tree green?", settings),
        ask(media["run"], "Which way does the square move, left or right?", settings),
        ask(media["jump"], "How many?", settings),
        ask(media["house"], "", settings),
    ]


def facts(response: Response) -> tuple[object, ...]:
    """Return all of a response but its times."""
    return replace(response, times={}), response.text


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


def respond_alone(root: Path, request: Request, **arguments: str) -> Response:
    return load(root, **arguments).respond([request])[0]


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


def test_video_cache_changes_no_answer(tiny_root: Path, media: dict[str, Medium], tmp_path: Path) -> None:
    request = ask(media["run"], "What moves?")
    responses = [respond_alone(tiny_root, request, video_cache=state) for state in ("off", "on", "on")]
    assert len({response.text for response in responses}) == 1
    assert responses[0].digests == responses[2].digests
    assert list((tmp_path / "cache" / "clips").rglob("*.npz"))


def identify(root: Path, device: str = "cpu", dtype: str = "float32", **arguments: str) -> object:
    return VideoLavit.identify(ModelOptions(str(root), device, dtype, arguments))


def test_identity_is_what_can_change_an_answer(tiny_root: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(tiny_root, moved)
    expected = identify(tiny_root)
    json.dumps(expected)
    assert identify(moved) == expected
    assert identify(tiny_root / "language_model_sft", device="cuda:1", video_cache="off") == expected
    others: Sequence[object] = [
        identify(make_tiny(tmp_path / "other", seed=5)),
        identify(tiny_root, dtype="bfloat16"),
        identify(tiny_root, attention="xformers"),
        identify(tiny_root, token_select="argmax"),
        identify(tiny_root, long_prompt="reference"),
        identify(tiny_root, motion_tokens="off"),
        identify(tiny_root, max_clips="8"),
        identify(tiny_root, encoder_threads="4"),
    ]
    texts = {json.dumps(identity, sort_keys=True) for identity in (expected, *others)}
    assert len(texts) == 9


def test_preflight_finds_everything_at_once(tiny_root: Path) -> None:
    assert VideoLavit.preflight(ModelOptions(str(tiny_root))) == []
    problems = VideoLavit.preflight(ModelOptions("nowhere/at/all", "cuda:77", "int4", {"max_clips": "0"}))
    assert len(problems) == 4
    for problem, part in zip(problems, ("int4", "max_clips", "cuda:77", "nowhere/at/all"), strict=True):
        assert part in problem
    assert "--checkpoint" in VideoLavit.preflight(ModelOptions())[0]


def test_preflight_reads_headers_and_the_tokenizer(tmp_path: Path) -> None:
    root = make_tiny(tmp_path, shards=2)
    folder = root / "language_model_sft"
    shard = folder / "model-00001-of-00002.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    assert "cut short or damaged" in VideoLavit.preflight(ModelOptions(str(root)))[0]
    shard.write_bytes(content)
    (folder / "tokenizer.model").unlink()
    assert "tokenizer.model" in VideoLavit.preflight(ModelOptions(str(root)))[0]


def test_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer

    root = make_tiny(tmp_path)
    (root / "language_model_sft" / "tokenizer.model").write_bytes(train_tokenizer(650))
    with pytest.raises(UsageError, match=r"650 pieces, but config\.json has 640"):
        load(root)


def test_importing_the_adapter_is_light() -> None:
    script = "import sys, lavit_eval.models.video_lavit.adapter; print({'torch', 'av', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


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
