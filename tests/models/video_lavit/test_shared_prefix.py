"""What questions on one medium share is read once and changes no answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.models.video_lavit.generation import generate
from lavit_eval.models.video_lavit.ranking import option_log_likelihoods
from lavit_eval.models.video_lavit.shared_prefix import Opening, SharedPrefixes, resumed, seen_mask
from lavit_eval.models.video_lavit.splice import splice
from lavit_eval.models.video_lavit.stopping import StopRule
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import Medium, Request, RequestKind, Response, Seeds, Settings
from tests.models.video_lavit.media import write_video
from tests.models.video_lavit.tiny_understanding import make_batch, make_model

STOP = StopRule(eos=2)
GREEDY = Settings(max_new_tokens=8)


@pytest.fixture(scope="module")
def model() -> UnderstandingModel:
    return make_model(5)


def questions(model: UnderstandingModel, seed: int = 0) -> list[Opening]:
    """Return three questions on a video, two on an image and one without a medium, of unequal lengths."""
    prompts, visuals = make_batch(model, seed)
    found = []
    for place, tail in ((0, []), (1, [9]), (1, [9, 30, 31, 8]), (2, []), (1, []), (0, [77, 5])):
        medium = None if visuals[place] is None else f"medium {place}"
        found.append(Opening([*prompts[place], *tail], visuals[place], medium))
    return found


@pytest.mark.parametrize("cut", [None, 20, 5])
@torch.inference_mode()
def test_logits_are_those_without(model: UnderstandingModel, cut: int | None) -> None:
    openings = questions(model)
    plain = splice(model, [each.ids for each in openings], [each.visual for each in openings], cut)
    shared = SharedPrefixes(model, cut)
    begun = shared.begin(openings)
    assert begun is not None
    rest, past = begun
    assert shared.read == 2, "one for the image, one for the video"
    assert torch.equal(seen_mask(rest, past).sum(1), plain.mask.sum(1))
    assert torch.equal(rest.positions[:, -1], plain.positions[:, -1])
    logits = model.last_logits(rest.embeds, seen_mask(rest, past), rest.positions, resumed(model, past))
    torch.testing.assert_close(logits, model.last_logits(*plain), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "settings", [GREEDY, replace(GREEDY, do_sample=True), replace(GREEDY, num_beams=3, length_penalty=0.5)]
)
@torch.inference_mode()
def test_answers_are_those_without(model: UnderstandingModel, settings: Settings) -> None:
    def draws() -> list[torch.Generator | None]:
        return [torch.Generator().manual_seed(place) for place in range(6)]

    for seed in range(3):
        openings = questions(model, seed)
        prompts = [list(each.ids) for each in openings]
        plain = splice(model, prompts, [each.visual for each in openings])
        begun = SharedPrefixes(model).begin(openings)
        assert begun is not None
        rest, past = begun
        found = generate(model, rest, prompts, settings, STOP, draws(), past=past)
        assert found == generate(model, plain, prompts, settings, STOP, draws())
        assert len({tuple(ids) for ids in found}) > 2, "rows of one answer would show nothing"
        options = [[[5, 9, 11], [7]], [[8], [9, 9]]] * 3
        ranked = option_log_likelihoods(model, rest, options, past)
        for one, other in zip(ranked, option_log_likelihoods(model, plain, options), strict=True):
            assert one == pytest.approx(other, abs=1e-4)


@torch.inference_mode()
def test_nothing_depends_on_the_batch_before(model: UnderstandingModel) -> None:
    openings = questions(model)
    fresh, warm = SharedPrefixes(model), SharedPrefixes(model)
    warm.begin([openings[3], openings[2], openings[4]])
    assert warm.read == 1
    batch = [openings[1], openings[2], openings[4]]
    first, second = fresh.begin(batch), warm.begin(batch)
    assert first is not None and second is not None
    assert warm.read == 1, "the video of the last row was kept"
    for (one, _), (other, _) in zip(first[1].layers, second[1].layers, strict=True):
        assert torch.equal(one, other)
    alone = [openings[0], openings[1], openings[3]]
    assert warm.begin(alone) is None, "three prompts that begin otherwise are read as before, whatever is kept"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Medium]:
    folder = tmp_path_factory.mktemp("films")
    return [Medium("video", str(write_video(folder / f"{n}.mp4", n)), f"{n}.mp4") for n in (1, 2)]


def ask(film: Medium, name: str, kind: RequestKind = "answer", repeat: int = 0) -> Request:
    options = ("red", "a blue ball") if kind == "choose" else ()
    settings = Settings(max_new_tokens=6)
    return Request(name, repeat, kind, (film,), f"what {name}?", settings, Seeds(42, repeat, 0), options)


def load(root: Path, **arguments: str) -> VideoLavit:
    return VideoLavit.load(ModelOptions(checkpoint=str(root), arguments=arguments))


def told(responses: list[Response]) -> list[object]:
    return [(each.text, dict(each.digests), dict(each.counts)) for each in responses]


def test_the_model_answers_alike_with_and_without(tiny_root: Path, films: list[Medium]) -> None:
    requests = [ask(films[0], "a"), ask(films[0], "b is it"), ask(films[1], "c"), ask(films[0], "d", repeat=1)]
    requests += [ask(films[1], "e", "choose"), ask(films[1], "f", "choose")]
    model = load(tiny_root)
    with_it, without = model.respond(requests), load(tiny_root, shared_prefix="off").respond(requests)
    assert told(with_it) == told(without)
    prefixes = model.respondent.prefixes
    assert prefixes is not None
    assert prefixes.read == 4, "per film and repeat once, and once more for the other way of answering"


def test_only_the_argument_off_is_named_in_the_identity(tiny_root: Path) -> None:
    def identity(**arguments: str) -> dict[str, object]:
        return dict(VideoLavit.identify(ModelOptions(checkpoint=str(tiny_root), arguments=arguments)))

    assert "shared_prefix" not in identity(shared_prefix="on")
    assert identity(shared_prefix="off") == {**identity(), "shared_prefix": "off"}


def test_a_batch_too_large_is_answered_in_halves(
    tiny_root: Path, films: list[Medium], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny_root)
    requests = [ask(film, f"{number}") for film in films for number in range(3)]
    whole = model.respond(requests)
    write = model.respondent._write
    sizes = []

    def limited(rows: list[object], settings: Settings) -> list[Response]:
        sizes.append(len(rows))
        if len(rows) > 2 or any(row.request.sample_id == "2" for row in rows):  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return write(rows, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(model.respondent, "_write", limited)
    halves = model.respond(requests)
    assert sizes == [6, 3, 2, 1, 3, 2, 1]
    assert [each.outcome for each in halves] == ["answered", "answered", "failed"] * 2
    assert "memory does not suffice" in str(halves[2].error)
    assert [each.counts.get("batch_halved") for each in halves] == [1, 1, None] * 2
    assert [each.text for each in halves[:2]] == [each.text for each in whole[:2]]
    assert not any("batch_halved" in each.counts for each in whole)


def test_another_error_of_the_runtime_is_raised(
    tiny_root: Path, films: list[Medium], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny_root)

    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(model.respondent, "_write", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        model.respond([ask(films[0], "a")])
