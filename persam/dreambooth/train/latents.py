"""Photos as the network sees them, made once and kept: latents with their masks on the same grid.

Random crops and flips are drawn in `VARIANTS` versions of each photo, which come in turn, an epoch each. So the VAE
runs once per version and not once per step, and has left the device when training begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from persam.dreambooth.dataset import MaskedPhotos
from persam.dreambooth.train.draws import Draw
from persam.dreambooth.train.families import Family
from persam.io.images import read_image

VARIANTS = 8


@dataclass(frozen=True)
class Latent:
    """One version of one photo: the distribution that the VAE gives, and which of it counts.

    sizes: height and width of the photo's file, top and left of the crop, height and width of the crop.
    """

    mean: Float[Tensor, "c h w"]
    deviation: Float[Tensor, "c h w"]
    mask: Float[Tensor, "1 h w"]
    sizes: Float[Tensor, "6"]
    prompt: str


@dataclass(frozen=True)
class Batch:
    """Samples on the CPU: latents drawn from their distributions, and the noise that is to come."""

    latents: Float[Tensor, "b c h w"]
    noise: Float[Tensor, "b c h w"]
    mask: Float[Tensor, "b 1 h w"]
    sizes: Float[Tensor, "b 6"]
    prompts: list[str]
    chances: list[torch.Generator]


def encode_photos(family: Family, photos: MaskedPhotos, prompts: Sequence[str], *, masked: bool) -> list[list[Latent]]:
    """The versions of each photo, with its prompt. masked: else all of each counts."""
    versions = 1 if photos.center_crop and not photos.random_flip else VARIANTS
    encoded: list[list[Latent]] = [[] for _ in photos.pairs]
    for version in range(versions):
        photos.set_epoch(version)
        for index, prompt in enumerate(prompts):
            photo = photos[index]
            mask = photo.mask if masked else torch.ones_like(photo.mask)
            latent = _encode(family, photo.pixels, mask, photo.original_hw, photo.crop_top_left, prompt)
            encoded[index].append(latent)
    return encoded


def encode_class(family: Family, files: Sequence[Path], prompt: str, resolution: int) -> list[list[Latent]]:
    """One version of each photo of the class: its middle, all of which counts."""
    encoded = []
    for file in files:
        rgb = Image.fromarray(read_image(file))
        scale = resolution / min(rgb.size)
        width, height = (max(resolution, round(side * scale)) for side in rgb.size)
        top, left = (height - resolution) // 2, (width - resolution) // 2
        picture = rgb.resize((width, height), Image.Resampling.LANCZOS)
        crop = np.asarray(picture.crop((left, top, left + resolution, top + resolution)))
        pixels = torch.from_numpy(crop.astype(np.float32) / 127.5 - 1).permute(2, 0, 1).contiguous()
        original_hw = (rgb.height, rgb.width)
        encoded.append([_encode(family, pixels, torch.ones_like(pixels[:1]), original_hw, (top, left), prompt)])
    return encoded


def batch_of(photos: Sequence[Sequence[Latent]], draws: Sequence[Draw], *, unmasked: float = 0.0) -> Batch:
    """The samples of the draws.

    unmasked: the share of samples, by each one's own chance, in which the whole photo counts.
    """
    chosen = [photos[one.photo][one.epoch % len(photos[one.photo])] for one in draws]
    latents, noises, masks = [], [], []
    for latent, one in zip(chosen, draws, strict=True):
        spread, noise = torch.randn(2, *latent.mean.shape, generator=one.chance)
        latents.append(latent.mean + latent.deviation * spread)
        noises.append(noise)
        whole = torch.rand((), generator=one.chance).item() < unmasked
        masks.append(torch.ones_like(latent.mask) if whole else latent.mask)
    return Batch(
        torch.stack(latents),
        torch.stack(noises),
        torch.stack(masks),
        torch.stack([latent.sizes for latent in chosen]),
        [latent.prompt for latent in chosen],
        [one.chance for one in draws],
    )


def joined(batches: Sequence[Batch]) -> Batch:
    """One batch of several, as prior preservation puts photos of the class after those of the object."""
    return Batch(
        torch.cat([one.latents for one in batches]),
        torch.cat([one.noise for one in batches]),
        torch.cat([one.mask for one in batches]),
        torch.cat([one.sizes for one in batches]),
        [prompt for one in batches for prompt in one.prompts],
        [chance for one in batches for chance in one.chances],
    )


def _encode(
    family: Family,
    pixels: Float[Tensor, "3 r r"],
    mask: Float[Tensor, "1 r r"],
    original_hw: tuple[int, int],
    crop_top_left: tuple[int, int],
    prompt: str,
) -> Latent:
    mean, deviation = (one[0].cpu() for one in family.encode_pixels(pixels[None]))
    sizes = torch.tensor([*original_hw, *crop_top_left, *pixels.shape[1:]], dtype=torch.float32)
    pooled = F.adaptive_avg_pool2d(mask[None], (mean.shape[1], mean.shape[2]))[0]  # as the loss would
    return Latent(mean, deviation, pooled, sizes, prompt)
