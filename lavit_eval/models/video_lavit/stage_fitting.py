"""How many requests go through each stage of making together, found by trying on the card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.models.protocol import MOST_MADE_TOGETHER, Demand, Fit
from lavit_eval.models.video_lavit.batch_fitting import CHARACTERS_PER_TOKEN, RESERVE, Card, largest
from lavit_eval.models.video_lavit.clip_sampling import sample_clips
from lavit_eval.models.video_lavit.config import MOTION_FRAMES, MOTION_GRID, MOTION_TOKENS
from lavit_eval.models.video_lavit.draws import SeededDraws
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.maker import Maker
from lavit_eval.models.video_lavit.placed_author import PlacedAuthor

MOST = {"llm_batch": MOST_MADE_TOGETHER, "image_batch": 32, "video_batch": 16}
"""More rows than this gain nothing: diffusion fills a card with few of them."""
FIRST_ESTIMATE = 4
"""Of a size that might fit: trials begin with a single request."""
FEWEST_PLANNED = 32
"""So many are planned together at least: the weights of a stage come to the card once for all of them."""
MARKS = 4
"""Ids of marks around what is written, generously."""
TEXT_ID = 3
"""Any id of a text."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """A stage of making as it is tried: few steps, everything else as in earnest."""

    name: str
    """"llm_batch" and so on."""
    parts: tuple[str, ...]
    """That lie on the card while it works."""
    work: Callable[[int], object]
    """Does it for so many requests."""


@torch.inference_mode()
def fit_stages(maker: Maker, demand: Demand, card: Card) -> Fit:
    """Return how many requests like these are planned together and how many go through each stage, by trying.

    A stage that `--model-args` gave a size is not tried. What a trial draws is thrown away.

    Args:
        maker: Loaded for the card; a part that is needed comes to it now.
        demand: The largest of the requests.
        card: Its memory.

    Raises:
        UsageError: For generation settings that cannot be, or a part that cannot be loaded.
    """
    sizes = maker.arguments.stage_batches()
    stages = list(_stages(maker, demand))
    # Once around: what stays on the card beside a stage's parts is then what stays there in a run.
    for name in _beforehand(maker, demand):
        with maker.parts.at_work("fit", name):
            pass
    for stage in stages:
        _fitted(maker, stage, card, 1)
    for stage in stages:
        if maker.arguments.given_batch(stage.name) is None:
            sizes[stage.name] = _fitted(maker, stage, card, MOST[stage.name])
    together = max(FEWEST_PLANNED, *(sizes[stage.name] for stage in stages))
    return Fit(min(MOST_MADE_TOGETHER, together), sizes)


def _fitted(maker: Maker, stage: _Stage, card: Card, most: int) -> int:
    def attempt(count: int) -> None:
        # Pictures of noise may overflow where real ones do not; the memory was taken by then.
        with suppress(GenerationError):
            stage.work(count)

    with maker.parts.at_work("fit", *stage.parts):
        budget = int(card.free() * (1 - RESERVE))
        return largest(lambda count: card.peak_of(lambda: attempt(count)), budget, FIRST_ESTIMATE, most)


def _beforehand(maker: Maker, demand: Demand) -> Iterator[str]:
    """Yield the parts that work before the first stage, each request for itself."""
    if demand.kind == "generate_video" and demand.medium is None and maker.arguments.keyframe_pipeline:
        yield maker.keyframe_part()
    if demand.kind != "reconstruct_video" and (demand.medium is not None or maker.arguments.keyframe_pipeline):
        yield "visual_tokenizer"


def _stages(maker: Maker, demand: Demand) -> Iterator[_Stage]:
    settings = GenerationSettings.parse(demand.kind, demand.generation)
    if demand.kind == "reconstruct_video":
        yield _Stage("video_batch", ("video_reconstructor",), lambda count: _rebuild(maker, settings, count))
        return
    videos = demand.kind == "generate_video"
    author, length = maker.author(videos), _read_at_most(maker, demand, settings)
    yield _Stage("llm_batch", ("language_model",), lambda count: _write(author, settings, length, count))
    decoding = ("tokenizer_decoder", "image_detokenizer")
    yield _Stage("image_batch", decoding, lambda count: _paint(author, settings, count))
    if videos:
        yield _Stage("video_batch", ("video_detokenizer",), lambda count: _film(author, settings, count))


def _read_at_most(maker: Maker, demand: Demand, settings: GenerationSettings) -> int:
    """Return how many ids stand before the language model when it writes the last: prompt and all that was written."""
    pictures = 0
    if demand.medium is not None or maker.arguments.keyframe_pipeline:
        pictures = max(1, demand.media) * (maker.parts.get("visual_tokenizer").config.patches + MARKS)
    written = settings.clips * (2 if demand.kind == "generate_video" else 1) * (settings.max_new_tokens + MARKS)
    return demand.characters // CHARACTERS_PER_TOKEN + pictures + written


def _write(author: PlacedAuthor, settings: GenerationSettings, length: int, count: int) -> None:
    """Read as many ids as there will ever be and write two: the second is written with the first in the cache."""
    guidance = settings.guidance_llm if settings.guidance_llm != 1 else settings.guidance_motion
    few = replace(settings, min_new_tokens=2, max_new_tokens=2, guidance_llm=guidance)
    author.write_image_ids([[TEXT_ID] * length] * count, _draws(count), few)


def _paint(author: PlacedAuthor, settings: GenerationSettings, count: int) -> None:
    """Make pictures of as many codes as there can be; to restart from a frame takes less, so that is not tried."""
    codes, first = author.decoder.config.tokens, author.tokens.visual_offset
    ids = [first + place % author.tokens.visual for place in range(codes)]
    few = replace(author.image_settings(settings), steps=min(2, settings.steps))
    author.paint([ids] * count, _draws(count), few, None)


def _film(author: PlacedAuthor, settings: GenerationSettings, count: int) -> None:
    keyframes = torch.zeros(count, settings.video_height, settings.video_width, 3, dtype=torch.uint8)
    codes = torch.zeros(count, MOTION_TOKENS, dtype=torch.int64)
    author.film(keyframes, codes, _draws(count), replace(settings, video_steps=1))


def _rebuild(maker: Maker, settings: GenerationSettings, count: int) -> None:
    detokenizer = maker.parts.get("video_reconstructor")
    height, width = settings.video_height, settings.video_width
    keyframes = torch.zeros(count, height, width, 3, dtype=torch.uint8)
    raw = (height // detokenizer.factor, width // detokenizer.factor)
    motion = torch.zeros(count, 2, MOTION_FRAMES, *(raw if settings.motion == "raw" else MOTION_GRID))
    few, low_memory = replace(settings, video_steps=1), maker.arguments.low_memory == "on"
    sample_clips(detokenizer, keyframes, motion, _draws(count), few, low_memory)


def _draws(count: int) -> list[SeededDraws]:
    return [SeededDraws(place) for place in range(count)]
