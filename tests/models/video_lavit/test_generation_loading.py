from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.generation_loading import PARTS, READERS, generation_digest, needed_parts, read_part
from lavit_eval.models.video_lavit.tiny import SIZES, make_tiny

Weights = dict[str, torch.Tensor]
EVA = "visual_tokenizer/eva_vitg_psz14.bin"
REST = "visual_tokenizer/tokenizer_encoder.bin"
DECODER = "visual_tokenizer/highres_tokenizer_decoder.bin"
IMAGE_UNET = "image_detokenizer/unet/diffusion_pytorch_model.bin"


@pytest.fixture
def root(tmp_path: Path, tiny_root: Path) -> Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_root, folder)
    return folder


def change(path: Path, work: Callable[[Weights], object]) -> None:
    weights: Weights = torch.load(path, weights_only=True)
    work(weights)
    path.unlink()
    torch.save(weights, path)


def change_json(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def load(root: Path, name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    return read_part(name, root).load(dtype)


@pytest.mark.parametrize("name", list(READERS))
def test_nothing_is_left_to_chance(tiny_root: Path, name: str) -> None:
    module = load(tiny_root, name)
    again = load(tiny_root, name).state_dict()
    assert all(torch.equal(again[key], value) for key, value in module.state_dict().items())
    assert not any(value.is_meta for value in (*module.parameters(), *module.buffers()))
    assert not any(value.requires_grad for value in module.parameters())
    assert not any(child.training for child in module.modules())
    assert {value.dtype for value in module.parameters()} == {torch.float32}


def test_values_are_those_of_the_files(tiny_root: Path) -> None:
    visual = load(tiny_root, "visual_tokenizer").state_dict()
    eva = torch.load(tiny_root / EVA, weights_only=True)
    rest = torch.load(tiny_root / REST, weights_only=True)
    assert torch.equal(visual["encoder.cls_token"], eva["cls_token"].float())
    assert torch.equal(visual["quantize.embedding.weight"], rest["quantize.embedding.weight"].float())
    assert not [name for name in visual if name.startswith(("vit_proj", "encoder.norm", "encoder.head"))]
    image = load(tiny_root, "image_detokenizer").state_dict()
    unet = torch.load(tiny_root / IMAGE_UNET, weights_only=True)
    assert all(torch.equal(image[f"unet.{name}"], value.float()) for name, value in unet.items())


@pytest.mark.parametrize(("shards", "format"), [(1, "bin"), (3, "bin"), (3, "safetensors")])
def test_every_form_of_the_language_model(tmp_path: Path, tiny_root: Path, shards: int, format: str) -> None:
    other = load(make_tiny(tmp_path, shards=shards, format=format), "language_model").state_dict()
    expected = load(tiny_root, "language_model").state_dict()
    assert set(other) == set(expected)
    assert all(torch.equal(other[name], value) for name, value in expected.items())


def test_rotary_frequencies_are_real(tiny_root: Path) -> None:
    model: Any = load(tiny_root, "language_model", torch.bfloat16)
    frequencies = model.model.rotary_emb.inv_freq
    assert frequencies.dtype == torch.float32
    assert torch.allclose(frequencies[:2], torch.tensor([1.0, 10000 ** (-2 / 16)]))


def test_later_file_wins_in_the_visual_tokenizer(root: Path) -> None:
    mark = torch.full((48,), 3.0)
    change(root / REST, lambda weights: weights.update({"encoder.blocks.0.norm1.bias": mark}))
    assert torch.equal(load(root, "visual_tokenizer").state_dict()["encoder.blocks.0.norm1.bias"], mark)


def test_what_nobody_needs_may_be_there_or_not(root: Path) -> None:
    change(root / EVA, lambda weights: [weights.pop(f"{name}") for name in ("norm.weight", "norm.bias", "head.bias")])
    change(root / REST, lambda weights: weights.update({"vit_proj.bias": torch.zeros(64), "teacher.a": torch.zeros(1)}))
    part = read_part("visual_tokenizer", root)
    part.load(torch.float32)
    assert part.plan.ignored == [f"teacher.a in {REST}"]


def test_half_precision_as_published(tiny_root: Path) -> None:
    half = torch.bfloat16
    assert {value.dtype for value in load(tiny_root, "language_model", half).parameters()} == {half}
    assert {value.dtype for value in load(tiny_root, "image_detokenizer", half).parameters()} == {half}
    visual: Any = load(tiny_root, "visual_tokenizer", half)
    assert visual.encoder.patch_embed.proj.weight.dtype == visual.encode_task_layer[0].bias.dtype == half
    for kept in (
        visual.encoder.pos_embed,
        visual.encoder.blocks[0].attn.q_bias,
        visual.encoder.blocks[0].norm1.weight,
        visual.quantize.embedding.weight,
    ):
        assert kept.dtype == torch.float32
    video: Any = load(tiny_root, "video_detokenizer", half)
    assert {value.dtype for part in (video.unet, video.vae) for value in part.parameters()} == {half}
    assert video.motion_encoder.in_proj.weight.dtype == video.motion_tokenizer.decoder.in_proj.weight.dtype == half
    assert video.motion_encoder.pos_embed.dtype == video.motion_tokenizer.quantize.embedding.weight.dtype
    assert video.motion_encoder.pos_embed.dtype == torch.float32
    rebuilt: Any = load(tiny_root, "video_reconstructor", half)
    assert {value.dtype for value in rebuilt.motion_encoder.parameters()} == {torch.float32}
    assert {value.dtype for value in rebuilt.motion_tokenizer.parameters()} == {torch.float32}
    assert {value.dtype for value in rebuilt.unet.parameters()} == {half}


@pytest.mark.parametrize(
    ("file", "name", "part", "named"),
    [
        (EVA, "cls_token", "visual_tokenizer", r"encoder\.cls_token"),
        (REST, "causal_encoder.norm.bias", "visual_tokenizer", r"causal_encoder\.norm\.bias"),
        (DECODER, "query_embed", "tokenizer_decoder", "query_embed"),
        (IMAGE_UNET, "conv_in.bias", "image_detokenizer", r"unet\.conv_in\.bias"),
        ("motion_tokenizer.bin", "decoder.norm.bias", "video_detokenizer", r"motion_tokenizer\.decoder\.norm\.bias"),
    ],
)
def test_missing_key_is_named(root: Path, file: str, name: str, part: str, named: str) -> None:
    change(root / file, lambda weights: weights.pop(name))
    with pytest.raises(UsageError, match=rf"is not whole \(1 missing: {named}\); look at it with .*hf download"):
        load(root, part)


@pytest.mark.parametrize(
    ("file", "part"),
    [(EVA, "visual_tokenizer"), (DECODER, "tokenizer_decoder"), ("motion_tokenizer.bin", "video_reconstructor")],
)
def test_unexpected_key_is_named(root: Path, file: str, part: str) -> None:
    change(root / file, lambda weights: weights.update({"blocks.77.extra": torch.zeros(1)}))
    with pytest.raises(UsageError, match=rf"1 unexpected: blocks\.77\.extra in {file}"):
        load(root, part)


def test_other_shape_and_integers_are_named(root: Path) -> None:
    change(root / DECODER, lambda weights: weights.update({"query_embed": torch.zeros(1, 3, 48)}))
    with pytest.raises(UsageError, match=r"1 unusable: query_embed is \[1, 3, 48\], not \[1, 64, 48\]"):
        load(root, "tokenizer_decoder")
    change(root / DECODER, lambda weights: weights.update({"query_embed": torch.zeros(1, 64, 48, dtype=torch.int8)}))
    with pytest.raises(UsageError, match="1 unusable: query_embed is int8"):
        load(root, "tokenizer_decoder")


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("language_model", "language_model"),
        ("visual_tokenizer", "visual_tokenizer"),
        ("image_detokenizer/unet", "image_detokenizer"),
        ("image_detokenizer/scheduler", "image_detokenizer"),
        ("video_detokenizer/vae", "video_detokenizer"),
        ("video_detokenizer/scheduler", "video_reconstructor"),
    ],
)
def test_missing_folder_is_named_with_the_command_that_fetches_it(root: Path, folder: str, part: str) -> None:
    shutil.rmtree(root / folder)
    with pytest.raises(UsageError) as caught:
        read_part(part, root)
    assert str(caught.value).startswith(f"The checkpoint has no folder {root / folder}; fetch it: `hf download ")
    assert str(caught.value).endswith(f"--local-dir {root}`.")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("image", {"beta_schedule": "steep"}, "beta_schedule is 'steep'"),
        ("image", {"prediction_type": "sample"}, "prediction_type"),
        ("image", {"num_train_timesteps": None}, "lacks num_train_timesteps"),
        ("video", {"prediction_type": "guess"}, "scheduler"),
        ("video", {"beta_schedule": "steep"}, "steep"),
        ("video", {"_class_name": "DDIMScheduler"}, "is no EulerDiscreteScheduler"),
        ("video", {"beta_end": None}, "lacks beta_end"),
    ],
)
def test_wrong_scheduler_is_refused(root: Path, kind: str, values: dict[str, Any], message: str) -> None:
    change_json(root / f"{kind}_detokenizer" / "scheduler" / "scheduler_config.json", **values)
    with pytest.raises(UsageError, match=message) as caught:
        read_part(f"{kind}_detokenizer", root)
    assert "hf download" in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_scheduler_that_is_no_json_object(root: Path, text: str) -> None:
    (root / "video_detokenizer" / "scheduler" / "scheduler_config.json").write_text(text)
    with pytest.raises(UsageError, match=r"scheduler_config\.json (cannot be read as JSON|must hold a JSON object)"):
        read_part("video_detokenizer", root)


