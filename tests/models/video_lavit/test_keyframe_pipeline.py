from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lavit_eval.errors import UsageError
from lavit_eval.models.protocol import ModelOptions
from lavit_eval.models.video_lavit.adapter import VideoLavit
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.keyframe_pipeline import (
    check_pipeline,
    load_pipeline,
    make_keyframe,
    pipeline_digest,
)
from tests.models.video_lavit.making import order, pixels


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny text-to-image pipeline with random weights."""
    folder = tmp_path_factory.mktemp("pipeline")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({name: place for place, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=12)
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(names),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=12,
        bos_token_id=len(names) - 2,
        eos_token_id=len(names) - 1,
    )
    StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, **_blocks("{}EncoderBlock2D")
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=2,
            cross_attention_dim=16,
            sample_size=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        scheduler=EulerDiscreteScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "model")
    return folder / "model"


def _blocks(name: str) -> dict[str, tuple[str, ...]]:
    return {
        "down_block_types": (name.format("Down"),) * 2,
        "up_block_types": (name.format("Up").replace("Encoder", "Decoder"),) * 2,
    }


def test_seed_and_text_decide_the_picture(pipeline: Path) -> None:
    loaded = load_pipeline(pipeline, torch.float32)

    def make(text: str, seed: int) -> bytes:
        picture = make_keyframe(loaded, text, seed, 32, 16, 2, 3.0)
        assert picture.size == (32, 16)
        content: bytes = picture.tobytes()
        return content

    first = make("a red ball", 1)
    assert make("a red ball", 1) == first
    assert make("a red ball", 2) != first
    assert make("a green box", 1) != first


def test_keyframe_takes_the_place_of_the_first_one(pipeline: Path, tiny_root: Path, tmp_path: Path) -> None:
    arguments = {"keyframe_pipeline": str(pipeline)}
    requests = [
        order(tmp_path, name, "generate_video", text, clips=2)
        for name, text in (("ball", "a red ball"), ("box", "a green box"))
    ]
    model = VideoLavit.load(ModelOptions(checkpoint=str(tiny_root), arguments=arguments))
    together = model.respond(requests)
    alone = [model.respond([request])[0] for request in requests]
    for one, other in zip(together, alone, strict=True):
        assert one.outcome == "answered", one.error
        assert one.text == other.text
        assert one.digests["media"] == other.digests["media"]
        assert pixels(tmp_path, one).shape == (47, 32, 32, 3)
        assert "keyframe" in one.times
    assert together[0].digests["media"] != together[1].digests["media"]
    image = model.respond([order(tmp_path, "image", "generate_image", "a red ball")])[0]
    assert "media" not in image.digests, "images are made by Video-LaVIT itself"


def test_digest_is_of_the_content(pipeline: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pipeline, copy)
    assert pipeline_digest(copy) == pipeline_digest(pipeline)
    (copy / "README.md").write_text("of no effect")
    assert pipeline_digest(copy) == pipeline_digest(pipeline)
    scheduler = copy / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("1000", "900"))
    assert pipeline_digest(copy) != pipeline_digest(pipeline)


def test_what_is_no_pipeline_is_refused(pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no index of a diffusers pipeline"):
        check_pipeline(tmp_path)
    index = tmp_path / "model_index.json"
    index.write_text('{"_class_name": "EvilPipeline"}')
    with pytest.raises(UsageError, match="'EvilPipeline' is none of diffusers"):
        check_pipeline(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(pipeline, copy)
    (copy / "unet" / "evil.py").write_text("")
    with pytest.raises(UsageError, match="holds code, which is never run"):
        check_pipeline(copy)
    shutil.rmtree(copy / "unet")
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_pipeline(copy, torch.float32)


def test_a_keyframe_without_numbers_is_no_success() -> None:
    def broken(**_: object) -> SimpleNamespace:
        return SimpleNamespace(images=np.full((1, 8, 8, 3), np.nan, np.float32))

    with pytest.raises(GenerationError, match="keyframe pipeline"):
        make_keyframe(broken, "a ball", 1, 8, 8, 2, 3.0)
