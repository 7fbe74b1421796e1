"""What is said comes back as it was said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lavit_eval.engines.messages import (
    from_line,
    pack_demands,
    pack_fits,
    pack_options,
    pack_requests,
    pack_responses,
    pack_samples,
    to_line,
    unpack_demands,
    unpack_fits,
    unpack_options,
    unpack_requests,
    unpack_responses,
    unpack_samples,
)
from lavit_eval.models.protocol import Demand, Fit, ModelOptions
from lavit_eval.sample import Likelihoods, Medium, Request, Response, Sample, Seeds, Segment, Settings

CUT = Medium("video", "/data/c", "c", Segment.frames(1, 20, 3), 3)
FILM = Medium("video", "/data/a b\u2028.avi", "video/a b\u2028.avi")


def test_requests_come_back() -> None:
    greedy, drawn = Settings(), Settings(do_sample=True, temperature=0.7)
    requests = [
        Request("é\n1", 0, "answer", (FILM,), "what\u2028?", greedy, Seeds(42, 0, 2**62 + 1)),
        Request("2", 1, "choose", (), "which?", drawn, Seeds(42, 1, 3, "t/2"), options=("a", "b")),
        Request("3", 0, "generate_video", (), "a cat", greedy, Seeds(1, 0, 5), generation={"clips": 2}, output="/o/3"),
        Request("4", 0, "answer", (FILM, CUT), "", Settings(), Seeds(42, 0, 9)),
    ]
    packed = from_line(to_line(pack_requests(requests)))
    assert unpack_requests(packed) == requests
    assert len(packed["shared"]) == 3, "equal settings are said once"


def test_stages_demands_and_fits_come_back() -> None:
    stages = {"llm_batch": 48, "video_batch": 3}
    request = Request("3", 0, "generate_video", (), "a", Settings(), Seeds(1, 0, 5), output="/o/3", stages=stages)
    packed = from_line(to_line(pack_requests([request, replace(request, sample_id="4", stages={})])))
    assert [each.stages for each in unpack_requests(packed)] == [stages, {}]
    demands = [
        Demand("generate_video", "image", 300, 0, Settings(do_sample=True), {"clips": 2, "motion": None}, 3),
        Demand("choose", None, 10, 40, Settings()),
    ]
    assert unpack_demands(from_line(to_line({"d": pack_demands(demands)}))["d"]) == demands
    fits = [Fit(48, stages), Fit(3)]
    assert unpack_fits(from_line(to_line({"f": pack_fits(fits)}))["f"]) == fits


def test_responses_come_back() -> None:
    responses = [
        Response("1", 0, "answered", text="cat\u2028\n", digests={"media": ["ab"]}, counts={"n": 3}, times={"e": 0.1}),
        Response("2", 1, "failed", error="It broke."),
        Response("3", 0, "answered", medium="tasks/t/media/3.mkv", medium_digest="ff"),
        Response("4", 0, "answered", text=""),
        Response("5", 0, "answered", text="A", likelihoods=Likelihoods.of([-1.5, -2.25], [1, 3])),
    ]
    line = to_line({"responses": pack_responses(responses)})
    assert line.count("\n") == 1
    assert unpack_responses(from_line(line)["responses"]) == responses


def test_samples_and_options_come_back() -> None:
    samples = [
        Sample("1", (FILM,), "what?", ("cat", "dog"), {"kind": "x"}, {"deep": [1, {"a": None}]}, (CUT,), "g"),
        Sample("2", (), "", ()),
    ]
    assert unpack_samples(from_line(to_line({"s": pack_samples(samples)}))["s"]) == samples
    options = ModelOptions("DIR", "cuda:1", "bfloat16", {"a": "b"}, frozenset({"answer", "caption"}))
    assert unpack_options(from_line(to_line(pack_options(options)))) == options


def test_other_lines_are_no_messages() -> None:
    for line, said in ((b"[1]\n", "a JSON object"), (b"{torn", "property name"), (b"\n", "Expecting value")):
        with pytest.raises(ValueError, match=said):
            from_line(line)
