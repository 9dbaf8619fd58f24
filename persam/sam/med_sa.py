"""Med-SA (Wu et al., 2023, arXiv 2304.12620), in 2D: SAM's ViT with adapters in every block, for medical images.

Written from its description; parameter names are those of the authors' files. Their layout changed over time, and is
told by its names: files up to 2023 have SAM's mask decoder, later ones a decoder whose tokens attend to each other as
in EfficientSAM. A file holds the same tensors whether it was trained on slices or, in 3D, on volumes: it is always
taken for the former, whose depth adapters do nothing.
"""

from collections.abc import Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from persam.errors import WeightsError
from persam.sam.checkpoint import with_weights
from persam.sam.image_encoder import Block, ImageEncoder
from persam.sam.vit import EMBEDDING_WIDTH, Sam, Sizes, sizes_of
from persam.sam.vit import build as build_plain

SIGNATURE = "image_encoder.blocks.0.Space_Adapter."

MLP_SCALE = 0.5
WINDOW_ROWS = 2 * Sizes.window - 1  # of the relative positions within a window
POSITIONS = "image_encoder.pos_embed"
SAMS_MLP = "mask_decoder.transformer.layers.0.mlp.lin1.weight"
TABLE = ".attn.rel_pos_h"
RENAMED = {".attn.rel_h": TABLE, ".attn.rel_w": ".attn.rel_pos_w"}  # to SAM's names, which earlier files have


class Adapter(nn.Module):
    def __init__(self, width: int, bottleneck: int):
        super().__init__()
        self.D_fc1 = nn.Linear(width, bottleneck)
        self.D_fc2 = nn.Linear(bottleneck, width)

    def forward(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        return self.D_fc2(F.gelu(self.D_fc1(x)))


class AdaptedBlock(Block):
    """SAM's block with an adapter after its attention and one beside its MLP."""

    def __init__(self, width: int, heads: int, hidden: int, *, grid: int, window: int, bottleneck: int):
        super().__init__(width, heads, hidden, grid=grid, window=window)
        self.MLP_Adapter = Adapter(width, bottleneck)
        self.Space_Adapter = Adapter(width, bottleneck)
        self.Depth_Adapter = Adapter(width, bottleneck)  # between slices of a volume; here only so that the file fits

    def _normed(self, x: Float[Tensor, "b h w c"], padding: tuple[int, ...]) -> Float[Tensor, "b hp wp c"]:
        return self.norm1(F.pad(x, padding))  # the other way round than in SAM: padding becomes the norm's bias

    def _out(self, mixed: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        added = super()._out(mixed)
        return added + self.Space_Adapter(added)

    def _then_mlp(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        normed = self.norm2(x)
        return x + self.mlp(normed) + MLP_SCALE * self.MLP_Adapter(normed)


class SelfAttention(nn.Module):
    """Among the decoder's tokens as in EfficientSAM, in the place of SAM's.

    It takes and adds the tokens with their positions: there is a residual in the first block too, and in the second the
    positions stay in it. SAM's block has no residual in its first and adds `v`, the tokens alone, in its second; what
    is returned makes up for that.
    """

    def __init__(self, width: int, heads: int, *, is_first: bool):
        super().__init__()
        self.heads, self.is_first = heads, is_first
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self, q: Float[Tensor, "b n c"], k: Float[Tensor, "b n c"], v: Float[Tensor, "b n c"]
    ) -> Float[Tensor, "b n c"]:
        heads = [
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, q))
        ]
        mixed = self.out_proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        return q + mixed if self.is_first else q - v + mixed


class DecoderMlp(nn.Module):
    """SAM's, under the names of EfficientSAM."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(width, hidden), nn.ReLU()))
        self.fc = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        return self.fc(self.layers(x))


def build(sizes: Sizes, *, bottleneck: int, has_sams_decoder: bool = False) -> Sam:
    """A Med-SA with fresh weights, in evaluation mode.

    Args:
        sizes: of the image encoder.
        bottleneck: width within its adapters.
        has_sams_decoder: as files up to 2023 do.
    """
    network = build_plain(sizes)
    assert isinstance(network.image_encoder, ImageEncoder)
    network.image_encoder.blocks = nn.ModuleList(
        AdaptedBlock(
            sizes.width,
            sizes.heads,
            int(sizes.width * sizes.mlp_ratio),
            grid=sizes.input_size // sizes.patch,
            window=0 if i in sizes.global_blocks else sizes.window,
            bottleneck=bottleneck,
        )
        for i in range(sizes.depth)
    )
    if not has_sams_decoder:
        for i, block in enumerate(network.mask_decoder.transformer.layers):
            block.self_attn = SelfAttention(EMBEDDING_WIDTH, block.self_attn.num_heads, is_first=i == 0)
            block.mlp = DecoderMlp(EMBEDDING_WIDTH, block.mlp.lin1.out_features)
    return network.eval()


def from_tensors(tensors: Mapping[str, Tensor]) -> Sam:
    """The Med-SA that these tensors are the weights of, for the input size that it was trained at.

    Raises:
        WeightsError: a relative that is not supported; tensors are missing, of another shape, or unknown.
    """
    named = _at_its_input_size(_by_sams_names(tensors))
    sizes = sizes_of(named)
    first = f"{SIGNATURE}D_fc1.weight"
    if first not in named or named[first].ndim != 2:
        raise WeightsError(f"no {first}: its adapters are not those of Med-SA. Give a file of Med-SA's `sam_adpt`.")
    bottleneck = named[first].shape[0]
    return with_weights(lambda: build(sizes, bottleneck=bottleneck, has_sams_decoder=SAMS_MLP in named), named)


def _by_sams_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same with SAM's names for the relative positions."""
    named = {}
    for name, value in tensors.items():
        ending = next((one for one in RENAMED if name.endswith(one)), "")
        named[name.removesuffix(ending) + RENAMED.get(ending, "")] = value
    return named


def _at_its_input_size(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with position embeddings for the grid that the relative positions of its global blocks are for."""
    positions = tensors.get(POSITIONS)
    if positions is None or positions.ndim != 4:
        raise WeightsError(
            "it has Med-SA's adapters, but on another encoder than SAM's ViT, such as EfficientSAM's, which is not "
            "supported. Give a file that was trained with `-net sam`."
        )
    tables = [value for name, value in tensors.items() if name.endswith(TABLE)]
    rows = {len(table) for table in tables if table.ndim == 2 and len(table)}
    if not rows:
        raise WeightsError(
            "it is a Med-SA without relative positions, as its code was for some weeks of January 2024, so that its "
            "input size cannot be read. Train it again with the code before or after."
        )
    of_global = rows - {WINDOW_ROWS} or rows  # at 224 pixels the whole grid is one window
    if len(of_global) > 1:
        raise WeightsError(
            f"its relative positions are for several sizes of grid ({sorted(rows)} rows). Copy it again."
        )
    grid = (of_global.pop() + 1) // 2
    if tuple(positions.shape[1:3]) == (grid, grid):
        return tensors
    resized = F.interpolate(positions.float().permute(0, 3, 1, 2), (grid, grid), mode="bicubic", align_corners=False)
    return tensors | {POSITIONS: resized.permute(0, 2, 3, 1).contiguous()}
