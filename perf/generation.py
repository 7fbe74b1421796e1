"""Prints what generation costs: guided decoding beside that of transformers, the video loop, a video from end to end.

Guided decoding: the same model, the same prompts, once by the package (guided and unguided rows in one forward), once
by `generate` of transformers with its own guidance (two forwards); ids are compared, seconds are the medians.
The video loop: denoising alone, without and with bfloat16, channels-last convolutions and torch.compile.
End to end: text to one clip of 24 frames, with seconds and peak memory of each stage.

Without arguments everything has tiny sizes and runs on the CPU in a moment, which shows that it works, not how fast.
With --full the sizes are the published ones, with random weights, on a GPU.

Run: python perf/generation.py [--full] [--compile]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from lavit_eval.generation_settings import GenerationSettings  # noqa: E402
from lavit_eval.models.video_lavit.clip_sampling import clip_settings  # noqa: E402
from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig  # noqa: E402
from lavit_eval.models.video_lavit.draws import SeededDraws  # noqa: E402
from lavit_eval.models.video_lavit.footage import Footage  # noqa: E402
from lavit_eval.models.video_lavit.generation_loading import PARTS  # noqa: E402
from lavit_eval.models.video_lavit.generation_sizes import read_generation_sizes  # noqa: E402
from lavit_eval.models.video_lavit.image_detokenizer import build_image_detokenizer  # noqa: E402
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoderConfig  # noqa: E402
from lavit_eval.models.video_lavit.parts import Parts  # noqa: E402
from lavit_eval.models.video_lavit.placed_author import PlacedAuthor  # noqa: E402
from lavit_eval.models.video_lavit.prompts import Prompt  # noqa: E402
from lavit_eval.models.video_lavit.tiny import make_tiny  # noqa: E402
from lavit_eval.models.video_lavit.token_generation import Marks, Written, write_tokens  # noqa: E402
from lavit_eval.models.video_lavit.tokenizer import Tokenizer  # noqa: E402
from lavit_eval.models.video_lavit.tokenizer_decoder import DecoderConfig, TokenizerDecoder  # noqa: E402
from lavit_eval.models.video_lavit.video_detokenizer import (  # noqa: E402
    ClipConditions,
    VideoDetokenizer,
    build_video_detokenizer,
)
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer  # noqa: E402
from lavit_eval.sample import Settings  # noqa: E402

GUIDANCE = 4.0
GOAL = 1.8
"""By how much guided decoding is to be faster at full size."""
LLAMA_7B = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
}
SDXL_UNET: dict[str, Any] = {
    "sample_size": 128,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [320, 640, 1280],
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "cross_attention_dim": 2048,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
}
_FOUR = [128, 256, 512, 512]
SDXL_VAE: dict[str, Any] = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": _FOUR,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}
SVD_VAE: dict[str, Any] = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "block_out_channels": _FOUR,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 768,
    "scaling_factor": 0.18215,
}
SVD_UNET: dict[str, Any] = {"in_channels": 10, "num_attention_heads": [5, 10, 10, 20], "cross_attention_dim": 1024}
_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
IMAGE_SCHEDULE = {"_class_name": "EulerAncestralDiscreteScheduler", "prediction_type": "epsilon", **_SCHEDULE}
VIDEO_SCHEDULE = {
    "_class_name": "EulerDiscreteScheduler",
    "prediction_type": "v_prediction",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "timestep_type": "continuous",
    "interpolation_type": "linear",
    **_SCHEDULE,
}


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    device: torch.device
    dtype: torch.dtype
    new_tokens: int
    height: int
    width: int
    steps: int
    video_steps: int
    repeats: int

    @property
    def settings(self) -> GenerationSettings:
        """A video of one clip, with as many ids as there may be; numbers that cost nothing are published ones."""
        block: dict[str, Any] = {"do_sample": True, "top_k": 50, "top_p": 1.0, "temperature": 1.0}
        block |= {"min_new_tokens": self.new_tokens, "max_new_tokens": self.new_tokens}
        block |= {"guidance_llm": GUIDANCE, "guidance_motion": 7.0, "guidance_decoder": 7.0, "init_sigma": "fresh"}
        block |= {"width": self.width, "height": self.height, "steps": self.steps, "clips": 1, "inverse_rate": 0.9}
        block |= {"video_width": self.width, "video_height": self.height, "video_steps": self.video_steps}
        block |= {"min_video_guidance": 1.0, "max_video_guidance": 4.0, "linear_guidance": True, "fps_id": 6}
        block |= {"noise_aug_strength": 0.02, "cond_on_ref_frame": True, "motion_bucket_id": 127, "vae_chunk": 8}
        return GenerationSettings.parse("generate_video", {**block, "restart_noise_scaling": True})


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_seconds(work: Callable[[], Any], device: torch.device, repeats: int) -> tuple[float, Any]:
    """Return the median time of several runs after one that does not count, and what the last one gave."""
    result, found = work(), []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        result = work()
        synchronise(device)
        found.append(time.perf_counter() - start)
    return statistics.median(found), result


def by_transformers(model: Any, prompts: Sequence[Sequence[int]], marks: Marks, new: int) -> list[list[int]]:
    """Write as `generate` does with its own guidance; all prompts have one length."""
    ids = torch.tensor([[*prompt, marks.start] for prompt in prompts], device=model.lm_head.weight.device)
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        guidance_scale=GUIDANCE,
        do_sample=False,
        min_new_tokens=new,
        max_new_tokens=new,
        suppress_tokens=[token for part in marks.forbidden for token in part],
        eos_token_id=marks.end,
        pad_token_id=2,
    )
    return [[token for token in row if token != 2] for row in found[:, ids.shape[1] :].tolist()]


def measure_decoding(model: Any, tokens: TokenSpace, scale: Scale) -> None:
    """Print seconds of both ways for one prompt and for several, and whether the ids agree."""
    marks = Marks.image(tokens)
    settings = Settings(min_new_tokens=scale.new_tokens, max_new_tokens=scale.new_tokens)
    dtype = str(model.lm_head.weight.dtype).removeprefix("torch.")
    for rows in (1, 4):
        generator = torch.Generator().manual_seed(rows)
        prompts = torch.randint(3, tokens.text, (rows, 24), generator=generator).tolist()
        device, repeats = scale.device, scale.repeats
        ours, written = median_seconds(
            partial(write_tokens, model, prompts, marks, settings, GUIDANCE), device, repeats
        )
        theirs, expected = median_seconds(
            partial(by_transformers, model, prompts, marks, scale.new_tokens), device, repeats
        )
        equal = sum(isinstance(row, Written) and row.new == ids for row, ids in zip(written, expected, strict=True))
        print(
            f"guided decoding, {dtype}, {rows} x {scale.new_tokens} ids: transformers {theirs:.2f} s, "
            f"here {ours:.2f} s, ratio {theirs / ours:.2f}; {equal} of {rows} rows equal"
        )


def channels_last(module: nn.Module) -> None:
    """Let 2-D convolutions work with channels in the last place."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.to(memory_format=torch.channels_last)


