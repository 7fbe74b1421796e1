"""Checks of the recorded cases of the video side of generation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler
from torch import Tensor

from lavit_eval.models.video_lavit.config import MotionConfig
from lavit_eval.models.video_lavit.image_detokenizer import Step
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoder, MotionEncoderConfig, resize_motion
from lavit_eval.models.video_lavit.motion_tokenizer import MotionTokenizer
from lavit_eval.models.video_lavit.unet3d import MotionStates, MotionTransformer, UNet3D, states_along_time
from lavit_eval.models.video_lavit.video_detokenizer import ClipSettings, VideoDetokenizer
from tests.parity.case import Case
from tests.parity.generation_case import check_all, draws, inputs_of, weights_of
from tests.parity.generation_parts import part_config, part_weights

DEFAULTS: Mapping[str, Any] = {
    "num_inference_steps": 25,
    "min_guidance_scale": 1.0,
    "max_guidance_scale": 4.0,
    "use_linear_guidance": True,
    "noise_aug_strength": 0.02,
    "fps": 6,
    "motion_bucket_id": 127,
    "cond_on_ref_frame": True,
    "quantize_motion": False,
    "decode_chunk_size": 8,
}
"""What the published code takes where a case names no argument."""
NAMES = {
    "num_inference_steps": "steps",
    "min_guidance_scale": "min_guidance",
    "max_guidance_scale": "max_guidance",
    "use_linear_guidance": "linear_guidance",
    "decode_chunk_size": "chunk",
}
"""Arguments whose names differ."""
IMPLIED = ("width", "height", "num_frames", "decode_from_token")
"""Arguments that the shapes of the inputs hold already."""


def motion_encoder_of(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> MotionEncoder:
    """Build a motion encoder with a case's configuration and weights."""
    known = {"dim", "heads", "depth", "out_channel", "add_temp_pos"}
    assert not config.keys() - known and not config.get("add_temp_pos"), f"not understood: {config}"
    sizes = MotionEncoderConfig(config["dim"], config["heads"], config["depth"], config["out_channel"])
    encoder = MotionEncoder(sizes)
    encoder.load_state_dict(weights, strict=True)
    return encoder.eval()


def video_detokenizer_of(
    configs: Mapping[str, Mapping[str, Any]], weights: Mapping[str, Tensor], scheduler: Mapping[str, Any]
) -> VideoDetokenizer:
    """Build a video detokenizer with the configurations, weights and scheduler of a case."""
    tokenizer = configs["motion_tokenizer"]
    sizes = MotionConfig(
        tokenizer["dim"], tokenizer["heads"], tokenizer["n_code"], tokenizer["code_dim"], tokenizer["depth"]
    )
    encoder = configs["motion_encoder"]
    detokenizer = VideoDetokenizer(
        MotionTokenizer(sizes),
        MotionEncoder(MotionEncoderConfig(encoder["dim"], encoder["heads"], encoder["depth"], encoder["out_channel"])),
        AutoencoderKLTemporalDecoder.from_config(dict(configs["vae"])),
        UNet3D.from_config(dict(configs["unet"])),
        EulerDiscreteScheduler.from_config(dict(scheduler)),
    )
    detokenizer.load_state_dict(weights, strict=True)
    return detokenizer.eval()


def clip_settings_of(arguments: Mapping[str, Any]) -> ClipSettings:
    """Return the settings that a case's arguments and the published defaults amount to; an unknown one fails."""
    given = {**DEFAULTS, **{name: value for name, value in arguments.items() if name not in IMPLIED}}
    return ClipSettings(**{NAMES.get(name, name): value for name, value in given.items()})


@torch.no_grad()
def check_motion_encoder(case: Case) -> None:
    """States of motion that has the encoder's size."""
    encoder = motion_encoder_of(case.facts["config"], weights_of(case))
    check_all({"states": encoder(inputs_of(case)["motion"])}, case)


@torch.no_grad()
def check_encode_motion(case: Case) -> None:
    """States of motion of any size."""
    encoder = motion_encoder_of(case.facts["config"], weights_of(case))
    motion = inputs_of(case)["motion"]
    check_all({"resized": resize_motion(motion), "states": encoder.encode_motion(motion)}, case)


