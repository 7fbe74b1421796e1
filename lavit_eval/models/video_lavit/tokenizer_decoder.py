"""Visual codes to the conditions of the image diffusion model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavit_eval.models.video_lavit.attention import attend
from lavit_eval.models.video_lavit.config import TokenSpace
from lavit_eval.models.video_lavit.feed_forward import FeedForward
from lavit_eval.models.video_lavit.layer_norm import UpcastLayerNorm

NORM_EPS = 1e-5
_WIDTHS = {
    "code_dim": ("in_proj.weight", 1),
    "width": ("query_embed", 2),
    "tokens": ("query_embed", 1),
    "hidden": ("blocks.0.mlp.fc1.weight", 0),
    "out": ("unet_attnpool.positional_embedding", 1),
    "first": ("unet_proj_1.weight", 0),
    "second": ("unet_proj_2.weight", 0),
    "pooled": ("unet_attnpool.c_proj.weight", 0),
}


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes of the tokenizer decoder; the defaults are the published ones."""

    tokens: int = 256
    """Rows of the result, and the most codes that one image can have."""
    code_dim: int = 32
    width: int = 1408
    hidden: int = 6144
    """Hidden width of the perceptrons."""
    layers: int = 12
    heads: int = 16
    """Heads of the blocks and of the pooling."""
    out: int = 1408
    """Width of what is projected and pooled."""
    first: int = 768
    second: int = 1280
    """The conditions are these two projections side by side, one for each text encoder of SDXL."""
    pooled: int = 1280

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]], layers: int = 12, heads: int = 16) -> DecoderConfig:
        """Return the sizes that tensor shapes tell, with the published one where a tensor is absent.

        Layers and heads are given: a file that lacks its last layer is broken, not smaller.
        """
        widths: dict[str, Any] = {
            size: shapes[name][axis]
            for size, (name, axis) in _WIDTHS.items()
            if name in shapes and axis < len(shapes[name])
        }
        return cls(**widths, layers=layers, heads=heads)


