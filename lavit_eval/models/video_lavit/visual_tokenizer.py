"""Images to a number of tokens that depends on what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from lavit_eval.models.video_lavit.config import VisualConfig
from lavit_eval.models.video_lavit.eva_vit import EvaVit
from lavit_eval.models.video_lavit.quantiser import VectorQuantiser
from lavit_eval.models.video_lavit.token_merger import TokenMerger
from lavit_eval.models.video_lavit.token_selector import TokenSelector, keep_decision


@dataclass(frozen=True, slots=True)
class Encoded:
    """Images after selection and merging, all patches still there.

    Attributes:
        features: The encoder's output without the class token, `[n, N, width]`.
        scores: Log-probabilities of keep and drop, `[n, N, 2]`.
        keep: Decisions, booleans `[n, N]`.
        merged: The merger's output, `[n, N, width]`.
    """

    features: Tensor
    scores: Tensor
    keep: Tensor
    merged: Tensor

    @property
    def counts(self) -> list[int]:
        """Kept patches of each image; 0 and N are possible."""
        return [int(count) for count in self.keep.sum(dim=1).tolist()]

    def kept(self) -> Tensor:
        """Return the merged rows of the kept patches of all images, in raster order, `[sum of counts, width]`."""
        return self.merged[self.keep]


class VisualTokenizer(nn.Module):
    """Encoder, token selector, token merger, and the two ways out: continuous features and codes.

    Images do not see each other: a batch gives what its images give alone, but for rounding. The parameter names are
    those of the public checkpoint.

    Args:
        config: Sizes.
        attention: Kernel of the encoder, one of `attention.BACKENDS`; the merger's softmax has no fused kernel.
    """

    def __init__(self, config: VisualConfig, attention: str = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.encoder = EvaVit(config, attention)
        self.token_predictor = TokenSelector(config.width)
        self.causal_encoder = TokenMerger(config)
        self.quantize = VectorQuantiser(config.n_code, config.code_dim)
        self.encode_task_layer = nn.Sequential(
            nn.Linear(config.width, config.width), nn.Tanh(), nn.Linear(config.width, config.code_dim)
        )
        self.vit_proj = nn.Linear(config.width, config.llm_dim)

    def select(self, features: Tensor, noise: Tensor | None) -> Tensor:
        """Decide which patches are kept.

        Args:
            features: The encoder's output without the class token, `[n, N, width]`.
            noise: Gumbel noise `[n, N, 2]` float32 (`token_selector.gumbel_noise`), as published; None keeps what is
                at least as probable as not.

        Returns:
            Booleans `[n, N]`.
        """
        return keep_decision(self.token_predictor(features), noise)

    def encode(self, pixels: Tensor, noise: Tensor | None, *, exact_scores: bool = False) -> Encoded:
        """Encode, select and merge.

        Args:
            pixels: `[n, 3, S, S]`, normalised with CLIP's mean and deviation.
            noise: As for `select`.
            exact_scores: Give the selector the features in the dtype of its layer norm, which is float32 where only
                matrices are halved; otherwise they go in as the encoder made them.
        """
        features = self.encoder(pixels)[:, 1:]
        scores = self.token_predictor(features.to(self.token_predictor.dtype) if exact_scores else features)
        keep = keep_decision(scores, noise)
        return Encoded(features, scores, keep, self.causal_encoder(features, keep))

    def encode_features(self, pixels: Tensor, noise: Tensor | None) -> list[Tensor]:
        """Return what the language model sees of each image: `[kept, llm_dim]`, in raster order.

        Arguments are those of `encode`.
        """
        encoded = self.encode(pixels, noise)
        return list(torch.split(self.vit_proj(encoded.kept()), encoded.counts))

    def tokenize(self, pixels: Tensor, noise: Tensor | None) -> list[Tensor]:
        """Return the codes of each image: int64 `[kept]`, in raster order, without the offset of their ids.

        Arguments are those of `encode`.
        """
        encoded = self.encode(pixels, noise, exact_scores=True)
        codes = cast(Tensor, self.quantize(self.encode_task_layer(encoded.kept())))
        return list(torch.split(codes, encoded.counts))