@torch.no_grad()
def check_spatiotemporal_transformer(case: Case) -> None:
    """One transformer, and what its pixels attend to along time."""
    config, inputs = case.facts["config"], inputs_of(case)
    heads, channels = config["heads"], config["channels"]
    transformer = MotionTransformer(
        heads,
        channels // heads,
        channels,
        num_layers=config["layers"],
        cross_attention_dim=config["cross_attention_dim"],
    )
    transformer.load_state_dict(weights_of(case), strict=True)
    states, maps = inputs["motion_states"], inputs["hidden_states"]
    indicator = torch.zeros(states.shape[:2])
    (mapped,) = transformer.eval()(maps, MotionStates(states), indicator)
    along = states_along_time(states, *maps.shape[-2:])
    check_all({"temporal_context": along, "hidden_states": mapped}, case)


@torch.no_grad()
def check_unet3d(case: Case) -> None:
    """A whole UNet, and the output of each of its blocks."""
    unet = UNet3D.from_config(dict(case.facts["config"])).eval()
    unet.load_state_dict(weights_of(case), strict=True)
    found: dict[str, Tensor] = {}
    blocks = {"block_mid": unet.mid_block}
    blocks |= {f"block_down{place}": block for place, block in enumerate(unet.down_blocks)}
    blocks |= {f"block_up{place}": block for place, block in enumerate(unet.up_blocks)}
    for name, block in blocks.items():
        block.register_forward_hook(_keep_first(found, name))
    inputs = {name: tensor.float() for name, tensor in inputs_of(case).items()}
    found["sample"] = unet(
        inputs["sample"], inputs["timestep"], inputs["motion_states"], inputs["added_time_ids"], return_dict=False
    )[0]
    check_all(found, case)


def _keep_first(found: dict[str, Tensor], name: str) -> Callable[..., None]:
    """Return a hook that keeps a block's output; down blocks give it together with those of their layers."""

    def hook(module: object, arguments: object, output: Any) -> None:
        found[name] = output[0] if isinstance(output, tuple) else output

    return hook


@torch.no_grad()
def check_video_detokenizer(case: Case) -> None:
    """The whole way from keyframe and motion to frames, step by step."""
    configs = part_config(case, "motion_encoder")
    detokenizer = video_detokenizer_of(configs, part_weights(case, "motion_encoder"), case.facts["scheduler"])
    settings, inputs, rows = clip_settings_of(case.facts["arguments"]), inputs_of(case), draws(case)
    found = film(detokenizer, inputs["image"], inputs["motion"], rows, settings)
    for row in rows:
        row.finish()
    check_all(found, case)


def film(
    detokenizer: VideoDetokenizer, image: Tensor, motion: Tensor, rows: list[Any], settings: ClipSettings
) -> dict[str, Tensor]:
    """Generate clips and return all that happens on the way, by the names of the recorded outputs."""
    found: dict[str, Tensor] = {}
    decoded: list[Tensor] = []

    def on_input(module: object, arguments: tuple[Tensor, ...]) -> None:
        found.setdefault("first_unet_sample", arguments[0])
        found.setdefault("added_time_ids", arguments[3])

    def on_step(step: Step) -> None:
        name = f"loop/step{step.index:02d}"
        found[f"{name}/timestep"] = step.timestep.view(1)
        found[f"{name}/guided_prediction"] = step.prediction
        found[f"{name}/latents"] = step.latents

    hooks = (
        detokenizer.unet.register_forward_pre_hook(on_input),
        detokenizer.vae.decoder.register_forward_hook(lambda module, arguments, output: decoded.append(output)),
    )
    conditions = detokenizer.condition(image, motion, rows, settings)
    found["motion"] = conditions.motion
    found["motion_states_first2frames"] = conditions.states[:, :2]
    found["image_latents"] = conditions.image_latents
    latents = detokenizer.denoise(conditions, rows, settings, on_step)
    found["frames_uint8"] = detokenizer.to_frames(latents, settings.chunk)
    pixels = torch.unflatten(torch.cat(decoded), 0, (len(image), -1))
    found["frames_float_first2"] = pixels[:, :2].transpose(1, 2)
    for hook in hooks:
        hook.remove()
    return found


CHECKS: dict[str, Callable[[Case], None]] = {
    "motion_encoder": check_motion_encoder,
    "encode_motion": check_encode_motion,
    "spatiotemporal_transformer": check_spatiotemporal_transformer,
    "unet3d": check_unet3d,
    "video_detokenizer": check_video_detokenizer,
}
