"""Media between the embeddings of text."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lavit_eval.models.video_lavit.splice import clip_blocks, image_block, motion_block, splice
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from tests.models.video_lavit.tiny_understanding import SPACE, VISUAL, make_batch, make_model


@pytest.fixture(scope="module")
def model() -> UnderstandingModel:
    return make_model()


def rows_of(model: UnderstandingModel, *ids: int) -> Tensor:
    return model.model.embed_tokens.weight[list(ids)]


@pytest.mark.parametrize("count", [0, 1, 16])
def test_an_image_stands_between_its_marks(model: UnderstandingModel, count: int) -> None:
    kept = torch.randn(count, VISUAL.llm_dim)
    marks = rows_of(model, SPACE.image_start, SPACE.image_end)
    assert torch.equal(image_block(model, kept), torch.cat([marks[:1], kept, marks[1:]]))


def test_a_clip_is_its_keyframe_and_its_motion(model: UnderstandingModel) -> None:
    codes = torch.arange(2 * 135).view(2, 135) % SPACE.motion
    kept = [torch.randn(3, VISUAL.llm_dim), torch.randn(0, VISUAL.llm_dim)]
    blocks = clip_blocks(model, kept, codes)
    assert [len(block) for block in blocks] == [3 + 2 + 137, 2 + 137]
    for block, keyframe, motion in zip(blocks, kept, codes, strict=True):
        assert torch.equal(block[: len(keyframe) + 2], image_block(model, keyframe))
        assert torch.equal(block[len(keyframe) + 2 :], motion_block(model, motion))
    ids = [SPACE.motion_start, *(code + SPACE.motion_offset for code in codes[1].tolist()), SPACE.motion_end]
    assert torch.equal(motion_block(model, codes[1]), rows_of(model, *ids))


def test_keyframes_and_motions_must_match(model: UnderstandingModel) -> None:
    with pytest.raises(ValueError, match="zip"):
        clip_blocks(model, [torch.randn(3, VISUAL.llm_dim)], torch.zeros(2, 135, dtype=torch.long))


def test_a_row_is_text_medium_text(model: UnderstandingModel) -> None:
    block = image_block(model, torch.randn(4, VISUAL.llm_dim))
    batch = splice(model, [[1, 7, -200, 9, 8]], [block])
    assert torch.equal(batch.embeds[0], torch.cat([rows_of(model, 1, 7), block, rows_of(model, 9, 8)]))
    assert batch.positions.tolist() == [list(range(10))]
    assert bool(batch.mask.all())


def test_a_medium_may_open_or_close_a_row(model: UnderstandingModel) -> None:
    block = image_block(model, torch.randn(1, VISUAL.llm_dim))
    assert torch.equal(splice(model, [[-201, 9]], [block]).embeds[0], torch.cat([block, rows_of(model, 9)]))
    assert torch.equal(splice(model, [[9, -201]], [block]).embeds[0], torch.cat([rows_of(model, 9), block]))


def test_a_batch_is_its_rows_padded_on_the_left(model: UnderstandingModel) -> None:
    prompts, visuals = make_batch(model)
    batch = splice(model, prompts, visuals)
    for place, (ids, visual) in enumerate(zip(prompts, visuals, strict=True)):
        alone = splice(model, [ids], [visual])
        length = alone.embeds.shape[1]
        assert torch.equal(batch.embeds[place, -length:], alone.embeds[0])
        assert not bool(batch.embeds[place, :-length].any())
        assert batch.mask[place].int().sum() == length
        assert bool(batch.mask[place, -length:].all())
        assert batch.positions[place].tolist() == [0] * (batch.mask.shape[1] - length) + list(range(length))


def test_an_unknown_id_counts_as_padding(model: UnderstandingModel) -> None:
    with_unknown = splice(model, [[1, 0, 7, 0]], [None])
    assert torch.equal(with_unknown.embeds, splice(model, [[1, 7]], [None]).embeds)


def test_the_published_cut_takes_the_end_of_each_row(model: UnderstandingModel) -> None:
    prompts, visuals = make_batch(model)
    whole, cut = splice(model, prompts, visuals), splice(model, prompts, visuals, cut=20)
    assert cut.mask.sum(1).tolist() == [min(int(length), 20) for length in whole.mask.sum(1)]
    longest = int(whole.mask.sum(1).argmax())
    assert torch.equal(cut.embeds[longest], whole.embeds[longest, :20])


@pytest.mark.parametrize(("ids", "media"), [([1, 7], 1), ([1, -200, 7], 0), ([1, -200, -200], 1)])
def test_placeholders_and_media_must_match(model: UnderstandingModel, ids: list[int], media: int) -> None:
    with pytest.raises(ValueError, match=f"was given {media} media"):
        splice(model, [ids], [torch.zeros(2, VISUAL.llm_dim) if media else None])


def test_the_batch_has_the_models_dtype() -> None:
    model = make_model().to(torch.bfloat16)
    batch = splice(model, [[1, -200, 7]], [image_block(model, torch.randn(2, VISUAL.llm_dim))])
    assert batch.embeds.dtype == torch.bfloat16
