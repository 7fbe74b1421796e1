"""Faults of the model, of the prompt and of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lavit_eval.metrics import exact_match
from lavit_eval.models.video_lavit import (
    answer,
    eva_vit,
    logits,
    quantiser,
    splice,
    token_merger,
    token_selector,
    tokenizer,
)
from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.motion_tokenizer import DownSample, MotionTokenizer
from lavit_eval.models.video_lavit.splice import Spliced
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import Settings
from lavit_eval.task import Decoding
from tests.canary.faults import Fault, Patch, after, everywhere, method


def _norm_eps() -> list[Patch]:
    plain = F.layer_norm
    return [(F, "layer_norm", lambda x, shape, weight, bias, eps: plain(x, shape, weight, bias, 0.1))]


def _rms_eps() -> list[Patch]:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    original = LlamaRMSNorm.forward

    def forward(self: Any, states: Tensor) -> Tensor:
        self.variance_epsilon = 0.1
        found: Tensor = original(self, states)
        return found

    return [(LlamaRMSNorm, "forward", forward)]


def _with_class_token() -> list[Patch]:
    original = eva_vit.EvaVit.forward
    return [(eva_vit.EvaVit, "forward", lambda self, pixels: original(self, pixels).roll(1, 1))]


def _without_positions() -> list[Patch]:
    def forward(self: Any, pixels: Tensor) -> Tensor:
        patches = self.patch_embed(pixels)
        x = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), dim=1)
        for block in self.blocks:
            x = block(x)
        return x

    return [(eva_vit.EvaVit, "forward", forward)]


def _see_both_ways(keep: Tensor) -> Tensor:
    own = torch.eye(keep.shape[-1])
    return torch.maximum(keep.float()[:, None, :], own)[:, None]


def _turned_codebook() -> list[Patch]:
    original = quantiser.nearest_codes

    def turned(z: Tensor, codebook: Tensor) -> Tensor:
        return original(z, codebook.reshape(codebook.shape[1], codebook.shape[0]).t().contiguous())

    return everywhere(original, turned)


def _unscaled_attention() -> list[Patch]:
    from lavit_eval.models.video_lavit import attention

    original = attention.attend
    return everywhere(original, lambda q, k, v, scale, backend="sdpa": original(q, k, v, 1.0, backend))


def _raw_vectors() -> list[Patch]:
    return [(quantiser.F, "normalize", lambda z, **_: z)]


def _codes_by_column() -> list[Patch]:
    original = MotionTokenizer.encode

    def encode(self: MotionTokenizer, motion: Tensor) -> Tensor:
        return original(self, motion).view(-1, 3, 5, 9).transpose(2, 3).flatten(1)

    return [(MotionTokenizer, "encode", encode)]


def _even_padding() -> list[Patch]:
    def forward(self: DownSample, x: Tensor) -> Tensor:
        left, right, above, below, before, behind = self.padding
        padded = F.pad(x.permute(0, 4, 1, 2, 3), (right, left, below, above, behind, before))
        found: Tensor = self.conv(padded).permute(0, 2, 3, 4, 1)
        return found

    return [(DownSample, "forward", forward)]


def _shifted(name: str) -> list[Patch]:
    original = getattr(TokenSpace, name).fget
    return [(TokenSpace, name, property(lambda self: original(self) + 1))]


def _next_codes() -> list[Patch]:
    original = splice.motion_block

    def block(model: Any, codes: Tensor) -> Tensor:
        return original(model, (codes + 1).clamp(max=model.tokens.motion - 1))

    return everywhere(original, block)


def _motion_first() -> list[Patch]:
    def blocks(model: Any, keyframes: Sequence[Tensor], codes: Tensor) -> list[Tensor]:
        pairs = zip(keyframes, codes, strict=True)
        return [torch.cat([splice.motion_block(model, code), splice.image_block(model, kept)]) for kept, code in pairs]

    return everywhere(splice.clip_blocks, blocks)


def _right_padding(batch: Spliced) -> Spliced:
    lengths = batch.mask.sum(1).tolist()
    parts = [torch.stack([row.roll(n, 0) for row, n in zip(part, lengths, strict=True)]) for part in batch]
    return Spliced(*parts)


def _new_ids_without_positions() -> list[Patch]:
    original = UnderstandingModel.last_logits

    def last_logits(self: Any, embeds: Tensor, mask: Tensor, positions: Tensor, cache: Any = None) -> Tensor:
        return original(self, embeds, mask, positions * (embeds.shape[1] > 1), cache)

    return [(UnderstandingModel, "last_logits", last_logits)]


def _prompt(old: str, new: str) -> list[Patch]:
    return after(tokenizer.build_prompt, lambda text: text.replace(old, new))


def _ids(change: Any) -> list[Patch]:
    return method(tokenizer.Tokenizer, "prompt_ids", change)


def _without_space(ids: list[int]) -> list[int]:
    place = next((place for place, token in enumerate(ids) if token < 0), None)
    return ids if place is None else [*ids[: place - 1], ids[place], *ids[place + 2 :]]


def _decoding(**fields: Any) -> list[Patch]:
    return method(Decoding, "settings", lambda found: replace(found, **fields))


def _penalised() -> list[Patch]:
    original = logits.restrict

    def restricted(scores: Tensor, seen: Any, new: int, settings: Settings, eos: int, suppressed: range) -> Tensor:
        return original(scores, seen, new, replace(settings, repetition_penalty=3.0), eos, suppressed)

    return everywhere(original, restricted)


def _next_reference() -> list[Patch]:
    original = exact_match.ExactMatch.measure

    def measure(self: Any, samples: Sequence[Any], texts: Sequence[str]) -> Any:
        others = [*samples[1:], samples[0]]
        moved = [replace(one, references=other.references) for one, other in zip(samples, others, strict=True)]
        return original(self, moved, texts)

    return [(exact_match.ExactMatch, "measure", measure)]


def _share_for_percent() -> list[Patch]:
    def scaled(measured: Any) -> Any:
        return replace(measured, reduce=lambda sums: np.asarray(sums[..., 0] / sums[..., 1]))

    return method(exact_match.ExactMatch, "measure", scaled)


MODEL = (
    Fault("encoder: patches shifted by the class token", _with_class_token),
    Fault("encoder: no positions", _without_positions),
    Fault("encoder: attention not scaled", _unscaled_attention),
    Fault("norms: eps 0.1", _norm_eps),
    Fault("selector: keep and drop swapped", lambda: after(token_selector.keep_decision, lambda keep: ~keep)),
    Fault("selector: everything kept", lambda: after(token_selector.keep_decision, torch.ones_like)),
    Fault("merger: sees both ways", lambda: everywhere(token_merger.causal_policy, _see_both_ways)),
    Fault("merger: looks at the kept patches", lambda: after(token_merger.dropped_policy, lambda policy: 1 - policy)),
    Fault("codebook: transposed", _turned_codebook),
    Fault("codebook: vectors not of unit length", _raw_vectors),
    Fault("motion codes: column by column", _codes_by_column),
    Fault("motion tokenizer: padding on the other side", _even_padding),
    Fault("ids: image start off by one", lambda: _shifted("image_start")),
    Fault("ids: motion codes off by one", _next_codes),
    Fault("splice: motion before the keyframe", _motion_first),
    Fault("splice: right padding", lambda: after(splice.padded, _right_padding)),
    Fault("language model: eps of the norms 0.1", _rms_eps),
    Fault("prompt: newline missing", lambda: _prompt(">\n", ">")),
    Fault("prompt: no system text", lambda: _prompt(tokenizer.SYSTEM + " ", "")),
    Fault("prompt: a space after the last colon", lambda: _prompt("ASSISTANT:", "ASSISTANT: ")),
    Fault("prompt: start id missing", lambda: _ids(lambda ids: ids[1:])),
    Fault("prompt: space pieces around the medium missing", lambda: _ids(_without_space)),
    Fault("generation: repetition penalty", _penalised),
    Fault("generation: sampled at temperature 2", lambda: _decoding(do_sample=True, temperature=2.0)),
    Fault("generation: at most four tokens", lambda: _decoding(max_new_tokens=4)),
    Fault("generation: new tokens without positions", _new_ids_without_positions),
    Fault("answer: not cut at the stop text", lambda: everywhere(answer.clean_answer, lambda text, cut=False: text)),
    Fault("metric: each answer against the next question", _next_reference),
    Fault("metric: 0..1 for 0..100", _share_for_percent),
)