def measure_loop(detokenizer: VideoDetokenizer, scale: Scale, compiled: bool) -> None:
    """Print frames per second of denoising, one improvement after the other."""
    settings = clip_settings(scale.settings)
    detokenizer.to(scale.device, torch.float32)
    channels = int(detokenizer.vae.config.latent_channels)
    grid = (scale.height // detokenizer.factor, scale.width // detokenizer.factor)
    generator = torch.Generator().manual_seed(0)
    motion = torch.randn(1, 2, 24, *grid, generator=generator).to(scale.device)
    with torch.no_grad():
        states = detokenizer.motion_encoder.encode_motion(motion)
    image = torch.randn(1, channels, *grid, generator=generator).to(scale.device)

    def loop() -> Any:
        return detokenizer.denoise(ClipConditions(motion, states, image), [SeededDraws(1)], settings)

    improvements: list[tuple[str, Callable[[], object]]] = [
        ("float32", lambda: None),
        ("channels last", lambda: channels_last(detokenizer.unet)),
        ("bfloat16", lambda: detokenizer.unet.to(torch.bfloat16)),
    ]
    if compiled:
        improvements.append(("compile", detokenizer.unet.compile))
    names: list[str] = []
    for name, improve in improvements:
        improve()
        names.append(name)
        seconds, latents = median_seconds(loop, scale.device, scale.repeats)
        finite = "" if bool(torch.isfinite(latents).all()) else ", NOT FINITE"
        print(f"video loop, {' + '.join(names)}: {24 / seconds:.2f} frames/s ({seconds:.2f} s a clip){finite}")


def measure_path(author: PlacedAuthor, parts: Parts, scale: Scale) -> None:
    """Print seconds and peak memory of each stage of a video made of a text."""
    prompts = [Prompt((tuple(range(5, 25)),), SeededDraws(seed)) for seed in (1, 2)]
    for prompt in prompts:
        parts.begin()
        synchronise(scale.device)
        start = time.perf_counter()
        (footage,) = author.generate_videos([prompt], scale.settings)
        synchronise(scale.device)
        total = time.perf_counter() - start
    if not isinstance(footage, Footage):
        sys.exit(f"no video: {footage}")
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in parts.seconds.items())
    peaks = ", ".join(f"{stage} {size / 2**30:.1f} GiB" for stage, size in parts.peaks.items()) or "CPU: not measured"
    size = f"{scale.width} x {scale.height}"
    print(f"text to video, 24 frames of {size}, second of two: {total:.2f} s ({stages}); peak memory: {peaks}")


