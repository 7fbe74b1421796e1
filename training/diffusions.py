"""Trains the diffusion models: keyframes of visual codes, and clips of a keyframe and motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from lavit_eval.models.video_lavit.image_schedule import ImageSchedule
from lavit_eval.models.video_lavit.motion_encoder import MotionEncoder
from lavit_eval.models.video_lavit.tokenizer_decoder import TokenizerDecoder
from lavit_eval.models.video_lavit.unet3d import UNet3D
from training.generation_recipe import NETWORKS, SIDE, SIGMAS

FREE = 0.1
"""How often the conditions are zeros, which classifier-free guidance needs."""
NOISE_MEAN, NOISE_SPREAD = 0.5, 1.8
"""Of the logarithm of the noise that clips are trained with."""
RAW = 0.25
"""How often a clip's motion is the vectors themselves, which reconstruction has, and not what codes say of them."""
FPS, BUCKET, AUGMENTATION = 6, 127, 0.02
"""What the video UNet is told, and how much noise the keyframe gets: the published numbers."""


@dataclass(frozen=True, slots=True)
class Drawings:
    """Latents of pictures with the codes that stand for them."""

    latents: Tensor
    """Scaled, `[2, pictures, 4, 8, 8]`: as they are, and mirrored."""
    codes: Sequence[Sequence[Tensor]]
    """By draw, odd ones being of mirrored pictures, and by picture."""
    codebook: Tensor


class KeyframeStage(nn.Module):
    """The tokenizer decoder and the image UNet, together: what the one says is what the other needs."""

    noise: Tensor

    def __init__(self, decoder: TokenizerDecoder, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.decoder = decoder.requires_grad_(True)
        self.unet = unet.requires_grad_(True)
        config = NETWORKS.image_scheduler
        schedule = ImageSchedule(config, int(config["num_train_timesteps"])).scheduler
        self.register_buffer("noise", ((1 - schedule.alphas_cumprod) / schedule.alphas_cumprod).sqrt(), False)

    def work(self, drawings: Drawings, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step: how badly the noise is told from the picture."""
        device = self.noise.device
        draws, pictures = len(drawings.codes), drawings.latents.shape[1]
        draw = torch.randint(draws, (batch,), generator=generator)
        row = torch.randint(pictures, (batch,), generator=generator)
        steps = torch.randint(len(self.noise), (batch,), generator=generator)
        clean = drawings.latents[draw % 2, row]
        noise = torch.randn(clean.shape, generator=generator).to(device)
        given = (torch.rand(batch, generator=generator) >= FREE).to(clean)
        codes = [drawings.codes[int(one)][int(other)] for one, other in zip(draw, row, strict=True)]
        vectors = F.embedding(torch.cat(codes).to(device), drawings.codebook)
        states, pooled = self.decoder(vectors, [len(each) for each in codes])
        sigma = self.noise[steps.to(device)].view(-1, 1, 1, 1)
        noised = (clean + sigma * noise) / (sigma**2 + 1).sqrt()
        told = torch.tensor([SIDE, SIDE, 0, 0, SIDE, SIDE], dtype=clean.dtype, device=device).expand(batch, -1)
        found = self.unet(
            noised,
            steps.to(device),
            encoder_hidden_states=states * given.view(-1, 1, 1),
            added_cond_kwargs={"text_embeds": pooled * given.view(-1, 1), "time_ids": told},
        ).sample
        loss = F.mse_loss(found, noise)
        return loss, {"high": _share(found, noise, sigma.flatten() > 2)}


def task_of(clean: Tensor, noise: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the video UNet is given of noised latents, and what it must answer: the scheduler's v_prediction."""
    noised, size = clean + sigma * noise, (sigma**2 + 1).sqrt()
    return noised / size, (noised / size**2 - clean) * size / sigma


def clock(sigma: Tensor) -> Tensor:
    """Return the timestep by which the scheduler tells the video UNet how much noise there is."""
    return 0.25 * sigma.log()


def _share(found: Tensor, wanted: Tensor, rows: Tensor) -> float:
    """Return the mean squared error of some rows, 0 if there are none."""
    return float(F.mse_loss(found[rows], wanted[rows]).detach()) if bool(rows.any()) else 0.0


@dataclass(frozen=True, slots=True)
class Takes:
    """Clips as latents, with all that they are made from."""

    clips: Tensor
    """Scaled latents `[2, films, 24, 4, 8, 8]`: as they are, and mirrored."""
    keyframes: Tensor
    """Pixels from -1 to 1, `[films, 3, 64, 64]`, as they are."""
    vectors: Sequence[Tensor]
    """As in `training.reel.Tokens`."""
    raw: Sequence[Tensor]


class FilmStage(nn.Module):
    """The motion encoder and the video UNet."""

    def __init__(self, encoder: MotionEncoder, unet: UNet3D) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(True)
        self.unet = unet.requires_grad_(True)

    def work(
        self, takes: Takes, vae: nn.Module, batch: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one step; `vae` encodes keyframes and stays as it is."""
        device = takes.clips.device
        turn = torch.randint(2, (batch,), generator=generator)
        film = torch.randint(takes.clips.shape[1], (batch,), generator=generator)
        raw = torch.rand(batch, generator=generator) < RAW
        clean = takes.clips[turn, film]
        motion = torch.stack(
            [
                (takes.raw if plain else takes.vectors)[int(side)][int(row)]
                for side, row, plain in zip(turn, film, raw, strict=True)
            ]
        )
        images = self._keyframes(takes, vae, turn, film, generator)
        given = (torch.rand(batch, generator=generator) >= FREE).to(clean).view(-1, 1, 1, 1, 1)
        channels = torch.cat((images[:, None].expand_as(clean), motion.transpose(1, 2)), 2) * given
        states = self.encoder.encode_motion(motion) * given[..., 0]
        sigma = self._sigma(batch, generator).to(device).view(-1, 1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        told = torch.tensor([[FPS, BUCKET, AUGMENTATION]], dtype=clean.dtype, device=device).expand(batch, -1)
        noised, wanted = task_of(clean, noise, sigma)
        found = self.unet(torch.cat((noised, channels), 2), clock(sigma.flatten()), states, told).sample
        return F.mse_loss(found, wanted), {"high": _share(found, wanted, sigma.flatten() > 2)}

    @staticmethod
    @torch.no_grad()
    def _keyframes(takes: Takes, vae: nn.Module, turn: Tensor, film: Tensor, generator: torch.Generator) -> Tensor:
        """Return the keyframes' latents, not scaled, of noised pixels, as sampling encodes them."""
        pixels = takes.keyframes[film]
        pixels = torch.where((turn == 1).to(pixels.device).view(-1, 1, 1, 1), pixels.flip(-1), pixels)
        noised = pixels + AUGMENTATION * torch.randn(pixels.shape, generator=generator).to(pixels)
        latents: Tensor = vae.encode(noised).latent_dist.mode()  # type: ignore[operator]
        return latents

    @staticmethod
    def _sigma(batch: int, generator: torch.Generator) -> Tensor:
        """Return how much noise each row gets."""
        drawn = NOISE_MEAN + NOISE_SPREAD * torch.randn(batch, generator=generator)
        return drawn.exp().clamp(*SIGMAS)
