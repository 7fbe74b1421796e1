"""The whole way from a prompt to a video, each stage compared with the recorded one and fed from the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.models.video_lavit.authoring import Author
from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.draws import Draws
from lavit_eval.models.video_lavit.footage import Footage
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.image_detokenizer import ImageSettings, build_image_detokenizer
from lavit_eval.models.video_lavit.prompts import Picture, Prompt
from lavit_eval.models.video_lavit.token_generation import Written
from tests.parity.case import Case
from tests.parity.checks_generation_image import CODEBOOK, load_decoder
from tests.parity.checks_generation_video import video_detokenizer_of
from tests.parity.generation_case import check, draws, inputs_of, numbered, outputs_of
from tests.parity.generation_parts import part_config, part_weights

TOKENS = TokenSpace()
DEFAULTS: Mapping[str, Any] = {
    "width": 1024,
    "height": 1024,
    "use_nucleus_sampling": True,
    "top_p": 1.0,
    "top_k": 200,
    "temperature": 1.0,
    "max_length": 500,
    "min_length": 20,
    "num_inference_steps": 50,
    "guidance_scale_for_llm": 4.0,
    "guidance_scale_for_motion": 7.0,
    "guidance_scale_for_decoder": 3.0,
    "clip_num": 1,
    "cond_on_ref_frame": True,
    "use_linear_guidance": True,
    "noise_aug_strength": 0.02,
    "inverse_rate": 0.85,
}
"""What the published code takes where a case names no argument."""
ALWAYS = {"decode_chunk_size": 8, "num_beams": 1, "num_return_images": 1, "is_token_prompt": True}
"""Arguments that change nothing, or that nothing else is supported for."""


def load_llama(case: Case) -> Any:
    """Return the case's language model in float32."""
    config = part_config(case, "vocab_size")
    model = LlamaForCausalLM(LlamaConfig(**config, attn_implementation="sdpa"))
    model.load_state_dict(part_weights(case, "vocab_size"), strict=True)
    return model.eval().requires_grad_(False)


def settings_of(case: Case) -> GenerationSettings:
    """Return the settings of a case's arguments; an unknown argument fails."""
    given = {name: value for name, value in case.facts["arguments"].items() if name not in ALWAYS}
    unknown = given.keys() - DEFAULTS.keys() - {"video_width", "video_height"}
    assert not unknown, f"{case.name}: arguments that nothing is made of: {sorted(unknown)}"
    asked = {**DEFAULTS, **given}
    block = {
        "do_sample": asked["use_nucleus_sampling"],
        "max_new_tokens": asked["max_length"],
        "min_new_tokens": asked["min_length"],
        "guidance_llm": asked["guidance_scale_for_llm"],
        "guidance_motion": asked["guidance_scale_for_motion"],
        "guidance_decoder": asked["guidance_scale_for_decoder"],
        "steps": asked["num_inference_steps"],
        "clips": asked["clip_num"],
        "linear_guidance": asked["use_linear_guidance"],
        "video_width": asked.get("video_width") or asked["width"],
        "video_height": asked.get("video_height") or asked["height"],
        "video_steps": case.facts.get("video_inference_steps", 25),
        "init_sigma": "fresh",
        "restart_noise_scaling": True,
        "vae_chunk": 8,
        "min_video_guidance": 1.0,
        "max_video_guidance": 4.0,
        "fps_id": 6,
        "motion_bucket_id": 127,
    }
    same = ("width", "height", "top_p", "top_k", "temperature", "cond_on_ref_frame", "noise_aug_strength")
    block |= {name: asked[name] for name in (*same, "inverse_rate")}
    return GenerationSettings.parse("generate_video", block)


