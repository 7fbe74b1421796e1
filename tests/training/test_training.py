"""Training goes a few steps, saves, and goes on to the same bytes; what it packs is what evaluation splices."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch

from lavit_eval.demo.events import draw_film
from lavit_eval.models.video_lavit.loading import load_understanding, read_blueprint
from lavit_eval.models.video_lavit.splice import clip_blocks, splice
from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from training.codebook import CodebookTrainer, usage
from training.motion import turned
from training.packing import Example, Told, logits, pack
from training.recipe import BRIEF, SIZES
from training.understanding import new_model, train_understanding
from training.words import Exchange, list_shapes, tokenizer_text

STAGES = ("early", "middle", "final")


def digests(folder: Path) -> dict[str, str]:
    return {
        f"{stage}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for stage in STAGES
        for path in (folder / "checkpoints" / stage / "language_model_sft").iterdir()
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train_understanding(out, BRIEF)
    return out


@pytest.mark.slow
def test_a_broken_off_training_goes_on_to_equal_bytes(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "data", tmp_path / "data")
    for pause, stage in ((2, "encoder"), (2, "merger"), (1, "motion"), (1, "decoder"), (2, "language")):
        train_understanding(tmp_path, BRIEF, until=stage, pause=pause)
    train_understanding(tmp_path, BRIEF)
    assert digests(tmp_path) == digests(trained)


@pytest.mark.slow
def test_every_stage_can_be_loaded(trained: Path) -> None:
    for stage in STAGES:
        blueprint = read_blueprint(trained / "checkpoints" / stage / "language_model_sft")
        blueprint.check()
        model = load_understanding(blueprint, torch.device("cpu"), torch.float32)
        assert sum(value.numel() for value in model.parameters()) * 2 < 6_600_000
    assert len({digests(trained)[f"{stage}/model.safetensors"] for stage in STAGES}) == 3


def test_packed_questions_are_what_evaluation_sees(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(train_tokenizer(SIZES.tokens.text, tokenizer_text(0)))
    tokenizer, model = Tokenizer(tmp_path / "tokenizer.model"), new_model(0).eval()
    generator = torch.Generator().manual_seed(0)
    features, codes = torch.randn(5, SIZES.visual.width, generator=generator), torch.arange(135) % 128
    asked = (Exchange("color", "what color is the star?", "red"), Exchange("speed", "how fast is the star?", "slow"))
    other = Example(torch.randn(9, SIZES.visual.width, generator=generator), None, asked[:1], "image")
    found = logits(model, packed := pack(model, tokenizer, [Example(features, codes, asked, "video"), other]))
    with torch.no_grad():
        blocks = clip_blocks(model, [model.model.visual_tokenizer.vit_proj(features)], codes[None])
        for number, exchange in enumerate(asked, start=1):
            prompt = tokenizer.prompt_ids(exchange.question, "video")
            spliced = splice(model, [prompt], [blocks[0]])
            expected = model.last_logits(*spliced)
            first = next(place for place, owner in enumerate(packed.owners.tolist()) if owner == [0, number])
            torch.testing.assert_close(found[first], expected[0], rtol=1e-4, atol=1e-5)


def test_codes_are_learned_after_the_prompt_that_generation_gives(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(train_tokenizer(SIZES.tokens.text, tokenizer_text(0)))
    tokenizer, model, tokens = Tokenizer(tmp_path / "tokenizer.model"), new_model(0).eval(), SIZES.tokens
    visual, motion = torch.arange(7), torch.arange(135) % 128
    film, untold = Told("a red star moves upwards", visual, motion), Told("", visual, None)
    asked = (Exchange("color", "what color is the star?", "red"),)
    packed = pack(model, tokenizer, [film, Example(torch.randn(3, SIZES.visual.width), None, asked, "image"), untold])
    image = [tokens.image_start, *(visual + tokens.visual_offset).tolist(), tokens.image_end]
    moving = [tokens.motion_start, *(motion + tokens.motion_offset).tolist(), tokens.motion_end]
    written = packed.targets[packed.owners[:, 0] == 0].tolist()
    assert written == image[1:] + moving[1:]
    assert packed.targets[packed.owners[:, 0] == 2].tolist() == image[1:]
    assert packed.weights[packed.owners[:, 0] == 1].unique().tolist() == [1.0]
    # What generation runs: the text without BOS, then the mark and what has been written.
    ids = torch.tensor([[*tokenizer.encode(film.caption), *image, *moving[:-1]]])
    expected = model.lm_head(model.model(input_ids=ids).last_hidden_state)[0]
    start = len(tokenizer.encode(film.caption))
    found = logits(model, packed)[packed.owners[:, 0] == 0]
    places = [start + place for place in (*range(8), *range(9, 145))]
    torch.testing.assert_close(found, expected[places], rtol=1e-4, atol=1e-5)


def test_a_list_says_what_is_there_after_each_name() -> None:
    scene = draw_film(0, "test", 3)
    texts = {list_shapes(scene, False, torch.Generator().manual_seed(seed)).answer for seed in range(8)}
    assert len(texts) > 1
    for text in texts:
        said = [part.split() for part in text.split(", ")]
        assert len(said) == len(scene.shapes)
        for shape in scene.shapes:
            words = next(words for words in said if shape.kind in words)
            assert {shape.kind, shape.color} <= set(words)
            assert words[0] in (shape.kind, shape.color)
            assert ("large" in words) == (shape.size >= 80)
            assert ("left" in words) <= (2 * shape.x + shape.size < 576)


def test_no_code_stays_dead() -> None:
    from lavit_eval.models.video_lavit.quantiser import VectorQuantiser

    generator = torch.Generator().manual_seed(0)
    codebook = CodebookTrainer(VectorQuantiser(32, 4))
    codebook.begin(torch.ones(64, 4) + 0.001 * torch.randn(64, 4, generator=generator), generator)
    spread = torch.randn(512, 4, generator=generator)
    for _ in range(60):
        _, _, codes = codebook(spread, generator)
    assert usage(codes, 32)["used"] == 1.0


def test_turning_motion_turns_its_vectors() -> None:
    motion = torch.zeros(2, 24, 20, 36)
    motion[0, 3, 4, 5], motion[1, 3, 4, 5] = 1.0, 2.0
    both = turned(motion, True, True)
    assert (both[0, 3, 15, 30], both[1, 3, 15, 30]) == (-1.0, -2.0)
    assert torch.equal(turned(both, True, True), motion)