@pytest.mark.parametrize(
    ("file", "values", "part"),
    [
        ("language_model/config.json", {"num_attention_heads": 0}, "language_model"),
        ("language_model/config.json", {"vocab_size": 900}, "language_model"),
        ("image_detokenizer/unet/config.json", {"block_out_channels": [16]}, "image_detokenizer"),
        ("video_detokenizer/unet/config.json", {"in_channels": 8}, "video_detokenizer"),
        ("lavit_eval.json", {"tokenizer_decoder": {"heads": 7}}, "tokenizer_decoder"),
    ],
)
def test_configuration_that_fits_no_model_is_one_sentence(
    root: Path, file: str, values: dict[str, Any], part: str
) -> None:
    change_json(root / file, **values)
    with pytest.raises(UsageError, match=r"fetch it again: .hf download"):
        read_part(part, root).plan.check()


def test_old_attention_names_of_an_autoencoder(root: Path) -> None:
    path = root / "image_detokenizer" / "vae" / "diffusion_pytorch_model.safetensors"
    weights = safetensors.torch.load_file(path)
    modern = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    expected = load(root, "image_detokenizer").state_dict()
    old = {}
    for name, value in weights.items():
        for new, former in modern.items():
            name = name.replace(new, former)
        old[name] = value
    assert set(old) != set(weights)
    path.unlink()
    safetensors.torch.save_file(old, path)
    loaded = load(root, "image_detokenizer").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in expected.items())


