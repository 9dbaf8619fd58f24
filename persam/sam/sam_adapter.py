"""SAM-Adapter (Chen et al., ICCV Workshops 2023, arXiv 2304.09148): SAM's ViT with a prompt added before every block.

Trained for what SAM alone misses: camouflaged objects, shadows, polyps. The prompts are made of each patch's embedding
and of the image's high frequencies. Written from their description; parameter names are those of the authors' files.

Such a file answers no points, boxes or masks: it has its own mask decoder, positions and "no mask" embedding, and no
embeddings of prompts. Those come from the SAM that it was trained on, so that a prompt can be given; without one the
network computes what the authors' computes.
"""

import math
from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from persam.errors import WeightsError
from persam.sam.checkpoint import with_weights
from persam.sam.image_encoder import ImageEncoder, PatchEmbed
from persam.sam.vit import Sam, Sizes, name_of_width, sizes_of
from persam.sam.vit import build as build_plain

SIGNATURE = "image_encoder.prompt_generator."

WITHOUT_PROMPTS = "pe_layer.positional_encoding_gaussian_matrix"  # of a file as the authors save it
PIXELS = "sam"
OWN = (WITHOUT_PROMPTS, "no_mask_embed.weight")  # both trained afresh, and under `prompt_encoder.` in SAM
SHARED_PARTS = ("shared_mlp", "embedding_generator", "prompt_generator.proj")


