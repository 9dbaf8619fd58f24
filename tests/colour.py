"""A stand-in for a model that knows colours: what it finds can be told by looking at the image.

A pixel of a 64 x 64 image is a patch of 4 x 4 input pixels, and its feature is its colour. The answer to a prompt is
everything of the colour at its first point inside (or at the middle of its box), within the box; the part is the left
half of that, the subpart its first row.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from persam.geometry import Frame
from persam.method.calibration import Calibration, Presence
from persam.method.object_crop import REFERENCE_VIEWS
from persam.method.verify import IdentityDescriptor
from persam.model import PerSAM
from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.types import Candidates, ImageEmbedding, Prompt

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 30), (30, 30, 220), (128, 128, 128)
SIDE = 64
VIEWS = len(REFERENCE_VIEWS)  # a reference costs so many crops
# Refuses what has not the object's colour. `conftest.py` puts it where `calibration_of` finds it, so that every
# ColourBackbone() is calibrated; one with another fingerprint is not.
CALIBRATION = Calibration("colours-1", presence=Presence(threshold=0.5, spread=0.3))


class ColourBackbone:
    """Remembers the prompts it was given, and counts what it encodes.

    encoded: images so far. batches: how many images each call of `encode` had.
    """

    device = torch.device("cpu")
    input_size = 4 * SIDE

    def __init__(self, fingerprint: str = CALIBRATION.fingerprint):
        self.name, self.fingerprint = "colour", fingerprint
        self.prompts: list[Prompt] = []
        self.encoded = 0
        self.batches: list[int] = []

    def encode(self, images: Sequence[np.ndarray], *, fills: Sequence[float] | None = None) -> ImageEmbedding:
        self.encoded += len(images)
        self.batches.append(len(images))
        shares = [1.0] * len(images) if fills is None else fills
        frames = tuple(
            Frame((rgb.shape[0], rgb.shape[1]), self.input_size, 4, fill)
            for rgb, fill in zip(images, shares, strict=True)
        )
        maps = [_colours(rgb, frame) for rgb, frame in zip(images, frames, strict=True)]
        return ImageEmbedding(torch.stack(maps), frames, tuple(map(_digest, images, frames)))

    def at_input(self, size: int) -> "ColourBackbone":
        return self

    def decode(self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance = NO_GUIDANCE) -> Candidates:
        self.prompts.append(prompt)
        rows = len(prompt)
        images = [embedding] * rows if len(embedding) == 1 else [embedding[row] for row in range(rows)]
        logits = torch.stack([_masks(image, prompt, row) for row, image in enumerate(images)])
        fine = logits.repeat_interleave(4, -1).repeat_interleave(4, -2)  # at the input's own resolution
        return Candidates(fine, torch.tensor([[0.9, 0.9, 0.5, 0.2]]).repeat(rows, 1))


def colour_model(**choices: Any) -> Any:
    """A PerSAM with a backbone of its own; choices as PerSAM takes them."""
    return PerSAM(ColourBackbone(), calibration=CALIBRATION, **choices)


def photo(*, at_xyxy=(10, 20, 29, 39), colour=RED, hw=(64, 64), ground=GREY) -> np.ndarray:
    """A rectangle of one colour, corners included, on plain ground."""
    rgb = np.full((*hw, 3), ground, np.uint8)
    x0, y0, x1, y1 = at_xyxy
    rgb[y0 : y1 + 1, x0 : x1 + 1] = colour
    return rgb


def mask(*, at_xyxy=(10, 20, 29, 39), hw=(64, 64)) -> np.ndarray:
    """The rectangle's mask."""
    found = np.zeros(hw, bool)
    x0, y0, x1, y1 = at_xyxy
    found[y0 : y1 + 1, x0 : x1 + 1] = True
    return found


def _colours(rgb: np.ndarray, frame: Frame) -> Tensor:
    height, width = frame.valid_hw
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    small = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
    features = torch.zeros(3, SIDE, SIDE)
    features[:, : small.shape[1], : small.shape[2]] = small - small.mean(0) + 1
    return features


def _digest(rgb: np.ndarray, frame: Frame) -> str:
    return hashlib.sha256(rgb.tobytes() + repr(frame).encode()).hexdigest()


def _masks(image: ImageEmbedding, prompt: Prompt, row: int) -> Tensor:
    """Logits of single, whole, part and subpart, one a patch."""
    allowed = torch.ones(SIDE, SIDE, dtype=torch.bool)
    if prompt.box_xyxy is not None:
        edges = prompt.box_xyxy[row].view(2, 2) + torch.tensor([[0], [1]])  # its last pixel belongs to it
        x0, y0, x1, y1 = (image.frame.to_input(edges) / 4).flatten().tolist()
        seed = ((x0 + x1) / 2, (y0 + y1) / 2)
        allowed[:] = False
        allowed[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)] = True
    if prompt.points_xy is not None:
        seed = tuple((image.frame.to_input(prompt.points_xy[row, 0]) / 4).tolist())
    x, y = (min(SIDE - 1, max(0, int(value))) for value in seed)  # a crop may not hold the point
    colours = torch.nn.functional.normalize(image.features[0], dim=0)
    whole = (torch.einsum("chw,c->hw", colours, colours[:, y, x]) > 0.95) & allowed
    columns, rows = whole.any(0).nonzero().flatten(), whole.any(1).nonzero().flatten()
    part, subpart = whole.clone(), whole.clone()
    if len(columns):
        part[:, int(columns[0] + columns[-1]) // 2 + 1 :] = False
        subpart[int(rows[0]) + 1 :] = False
    return torch.stack([whole, whole, part, subpart]).float() * 16 - 8


def descriptor_of_box(box_xyxy: tuple[int, ...]) -> IdentityDescriptor:
    """A descriptor that holds a box instead of what is in it, for a similarity that a test chooses by the box."""
    image = torch.zeros(1, dtype=torch.long)
    return IdentityDescriptor(torch.tensor([box_xyxy]).float(), torch.zeros(1, 3), image, image.bool())


def described_box(descriptor: IdentityDescriptor | None) -> tuple[int, ...]:
    """The box that `descriptor_of_box` put there; none of a thing that is not there."""
    return () if descriptor is None else tuple(int(value) for value in descriptor.features[0])
