"""SAM's mask decoder, walked with target-guided attention and target-semantic prompting (paper, section 3.2).

Nothing here is a copy of the decoder: the functions call the submodules of an ordinary `segment_anything` MaskDecoder
in order, and say where the two ideas of the paper enter. Without guidance the result equals upstream's bit for bit.
Modules are typed `Any`: torch types a submodule as `Tensor | Module`, which nothing can be called on.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Guidance:
    """What the decoder is told of the target, beside its prompts (eq. 8 to 10).

    attention: added to the token-to-image attention of every head and token, one value a patch; None for none. It is
        added to the weights, and a second softmax follows (ledger 2).
    semantic: the target's mean feature, added to every input token; None for none.
    """

    attention: Float[Tensor, "b h w"] | None = None
    semantic: Float[Tensor, "b c"] | None = None

    def guided(self, weights: Float[Tensor, "b n t hw"]) -> Float[Tensor, "b n t hw"]:
        """The token-to-image attention of n heads with the location confidence added to it."""
        if self.attention is None:
            return weights
        added = self.attention.flatten(1)[:, None, None]  # b 1 1 hw: the same for every head and token
        return (weights + added).softmax(-1)  # ledger 2: the published code's second softmax


NO_GUIDANCE = Guidance()


def predict_masks(
    decoder: Any,
    features: Float[Tensor, "b c h w"],
    position: Float[Tensor, "1 c h w"],
    sparse: Float[Tensor, "b n c"],
    dense: Float[Tensor, "b c h w"],
    *,
    guidance: Guidance = NO_GUIDANCE,
    fine: tuple[Float[Tensor, "b c2 h2 w2"], Float[Tensor, "b c4 h4 w4"]] | None = None,
) -> tuple[Float[Tensor, "b 4 h4 w4"], Float[Tensor, "b 4"]]:
    """Four masks (single, whole, part, subpart) as logits at 4x the grid, and their predicted IoU.

    Args:
        decoder: a `segment_anything.modeling.MaskDecoder`.
        features: image features, one row a prompt.
        position: the positional encoding of the grid.
        sparse: embedded points and boxes.
        dense: embedded mask prompt, or the "no mask" embedding.
        guidance: attention and semantic prompt; the default gives upstream's own result.
        fine: features at 2x and 4x the grid that are added while upscaling, for backbones that have them.
    """
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(sparse.shape[0], -1, -1), sparse], dim=1)
    queries, keys = two_way_transformer(
        decoder.transformer, features + dense, position.expand_as(features), tokens, guidance
    )
    upscaled = _upscale(decoder.output_upscaling, keys.transpose(1, 2).view(features.shape), fine)
    kernels = torch.stack([mlp(queries[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1)
    masks = (kernels @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])
    return masks, decoder.iou_prediction_head(queries[:, 0])


def two_way_transformer(
    transformer: Any,
    image: Float[Tensor, "b c h w"],
    position: Float[Tensor, "b c h w"],
    tokens: Float[Tensor, "b n c"],
    guidance: Guidance,
) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b hw c"]]:
    """Tokens and image patches after SAM's two blocks and the final attention."""
    keys = image.flatten(2).permute(0, 2, 1)
    key_position = position.flatten(2).permute(0, 2, 1)
    semantic = None if guidance.semantic is None else guidance.semantic[:, None]
    if semantic is not None:
        tokens = tokens + semantic  # ledger 1: `tokens` is the positional term below, so that moves too
    queries = tokens
    for i, block in enumerate(transformer.layers):
        if semantic is not None and i > 0:
            queries = queries + semantic
        queries, keys = _block(block, queries, keys, tokens, key_position, guidance)
    query = queries + tokens
    if semantic is not None:
        query = query + semantic
    # ledger 2: no guidance in the final attention
    queries = queries + transformer.final_attn_token_to_image(q=query, k=keys + key_position, v=keys)
    return transformer.norm_final_attn(queries), keys


def guided_attention(attention: Any, q: Tensor, k: Tensor, v: Tensor, guidance: Guidance) -> Float[Tensor, "b n c"]:
    """SAM's token-to-image attention with the location confidence added to it (eq. 8)."""
    if guidance.attention is None:
        return attention(q=q, k=k, v=v)
    heads = [
        project(x).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for project, x in ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v))
    ]
    logits = heads[0] @ heads[1].permute(0, 1, 3, 2) / math.sqrt(heads[0].shape[-1])
    return attention.out_proj((guidance.guided(logits.softmax(-1)) @ heads[2]).transpose(1, 2).flatten(2))


def _block(
    block: Any, queries: Tensor, keys: Tensor, query_position: Tensor, key_position: Tensor, guidance: Guidance
) -> tuple[Tensor, Tensor]:
    if block.skip_first_layer_pe:
        queries = block.self_attn(q=queries, k=queries, v=queries)
    else:
        q = queries + query_position
        queries = queries + block.self_attn(q=q, k=q, v=queries)
    queries = block.norm1(queries)
    q, k = queries + query_position, keys + key_position
    queries = block.norm2(queries + guided_attention(block.cross_attn_token_to_image, q, k, keys, guidance))
    queries = block.norm3(queries + block.mlp(queries))
    q, k = queries + query_position, keys + key_position
    keys = block.norm4(keys + block.cross_attn_image_to_token(q=k, k=q, v=queries))
    return queries, keys


def _upscale(upscaling: Any, grid: Tensor, fine: tuple[Tensor, Tensor] | None) -> Tensor:
    if fine is None:
        return upscaling(grid)
    first, norm, activation, second, last_activation = upscaling
    grid = activation(norm(first(grid) + fine[0]))
    return last_activation(second(grid) + fine[1])