class SelfAttention(nn.Module):
    """Full self-attention among the queries."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[n, tokens, width]` to the same shape."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        return cast(Tensor, self.proj(attend(q, k, v, q.shape[-1] ** -0.5).flatten(2)))


class CrossAttention(nn.Module):
    """Attention of the queries to the codes of their image."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, memory: Tensor, filled: Tensor) -> Tensor:
        """Map `[n, tokens, width]` to the same shape, looking at those slots of `memory` that are `filled`."""
        q, k, v = (
            projection(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, tokens in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        some = filled.any(dim=1)[:, None, None, None]
        # A row without codes must not have a softmax over nothing; what it attends to is thrown away below.
        admitted = filled[:, None, None, :] | ~some
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=admitted)
        # The reference would let an image without codes see the padding that longer images of its batch bring along:
        # with nothing seen at all it gets the same beside others as alone.
        mixed = torch.where(some, mixed, torch.zeros_like(mixed))
        return cast(Tensor, self.proj(mixed.transpose(1, 2).flatten(2)))


class DecoderBlock(nn.Module):
    """Self-attention, attention to the codes, perceptron, each pre-norm and residual; the codes are not normalised."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.norm0 = UpcastLayerNorm(config.width, eps=NORM_EPS)
        self.self_attn = SelfAttention(config)
        self.norm1 = UpcastLayerNorm(config.width, eps=NORM_EPS)
        self.cross_attn = CrossAttention(config)
        self.norm2 = UpcastLayerNorm(config.width, eps=NORM_EPS)
        self.mlp = FeedForward(config.width, config.hidden)

    def forward(self, x: Tensor, memory: Tensor, filled: Tensor) -> Tensor:
        """Map `[n, tokens, width]` to the same shape."""
        x = x + self.self_attn(self.norm0(x))
        x = x + self.cross_attn(self.norm1(x), memory, filled)
        return cast(Tensor, x + self.mlp(self.norm2(x)))


class AttentionPool(nn.Module):
    """One vector for all tokens: their mean attends to itself and to them, as in CLIP's ResNets."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.positional_embedding = nn.Parameter(torch.zeros(1 + config.tokens, config.out))
        self.q_proj = nn.Linear(config.out, config.out)
        self.k_proj = nn.Linear(config.out, config.out)
        self.v_proj = nn.Linear(config.out, config.out)
        self.c_proj = nn.Linear(config.out, config.pooled)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[n, tokens, out]` to `[n, pooled]`."""
        x = torch.cat((x.mean(dim=1, keepdim=True), x), dim=1) + self.positional_embedding
        # Only the mean's output is used, so only its query is computed.
        q, k, v = (
            projection(tokens).unflatten(-1, (self.heads, -1))
            for projection, tokens in ((self.q_proj, x[:, :1]), (self.k_proj, x), (self.v_proj, x))
        )
        return cast(Tensor, self.c_proj(attend(q, k, v, q.shape[-1] ** -0.5).flatten(1)))


class TokenizerDecoder(nn.Module):
    """The decoder; the parameter names are those of `highres_tokenizer_decoder.bin`.

    Images do not see each other: a batch gives what its images give alone, but for rounding. Parameters of mixed
    dtypes (matrices halved, tables float32) need `torch.autocast` around the call.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        if config.width % config.heads or config.out % config.heads:
            raise ValueError(f"{config.heads} heads do not divide {config.width} and {config.out} channels")
        self.config = config
        self.pos_embed = nn.Parameter(torch.zeros(1, config.tokens, config.width))
        self.query_embed = nn.Parameter(torch.zeros(1, config.tokens, config.width))
        self.in_proj = nn.Linear(config.code_dim, config.width)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.layers))
        self.norm = UpcastLayerNorm(config.width, eps=NORM_EPS)
        self.decode_task_layer = nn.Sequential(
            nn.Linear(config.width, config.width), nn.Tanh(), nn.Linear(config.width, config.out)
        )
        self.unet_proj_1 = nn.Linear(config.out, config.first)
        self.unet_proj_2 = nn.Linear(config.out, config.second)
        self.unet_attnpool = AttentionPool(config)

    def forward(self, vectors: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Decode the code vectors of a batch of images.

        Args:
            vectors: Rows of the codebook, `[sum of counts, code_dim]`, image after image.
            counts: Codes of each image. Of more than `config.tokens` the first ones count; none at all is allowed.

        Returns:
            The conditions of the image UNet, `[n, tokens, first + second]`, and its pooled condition, `[n, pooled]`.

        Raises:
            ValueError: If the counts do not add up to the number of vectors.
        """
        if sum(counts) != len(vectors):
            raise ValueError(f"{len(vectors)} code vectors, but counts of {sum(counts)}")
        memory, filled = self._memory(vectors, counts)
        # The queries have no table of positions: they are one.
        x = self.query_embed.expand(len(counts), -1, -1)
        for block in self.blocks:
            x = block(x, memory, filled)
        decoded = self.decode_task_layer(self.norm(x))
        conditions = torch.cat((self.unet_proj_1(decoded), self.unet_proj_2(decoded)), dim=-1)
        return conditions, self.unet_attnpool(decoded)

    def image_embeds(
        self, ids: Sequence[Tensor | Sequence[int]], codebook: Tensor, space: TokenSpace | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decode the generated ids of a batch of images.

        Args:
            ids: Ids of each image; those that are no visual codes (text, marks, padding) are skipped.
            codebook: The visual tokenizer's table `[codes, code_dim]`, used as stored and cast to the decoder's dtype.
            space: The ids of the language model; None for the published ones.

        Returns:
            As `forward`.

        Raises:
            ValueError: For an id beyond the visual codes.
        """
        codes = [visual_codes(each, space or TokenSpace()) for each in ids]
        vectors = F.embedding(torch.cat(codes).to(codebook.device), codebook)
        weight = self.in_proj.weight
        return cast(
            "tuple[Tensor, Tensor]",
            self(vectors.to(device=weight.device, dtype=weight.dtype), [len(each) for each in codes]),
        )

    def _memory(self, vectors: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return what the queries look at, padded to the longest image, and which slots of it are filled."""
        most = self.config.tokens
        parts = [part[:most] for part in torch.split(self.in_proj(vectors), list(counts))]
        lengths = torch.tensor([len(part) for part in parts], device=vectors.device)
        # At least one slot: attention to no slot at all is undefined.
        longest = max([1, *(len(part) for part in parts)])
        padded = torch.stack([F.pad(part, (0, 0, 0, longest - len(part))) for part in parts])
        filled = torch.arange(longest, device=vectors.device)[None, :] < lengths[:, None]
        return padded + self.pos_embed[:, :longest], filled


def visual_codes(ids: Tensor | Sequence[int], space: TokenSpace) -> Tensor:
    """Return the visual codes, int64 from 0, among the ids of one image, in their order.

    Ids below the visual ones are skipped; ValueError for one beyond them (a motion id): no image has any.
    """
    listed = torch.as_tensor(ids, dtype=torch.int64)
    codes = listed[listed >= space.visual_offset] - space.visual_offset
    if bool((codes >= space.visual).any()):
        raise ValueError(f"id {int(codes.max()) + space.visual_offset} is beyond the visual codes")
    return codes
