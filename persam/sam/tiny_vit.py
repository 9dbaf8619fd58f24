"""MobileSAM (vit_t): SAM's prompt encoder and mask decoder behind a TinyViT encoder of 6 M parameters.

TinyViT is Wu et al., ECCV 2022 (arXiv 2207.10666); MobileSAM is Zhang et al., 2023 (arXiv 2306.14289). Written from
their description; the parameter names are those of the published file, which loads strictly.
"""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from persam.sam._segment_anything import import_modeling
from persam.sam.checkpoint import with_weights
from persam.sam.vit import EMBEDDING_WIDTH, Sam

SIGNATURE = "image_encoder.patch_embed.seq.0.c.weight"

INPUT_SIZE = 1024
WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
STRIDES = (2, 2, 1)  # of the downsampling after the first three stages: 1024 / 4 / 4 = 64 patches a side
EXPANSION = 4
CLASSES = 1000  # of the ImageNet head that the published file still carries


class ConvNorm(nn.Module):
    """Convolution without bias, then batch norm."""

    def __init__(self, width_in: int, width_out: int, size: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(width_in, width_out, size, stride, padding=size // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.c(x))


class InvertedResidual(nn.Module):
    """MBConv: expand, depthwise 3x3, project, add."""

    def __init__(self, width: int):
        super().__init__()
        hidden = width * EXPANSION
        self.conv1 = ConvNorm(width, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class Downsample(nn.Module):
    """To the next stage's width, and by `stride` fewer patches a side."""

    def __init__(self, width_in: int, width_out: int, stride: int):
        super().__init__()
        self.conv1 = ConvNorm(width_in, width_out)
        self.conv2 = ConvNorm(width_out, width_out, 3, stride=stride, groups=width_out)
        self.conv3 = ConvNorm(width_out, width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class WindowAttention(nn.Module):
    """Attention among the patches of a window, with a learned bias for every distance (|dy|, |dx|) and head."""

    distance: Tensor

    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self.register_buffer("distance", distances(window), persistent=False)

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        # every head's q, k and v lie side by side in the rows of qkv
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self.distance]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return self.proj(mixed.transpose(1, 2).flatten(2))


def distances(window: int) -> Int[Tensor, "n n"]:
    """For each two patches of a window, in reading order, |dy| * window + |dx|: the column of their bias."""
    patch = torch.arange(window * window)
    row, column = patch // window, patch % window
    dy, dx = ((place[:, None] - place[None]).abs() for place in (row, column))
    return dy * window + dx


class Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width * EXPANSION)
        self.fc2 = nn.Linear(width * EXPANSION, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Attention in windows, a depthwise 3x3 that lets neighbouring windows meet, and an MLP."""

    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.window = window
        self.attn = WindowAttention(width, heads, window)
        self.mlp = Mlp(width)
        self.local_conv = ConvNorm(width, width, 3, groups=width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        x = self.local_conv(x + self._attend(x))
        return x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _attend(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        size, (height, width) = self.window, x.shape[-2:]
        # zeros, not masked out: patches of the padding are attended to, as in the published model
        padded = F.pad(x, (0, -width % size, 0, -height % size))
        grid = padded.unflatten(3, (-1, size)).unflatten(2, (-1, size))  # b c rows size columns size
        rows, columns = grid.shape[2], grid.shape[4]
        windows = grid.permute(0, 2, 4, 3, 5, 1).flatten(0, 2).flatten(1, 2)
        mixed = self.attn(windows).unflatten(1, (size, size)).unflatten(0, (-1, rows, columns))
        return mixed.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]


class Stage(nn.Module):
    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class Stem(nn.Module):
    """Two strided convolutions: 4 x 4 pixels to a patch."""

    def __init__(self) -> None:
        super().__init__()
        half = WIDTHS[0] // 2
        self.seq = nn.Sequential(ConvNorm(3, half, 3, stride=2), nn.GELU(), ConvNorm(half, WIDTHS[0], 3, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        return self.seq(x)


class TinyViT(nn.Module):
    """Normalised RGB to features at stride 16."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = Stem()
        stages = []
        for i, (width, depth, heads, window) in enumerate(zip(WIDTHS, DEPTHS, HEADS, WINDOWS, strict=True)):
            # the first stage is convolutional
            blocks = [Block(width, heads, window) if i else InvertedResidual(width) for _ in range(depth)]
            stages.append(Stage(blocks, Downsample(width, WIDTHS[i + 1], STRIDES[i]) if i < len(STRIDES) else None))
        self.layers = nn.Sequential(*stages)
        self.norm_head = nn.LayerNorm(WIDTHS[-1])  # these two classified ImageNet; here only so that the file fits
        self.head = nn.Linear(WIDTHS[-1], CLASSES)
        layer_norm_2d = import_modeling().mask_decoder.LayerNorm2d
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], EMBEDDING_WIDTH, 1, bias=False),
            layer_norm_2d(EMBEDDING_WIDTH),
            nn.Conv2d(EMBEDDING_WIDTH, EMBEDDING_WIDTH, 3, padding=1, bias=False),
            layer_norm_2d(EMBEDDING_WIDTH),
        )

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 256 hs ws"]:
        return self.neck(self.layers(self.patch_embed(x)))


def build(input_size: int = INPUT_SIZE) -> Sam:
    """MobileSAM with fresh weights, in evaluation mode."""
    return Sam(TinyViT(), input_size=input_size).eval()


def from_tensors(tensors: Mapping[str, Tensor]) -> Sam:
    """MobileSAM with the weights of its file.

    Raises:
        WeightsError: tensors are missing, of another shape, or unknown; the message names them.
    """
    return with_weights(build, tensors)
