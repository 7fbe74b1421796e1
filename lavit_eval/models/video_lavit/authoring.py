"""From prompts to images and videos: the parts of the generation model, one after the other, for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.models.video_lavit.clip_sampling import sample_clips
from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.draws import Draws, Rewindable
from lavit_eval.models.video_lavit.footage import Drawing, Footage, motion_codes, visual_ids
from lavit_eval.models.video_lavit.frames import resize_frames
from lavit_eval.models.video_lavit.generation_error import GenerationError
from lavit_eval.models.video_lavit.image_detokenizer import ImageDetokenizer, ImageSettings
from lavit_eval.models.video_lavit.prompts import Prompt
from lavit_eval.models.video_lavit.stages import Stages
from lavit_eval.models.video_lavit.take import Take, alive, outlast
from lavit_eval.models.video_lavit.token_generation import Marks, Written, write_tokens
from lavit_eval.models.video_lavit.tokenizer import Tokenizer
from lavit_eval.models.video_lavit.tokenizer_decoder import TokenizerDecoder
from lavit_eval.models.video_lavit.video_detokenizer import VideoDetokenizer

NO_CODES = "the language model wrote no visual code"
TWO_PICTURES = "a video is made from one picture at most"


def image_settings(settings: GenerationSettings, low_memory: bool = False) -> ImageSettings:
    """Return how an image is denoised from pure noise."""
    return ImageSettings(
        height=settings.height,
        width=settings.width,
        steps=settings.steps,
        guidance=settings.guidance_decoder,
        init_sigma=settings.init_sigma,
        low_memory=low_memory,
    )


class Author:
    """Makes images and videos from prompts with the parts of the generation model.

    A batch gives what its requests give alone, but for rounding: ids are equal, 8-bit values differ by one at most.
    What goes wrong for one request ends that one; the others are finished without it. The methods that do one step
    each take rows of several requests and return one row for each.

    Args:
        llm: A `LlamaForCausalLM`, that of `language_model/`.
        tokens: Its id space.
        tokenizer: Its tokenizer, needed for prompts with text.
        codebook: The visual tokenizer's table of codes, `[codes, width]`.
        decoder: Makes conditions of visual codes.
        image_detokenizer: Makes images of conditions.
        video_detokenizer: Makes clips of keyframes and motion; not needed for images.
        low_memory: Run the halves of the guidance of diffusion one after the other.
        autocast: The half precision of matrix products where parameters are half, as published; None for none.
    """

    def __init__(
        self,
        llm: Any,
        tokens: TokenSpace,
        tokenizer: Tokenizer | None,
        codebook: Tensor,
        decoder: TokenizerDecoder,
        image_detokenizer: ImageDetokenizer,
        video_detokenizer: VideoDetokenizer | None = None,
        low_memory: bool = False,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.llm = llm
        self.tokens = tokens
        self.tokenizer = tokenizer
        self.codebook = codebook
        self.decoder = decoder
        self.image_detokenizer = image_detokenizer
        self.video_detokenizer = video_detokenizer
        self.low_memory = low_memory
        self.autocast = autocast

    def generate_images(
        self, prompts: Sequence[Prompt], settings: GenerationSettings, stages: Stages | None = None
    ) -> list[Drawing | GenerationError]:
        """Make an image of each prompt; pictures in it stand for what they show, without marks.

        Args:
            prompts: What to make.
            settings: How.
            stages: Runs the steps; by default all prompts go through each together, and nothing is kept.

        Raises:
            UsageError: For sizes or steps that cannot be.
        """
        self.check(settings, videos=False)
        takes = [self._begin(prompt, picture_marks=False) for prompt in prompts]
        stages = _numbered(stages, takes)
        stages.run("llm", "1 visual tokens", takes, partial(self._write_images, settings))
        stages.run("image", "1 image", takes, partial(self._paint, settings, True, None))
        return [take.error or self._drawing(take) for take in takes]

    def generate_videos(
        self, prompts: Sequence[Prompt], settings: GenerationSettings, stages: Stages | None = None
    ) -> list[Footage | GenerationError]:
        """Make a video of each prompt, clip by clip for the whole batch.

        A picture in a prompt is the first keyframe itself; otherwise, and for every later clip, a keyframe is made from
        what the language model writes after all that was written before. Later keyframes are denoised from the last
        frame of the clip before, with noise added. Arguments are those of `generate_images`.

        Raises:
            UsageError: For sizes or steps that cannot be.
        """
        self.check(settings, videos=True)
        takes = [self._begin(prompt, picture_marks=True) for prompt in prompts]
        stages = _numbered(stages, takes)
        # Through 8 bits and Pillow, as published, and also where only the picture given has another size.
        size = (settings.video_height, settings.video_width)
        for take, prompt in zip(takes, prompts, strict=True):
            self._take_reference(take, prompt)
        for turn in range(settings.clips):
            keyless = [take for take in takes if turn or take.reference is None]
            stages.run("llm", f"{turn + 1} visual tokens", keyless, partial(self._write_images, settings))
            stages.run("llm", f"{turn + 1} motion tokens", takes, partial(self._write_motions, settings))
            stages.run("image", f"{turn + 1} keyframe", keyless, partial(self._paint, settings, not turn, size))
            for take in takes:
                if not turn and take.reference is not None and not take.keyframes:
                    take.keyframes.append(resize_frames(take.reference, *size))
            stages.run("video", f"{turn + 1} video", takes, partial(self._film, settings))
        return [take.error or self._footage(take) for take in takes]

    def write_image_ids(
        self, prompts: Sequence[Sequence[int]], draws: Sequence[Draws], settings: GenerationSettings
    ) -> list[Written | GenerationError]:
        """Write visual ids after each prompt."""
        marks = Marks.image(self.tokens)
        with self._precision():
            return write_tokens(self.llm, prompts, marks, settings.visual, settings.guidance_llm, draws)

    def write_motion_ids(
        self, prompts: Sequence[Sequence[int]], settings: GenerationSettings
    ) -> list[Written | GenerationError]:
        """Write motion ids after each prompt: the likeliest ones."""
        marks = Marks.motion(self.tokens)
        with self._precision():
            return write_tokens(self.llm, prompts, marks, settings.motion_writing, settings.guidance_motion)

    def paint(
        self, ids: Sequence[Sequence[int]], draws: Sequence[Draws], settings: ImageSettings, latents: Tensor | None
    ) -> Tensor:
        """Make images, uint8 `[n, height, width, 3]`, of written ids, from pure noise or from the latents given."""
        with self._precision():
            conditions = self.decoder.image_embeds([torch.tensor(row) for row in ids], self.codebook, self.tokens)
            return self.image_detokenizer.decode(conditions, draws, settings, latents)

    def restart(
        self, last_frames: Tensor, draws: Sequence[Draws], settings: ImageSettings, noise_scaling: bool
    ) -> Tensor:
        """Return the latents from which the keyframes after these frames, uint8 `[n, h, w, 3]`, are denoised."""
        with self._precision():
            return self.image_detokenizer.restart_latents(last_frames, draws, settings, noise_scaling)

    def film(self, keyframes: Tensor, codes: Tensor, draws: Sequence[Draws], settings: GenerationSettings) -> Tensor:
        """Make clips, uint8 `[n, 24, h, w, 3]`, of keyframes, uint8 `[n, h, w, 3]`, and motion codes `[n, 135]`."""
        with self._precision():
            return sample_clips(self._videos(), keyframes, codes, draws, settings, self.low_memory)

    def check(self, settings: GenerationSettings, videos: bool) -> None:
        """Raise UsageError for sizes or steps that the parts cannot have."""
        self.image_detokenizer.check_settings(self.image_settings(settings))
        if videos:
            self._videos().check_size(settings.video_height, settings.video_width)

    def image_settings(self, settings: GenerationSettings) -> ImageSettings:
        """Return how an image is denoised from pure noise."""
        return image_settings(settings, self.low_memory)

    def _videos(self) -> VideoDetokenizer:
        if self.video_detokenizer is None:
            raise ValueError("videos need a video detokenizer")
        return self.video_detokenizer

    def _precision(self) -> Any:
        kind = self.llm.lm_head.weight.device.type
        return torch.autocast(kind, self.autocast or torch.bfloat16, enabled=self.autocast is not None)

    def _begin(self, prompt: Prompt, picture_marks: bool) -> Take:
        ids = prompt.ids(self.tokenizer, self.tokens, picture_marks)
        take = Take(Rewindable(prompt.draws), ids)
        take.counts["prompt_tokens"] = len(ids)
        return take

    @staticmethod
    def _take_reference(take: Take, prompt: Prompt) -> None:
        if len(prompt.pictures) > 1:
            take.error = GenerationError("prompt", (0,), f"{TWO_PICTURES}, not {len(prompt.pictures)}")
        elif prompt.pictures:
            take.reference = prompt.pictures[0].frames()

    def _write_images(self, settings: GenerationSettings, takes: Sequence[Take]) -> None:
        def write(live: Sequence[Take]) -> list[Written | GenerationError]:
            return self.write_image_ids([take.ids for take in live], [take.draws for take in live], settings)

        for take, written in outlast(takes, write).items():
            if isinstance(written, GenerationError):
                take.error = written
                continue
            found = len(visual_ids(written.new, self.tokens))
            take.ids, take.image_ids = written.full, written.new
            take.counts["new_tokens"] += len(written.new)
            take.counts["visual_tokens"] += found
            take.counts["missing_image_end"] += not written.ended
            take.counts["visual_codes_cut"] += found > self.decoder.config.tokens
            if not found:
                take.error = GenerationError("visual tokens", (0,), NO_CODES)

    def _write_motions(self, settings: GenerationSettings, takes: Sequence[Take]) -> None:
        live = alive(takes)
        for take, written in zip(live, self.write_motion_ids([take.ids for take in live], settings), strict=True):
            if isinstance(written, GenerationError):
                take.error = written
                continue
            take.codes, mended = motion_codes(written.new, self.tokens)
            take.ids = written.full
            take.counts["new_tokens"] += len(written.new)
            take.counts["motion_tokens"] += sum(token >= self.tokens.motion_offset for token in written.new)
            take.counts["missing_motion_end"] += not written.ended
            take.counts["motion_tokens_mended"] += mended

    def _paint(
        self, settings: GenerationSettings, first: bool, size: tuple[int, int] | None, takes: Sequence[Take]
    ) -> None:
        """Make an image of each request's last visual ids, resized to (height, width) if that is given."""
        for take, frame in outlast(takes, partial(self._painted, settings, first)).items():
            take.keyframes.append(frame if size is None else resize_frames(frame, *size))

    def _painted(self, settings: GenerationSettings, first: bool, live: Sequence[Take]) -> list[Tensor]:
        """Return an image, uint8 `[1, height, width, 3]`, of each request's last visual ids."""
        draws = [take.draws for take in live]
        how = self.image_settings(settings)
        latents = None
        if not first:
            how = replace(how, noise_level=settings.skipped_steps)
            last = torch.stack([take.clips[-1][-1] for take in live])
            latents = self.restart(last, draws, how, settings.restart_noise_scaling)
        frames = self.paint([take.image_ids for take in live], draws, how, latents)
        return list(torch.split(frames, 1))

    def _film(self, settings: GenerationSettings, takes: Sequence[Take]) -> None:
        for take, clip in outlast(takes, partial(self._filmed, settings)).items():
            take.clips.append(clip)

    def _filmed(self, settings: GenerationSettings, live: Sequence[Take]) -> list[Tensor]:
        keyframes = torch.cat([take.keyframes[-1] for take in live])
        codes = torch.stack([take.codes for take in live if take.codes is not None])
        return list(self.film(keyframes, codes, [take.draws for take in live], settings))

    @staticmethod
    def _drawing(take: Take) -> Drawing:
        return Drawing(take.keyframes[0][0], tuple(take.ids), dict(take.counts))

    @staticmethod
    def _footage(take: Take) -> Footage:
        return Footage(torch.stack(take.clips), torch.cat(take.keyframes), tuple(take.ids), dict(take.counts))


def _numbered(stages: Stages | None, takes: Sequence[Take]) -> Stages:
    """Return who runs the stages, told of the requests in their order."""
    stages = stages or Stages()
    stages.number(takes)
    return stages
