"""The visual and motion tokenizers against the recorded outputs of the reference model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt

import torch
from torch import Tensor, nn

from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.eva_vit import EvaVit
from lavit_eval.models.video_lavit.motion_tokenizer import MotionTokenizer
from lavit_eval.models.video_lavit.quantiser import VectorQuantiser
from lavit_eval.models.video_lavit.token_merger import TokenMerger
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer
from tests.parity.case import Case, assert_close

Weights = Mapping[str, Tensor]
Recorded = dict[str, Tensor]


def _count(weights: Weights, prefix: str) -> int:
    """Return how many numbered modules the weights have under a prefix."""
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def _inputs_and_outputs(case: Case) -> tuple[Recorded, Recorded]:
    tensors = case.tensors()
    inputs, outputs = (
        {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}
        for kind in ("in/", "out/")
    )
    return inputs, outputs


def _load(module: nn.Module, case: Case) -> None:
    module.load_state_dict(dict(case.weights()), strict=True)
    module.eval()


def _keep_outputs(found: Recorded, modules: Mapping[str, nn.Module]) -> None:
    """Make each module write what it returns into `found`, under its name; what later calls return is appended."""

    def keeper(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def keep(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = torch.cat((found[name], output)) if name in found else output

        return keep

    for name, module in modules.items():
        module.register_forward_hook(keeper(name))


def _compare(case: Case, found: Recorded, expected: Recorded, relative_to_max: bool = False) -> None:
    unknown = sorted(expected.keys() - found.keys())
    assert expected, f"{case.name}: no recorded output"
    assert not unknown, f"{case.name}: recorded outputs that nothing is compared with: {unknown}"
    for name, tensor in expected.items():
        assert_close(found[name], tensor, case, name, relative_to_max=relative_to_max)


def _encoder_sizes(weights: Weights, prefix: str, head_width: int) -> dict[str, int]:
    patch = weights[f"{prefix}patch_embed.proj.weight"].shape[-1]
    side = isqrt(weights[f"{prefix}pos_embed"].shape[1] - 1)
    return {
        "image_size": patch * side,
        "patch_size": patch,
        "width": weights[f"{prefix}cls_token"].shape[-1],
        "head_width": head_width,
        "layers": _count(weights, f"{prefix}blocks."),
        "head_out": len(weights[f"{prefix}head.weight"]),
    }


@torch.no_grad()
def check_eva_vit(case: Case) -> None:
    """Compare patches, every block's residual stream, and what the unused norm and head would make of the last one."""
    inputs, expected = _inputs_and_outputs(case)
    encoder = EvaVit(VisualConfig(**_encoder_sizes(case.weights(), "", case.facts["config"]["head_width"])))
    _load(encoder, case)
    found: Recorded = {}
    _keep_outputs(found, {"patch_embed": encoder.patch_embed})
    _keep_outputs(found, {f"block_{index}": block for index, block in enumerate(encoder.blocks)})
    found["all_features"] = encoder(inputs["pixels"])
    found["pooled"] = encoder.norm(found["all_features"])[:, 0]
    found["head"] = encoder.head(found["pooled"])
    _compare(case, found, expected)


def _with_marks(ids: list[Tensor], space: TokenSpace) -> list[Tensor]:
    return [torch.cat((torch.tensor([space.image_start]), each, torch.tensor([space.image_end]))) for each in ids]


@torch.no_grad()
def check_visual_tokenizer(case: Case) -> None:
    """Compare features, scores, decisions, merged tokens, and both ways out: for understanding and as ids."""
    inputs, expected = _inputs_and_outputs(case)
    weights = case.weights()
    tokenizer = VisualTokenizer(
        VisualConfig(
            merger_layers=_count(weights, "causal_encoder.blocks."),
            n_code=len(weights["quantize.embedding.weight"]),
            code_dim=weights["quantize.embedding.weight"].shape[1],
            llm_dim=len(weights["vit_proj.weight"]),
            **_encoder_sizes(weights, "encoder.", case.facts["config"]["head_width"]),
        )
    )
    _load(tokenizer, case)
    pixels, noise = inputs["pixels"], inputs["gumbel_noise"]
    encoded = tokenizer.encode(pixels, noise)
    assert torch.equal(tokenizer.select(encoded.features, noise), encoded.keep)
    features, codes, space = tokenizer.encode_features(pixels, noise), tokenizer.tokenize(pixels, noise), TokenSpace()
    ids = [each + space.visual_offset for each in codes]
    counts = [len(each) for each in features]
    assert counts == [len(each) for each in codes] == encoded.counts
    marked = _with_marks(ids, space)
    found = {
        "encoder_features": encoded.features,
        "pred_score": encoded.scores,
        "decision": encoded.keep.float(),
        "merged": encoded.merged,
        "token_num": torch.tensor(counts),
        "features": torch.cat(features),
        "ids": torch.cat(ids),
        "ids_special": torch.cat(marked),
        "ids_special_len": torch.tensor([len(each) for each in marked]),
        "quantize": tokenizer.quantize.lookup(torch.cat(codes)),
    }
    assert torch.equal(found["decision"], expected["decision"]), f"{case.name}: decisions differ"
    _compare(case, found, expected)


