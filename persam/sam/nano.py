"""The bundled model: SAM's shape in small (5 M parameters), so that the first minute needs no download.

A MobileNetV2 whose last stage is dilated feeds a neck with four taps; prompt encoder and mask decoder are
`segment_anything`'s own classes with smaller sizes. Two further maps, at strides 8 and 4, are added while the decoder
upscales: a mask edge would otherwise be known only to 16 pixels of the input. Two more serve to compare images.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from persam.sam._segment_anything import import_modeling
from persam.sam.backbone import EncoderMaps
from persam.sam.checkpoint import with_weights

INPUT_SIZE = 640  # locates more than 512 pixels do
STRIDE = 16
WIDTH = 192
# output channels, stride, expansion, dilation of MobileNetV2's 17 inverted residuals (Sandler et al., 2018),
# the last stage dilated instead of strided as in DeepLab: output stride 16
BLOCKS = (
    (16, 1, 1, 1),
    (24, 2, 6, 1),
    (24, 1, 6, 1),
    (32, 2, 6, 1),
    (32, 1, 6, 1),
    (32, 1, 6, 1),
    (64, 2, 6, 1),
    (64, 1, 6, 1),
    (64, 1, 6, 1),
    (64, 1, 6, 1),
    (96, 1, 6, 1),
    (96, 1, 6, 1),
    (96, 1, 6, 1),
    (160, 1, 6, 1),
    (160, 1, 6, 2),
    (160, 1, 6, 2),
    (320, 1, 6, 2),
)
TAPS = (2, 5, 12, 16)  # strides 4, 8, 16, 16
LEVELS = (WIDTH, 24, 32, 96, 320)  # channels of the neck's map and of the four taps
LEVEL_WEIGHTS = (1.0, 0.5, 0.5, 0.5, 0.5)  # of each depth in the similarity of two patches
IDENTITY_WIDTH = 128


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: for stride 2 the extra row and column are at the bottom and right."""

    def forward(self, x: Tensor) -> Tensor:
        reach = (self.kernel_size[0] - 1) * self.dilation[0]
        if self.stride[0] == 1:  # as much on either side: the convolution pads itself, without a copy
            return F.conv2d(x, self.weight, self.bias, 1, reach // 2, self.dilation[0], self.groups)
        total = [reach - 1 + size % 2 for size in x.shape[-2:]]
        top, left = total[0] // 2, total[1] // 2
        return super().forward(F.pad(x, (left, total[1] - left, top, total[0] - top)))


class InvertedResidual(nn.Module):
    """Expand, depthwise 3x3, project; batch norm is folded into the convolutions."""

    def __init__(self, width_in: int, width_out: int, stride: int, expansion: int, dilation: int):
        super().__init__()
        hidden = width_in * expansion
        self.residual = stride == 1 and width_in == width_out
        expand = [] if expansion == 1 else [SameConv(width_in, hidden, 1), nn.ReLU6()]
        depthwise = SameConv(hidden, hidden, 3, stride=stride, groups=hidden, dilation=dilation)
        self.b = nn.Sequential(*expand, depthwise, nn.ReLU6(), SameConv(hidden, width_out, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(x) if self.residual else self.b(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(SameConv(3, 32, 3, stride=2), nn.ReLU6())
        widths = [32, *(block[0] for block in BLOCKS)]
        self.blocks = nn.ModuleList(InvertedResidual(w, *block) for w, block in zip(widths, BLOCKS, strict=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        x, taps = self.stem(x), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        return taps


class Neck(nn.Module):
    """Four taps to one map of 192 channels at stride 16, and the two fine maps for the decoder's upscaling."""

    def __init__(self, layer_norm_2d: type[nn.Module]):
        super().__init__()

        def norm() -> nn.Module:
            return nn.GroupNorm(8, WIDTH)

        def mix() -> list[nn.Module]:
            return [nn.GELU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), layer_norm_2d(WIDTH)]

        self.hi = nn.Sequential(nn.Conv2d(320, WIDTH, 1), norm())
        self.mid = nn.Sequential(nn.Conv2d(96, WIDTH, 1), norm())
        self.lo = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(128, WIDTH, 3, padding=1), norm())
        self.fine = nn.Sequential(
            nn.Conv2d(24, 48, 3, stride=2, padding=1),
            nn.GELU(),
            nn.PixelUnshuffle(2),
            nn.Conv2d(192, WIDTH, 1),
            norm(),
        )
        self.out = nn.Sequential(*mix(), *mix())
        self.stride8 = nn.Conv2d(32, WIDTH // 4, 1)
        self.stride4 = nn.Conv2d(24, WIDTH // 8, 1)

    def forward(self, taps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        stride4, stride8, mid, hi = taps
        grid = self.out(self.hi(hi) + self.mid(mid) + self.lo(stride8) + self.fine(stride4))
        return grid, self.stride8(stride8), self.stride4(stride4)


def hypercolumns(grid: Tensor, taps: list[Tensor]) -> Float[Tensor, "b 664 hs ws"]:
    """Features of every depth for each patch of the grid (Hariharan et al., CVPR 2015).

    The features of one depth are scaled to a squared length equal to its weight, so that the dot product of two patches
    is the weighted sum of their cosines. Deep features tell the class of a thing, shallow ones which one it is.
    """
    maps = [grid, *(F.avg_pool2d(tap, tap.shape[-1] // grid.shape[-1]) for tap in taps)]
    return torch.cat([w**0.5 * F.normalize(one, dim=1) for w, one in zip(LEVEL_WEIGHTS, maps, strict=True)], 1)


class NanoEncoder(nn.Module):
    """Normalised RGB to features at strides 16, 8 and 4; at 16 also the maps for location and for identity."""

    def __init__(self, layer_norm_2d: type[nn.Module]):
        super().__init__()
        self.back, self.neck = MobileNetV2(), Neck(layer_norm_2d)
        self.identity = nn.Conv2d(sum(LEVELS), IDENTITY_WIDTH, 1, bias=False)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> EncoderMaps:
        taps = self.back(x)
        grid, stride8, stride4 = self.neck(taps)
        columns = hypercolumns(grid, taps)
        return EncoderMaps(grid, stride8, stride4, columns, self.identity(columns))


class NanoSam(nn.Module):
    """Encoder, prompt encoder and mask decoder under the names that SAM's own model uses."""

    pixel_mean = (127.5, 127.5, 127.5)
    pixel_std = (127.5, 127.5, 127.5)
    batch_size = 16
    any_size = True

    def __init__(self, input_size: int = INPUT_SIZE):
        super().__init__()
        modeling = import_modeling()
        grid = (input_size // STRIDE, input_size // STRIDE)
        layer_norm_2d = modeling.mask_decoder.LayerNorm2d
        self.image_encoder = NanoEncoder(layer_norm_2d)
        self.prompt_encoder = modeling.PromptEncoder(
            embed_dim=WIDTH,
            image_embedding_size=grid,
            input_image_size=(input_size, input_size),
            mask_in_chans=16,
        )
        transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=768, num_heads=6)
        self.mask_decoder = modeling.MaskDecoder(
            num_multimask_outputs=3,
            transformer_dim=WIDTH,
            transformer=transformer,
            iou_head_depth=3,
            iou_head_hidden_dim=WIDTH,
        )


def build(input_size: int = INPUT_SIZE) -> NanoSam:
    """A NanoSam with fresh random weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NanoSam(input_size).eval()


SIGNATURE = "image_encoder.back.stem.0.weight"


def from_tensors(tensors: Mapping[str, Tensor]) -> NanoSam:
    """NanoSam with the weights of its file, which stores them in half precision.

    Raises:
        WeightsError: tensors are missing, of another shape, or unknown; the message names them.
    """
    model = with_weights(NanoSam, tensors)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster depthwise convolutions
    return model
