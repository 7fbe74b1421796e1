"""Trains the autoencoders of the image and of the video detokenizer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from torch import Tensor, nn

from training.reel import Reel, mirror, to_pixels

CHUNK = 8
"""Frames that the video decoder sees at once, as in sampling."""
DIVERGENCE = 1e-4
"""Weight of the divergence from N(0, 1), which keeps latents near one."""
SHAPES, GROUND = 20.0, 0.25
"""How much more a pixel counts, the further its colour lies from that of most: shapes are few pixels, and a plain mean
over all is soon best served by painting none. Nearer than the second number lies the ground's own texture."""


class ImageAutoencoderStage(nn.Module):
    """The autoencoder of pictures."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae.requires_grad_(True)

    def work(self, reel: Reel, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step."""
        pixels = reel.draw_pictures(batch, generator)
        latents, divergence = _drawn(self.vae.encode(pixels).latent_dist, generator)
        return _loss(self.vae.decode(latents).sample, pixels, divergence)


class VideoAutoencoderStage(nn.Module):
    """The autoencoder of clips, whose decoder has layers along time."""

    def __init__(self, vae: AutoencoderKLTemporalDecoder) -> None:
        super().__init__()
        self.vae = vae.requires_grad_(True)

    def work(self, reel: Reel, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step on chunks of clips."""
        films = torch.randint(len(reel.clips), (batch,), generator=generator)
        chunks = torch.randint(reel.clips.shape[1] // CHUNK, (batch,), generator=generator) * CHUNK
        frames = chunks[:, None] + torch.arange(CHUNK)
        turn = torch.rand(batch, generator=generator) < 0.5
        pixels = mirror(to_pixels(reel.clips[films[:, None], frames]), turn).flatten(0, 1)
        latents, divergence = _drawn(self.vae.encode(pixels).latent_dist, generator)
        return _loss(self.vae.decode(latents, num_frames=CHUNK).sample, pixels, divergence)


def _drawn(found: object, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a draw from an encoder's distribution, and its mean divergence from N(0, 1)."""
    mean: Tensor = found.mean  # type: ignore[attr-defined]
    spread: Tensor = found.logvar  # type: ignore[attr-defined]
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    divergence = 0.5 * (mean.pow(2) + spread.exp() - 1 - spread).mean()
    return mean + (0.5 * spread).exp() * noise, divergence


def _loss(found: Tensor, pixels: Tensor, divergence: Tensor) -> tuple[Tensor, Mapping[str, float]]:
    most = pixels.flatten(2).median(-1).values[..., None, None]
    apart = (pixels - most).abs().amax(1, keepdim=True)
    weights = 1 + SHAPES * (apart - GROUND).clamp(min=0)
    miss = ((found - pixels).pow(2).mean(1, keepdim=True) * weights).sum() / weights.sum()
    off = F.mse_loss(found.detach(), pixels).clamp(min=1e-8)
    shown = (apart > 2 * GROUND).expand_as(pixels)
    facts = {"psnr": float(10 * torch.log10(4 / off)), "divergence": float(divergence.detach())}
    if bool(shown.any()):
        facts["shapes"] = float((found.detach() - pixels)[shown].abs().mean())
    return miss + DIVERGENCE * divergence, facts


@torch.no_grad()
def encoded(vae: nn.Module, pixels: Tensor, together: int = 256) -> Tensor:
    """Return the modes of an encoder's distributions, `[n, 4, 8, 8]`, for pixels `[n, 3, 64, 64]`."""
    parts = torch.split(pixels, together)
    return torch.cat([vae.encode(part).latent_dist.mode() for part in parts])  # type: ignore[operator]


def scaling(latents: Tensor) -> float:
    """Return the factor that gives latents a standard deviation of one, to four digits."""
    return round(1 / float(latents.float().std()), 4)