@torch.no_grad()
def check_token_merger(case: Case) -> None:
    """Compare the attention modules of every block, and the merger's output, under given decisions."""
    inputs, expected = _inputs_and_outputs(case)
    weights, width = case.weights(), inputs["x"].shape[-1]
    merger = TokenMerger(
        VisualConfig(
            width=width,
            head_width=width // case.facts["config"]["heads"],
            merger_layers=_count(weights, "blocks."),
        )
    )
    _load(merger, case)
    found: Recorded = {}
    for index, block in enumerate(merger.blocks):
        _keep_outputs(
            found,
            {
                f"causal_attn_{index}": block.get_submodule("token_causal_attn"),
                f"cross_attn_{index}": block.get_submodule("token_cross_attn"),
            },
        )
    found["merged"] = merger(inputs["x"], inputs["decision"] > 0.5)
    _compare(case, found, expected, relative_to_max=case.facts["config"].get("gain", 1) > 1)


@torch.no_grad()
def check_vector_quantiser(case: Case) -> None:
    """Compare codes, the rows they stand for, and rows looked up from given codes."""
    inputs, expected = _inputs_and_outputs(case)
    quantiser = VectorQuantiser(*case.weights()["embedding.weight"].shape)
    _load(quantiser, case)
    codes = quantiser(inputs["z"]).flatten()
    found = {"ids": codes, "z_q": quantiser.lookup(codes), "lookup": quantiser.lookup(inputs["lookup_ids"])}
    _compare(case, found, expected)


@torch.no_grad()
def check_motion_tokenizer(case: Case) -> None:
    """Compare the encoder stage by stage, codes, their vectors, the decoder, and the maps for the video decoder."""
    inputs, expected = _inputs_and_outputs(case)
    weights, config = case.weights(), case.facts["config"]
    tokenizer = MotionTokenizer(
        MotionConfig(
            dim=len(weights["encoder.norm.weight"]),
            heads=config["heads"],
            n_code=len(weights["quantize.embedding.weight"]),
            code_dim=weights["quantize.embedding.weight"].shape[1],
            blocks=_count(weights, "encoder.blocks."),
        )
    )
    _load(tokenizer, case)
    found: Recorded = {}
    _keep_outputs(found, {"encoder_features": tokenizer.encoder, "to_quantizer": tokenizer.encode_task_layer})
    stages = enumerate(tokenizer.encoder.down_sample_layers)
    _keep_outputs(found, {f"enc_stage_{index}": stage for index, stage in stages})
    motion, codes = inputs["motion"], inputs["token_ids"]
    found["ids"] = tokenizer.encode(motion)
    # Reconstructing encodes again and would append to what the encoder has returned.
    recorded = dict(found)
    recorded["decode"] = tokenizer.decode(found["ids"])
    recorded["quantize"] = tokenizer.quantize.lookup(found["ids"]).view_as(recorded["to_quantizer"])
    # Cases marked light hold the reconstruction of their first motions only.
    rows = len(expected["reconstruct"]) if "reconstruct" in expected else len(motion)
    recorded["reconstruct"] = tokenizer.reconstruct(motion[:rows], *config["hw"])
    recorded["from_token"] = tokenizer.reconstruct_from_codes(codes, *config["hw"])
    _compare(case, recorded, expected)


CHECKS: dict[str, Callable[[Case], None]] = {
    "eva_vit": check_eva_vit,
    "dynamic_visual_tokenizer": check_visual_tokenizer,
    "token_merger_and_attention": check_token_merger,
    "vector_quantizer": check_vector_quantiser,
    "motion_tokenizer": check_motion_tokenizer,
}
