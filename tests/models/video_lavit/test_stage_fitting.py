"""Sizes of the stages of making, on a card of the test's own that counts the rows it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lavit_eval.evaluate import evaluate
from lavit_eval.models.protocol import Demand, Fit, ModelOptions
from lavit_eval.models.video_lavit import batch_fitting
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.models.video_lavit.arguments import Arguments
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.maker import Maker
from lavit_eval.models.video_lavit.parts import Parts
from lavit_eval.models.video_lavit.stage_fitting import fit_stages
from lavit_eval.prospect import RunOptions
from lavit_eval.sample import RequestKind, Settings
from tests.film_world import film_task, write_benchmark
from tests.models.video_lavit.making import GENERATION, order

ROW = 1000
STEPS = {"write_image_ids": 48, "paint": 6, "film": 3}
"""Step -> rows that fit into the card."""


def make_maker(root: Path, **arguments: str) -> Maker:
    return Maker(root, Parts(root, torch.device("cpu"), torch.float32), Arguments.parse(arguments))


@pytest.fixture(scope="module")
def maker(tiny_root: Path) -> Maker:
    """Return a maker that holds no state but its parts."""
    return make_maker(tiny_root)


def demand(kind: RequestKind, **changes: Any) -> Demand:
    return Demand(kind, None, 20, 0, Settings(), {**GENERATION[kind], **changes})


@dataclass
class Counting:
    """A card whose memory is what the step at work may take: `rows` per step, of a thousand bytes."""

    monkeypatch: pytest.MonkeyPatch
    rows: dict[str, int]
    tried: dict[str, list[int]] = field(default_factory=dict)
    used: int = 0

    def watch(self, owner: Any, step: str, work: Callable[..., Any] | None = None) -> None:
        """Count the rows of a step; `work` stands in for what it does."""
        real = getattr(owner, step)

        def counted(rows: Any, *others: Any) -> Any:
            self.tried.setdefault(step, []).append(len(rows))
            if len(rows) > self.rows[step]:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            # The card is as large as the rows that fit, and an eighth of it stays free.
            self.used = len(rows) * ROW
            return real(rows, *others) if work is None else work(rows, *others)

        self.monkeypatch.setattr(owner, step, counted)

    def free(self) -> int:
        return 10**9

    def peak_of(self, work: Callable[[], object]) -> int:
        self.used = 0
        work()
        assert self.used, "the step ran"
        return self.used


def test_each_stage_of_a_video_has_its_own_size(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Counting(monkeypatch, STEPS)
    for step in STEPS:
        card.watch(maker.author(True), step, None if step == "paint" else lambda *given: None)
    found = fit_stages(maker, demand("generate_video"), card)
    assert found == Fit(48, {"llm_batch": 48, "image_batch": 6, "video_batch": 3})
    assert card.tried["film"] == [1, 1, 2, 4, 3], "one round through all stages, then each by itself"


def test_what_the_user_gave_is_not_tried(tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = make_maker(tiny_root, llm_batch="5", image_batch="7")
    card = Counting(monkeypatch, STEPS)
    for step in STEPS:
        card.watch(maker.author(True), step, lambda *given: None)
    found = fit_stages(maker, demand("generate_video"), card)
    assert found == Fit(32, {"llm_batch": 5, "image_batch": 7, "video_batch": 3})
    assert (card.tried["write_image_ids"], card.tried["paint"]) == ([1], [1])


def test_the_steps_do_what_they_do_in_earnest(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real parts, so that shapes are those that they take; lengths are those of the largest request."""
    author = maker.author(True)
    card = Counting(monkeypatch, dict.fromkeys(STEPS, 2))
    lengths: list[int] = []
    write = author.write_image_ids

    def noted(prompts: Any, *others: Any) -> Any:
        lengths.append(len(prompts[0]))
        found = write(prompts, *others)
        assert all(not isinstance(each, GenerationError) and len(each.new) == 2 for each in found)
        return found

    monkeypatch.setattr(author, "write_image_ids", noted)
    for step in STEPS:
        card.watch(author, step)
    asked = replace(demand("generate_video", clips=2), medium="image", media=1)
    assert fit_stages(maker, asked, card).stages == {"llm_batch": 2, "image_batch": 2, "video_batch": 2}
    patches = maker.parts.get("visual_tokenizer").config.patches
    assert set(lengths) == {20 // 2 + patches + 4 + 2 * 2 * (40 + 4)}


@pytest.mark.parametrize("motion", ["raw", "tokens"])
def test_reconstruction_has_one_stage(maker: Maker, monkeypatch: pytest.MonkeyPatch, motion: str) -> None:
    card = Counting(monkeypatch, {"sample": 2})
    card.watch(maker.parts.get("video_reconstructor"), "sample")
    found = fit_stages(maker, demand("reconstruct_video", motion=motion), card)
    assert found == Fit(32, {"llm_batch": 32, "image_batch": 8, "video_batch": 2})


def test_requests_bring_the_sizes_of_their_plan(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = make_maker(tiny_root, video_batch="1")
    card = Counting(monkeypatch, dict.fromkeys(STEPS, 9))
    for step in STEPS:
        card.watch(maker.author(True), step)
    stages = {"llm_batch": 3, "image_batch": 2, "video_batch": 1}
    for name, given, tried in (("plan", stages, [2, 1]), ("own", {}, [3])):
        requests = [order(tmp_path / name, each, "generate_video", each) for each in ("red", "green", "blue")]
        card.tried.clear()
        maker.respond([replace(each, stages=given) for each in requests])
        assert card.tried == {"write_image_ids": [3], "paint": tried, "film": [1, 1, 1]}


def test_a_run_keeps_what_was_found_and_goes_on_with_it(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small:
        """A card that is full from the tenth trial on, whatever is tried."""

        def __init__(self, device: torch.device) -> None:
            self.trials = 0

        def free(self) -> int:
            return 8 * ROW

        def peak_of(self, work: Callable[[], object]) -> int:
            self.trials += 1
            return ROW if self.trials < 10 else 10 * ROW

    monkeypatch.setattr(batch_fitting, "CudaCard", Small)
    # The only thing that is made up is that the CPU counts as a card.
    monkeypatch.setattr("lavit_eval.prospect._found_on_device", lambda model_class, options: True)
    write_benchmark(tmp_path / "data", 2)
    making = {**GENERATION["generate_video"], "steps": 1}
    fields = {"metrics": ["well_formed"], "primary": "well_formed", "protocols": {}, "generation": making}
    task = film_task(tmp_path / "tasks", 2, **fields)
    model = ModelOptions(str(tiny_root), arguments={"video_batch": "1"})
    base = {"model": "video-lavit", "tasks": (task,), "data_root": tmp_path / "data", "threads": 1}
    options = RunOptions(**base, output=tmp_path / "out", model_options=model, run_id="r")  # type: ignore[arg-type]
    seen: list[Any] = []
    respond = Maker.respond

    def dying(self: Maker, requests: Any) -> Any:
        seen.append(dict(requests[0].stages))
        if len(seen) == 1:
            raise RuntimeError("made to die")
        return respond(self, requests)

    monkeypatch.setattr(Maker, "respond", dying)
    with pytest.raises(RuntimeError, match="made to die"):
        evaluate(options)
    monkeypatch.setattr(VideoLavit, "fit_batches", lambda *given: pytest.fail("found twice"))
    outcome = evaluate(options)
    planned = outcome.run.manifest["plan"]["made_film"]
    assert seen == [planned["stage_batches"]] * 2
    assert planned["stage_batches"]["video_batch"] == 1
    assert planned["batch_size"] in (32, 64)
    stated = outcome.run.manifest["identity"]["stage_batches"]
    assert stated == {"llm_batch": "auto", "image_batch": "auto", "video_batch": 1}
    assert outcome.complete


def test_sizes_stand_in_the_identity_where_no_card_decides(tiny_root: Path) -> None:
    options = ModelOptions(str(tiny_root), arguments={"image_batch": "4"}, kinds=frozenset({"generate_image"}))
    fixed = {"llm_batch": 32, "image_batch": 4, "video_batch": 2}
    assert VideoLavit.stage_batches(options, False) == {"stage_batches": fixed}
    answering = replace(options, kinds=frozenset({"answer"}))
    assert VideoLavit.stage_batches(answering, True) == {}
