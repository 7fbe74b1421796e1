"""Options are ranked by what a plain forward gives, whoever else is asked and in whatever order."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.models.video_lavit.ranking import option_log_likelihoods
from lavit_eval.models.video_lavit.splice import splice
from lavit_eval.models.video_lavit.tokenizer import Tokenizer, build_prompt
from lavit_eval.sample import Likelihoods, Medium, Request, Response, Seeds, Segment, Settings
from tests.models.video_lavit.media import write_picture, write_video

OPTIONS = ("a red square", "two", "Yes, it moves to the left and back again.", "no")
GOLDEN_TOKENIZER = Path(__file__).resolve().parents[2] / "golden" / "tiny_tokenizer" / "tokenizer.model"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> list[Medium | None]:
    folder = tmp_path_factory.mktemp("media")
    picture, video = write_picture(folder / "a.png", 1), write_video(folder / "a.mp4", 2)
    film = Medium("video", str(video), "a.mp4")
    return [None, Medium("image", str(picture), "a.png"), film, replace(film, segment=Segment.seconds(2, 8))]


@pytest.fixture(scope="module")
def model(tiny_root: Path) -> VideoLavit:
    return VideoLavit.load(ModelOptions(checkpoint=str(tiny_root)))


def ask(name: str, medium: Medium | None, options: tuple[str, ...] = OPTIONS, text: str = "What moves?") -> Request:
    seen = () if medium is None else (medium,)
    return Request(name, 0, "choose", seen, text, Settings(), Seeds(42, 0, 0), options)


def summed(response: Response) -> tuple[float, ...]:
    assert response.likelihoods is not None, response.error
    return response.likelihoods.summed


def by_hand(model: VideoLavit, request: Request) -> list[float]:
    """Run prompt and option as one sequence without a cache, one option after the other."""
    respondent = model.respondent
    visual = None
    if request.media:
        seen = respondent.sight.see(respondent.sight.load(request.media[0]), request.seeds)
        visual = torch.cat(list(seen.blocks))
    prompt = respondent.tokenizer.prompt_ids(request.text, request.media[0].kind if request.media else "text")
    found = []
    for option in request.options:
        ids = respondent.tokenizer.encode(option)
        whole = splice(respondent.model, [[*prompt, *ids]], [visual])
        states = respondent.model.hidden_states(whole.embeds, whole.mask, whole.positions)
        logs = respondent.model.lm_head(states).float().log_softmax(-1)[0]
        found.append(sum(float(logs[-len(ids) - 1 + place, token]) for place, token in enumerate(ids)))
    return found


@torch.inference_mode()
def test_batched_values_are_those_of_a_plain_forward_of_prompt_and_option(
    model: VideoLavit, media: list[Medium | None]
) -> None:
    requests = [ask(f"{number}", medium, text="What " * (1 + number)) for number, medium in enumerate(media)]
    responses = model.respond(requests)
    assert [response.outcome for response in responses] == ["answered"] * 4
    for request, response in zip(requests, responses, strict=True):
        assert summed(response) == pytest.approx(by_hand(model, request), abs=1e-4)
        assert response.likelihoods is not None
        tokens = [len(model.respondent.tokenizer.encode(option)) for option in OPTIONS]
        assert list(response.likelihoods.tokens) == tokens
        assert max(tokens) > min(tokens) + 3, "options of one length would show no normalisation"
        means = [total / count for total, count in zip(summed(response), tokens, strict=True)]
        assert list(response.likelihoods.normalised) == means
        assert response.text == "ABCD"[means.index(max(means))]
        assert response.counts["option_tokens"] == sum(tokens)
    assert len({round(summed(response)[0], 4) for response in responses}) == 4, "what is seen must count"


def test_order_of_options_company_and_number_change_nothing(model: VideoLavit, media: list[Medium | None]) -> None:
    request = ask("one", media[2])
    alone = summed(model.respond([request])[0])
    turned = summed(model.respond([replace(request, options=OPTIONS[::-1])])[0])
    assert turned[::-1] == pytest.approx(alone, abs=1e-4)
    pair = summed(model.respond([replace(request, options=OPTIONS[1:3])])[0])
    assert pair == pytest.approx(alone[1:3], abs=1e-4)
    company = [ask("two", media[1], ("x", "y")), request, ask("three", None, OPTIONS[::-1], "Why? " * 20)]
    assert summed(model.respond(company)[1]) == pytest.approx(alone, abs=1e-4)
    assert summed(model.respond(company[::-1])[1]) == pytest.approx(alone, abs=1e-4)


def test_options_of_one_token_need_no_second_pass(model: VideoLavit, monkeypatch: pytest.MonkeyPatch) -> None:
    language = model.respondent.model
    passes: list[int] = []
    through = language.hidden_states

    def counted(embeds: torch.Tensor, *rest: object) -> torch.Tensor:
        passes.append(embeds.shape[1])
        return through(embeds, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(language, "hidden_states", counted)
    request = ask("one", None)
    prompt = len(model.respondent.tokenizer.prompt_ids(request.text, "text"))
    spliced = splice(language, [model.respondent.tokenizer.prompt_ids(request.text, "text")], [None])
    single = option_log_likelihoods(language, spliced, [[[5], [9]]])
    assert passes == [prompt], "the prompt is read once"
    passes.clear()
    several = option_log_likelihoods(language, spliced, [[[5, 7, 11], [9], [9, 4]]])
    assert passes == [prompt, 3], "and all options together after it"
    assert several[0][1] == pytest.approx(single[0][1], abs=1e-5)


def test_answering_and_ranking_share_a_batch(model: VideoLavit, media: list[Medium | None]) -> None:
    choose = ask("choose", media[1])
    write = replace(choose, sample_id="write", kind="answer", options=(), settings=Settings(max_new_tokens=4))
    together = model.respond([write, choose])
    assert [response.sample_id for response in together] == ["write", "choose"]
    assert together[0].likelihoods is None
    assert together[0].text == model.respond([write])[0].text
    assert summed(together[1]) == pytest.approx(summed(model.respond([choose])[0]), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("dog", ""), "Option B has no text to rank."),
        ((), "The question has 0 options to rank, not 1 to 26."),
        (("dog",) * 27, "The question has 27 options to rank, not 1 to 26."),
        (("dog " * 5000, "cat"), "positions"),
    ],
    ids=["empty", "none", "many", "long"],
)
def test_options_that_cannot_be_ranked_fail_the_sample(
    model: VideoLavit, options: tuple[str, ...], reason: str
) -> None:
    bad, good = model.respond([ask("bad", None, options), ask("good", None)])
    assert (bad.outcome, good.outcome) == ("failed", "answered")
    assert bad.error is not None and reason in bad.error


def test_values_that_are_no_numbers_fail_the_sample(model: VideoLavit, monkeypatch: pytest.MonkeyPatch) -> None:
    head = model.respondent.model.lm_head
    monkeypatch.setattr(head, "forward", lambda states: torch.full((*states.shape[:-1], head.out_features), math.nan))
    (response,) = model.respond([ask("one", None)])
    assert response.outcome == "failed"
    assert response.error is not None and response.error.startswith("The options cannot be ranked: log-likelihoods")


@pytest.mark.parametrize("option", ["dog", "Dog.", "a dog", "2", "(B)", "don't", "é", "A"])
@pytest.mark.parametrize("kind", ["text", "image"])
def test_an_option_begins_where_the_prompt_ends(option: str, kind: str) -> None:
    """Prompt and option tokenised as one text, a space between them, give the prompt's ids and then the option's."""
    tokenizer = Tokenizer(GOLDEN_TOKENIZER)
    prompt = build_prompt("What is it?", kind)  # type: ignore[arg-type]
    tail = prompt.split("<image>", 1)[-1]
    assert tokenizer.encode(f"{tail} {option}") == [*tokenizer.encode(tail), *tokenizer.encode(option)]


def test_equal_values_choose_the_first() -> None:
    assert Likelihoods.best([-1.0, -0.5, -0.5, -2.0]) == 1
    with pytest.raises(ValueError, match="tokens"):
        Likelihoods.of([-1.0], [0])