class PromptGenerator(nn.Module):
    """For every block, a vector to add to each patch."""

    real: Tensor
    imaginary: Tensor

    def __init__(self, *, width: int, depth: int, bottleneck: int, input_size: int, patch: int):
        super().__init__()
        self.shared_mlp = nn.Linear(bottleneck, width)
        self.embedding_generator = nn.Linear(width, bottleneck)
        for i in range(depth):
            self.add_module(f"lightweight_mlp_{i}", nn.Sequential(nn.Linear(bottleneck, bottleneck), nn.GELU()))
        self.prompt_generator = PatchEmbed(bottleneck, patch)
        self.depth = depth
        for name, part in zip(("real", "imaginary"), low_pass(input_size), strict=True):
            self.register_buffer(name, part, persistent=False)

    def forward(
        self, x: Float[Tensor, "b 3 s s"], patches: Float[Tensor, "b h w c"]
    ) -> Iterator[Float[Tensor, "b h w c"]]:
        """The prompts of one block after the other, of the normalised input and its patch embeddings."""
        handcrafted = self.prompt_generator(self.high_pass(x))
        height, width, channels = (int(extent) for extent in patches.shape[1:])
        # as the authors' code does, and the weights were trained with: values in reading order of (row, column,
        # channel) are taken for a matrix of channels by patches
        scrambled = patches.flatten(1).unflatten(1, (channels, height * width)).transpose(1, 2)
        embedded = self.embedding_generator(scrambled).unflatten(1, (height, width))
        for i in range(self.depth):
            yield self.shared_mlp(self.get_submodule(f"lightweight_mlp_{i}")(handcrafted + embedded))

    def high_pass(self, x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        """The image without its low frequencies, as magnitudes.

        They are taken off by products with matrices, which cost no more here than two Fourier transforms, and which
        ONNX has.
        """
        low = self.real @ x @ self.real.T - self.imaginary @ x @ self.imaginary.T
        return (x - low).abs()


def low_pass(side: int) -> tuple[Float[Tensor, "s s"], Float[Tensor, "s s"]]:
    """Real and imaginary part of the matrix that leaves a column of `side` pixels its lower half of frequencies.

    These are -side / 4 up to side / 4 - 1. That the lowest has no counterpart makes the matrix complex.
    """
    frequencies, distances = torch.arange(-(side // 4), side // 4), torch.arange(side)
    angles = 2 * math.pi / side * (torch.outer(frequencies, distances) % side).double()
    to_each = (distances[:, None] - distances[None]) % side
    real, imaginary = (wave.sum(0).div(side).float()[to_each] for wave in (angles.cos(), angles.sin()))
    return real, imaginary


class PromptedEncoder(nn.Module):
    """SAM's image encoder with a prompt generator. It takes over the parts of `plain`, under the same names."""

    def __init__(self, plain: ImageEncoder, generator: PromptGenerator):
        super().__init__()
        self.pos_embed, self.patch_embed = plain.pos_embed, plain.patch_embed
        self.blocks, self.neck = plain.blocks, plain.neck
        self.prompt_generator = generator

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b co h w"]:
        patches = self.patch_embed(x)
        tokens = patches + self.pos_embed
        for block, prompt in zip(self.blocks, self.prompt_generator(x, patches), strict=True):
            tokens = block(tokens + prompt)
        return self.neck(tokens.permute(0, 3, 1, 2)).contiguous()


def build(sizes: Sizes, *, bottleneck: int) -> Sam:
    """A SAM-Adapter with fresh weights, in evaluation mode.

    Args:
        sizes: of the image encoder.
        bottleneck: width within its prompt generator.
    """
    network = build_plain(sizes)
    assert isinstance(network.image_encoder, ImageEncoder)
    generator = PromptGenerator(
        width=sizes.width,
        depth=sizes.depth,
        bottleneck=bottleneck,
        input_size=sizes.input_size,
        patch=sizes.patch,
    )
    network.image_encoder = PromptedEncoder(network.image_encoder, generator)
    return network.eval()


def base_name(tensors: Mapping[str, Tensor]) -> str:
    """The named SAM that a file was trained on, told by its width.

    Raises:
        WeightsError: no named SAM is that wide, or it is another prompt generator.
    """
    bottleneck_of(tensors)  # before the base is fetched
    return name_of_width(sizes_of(tensors).width)


def merge(base: Mapping[str, Tensor], adapter: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a whole SAM: those of the file, and from its base the embeddings of prompts alone.

    Raises:
        WeightsError: the file was not trained on this base.
    """
    width, base_width = sizes_of(adapter).width, sizes_of(base).width
    if width != base_width:
        raise WeightsError(
            f"this SAM-Adapter is {width} wide and its base {base_width}: give the SAM it was trained on as `base`."
        )
    prompts = {name: value for name, value in base.items() if name.startswith("prompt_encoder.")}
    return prompts | {f"prompt_encoder.{name}" if name in OWN else name: value for name, value in adapter.items()}


def from_tensors(tensors: Mapping[str, Tensor]) -> Sam:
    """The SAM-Adapter that these tensors, with embeddings of prompts, are the weights of.

    Raises:
        WeightsError: another prompt generator; tensors are missing, of another shape, or unknown.
    """
    sizes, bottleneck = sizes_of(tensors), bottleneck_of(tensors)
    return with_weights(lambda: build(sizes, bottleneck=bottleneck), tensors)


def bottleneck_of(tensors: Mapping[str, Tensor]) -> int:
    """The width within the prompt generator.

    Raises:
        WeightsError: it is another prompt generator.
    """
    parts = (*SHARED_PARTS, *(f"lightweight_mlp_{i}.0" for i in range(sizes_of(tensors).depth)))
    expected = {f"{SIGNATURE}{part}.{kind}" for part in parts for kind in ("weight", "bias")}
    others = {name for name in tensors if name.startswith(SIGNATURE)} ^ expected
    shared = f"{SIGNATURE}shared_mlp.weight"
    if not others and tensors[shared].ndim == 2:
        return tensors[shared].shape[1]
    names = sorted(name.removeprefix("image_encoder.") for name in others or {shared})
    raise WeightsError(
        "its prompt generator is not the one that SAM-Adapter has for SAM, with handcrafted features and embeddings "
        f"for every block: {len(names)} tensors differ ({', '.join(names[:4])}). Only that one is supported."
    )