def full_parts(scale: Scale) -> tuple[Parts, TokenSpace]:
    """Return all parts at the published sizes, with random weights."""
    tokens = TokenSpace()
    parts = Parts(PROJECT, scale.device, scale.dtype)
    llama = LlamaConfig(vocab_size=tokens.total, attn_implementation="sdpa", **LLAMA_7B)
    made: dict[str, Callable[[], nn.Module]] = {
        "language_model": lambda: LlamaForCausalLM(llama),
        "visual_tokenizer": lambda: VisualTokenizer(VisualConfig()),
        "tokenizer_decoder": lambda: TokenizerDecoder(DecoderConfig()),
        "image_detokenizer": lambda: build_image_detokenizer(SDXL_UNET, SDXL_VAE, IMAGE_SCHEDULE, "random", "none"),
        "video_detokenizer": lambda: build_video_detokenizer(
            SVD_UNET, SVD_VAE, VIDEO_SCHEDULE, MotionConfig(), MotionEncoderConfig(), "random", "none"
        ),
    }
    torch.manual_seed(0)
    for name, make in made.items():
        with torch.device(scale.device):
            module = make()
        parts.put(name, module.to(scale.dtype).eval().requires_grad_(False))
    return parts, tokens


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="published sizes, random weights, on a GPU")
    parser.add_argument("--compile", action="store_true", help="also the video loop with torch.compile")
    given = parser.parse_args()
    if given.full and not torch.cuda.is_available():
        sys.exit("--full needs a GPU.")
    if given.full:
        scale = Scale(torch.device("cuda"), torch.bfloat16, 136, 320, 576, 50, 25, 3)
        parts, tokens = full_parts(scale)
        run(parts, tokens, None, scale, given.compile)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = make_tiny(Path(name) / "tiny")
        scale = Scale(torch.device("cpu"), torch.float32, 40, 64, 64, 2, 2, 1)
        parts = Parts(root, scale.device, scale.dtype)
        tokenizer = Tokenizer(root / "language_model" / "tokenizer.model")
        run(parts, read_generation_sizes(root).tokens, tokenizer, scale, given.compile)


def run(parts: Parts, tokens: TokenSpace, tokenizer: Tokenizer | None, scale: Scale, compiled: bool) -> None:
    """Measure the path before its parts are changed for the other two."""
    for name in PARTS["generate_video"]:
        parts.get(name)
    measure_path(PlacedAuthor(parts, tokens, tokenizer, True, False), parts, scale)  # type: ignore[arg-type]
    model = parts.get("language_model").to(scale.device)
    measure_decoding(model, tokens, scale)
    if scale.dtype != torch.float32:
        # Ids are sure to agree in float32 only: half precision makes ties.
        measure_decoding(model.float(), tokens, scale)
        print(f"(goal of the ratio: {GOAL})")
    model.to("cpu")
    measure_loop(parts.get("video_detokenizer"), scale, compiled)


if __name__ == "__main__":
    main()