def test_format_preferences(root: Path) -> None:
    folder = root / "image_detokenizer"
    unet = torch.load(root / IMAGE_UNET, weights_only=True)
    safetensors.torch.save_file(
        {**unet, "conv_in.bias": torch.ones(16)}, folder / "unet" / "diffusion_pytorch_model.safetensors"
    )
    vae = safetensors.torch.load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    torch.save({**vae, "quant_conv.bias": torch.ones(8)}, folder / "vae" / "diffusion_pytorch_model.bin")
    loaded = load(root, "image_detokenizer").state_dict()
    assert not torch.equal(loaded["unet.conv_in.bias"], torch.ones(16)), "the published code reads the .bin file"
    assert not torch.equal(loaded["vae.quant_conv.bias"], torch.ones(8)), "diffusers prefers safetensors"
    (root / IMAGE_UNET).unlink()
    assert torch.equal(load(root, "image_detokenizer").state_dict()["unet.conv_in.bias"], torch.ones(16))


def test_shards_of_diffusers(root: Path) -> None:
    folder = root / "video_detokenizer" / "vae"
    path = folder / "diffusion_pytorch_model.safetensors"
    weights = safetensors.torch.load_file(path)
    expected = load(root, "video_detokenizer").state_dict()
    path.unlink()
    names = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    shards = {name: names[place % 2] for place, name in enumerate(sorted(weights))}
    for shard in names:
        safetensors.torch.save_file({name: weights[name] for name, of in shards.items() if of == shard}, folder / shard)
    (folder / f"{path.name}.index.json").write_text(json.dumps({"weight_map": shards}))
    loaded = load(root, "video_detokenizer").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in expected.items())
    (folder / names[1]).unlink()
    with pytest.raises(UsageError, match=rf"lacks 1 of 2 weight shards \({names[1]}\); fetch them"):
        read_part("video_detokenizer", root)
    shutil.rmtree(folder)
    shutil.copytree(root / "image_detokenizer" / "scheduler", folder)
    shutil.copy(root / "video_detokenizer" / "unet" / "config.json", folder)
    with pytest.raises(UsageError, match=r"holds no weights|describes no"):
        read_part("video_detokenizer", root)


