"""Segment Anything's own models (vit_b, vit_l, vit_h), and any fine-tuned model that keeps their layout.

The image encoder computes what `segment_anything`'s does; prompt encoder and mask decoder are `segment_anything`'s own.
The sizes are Meta's for the named models, and are read off the tensors for a file, so that MedSAM's ViT-B, or a SAM
tuned at another input size, loads as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from persam.errors import WeightsError
from persam.sam._segment_anything import import_modeling
from persam.sam.checkpoint import with_weights
from persam.sam.image_encoder import ImageEncoder

SIGNATURE = "image_encoder.patch_embed.proj.weight"

EMBEDDING_WIDTH = 256


@dataclass(frozen=True)
class Sizes:
    """What one image encoder differs in from another.

    global_blocks: those that attend to the whole grid; the others attend within windows of `window` patches a side.
    """

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    input_size: int = 1024
    patch: int = 16
    window: int = 14
    mlp_ratio: float = 4.0


SIZES = {
    "vit_b": Sizes(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": Sizes(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": Sizes(1280, 32, 16, (7, 15, 23, 31)),
}


class Sam(nn.Module):
    """An image encoder with SAM's prompt encoder and mask decoder, under the names of Meta's files.

    Args:
        image_encoder: normalised RGB, `input_size` a side, to features of 256 channels.
        input_size: side of the padded square in pixels.
        stride: input pixels a patch.
    """

    pixel_mean = (123.675, 116.28, 103.53)
    pixel_std = (58.395, 57.12, 57.375)

    def __init__(self, image_encoder: nn.Module, *, input_size: int, stride: int = 16) -> None:
        super().__init__()
        modeling = import_modeling()
        grid = input_size // stride
        self.image_encoder = image_encoder
        self.prompt_encoder = modeling.PromptEncoder(
            embed_dim=EMBEDDING_WIDTH,
            image_embedding_size=(grid, grid),
            input_image_size=(input_size, input_size),
            mask_in_chans=16,
        )
        self.mask_decoder = modeling.MaskDecoder(
            num_multimask_outputs=3,
            transformer_dim=EMBEDDING_WIDTH,
            transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=EMBEDDING_WIDTH, mlp_dim=2048, num_heads=8),
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )


def build(sizes: Sizes) -> Sam:
    """A SAM of these sizes with fresh weights, in evaluation mode."""
    encoder = ImageEncoder(
        width=sizes.width,
        depth=sizes.depth,
        heads=sizes.heads,
        hidden=int(sizes.width * sizes.mlp_ratio),
        grid=sizes.input_size // sizes.patch,
        patch=sizes.patch,
        window=sizes.window,
        global_blocks=sizes.global_blocks,
        width_out=EMBEDDING_WIDTH,
    )
    return Sam(encoder, input_size=sizes.input_size, stride=sizes.patch).eval()


def name_of_width(width: int) -> str:
    """The named SAM of this width.

    Raises:
        WeightsError: no named SAM is that wide.
    """
    for name, sizes in SIZES.items():
        if sizes.width == width:
            return name
    known = ", ".join(f"{name} {sizes.width}" for name, sizes in SIZES.items())
    raise WeightsError(f"it is {width} wide, and no named SAM is ({known}). Give the base model's file as `base`.")


def from_tensors(tensors: Mapping[str, Tensor]) -> Sam:
    """The SAM that these tensors are the weights of.

    Raises:
        WeightsError: tensors are missing, of another shape, or unknown; the message names them.
    """
    sizes = sizes_of(tensors)
    # some training scripts save the normalisation too: Meta's files do not
    network = with_weights(
        lambda: build(sizes),
        {name: value for name, value in tensors.items() if name not in ("pixel_mean", "pixel_std")},
    )
    if "pixel_mean" in tensors and "pixel_std" in tensors:
        network.pixel_mean = tuple(tensors["pixel_mean"].flatten().tolist())
        network.pixel_std = tuple(tensors["pixel_std"].flatten().tolist())
    return network


def sizes_of(tensors: Mapping[str, Tensor]) -> Sizes:
    """The image encoder's sizes, read off the shapes of its tensors.

    A block is global when its relative positions span the whole grid; a head is as wide as they are.

    Raises:
        WeightsError: a tensor that tells a size is missing.
    """

    def shape(name: str) -> tuple[int, ...]:
        if (key := f"image_encoder.{name}") not in tensors:
            raise WeightsError(f"no {key}: these are not the weights of a whole SAM image encoder")
        return tuple(tensors[key].shape)

    if (kernel := len(shape("patch_embed.proj.weight"))) != 4:
        told = "it is a 3D model, made for volumes" if kernel == 5 else "its patch embedding is no convolution"
        raise WeightsError(f"{told}, and no SAM for images. Give a SAM that takes images.")
    width, _, patch, _ = shape("patch_embed.proj.weight")
    grid = shape("pos_embed")[1]
    blocks = {int(name.split(".")[2]) for name in tensors if name.startswith("image_encoder.blocks.")}
    depth = max(blocks, default=0) + 1
    reach, head_width = zip(*(shape(f"blocks.{i}.attn.rel_pos_h") for i in range(depth)), strict=True)
    windowed = [(rows + 1) // 2 for rows in reach if rows != 2 * grid - 1]
    return Sizes(
        width=width,
        depth=depth,
        heads=width // head_width[0],
        global_blocks=tuple(i for i, rows in enumerate(reach) if rows == 2 * grid - 1),
        input_size=grid * patch,
        patch=patch,
        window=windowed[0] if windowed else Sizes.window,
        mlp_ratio=shape("blocks.0.mlp.lin1.weight")[0] / width,
    )
