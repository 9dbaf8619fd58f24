"""Where things are: original pixels, network input, grid cells. The only file that knows input size and padding.

Three frames, all with integer coordinates at pixel (or cell) centres:
- original: the photo as the user sees it, `original_hw`;
- input: the photo scaled so that its long side is `input_size`, or a share of it, at the top left of a padded square;
- grid: `input_size / stride` cells a side; cell 0 covers input pixels 0 to `stride - 1`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image
from torch import Tensor

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Frame:
    """How one photo lies in its network input; `fill` is the share of the input's side that its long side takes."""

    original_hw: tuple[int, int]
    input_size: int
    stride: int = 16
    fill: float = 1.0

    @property
    def input_hw(self) -> tuple[int, int]:
        """Size of the scaled photo inside the padded square; at least 1 x 1, however long and thin the photo."""
        scale = self.fill * self.input_size / max(self.original_hw)
        height, width = (max(1, int(side * scale + 0.5)) for side in self.original_hw)
        return height, width

    @property
    def grid_side(self) -> int:
        return self.input_size // self.stride

    @property
    def valid_hw(self) -> tuple[int, int]:
        """Rows and columns of cells that hold any of the photo; the rest is padding."""
        height, width = self.input_hw
        return math.ceil(height / self.stride), math.ceil(width / self.stride)

    def to_input(self, points_xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Original pixels to input pixels, by the ratio of the sizes as SAM's `apply_coords` does."""
        return points_xy * points_xy.new_tensor(self._ratio_xy())

    def to_original(self, points_xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Input pixels to original pixels, kept inside the photo."""
        height, width = self.original_hw
        limit = points_xy.new_tensor([width - 1, height - 1])
        return (points_xy / points_xy.new_tensor(self._ratio_xy())).clamp(min=0).minimum(limit)

    def cells_to_original(self, cells_xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Centres of (fractional) cells in original pixels."""
        return self.to_original((cells_xy + 0.5) * self.stride - 0.5)

    def upscale(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c H W"]:
        """Maps over the padded square to the original size: SAM's `postprocess_masks`."""
        height, width = self.input_hw
        square = F.interpolate(maps, (self.input_size, self.input_size), mode="bilinear", align_corners=False)
        cut = square[..., :height, :width]
        return F.interpolate(cut, self.original_hw, mode="bilinear", align_corners=False)

    def valid(self, maps: Shaped[Tensor, "*b h w"]) -> Shaped[Tensor, "*b hv wv"]:
        """The part of a map over the padded square, at any resolution, that holds photo."""
        step = self.input_size / maps.shape[-1]
        height, width = (math.ceil(side / step) for side in self.input_hw)
        return maps[..., :height, :width]

    def _ratio_xy(self) -> tuple[float, float]:
        (height, width), (input_height, input_width) = self.original_hw, self.input_hw
        return input_width / width, input_height / height


def resize_to_input(picture: UInt8[Array, "h w *c"], frame: Frame) -> UInt8[Array, "hi wi *c"]:
    """The photo at the size it has inside the input: bilinear with area support, as torchvision resizes a PIL image."""
    height, width = frame.input_hw
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def cell_colours(small: UInt8[Array, "hi wi 3"], frame: Frame) -> Float[Tensor, "3 hv wv"]:
    """Mean CIELAB colour of the cells that hold photo, of the photo at its size inside the input."""
    import cv2

    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    (height, width), (rows, columns) = frame.input_hw, frame.valid_hw
    below, right = rows * frame.stride - height, columns * frame.stride - width
    whole = cv2.copyMakeBorder(lab, 0, below, 0, right, cv2.BORDER_REPLICATE)  # cells at the edge hold padding too
    return F.avg_pool2d(torch.from_numpy(whole).permute(2, 0, 1)[None], frame.stride)[0]


def cell_cover(mask: Bool[Array, "h w"], frame: Frame, *, stride: int | None = None) -> Float[Tensor, "g g"]:
    """The share of every cell of the padded square that the mask covers, 0 to 1: areas, so nothing is lost by thinness.

    stride: of the cells in input pixels; the grid's own when None.
    """
    height, width = frame.input_hw
    plane = torch.from_numpy(mask).float()[None, None]
    mode = "area" if mask.shape[0] >= height and mask.shape[1] >= width else "nearest-exact"
    small = F.interpolate(plane, (height, width), mode=mode)
    square = F.pad(small, (0, frame.input_size - width, 0, frame.input_size - height))
    return F.avg_pool2d(square, stride or frame.stride)[0, 0]


def decoded_cover(logits: Float[Tensor, "n h w"], frame: Frame) -> Float[Tensor, "n hv wv"]:
    """The share of every cell with photo that decoded masks (logits over the padded square) cover, 0 to 1."""
    return frame.valid(F.avg_pool2d((logits > 0).float()[None], logits.shape[-1] // frame.grid_side)[0])


def foreground_cells(mask: Bool[Array, "h w"], frame: Frame) -> Bool[Tensor, "g g"]:
    """Cells that show the object: those it covers by half, or, when it is thinner than that, those it covers most.

    Never empty for a mask with a pixel set, and the same for any encoding of the mask (mends ledger 4).
    """
    cover = cell_cover(mask, frame)
    return (cover >= min(0.5, 0.75 * cover.max().item())) & (cover > 0)


def official_cells(mask: Bool[Array, "h w"], frame: Frame, level: int) -> Bool[Tensor, "g g"]:
    """Cells by the published rule, which depends on the grey `level` that the mask file holds (ledger 4)."""
    small = resize_to_input(np.where(mask, level, 0).astype(np.uint8), frame)
    normalised = (torch.from_numpy(small.astype(np.float32)) - 123.675) / 58.395
    height, width = frame.input_hw
    square = F.pad(normalised, (0, frame.input_size - width, 0, frame.input_size - height))
    size = (frame.grid_side, frame.grid_side)
    return F.interpolate(square[None, None], size, mode="bilinear", align_corners=False)[0, 0] > 0


def box_of(mask: Bool[Array, "h w"]) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of the mask's pixels, inclusive; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def window_around(box_xyxy: tuple[int, int, int, int], hw: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    """A square of `side` pixels around a box, cut at the photo's edges.

    Returns: x0, y0, x1, y1, the last two exclusive.
    """
    x0, y0, x1, y1 = box_xyxy
    left, top = math.floor((x0 + x1 + 1 - side) / 2), math.floor((y0 + y1 + 1 - side) / 2)
    return max(0, left), max(0, top), min(hw[1], left + side), min(hw[0], top + side)


def longer_side(box_xyxy: tuple[int, int, int, int]) -> int:
    """Of a box with its corners, in pixels."""
    x0, y0, x1, y1 = box_xyxy
    return max(x1 - x0, y1 - y0) + 1
