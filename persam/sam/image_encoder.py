"""Segment Anything's image encoder (ViTDet: Li et al., 2022), made fast, under the parameter names of Meta's files.

It computes what `segment_anything.modeling.ImageEncoderViT` computes, to rounding. The relative positions enter
PyTorch's fused attention as its bias, for some queries at a time, so that no map of all patches to all patches is kept.
The rest of a block, too, is made for some patches at a time: activations then stay in the cache, and below the size
from which the C library gives memory back to the system and has it cleared anew.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from persam.sam._segment_anything import import_modeling

ACTIVATION_BYTES = {"cpu": 16 << 20}  # of the largest one; an accelerator has its own memory, and likes large ones
ACTIVATION_BYTES_ELSEWHERE = 1 << 30


class PatchEmbed(nn.Module):
    """A vector for every patch."""

    def __init__(self, width: int, patch: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b h w c"]:
        return self.proj(x).permute(0, 2, 3, 1)


class Attention(nn.Module):
    """Among the patches of a grid, with a bias by their vertical and horizontal distance (Li et al., 2022, MViTv2).

    reach: patches a side of the grid that the relative positions are for.
    """

    def __init__(self, width: int, heads: int, reach: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * reach - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * reach - 1, width // heads))

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """What every patch takes from the others, before `proj`."""
        height, width = (int(extent) for extent in x.shape[1:3])  # of tensors while it is traced
        q, k, v = self.qkv(x).flatten(1, 2).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        table_h, table_w = (
            positions[offsets(side, x.device)]
            for positions, side in ((self.rel_pos_h, height), (self.rel_pos_w, width))
        )
        grid = q.unflatten(2, (height, width))
        of_rows = torch.einsum("bnhwc,hkc->bnhwk", grid, table_h).flatten(2, 3)
        of_columns = torch.einsum("bnhwc,wkc->bnhwk", grid, table_w).flatten(2, 3)
        bytes_per_query = int(math.prod(k.shape[:3]) * x.element_size())
        mixed = []
        for some in parts(height * width, bytes_per_query, x.device):
            bias = of_rows[:, :, some, :, None] + of_columns[:, :, some, None, :]
            mixed.append(F.scaled_dot_product_attention(q[:, :, some], k, v, attn_mask=bias.flatten(3)))
        together = mixed[0] if len(mixed) == 1 else torch.cat(mixed, 2)
        return together.transpose(1, 2).flatten(2).unflatten(1, (height, width))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        return self.lin2(F.gelu(self.lin1(x)))


class Block(nn.Module):
    """Attention among all patches, or within windows of `window` patches a side where it is not 0; then an MLP."""

    def __init__(self, width: int, heads: int, hidden: int, *, grid: int, window: int):
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, window or grid)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        attend = self._in_windows if self.window else self._over_all
        return torch.cat([self._then_mlp(some) for some in attend(x)], 1)

    def _over_all(self, x: Float[Tensor, "b h w c"]) -> Iterator[Float[Tensor, "b _ w c"]]:
        mixed = self.attn(self.norm1(x))
        for rows in parts(int(x.shape[1]), _row_bytes(x), x.device):
            yield x[:, rows] + self._out(mixed[:, rows])

    def _in_windows(self, x: Float[Tensor, "b h w c"]) -> Iterator[Float[Tensor, "b _ w c"]]:
        """Some rows of windows at a time."""
        size = self.window
        height, width = (int(extent) for extent in x.shape[1:3])  # of tensors while it is traced
        for bands in parts(-(-height // size), size * _row_bytes(x), x.device):
            rows = x[:, size * bands.start : size * bands.stop]
            padded = self._normed(rows, (0, 0, 0, -width % size, 0, -int(rows.shape[1]) % size))
            grid = padded.unflatten(2, (-1, size)).unflatten(1, (-1, size))  # b bands size columns size c
            windows = (-1, int(grid.shape[1]), int(grid.shape[3]))
            mixed = self.attn(grid.transpose(2, 3).flatten(0, 2)).unflatten(0, windows)
            back = mixed.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, : rows.shape[1], :width]
            yield rows + self._out(back)

    def _normed(self, x: Float[Tensor, "b h w c"], padding: tuple[int, ...]) -> Float[Tensor, "b hp wp c"]:
        # zeros, not masked out: patches of the padding are attended to, as in the published model
        return F.pad(self.norm1(x), padding)

    def _out(self, mixed: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """What attention adds, from what every patch took."""
        return self.attn.proj(mixed)

    def _then_mlp(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        return x + self.mlp(self.norm2(x))


class ImageEncoder(nn.Module):
    """Normalised RGB to features of `width_out` channels.

    Args:
        width, depth, heads: of the transformer. hidden: width within its MLPs.
        grid: patches a side of the input.
        patch: pixels a side of a patch.
        window: patches a side of the windows; blocks of `global_blocks` have none.
        width_out: channels of the features.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        grid: int,
        patch: int,
        window: int,
        global_blocks: tuple[int, ...],
        width_out: int,
    ):
        super().__init__()
        layer_norm_2d = import_modeling().mask_decoder.LayerNorm2d
        self.patch_embed = PatchEmbed(width, patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, width))
        self.blocks = nn.ModuleList(
            Block(width, heads, hidden, grid=grid, window=0 if i in global_blocks else window) for i in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(width, width_out, 1, bias=False),
            layer_norm_2d(width_out),
            nn.Conv2d(width_out, width_out, 3, padding=1, bias=False),
            layer_norm_2d(width_out),
        )

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b co h w"]:
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2)).contiguous()


def offsets(side: int, device: torch.device) -> Int[Tensor, "n n"]:
    """For each two places along a side, the row of their relative position: their distance, from 0 for the farthest."""
    place = torch.arange(side, device=device)
    return place[:, None] - place[None] + side - 1


def parts(count: int, bytes_each: int, device: torch.device) -> list[slice]:
    """Equal parts of so many things, none of more bytes than an activation should have there."""
    at_most = max(1, ACTIVATION_BYTES.get(device.type, ACTIVATION_BYTES_ELSEWHERE) // bytes_each)
    size = -(-count // -(-count // at_most))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _row_bytes(x: Float[Tensor, "b h w c"]) -> int:
    """Of the MLP's activation for a row of patches, which is the widest."""
    return int(4 * x.shape[0] * x.shape[2] * x.shape[3] * x.element_size())