class RecordedAuthor(Author):
    """Compares what each stage gives with the record, and hands the recorded value on."""

    def __init__(self, case: Case) -> None:
        image, video = part_config(case, "tokenizer_decoder"), part_config(case, "motion_encoder")
        stage = build_image_detokenizer(
            image["unet"], image["vae"], case.facts["scheduler_image"], case.name, "record it again"
        )
        for child in ("unet", "vae"):
            getattr(stage, child).load_state_dict(part_weights(case, "tokenizer_decoder", child), strict=True)
        super().__init__(
            load_llama(case),
            TOKENS,
            None,
            part_weights(case, "tokenizer_decoder")[CODEBOOK],
            load_decoder(part_weights(case, "tokenizer_decoder", "tokenizer_decoder"), image["tokenizer_decoder"]),
            stage.eval(),
            video_detokenizer_of(video, part_weights(case, "motion_encoder"), case.facts["scheduler_video"]),
        )
        self.case = case
        self.left = outputs_of(case)
        self.turn = 0

    def compare(self, name: str, found: Tensor) -> Tensor:
        """Return the recorded output of this name, which the found one must equal within the tolerance."""
        assert name in self.left, f"{self.case.name}: nothing is recorded as {name}, or it was compared before"
        expected = self.left.pop(name)
        check(found, expected, name, self.case)
        return expected

    def _compare_ids(self, name: str, rows: Sequence[Written | GenerationError]) -> None:
        for row, written in enumerate(rows):
            assert isinstance(written, Written), written
            self.compare(f"clip{self.turn}/{name}_full_{row}", torch.tensor(written.full))
            self.compare(f"clip{self.turn}/{name}_new_{row}", torch.tensor(written.new))

    def write_image_ids(
        self, prompts: Sequence[Sequence[int]], draws: Sequence[Draws], settings: GenerationSettings
    ) -> list[Written | GenerationError]:
        """Compare the visual ids."""
        found = super().write_image_ids(prompts, draws, settings)
        self._compare_ids("image", found)
        return found

    def write_motion_ids(
        self, prompts: Sequence[Sequence[int]], settings: GenerationSettings
    ) -> list[Written | GenerationError]:
        """Compare the motion ids and what they were written after."""
        for row, prompt in enumerate(prompts):
            self.compare(f"clip{self.turn}/motion_prompt_{row}", torch.tensor(prompt))
        found = super().write_motion_ids(prompts, settings)
        self._compare_ids("motion", found)
        return found

    def paint(
        self, ids: Sequence[Sequence[int]], draws: Sequence[Draws], settings: ImageSettings, latents: Tensor | None
    ) -> Tensor:
        """Compare the keyframes as they are decoded."""
        return self.compare(f"keyframe_decode{self.turn}/images_uint8", super().paint(ids, draws, settings, latents))

    def restart(
        self, last_frames: Tensor, draws: Sequence[Draws], settings: ImageSettings, noise_scaling: bool
    ) -> Tensor:
        """Compare the latents that a later keyframe starts from."""
        found = super().restart(last_frames, draws, settings, noise_scaling)
        return self.compare(f"regenerate{self.turn - 1}/latents", found)

    def film(self, keyframes: Tensor, codes: Tensor, draws: Sequence[Draws], settings: GenerationSettings) -> Tensor:
        """Compare the resized keyframes, the motion codes and the frames."""
        keyframes = self.compare(f"clip{self.turn}/key_frames_uint8", keyframes)
        self.compare(f"clip{self.turn}/motion_codes", codes)
        frames = self.compare(f"clip{self.turn}/frames_uint8", super().film(keyframes, codes, draws, settings))
        self.turn += 1
        return frames


def prompts_of(case: Case) -> list[Prompt]:
    """Return the prompts of a case with their recorded draws."""
    inputs = inputs_of(case)
    parts: list[str | tuple[int, ...] | Picture] = []
    if "image_uint8" not in inputs:
        ids = numbered(inputs, "prompt") or [inputs["prompt"]]
        pairs = zip(ids, draws(case), strict=True)
        return [Prompt((tuple(row.tolist()),), source) for row, source in pairs]
    if "text_ids" in inputs:
        parts.append(tuple(inputs["text_ids"].tolist()))
    codes = inputs["image_codes_as_ids"] - TOKENS.visual_offset
    parts.append(Picture(Image.fromarray(inputs["image_uint8"].numpy()), tuple(codes.tolist())))
    (source,) = draws(case)
    return [Prompt(tuple(parts), source)]


def check_path(case: Case) -> None:
    """Go the whole way of a case; every recorded output is compared, every recorded draw is asked for."""
    author, prompts, settings = RecordedAuthor(case), prompts_of(case), settings_of(case)
    found = [footage for footage in author.generate_videos(prompts, settings) if isinstance(footage, Footage)]
    assert len(found) == len(prompts), f"{case.name}: a video failed"
    author.compare("n_frames", torch.tensor([len(footage.frames) for footage in found]))
    author.compare("n_key_frames", torch.tensor([len(footage.keyframes) for footage in found]))
    assert not author.left, f"{case.name}: recorded but not compared: {sorted(author.left)}"
    for prompt in prompts:
        prompt.draws.finish()  # type: ignore[attr-defined]
