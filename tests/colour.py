"""A stand-in for a model that knows colours: what it finds can be told by looking at the photo.

A pixel of a 64 x 64 photo is a grid cell of 4 x 4 input pixels, and its feature is its colour. The answer to a prompt
is everything of the colour at its first point inside (or at the middle of its box), within the box; the part is the
left half of that, the subpart its first row.
"""

import math

import cv2
import numpy as np
import torch

from persam.geometry import Frame
from persam.method.verify import Portrait
from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.types import Candidates, ImageEmbedding, Prompt

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 30), (30, 30, 220), (128, 128, 128)
SIDE = 64


class ColourBackbone:
    """Remembers the prompts it was given, and counts the photos."""

    device = torch.device("cpu")

    def __init__(self, fingerprint: str = "colours-1"):
        self.name, self.fingerprint = "colour", fingerprint
        self.prompts: list[Prompt] = []
        self.encoded = 0

    def encode(self, rgb: np.ndarray, *, fill: float = 1.0) -> ImageEmbedding:
        self.encoded += 1
        frame = Frame(rgb.shape[:2], 4 * SIDE, 4, fill)
        height, width = frame.valid_hw
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        small = torch.from_numpy(np.array(small)).permute(2, 0, 1).float()
        features = torch.zeros(3, SIDE, SIDE)
        features[:, : small.shape[1], : small.shape[2]] = small - small.mean(0) + 1
        return ImageEmbedding(features, frame)

    def decode(self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance = NO_GUIDANCE) -> Candidates:
        self.prompts.append(prompt)
        allowed = torch.ones(SIDE, SIDE, dtype=torch.bool)
        if prompt.box_xyxy is not None:
            edges = prompt.box_xyxy.view(2, 2) + torch.tensor([[0], [1]])  # its last pixel belongs to it
            x0, y0, x1, y1 = (embedding.frame.to_input(edges) / 4).flatten().tolist()
            seed = ((x0 + x1) / 2, (y0 + y1) / 2)
            allowed[:] = False
            allowed[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)] = True
        if prompt.points_xy is not None:
            seed = (embedding.frame.to_input(prompt.points_xy[0, 0]) / 4).tolist()
        x, y = (min(SIDE - 1, int(value)) for value in seed)
        colours = torch.nn.functional.normalize(embedding.features, dim=0)
        whole = (torch.einsum("chw,c->hw", colours, colours[:, y, x]) > 0.95) & allowed
        columns, rows = whole.any(0).nonzero().flatten(), whole.any(1).nonzero().flatten()
        part, subpart = whole.clone(), whole.clone()
        if len(columns):
            part[:, int(columns[0] + columns[-1]) // 2 + 1 :] = False
            subpart[int(rows[0]) + 1 :] = False
        logits = torch.stack([whole, whole, part, subpart]).float() * 16 - 8
        fine = logits[None].repeat_interleave(4, -1).repeat_interleave(4, -2)  # at the input's own resolution
        return Candidates(fine, torch.tensor([[0.9, 0.9, 0.5, 0.2]]))


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


def no_portrait(width: int = 3) -> Portrait:
    """For tests that never look close: one cell, like nothing."""
    return Portrait(torch.zeros(1, width), torch.zeros(1, 3), torch.zeros(1, dtype=torch.long))
