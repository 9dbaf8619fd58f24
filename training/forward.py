"""nano's forward pass in training: at any input size, with gradients, and guided on either side of the softmax."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from persam.sam.decoder import Guidance, predict_masks
from persam.sam.nano import STRIDE, NanoSam
from persam.types import Prompt


class DecoderMaps(NamedTuple):
    """What the decoder works on: features of the grid, and those at 2x and 4x of it."""

    features: Tensor
    fine_2x: Tensor
    fine_4x: Tensor

    def rows(self, images: Tensor, count: int) -> "DecoderMaps":
        """`count` rows of each of these images, for as many prompts."""
        return DecoderMaps(*(maps[images].repeat_interleave(count, 0) for maps in self))


@dataclass(frozen=True)
class LogitGuidance:
    """Guidance whose attention is added to the attention's logits, so that there is one softmax.

    persam guides as published, with a second softmax after the sum (ledger 2). nano is trained with both.
    """

    attention: Tensor
    semantic: Tensor


def set_input_size(model: NanoSam, size: int) -> None:
    """Lets the prompt encoder work at another input size than the one it was built for."""
    model.prompt_encoder.input_image_size = (size, size)
    model.prompt_encoder.image_embedding_size = (size // STRIDE, size // STRIDE)


def encode(model: NanoSam, rgb: Tensor) -> DecoderMaps:
    """The maps of normalised images (b 3 s s)."""
    maps = model.image_encoder(rgb)
    return DecoderMaps(maps.features, maps.fine_2x, maps.fine_4x)


def decode(
    model: NanoSam, maps: DecoderMaps, prompt: Prompt, guidance: Guidance | LogitGuidance
) -> tuple[Tensor, Tensor]:
    """Logits (rows 4 h w) and predicted IoU (rows 4); maps and prompt have one row a prompt, in input pixels."""
    decoder = model.mask_decoder
    if isinstance(guidance, LogitGuidance):
        decoder = _guided_at_logits(decoder, guidance.attention)
        guidance = Guidance(semantic=guidance.semantic)
    points = None if prompt.points_xy is None else (prompt.points_xy, prompt.labels)
    sparse, dense = model.prompt_encoder(points, prompt.box_xyxy, prompt.mask_logits)
    position = model.prompt_encoder.get_dense_pe()
    fine = (maps.fine_2x, maps.fine_4x)
    return predict_masks(decoder, maps.features, position, sparse, dense, guidance=guidance, fine=fine)


class _Replacing:
    """A module with some of its parts replaced."""

    def __init__(self, module: Any, **parts: Any):
        self._module = module
        vars(self).update(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _guided_at_logits(decoder: Any, added: Tensor) -> Any:
    """The decoder with `added` in the token-to-image attention of its blocks."""
    blocks = [
        _Replacing(block, cross_attn_token_to_image=partial(_attend, block.cross_attn_token_to_image, added))
        for block in decoder.transformer.layers
    ]
    return _Replacing(decoder, transformer=_Replacing(decoder.transformer, layers=blocks))


def _attend(attention: Any, added: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SAM's attention with `added` (b h w) on the logits of every head and token."""
    heads = [
        project(x).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for project, x in ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v))
    ]
    logits = heads[0] @ heads[1].permute(0, 1, 3, 2) / math.sqrt(heads[0].shape[-1])
    weights = (logits + added.flatten(1)[:, None, None]).softmax(-1)
    return attention.out_proj((weights @ heads[2]).transpose(1, 2).flatten(2))
