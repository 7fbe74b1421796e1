"""Tokenizer decoder and image detokenizer against the recorded outputs of the reference model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.frames import resize_frames
from lavit_eval.models.video_lavit.image_detokenizer import (
    ImageDetokenizer,
    ImageSettings,
    Step,
    build_image_detokenizer,
)
from lavit_eval.models.video_lavit.tokenizer_decoder import DecoderConfig, TokenizerDecoder, visual_codes
from tests.parity.case import Case
from tests.parity.generation_case import (
    Tensors,
    check_all,
    config_of,
    draws,
    inputs_of,
    numbered,
    weights_of,
)

CODEBOOK = "visual_tokenizer.quantize.embedding.weight"
HEAD_TOKENS = 4
"""`prompt_embeds_head` holds the conditions of so many tokens."""


def load_decoder(weights: Tensors, config: dict[str, Any]) -> TokenizerDecoder:
    """Return the tokenizer decoder of a case; every weight has its place."""
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    sizes = DecoderConfig.from_shapes(shapes, layers=config["depth"], heads=config["heads"])
    decoder = TokenizerDecoder(sizes)
    decoder.load_state_dict(weights, strict=True)
    stated = {"in_chans": "code_dim", "dim": "width", "out": "out", "p1": "first", "p2": "second", "pool": "pooled"}
    assert {key: getattr(sizes, field) for key, field in stated.items()} == {key: config[key] for key in stated}
    return decoder.eval()


def load_image_detokenizer(case: Case, scheduler: dict[str, Any] | None = None) -> ImageDetokenizer:
    """Return the image detokenizer of a case, by default with the scheduler of its key `scheduler`."""
    schedule = scheduler or case.facts["scheduler"]
    parts = (config_of(case, "unet"), config_of(case, "vae"), schedule)
    detokenizer = build_image_detokenizer(*parts, source=case.name, mend="record it again")
    detokenizer.unet.load_state_dict(weights_of(case, "unet"), strict=True)
    detokenizer.vae.load_state_dict(weights_of(case, "vae"), strict=True)
    return detokenizer.eval()


def check_weights(case: Case) -> None:
    """Open a file of weights that other cases share; it is no case itself."""
    assert len(weights_of(case)) == case.facts["n_weights"]


@torch.no_grad()
def check_tokenizer_decoder(case: Case) -> None:
    """Compare the residual stream after the first block, the conditions, and the pooled one."""
    inputs, decoder = inputs_of(case), load_decoder(weights_of(case), case.facts["config"])
    found: Tensors = {}

    def keep(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        found["first_block"] = output

    decoder.blocks[0].register_forward_hook(keep)
    conditions, pooled = decoder(inputs["token_quantize"], inputs["token_num"].tolist())
    check_all(found | {"prompt_embeds": conditions, "pooled_prompt_embeds": pooled}, case)


@torch.no_grad()
def check_image_embeds_ids(case: Case) -> None:
    """Compare the codes among the ids, and what becomes of them."""
    decoder = load_decoder(weights_of(case, "tokenizer_decoder"), case.facts["config"])
    ids = numbered(inputs_of(case), "image_ids")
    conditions, pooled = decoder.image_embeds(ids, weights_of(case)[CODEBOOK])
    codes = {f"codes_{index}": visual_codes(each, TokenSpace()) for index, each in enumerate(ids)}
    check_all({**codes, "prompt_embeds": conditions, "pooled_prompt_embeds": pooled}, case)


def image_settings(case: Case) -> ImageSettings:
    """Return the settings of a case's arguments, with the reference's defaults."""
    arguments = case.facts["arguments"]
    steps = arguments.get("num_inference_steps", 50)
    sizes = {key: arguments.get(key) for key in ("original_size", "target_size")}
    return ImageSettings(
        height=arguments.get("height", 512),
        width=arguments.get("width", 512),
        steps=steps,
        guidance=arguments.get("guidance_scale_for_decoder", 3.0),
        noise_level=arguments.get("noise_level", int(arguments.get("inverse_rate", 0) * steps)),
        original_size=tuple(sizes["original_size"]) if sizes["original_size"] else None,
        target_size=tuple(sizes["target_size"]) if sizes["target_size"] else None,
        crop=tuple(arguments.get("crops_coords_top_left", (0, 0))),
    )


def _watch(detokenizer: ImageDetokenizer, found: Tensors) -> None:
    """Make the modules write what they get first, and what the autoencoder returns, into `found`."""

    def keep_inputs(module: nn.Module, arguments: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        added = named["added_cond_kwargs"]
        found.setdefault("first_unet_sample", arguments[0])
        found.setdefault("first_time_ids", added["time_ids"])
        found.setdefault("first_text_embeds", added["text_embeds"])

    def keep_image(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        found["image_float"] = output

    detokenizer.unet.register_forward_pre_hook(keep_inputs, with_kwargs=True)
    detokenizer.vae.decoder.register_forward_hook(keep_image)


@torch.no_grad()
def check_image_decoding(case: Case) -> None:
    """Compare the conditions, the UNet's first inputs, every step, and the pictures before and after rounding.

    A restart starts from a noised picture instead of pure noise, which is compared too.
    """
    inputs, recorded, settings = inputs_of(case), draws(case), image_settings(case)
    decoder = load_decoder(weights_of(case, "tokenizer_decoder"), config_of(case, "tokenizer_decoder"))
    conditions, pooled = decoder.image_embeds(numbered(inputs, "image_ids"), weights_of(case)[CODEBOOK])
    detokenizer = load_image_detokenizer(case)
    found = {"prompt_embeds_head": conditions[:, :HEAD_TOKENS], "pooled": pooled}
    _watch(detokenizer, found)
    latents = None
    if case.kind == "image_restart":
        frames = inputs["last_frames_uint8"]
        found["resized_last_frames_uint8"] = resize_frames(frames, settings.height, settings.width)
        found["regenerated_noise"] = latents = detokenizer.restart_latents(frames, recorded, settings)

    def keep_step(step: Step) -> None:
        place = f"loop/step{step.index - settings.noise_level:02d}"
        found[f"{place}/timestep"] = step.timestep.reshape(1)
        found[f"{place}/guided_prediction"] = step.prediction
        found[f"{place}/latents"] = step.latents

    found["images_uint8"] = detokenizer.decode((conditions, pooled), recorded, settings, latents, keep_step)
    for each in recorded:
        each.finish()
    check_all(found, case)


CHECKS: dict[str, Callable[[Case], None]] = {
    "weights": check_weights,
    "tokenizer_decoder": check_tokenizer_decoder,
    "image_embeds_ids": check_image_embeds_ids,
    "image_decoding": check_image_decoding,
    "image_restart": check_image_decoding,
}