def test_tokenizer_must_fit_the_ids(root: Path) -> None:
    from lavit_eval.models.video_lavit.tiny_tokenizer import train_tokenizer

    path = root / "language_model" / "tokenizer.model"
    path.write_bytes(train_tokenizer(650))
    with pytest.raises(UsageError, match="650 pieces, but the id space has 640 text ids"):
        read_part("language_model", root)
    path.unlink()
    with pytest.raises(UsageError, match=r"tokenizer\.model is missing; fetch it: .hf download"):
        read_part("language_model", root)


def test_program_in_a_weight_file_is_not_run(root: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"query_embed": Trap()}, root / DECODER)
    with pytest.raises(UsageError, match="cannot be read"):
        read_part("tokenizer_decoder", root)
    assert not (tmp_path / "sprung").exists()


def test_kinds_need_their_parts_only() -> None:
    assert needed_parts({"reconstruct_video"}) == ["video_reconstructor"]
    assert "video_detokenizer" not in needed_parts({"generate_image"})
    assert needed_parts({"generate_image", "generate_video"}) == list(PARTS["generate_video"])
    assert needed_parts({"answer", "caption"}) == []


def test_digest_covers_what_is_read_and_nothing_else(root: Path, tiny_root: Path) -> None:
    kinds = [{"generate_image"}, {"generate_video"}, {"reconstruct_video"}]
    before = [generation_digest(tiny_root, kind) for kind in kinds]
    assert [generation_digest(root, kind) for kind in kinds] == before, "wherever it lies"
    assert len(set(before)) == 3
    change(root / "video_3d_unet.bin", lambda weights: weights.update({"unet.conv_in.bias": torch.ones(32)}))
    after = [generation_digest(root, kind) for kind in kinds]
    assert [new == old for new, old in zip(after, before, strict=True)] == [True, True, False]
    change_json(root / "image_detokenizer" / "scheduler" / "scheduler_config.json", steps_offset=0)
    after = [generation_digest(root, kind) for kind in kinds]
    assert [new == old for new, old in zip(after, before, strict=True)] == [False, False, False]
    (root / "language_model" / "README.md").write_text("of no effect")
    assert [generation_digest(root, kind) for kind in kinds] == after


def test_published_sizes_are_the_default_and_unknown_ones_are_refused(root: Path) -> None:
    from lavit_eval.models.video_lavit.generation_sizes import read_generation_sizes

    assert read_generation_sizes(root).tokens == SIZES.tokens
    change_json(root / "lavit_eval.json", visul={})
    with pytest.raises(UsageError, match="Did you mean visual"):
        read_generation_sizes(root)
    (root / "lavit_eval.json").unlink()
    sizes = read_generation_sizes(root)
    assert (sizes.tokens.total, sizes.visual.width, sizes.motion_encoder.out_dim) == (49412, 1408, 1024)
    with pytest.raises(UsageError, match="1028, but text, visual and motion ids need 49412"):
        read_part("language_model", root)
