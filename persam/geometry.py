"""Where things are: original pixels, network input, patches. The only file that knows input size and padding.

Three frames, all with integer coordinates at pixel (or patch) centres:
- original: the image as the user sees it, `original_hw`;
- input: the image scaled so that its long side is `input_size`, or a share of it, at the top left of a padded square;
- grid: `input_size / stride` patches a side; patch 0 covers input pixels 0 to `stride - 1`.
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
ENOUGH = 4  # longer side of an image over that of the network's input, beyond which it is searched in a smaller copy


@dataclass(frozen=True)
class Frame:
    """How one image lies in its network input; `fill` is the share of the input's side that its long side takes."""

    original_hw: tuple[int, int]
    input_size: int
    stride: int = 16
    fill: float = 1.0

    @property
    def input_hw(self) -> tuple[int, int]:
        """Size of the scaled image inside the padded square; at least 1 x 1, however long and thin the image."""
        scale = self.fill * self.input_size / max(self.original_hw)
        height, width = (max(1, int(side * scale + 0.5)) for side in self.original_hw)
        return height, width

    @property
    def grid_side(self) -> int:
        return self.input_size // self.stride

    @property
    def valid_hw(self) -> tuple[int, int]:
        """Rows and columns of patches that hold any of the image; the rest is padding."""
        height, width = self.input_hw
        return math.ceil(height / self.stride), math.ceil(width / self.stride)

    def to_input(self, points_xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Original pixels to input pixels, by the ratio of the sizes as SAM's `apply_coords` does."""
        return points_xy * points_xy.new_tensor(self._ratio_xy())

    def to_original(self, points_xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Input pixels to original pixels, kept inside the image."""
        height, width = self.original_hw
        limit = points_xy.new_tensor([width - 1, height - 1])
        return (points_xy / points_xy.new_tensor(self._ratio_xy())).clamp(min=0).minimum(limit)

    def patches_to_original(self, patches_xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Centres of (fractional) patches in original pixels."""
        return self.to_original((patches_xy + 0.5) * self.stride - 0.5)

    def upscale(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c H W"]:
        """Maps over the padded square to the original size: SAM's `postprocess_masks`."""
        height, width = self.input_hw
        square = F.interpolate(maps, (self.input_size, self.input_size), mode="bilinear", align_corners=False)
        cut = square[..., :height, :width]
        return F.interpolate(cut, self.original_hw, mode="bilinear", align_corners=False)

    def valid(self, maps: Shaped[Tensor, "*b h w"]) -> Shaped[Tensor, "*b hv wv"]:
        """The part of a map over the padded square, at any resolution, that holds image."""
        step = self.input_size / maps.shape[-1]
        height, width = (math.ceil(side / step) for side in self.input_hw)
        return maps[..., :height, :width]

    def _ratio_xy(self) -> tuple[float, float]:
        (height, width), (input_height, input_width) = self.original_hw, self.input_hw
        return input_width / width, input_height / height


def resize_to_input(picture: UInt8[Array, "h w *c"], frame: Frame) -> UInt8[Array, "hi wi *c"]:
    """The image at the size it has inside the input: bilinear with area support, as torchvision resizes a PIL image."""
    height, width = frame.input_hw
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def within(hw: tuple[int, int], side: int) -> tuple[int, int]:
    """The size, or where its longer side is more than `side`, that in proportion to it; at least 1 x 1."""
    scale = min(1.0, side / max(hw))
    return max(1, round(hw[0] * scale)), max(1, round(hw[1] * scale))


def no_larger(rgb: UInt8[Array, "h w 3"], side: int) -> UInt8[Array, "_ _ 3"]:
    """The image, or where its longer side has more pixels than `side`, a copy scaled down to that, by area."""
    import cv2

    height, width = within((rgb.shape[0], rgb.shape[1]), side)
    if (height, width) == rgb.shape[:2]:
        return rgb
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))


def patch_colours(small: UInt8[Array, "hi wi 3"], frame: Frame) -> Float[Tensor, "3 g g"]:
    """Mean CIELAB colour of each patch, of the image at its size inside the input; 0 where a patch is all padding."""
    import cv2

    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    (height, width), (rows, columns) = frame.input_hw, frame.valid_hw
    below, right = rows * frame.stride - height, columns * frame.stride - width
    whole = cv2.copyMakeBorder(lab, 0, below, 0, right, cv2.BORDER_REPLICATE)  # patches at the edge hold padding too
    inside = F.avg_pool2d(torch.from_numpy(whole).permute(2, 0, 1)[None], frame.stride)[0]
    return F.pad(inside, (0, frame.grid_side - columns, 0, frame.grid_side - rows))


def patch_cover(mask: Bool[Array, "h w"], frame: Frame, *, stride: int | None = None) -> Float[Tensor, "g g"]:
    """The share of each patch of the padded square that the mask covers, 0 to 1, by area: thin parts count too.

    stride: of the patches in input pixels; the grid's own when None.
    """
    height, width = frame.input_hw
    plane = torch.from_numpy(mask).float()[None, None]
    mode = "area" if mask.shape[0] >= height and mask.shape[1] >= width else "nearest-exact"
    small = F.interpolate(plane, (height, width), mode=mode)
    square = F.pad(small, (0, frame.input_size - width, 0, frame.input_size - height))
    return F.avg_pool2d(square, stride or frame.stride)[0, 0]


def foreground_patches(mask: Bool[Array, "h w"], frame: Frame) -> Bool[Tensor, "g g"]:
    """Patches that show the object: those it covers by half, or, when it is thinner than that, those it covers most.

    Never empty for a mask with a pixel set, and the same for any encoding of the mask (mends ledger 4).
    """
    cover = patch_cover(mask, frame)
    return (cover >= min(0.5, 0.75 * cover.max().item())) & (cover > 0)


def official_patches(mask: Bool[Array, "h w"], frame: Frame, level: int) -> Bool[Tensor, "g g"]:
    """Patches by the published rule, which depends on the grey `level` that the mask file holds (ledger 4)."""
    small = resize_to_input(np.where(mask, level, 0).astype(np.uint8), frame)
    normalised = (torch.from_numpy(small.astype(np.float32)) - 123.675) / 58.395
    height, width = frame.input_hw
    square = F.pad(normalised, (0, frame.input_size - width, 0, frame.input_size - height))
    size = (frame.grid_side, frame.grid_side)
    return F.interpolate(square[None, None], size, mode="bilinear", align_corners=False)[0, 0] > 0


def box_of(mask: Bool[Array, "h w"] | Bool[Tensor, "h w"]) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of the mask's pixels, inclusive; None for an empty mask."""
    if isinstance(mask, Tensor):
        rows, columns = (np.flatnonzero(mask.any(axis).cpu().numpy()) for axis in (1, 0))
    else:
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def longer_side(box_xyxy: tuple[int, int, int, int]) -> int:
    """Of a box with its corners, in pixels."""
    x0, y0, x1, y1 = box_xyxy
    return max(x1 - x0, y1 - y0) + 1
