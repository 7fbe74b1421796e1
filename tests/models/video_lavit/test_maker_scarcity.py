"""What is made where memory does not suffice, or where a kill came in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lavit_eval.models.video_lavit.maker import Maker
from lavit_eval.sample import Medium, Request
from tests.models.video_lavit.made_requests import Killed, kill_after, timeless
from tests.models.video_lavit.making import order, pixels


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
    maker: Maker, brief_media: dict[str, Medium], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(run: Path) -> list[Request]:
        return [order(run, name, "reconstruct_video", media=(brief_media["run"],)) for name in ("a", "b")]

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
