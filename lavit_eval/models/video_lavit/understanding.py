"""The understanding model: a LLaMA with the visual and the motion tokenizer as children, named as in the checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.motion_tokenizer import MotionTokenizer
from lavit_eval.models.video_lavit.visual_tokenizer import VisualTokenizer


class UnderstandingModel(nn.Module):
    """What `language_model_sft/` holds: `model.*`, `lm_head.*`, `model.visual_tokenizer.*`, `model.motion_tokenizer.*`.

    Made under `torch.device("meta")` it takes no memory and no time; `load_state_dict(weights, assign=True)` then gives
    it its parameters. The rotary frequencies, which no checkpoint holds, are in place in either case.

    Args:
        llama: Configuration of the language model; its `hidden_size` must be `visual.llm_dim`.
        visual: Sizes of the visual tokenizer.
        motion: Sizes of the motion tokenizer.
        tokens: The id space, which must fit into the vocabulary.
        attention: `sdpa` or `xformers`, for the visual tokenizer; the language model always uses torch's own.

    Raises:
        ValueError: If the sizes contradict each other.
    """

    def __init__(
        self,
        llama: LlamaConfig,
        visual: VisualConfig,
        motion: MotionConfig,
        tokens: TokenSpace,
        attention: str = "sdpa",
    ) -> None:
        super().__init__()
        if llama.hidden_size != visual.llm_dim:
            raise ValueError(f"hidden_size is {llama.hidden_size}, but visual features have {visual.llm_dim} channels")
        if llama.vocab_size < tokens.total:
            raise ValueError(f"vocab_size is {llama.vocab_size}, but the id space needs {tokens.total}")
        config = copy.deepcopy(llama)
        config._attn_implementation = "sdpa"
        language_model = LlamaForCausalLM(config)
        self.config = config
        self.tokens = tokens
        self.model: Any = language_model.model
        self.lm_head: nn.Linear = language_model.lm_head
        self.model.visual_tokenizer = VisualTokenizer(visual, attention=attention)
        self.model.motion_tokenizer = MotionTokenizer(motion)
        self._restore_frequencies()
        after_loading: Any = self.register_load_state_dict_post_hook
        after_loading(lambda *_: self._restore_frequencies())
        self.eval().requires_grad_(False)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Move or cast the model; the rotary frequencies stay float32, since a cast would move every position."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._restore_frequencies()
        return self

    def _restore_frequencies(self) -> None:
        with torch.device("cpu"):
            rotary = LlamaRotaryEmbedding(self.config)
        device = self.lm_head.weight.device
        self.model.rotary_emb = rotary if device.type == "meta" else rotary.to(device)

    @property
    def device(self) -> torch.device:
        """Where the language model's weights lie."""
        return self.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the language model's weights."""
        return self.lm_head.weight.dtype

    def embed(self, ids: Tensor) -> Tensor:
        """Return the embedding rows of ids, `[..., hidden]`."""
        rows: Tensor = self.model.embed_tokens(ids.to(self.device))
        return rows

    @torch.no_grad()
    def see(self, pixels: Tensor, noise: Tensor | None) -> list[Tensor]:
        """Return the kept visual tokens of each image, `[k_i, hidden]` in raster order; k_i may be 0.

        Args:
            pixels: `[n, 3, size, size]`, normalised.
            noise: Gumbel noise of the token selector, `[n, patches, 2]`; None keeps the likelier of keep and drop.
        """
        found: list[Tensor] = self.model.visual_tokenizer.encode_features(pixels.to(self.device, self.dtype), noise)
        return found

    @torch.no_grad()
    def read_motion(self, motion: Tensor) -> Tensor:
        """Return the motion codes of clips, int64 `[n, 135]`, for `motion` of shape `[n, 2, 24, 20, 36]`."""
        codes: Tensor = self.model.motion_tokenizer.encode(motion.to(self.device, self.dtype))
        return codes

    def hidden_states(
        self, embeds: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache | None = None
    ) -> Tensor:
        """Run the language model and return its states after the final norm, `[rows, length, hidden]`.

        Args:
            embeds: `[rows, length, hidden]`.
            mask: `[rows, past + length]`, true at positions that may be seen by those that follow; or
                `[rows, 1, length, past + length]`, true where the one may see the other.
            positions: int64 `[rows, length]`.
            cache: Keys and values of the past; extended in place.
        """
        output = self.model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        states: Tensor = output.last_hidden_state
        return states

    def last_logits(self, embeds: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache | None = None) -> Tensor:
        """Return the logits of the last position only, float32 `[rows, vocabulary]`; arguments as `hidden_states`."""
        logits: Tensor = self.lm_head(self.hidden_states(embeds, mask, positions, cache)[:, -1])
        return logits.float()

    def new_cache(self) -> DynamicCache:
        """Return an empty cache for keys and values."""
        return DynamicCache(config=self.config)
