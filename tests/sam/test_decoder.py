"""The walked decoder is upstream's, until it is guided."""

import pytest
import torch

from persam.sam.decoder import Guidance, guided_attention, predict_masks, two_way_transformer
from tests.networks import sam


@pytest.fixture(scope="module")
def network():
    return sam(7, input_size=256)


@pytest.fixture(scope="module")
def inputs(network):
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(2, 3, 2, generator=generator) * 256
    sparse, dense = network.prompt_encoder((points, torch.tensor([[1, 0, 1], [1, 1, 0]])), None, None)
    return {
        "features": torch.randn(2, 256, 16, 16, generator=generator),
        "position": network.prompt_encoder.get_dense_pe(),
        "sparse": sparse,
        "dense": dense,
    }


@torch.inference_mode()
def test_without_guidance_it_equals_upstream_bit_for_bit(network, inputs):
    masks, iou = predict_masks(network.mask_decoder, **inputs)
    for row in range(2):
        expected_masks, expected_iou = network.mask_decoder.predict_masks(
            inputs["features"][row : row + 1],
            inputs["position"],
            inputs["sparse"][row : row + 1],
            inputs["dense"][row : row + 1],
        )
        one = {name: value if name == "position" else value[row : row + 1] for name, value in inputs.items()}
        alone_masks, alone_iou = predict_masks(network.mask_decoder, **one)
        assert torch.equal(alone_masks, expected_masks)
        assert torch.equal(alone_iou, expected_iou)
        torch.testing.assert_close(masks[row : row + 1], expected_masks, rtol=1e-4, atol=1e-4)  # other GEMM shapes
    assert masks.shape == (2, 4, 64, 64)
    assert iou.shape == (2, 4)


@torch.inference_mode()
@pytest.mark.parametrize("guidance", [{"attention": torch.eye(16).repeat(2, 1, 1)}, {"semantic": torch.ones(2, 256)}])
def test_attention_and_semantic_each_change_the_masks(network, inputs, guidance):
    plain, _ = predict_masks(network.mask_decoder, **inputs)
    guided, _ = predict_masks(network.mask_decoder, **inputs, guidance=Guidance(**guidance))
    assert (plain - guided).abs().max() > 1e-2


@torch.inference_mode()
def test_published_guidance_is_two_softmaxes(network, inputs):
    # ledger 2, by hand: one head's worth of uniform attention (1/256 a patch) plus the guidance, softmaxed again
    attention = network.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    keys = inputs["features"].flatten(2).transpose(1, 2)
    prior = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(1))
    zero_queries = torch.zeros_like(inputs["sparse"])
    same_keys = torch.zeros_like(keys)
    out = guided_attention(attention, zero_queries, same_keys, keys, Guidance(attention=prior))
    weights = (torch.full((2, 256), 1 / 256) + prior.flatten(1)).softmax(-1)
    expected = attention.out_proj(torch.einsum("bn,bnc->bc", weights, attention.v_proj(keys)))
    torch.testing.assert_close(out, expected[:, None].expand_as(out), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_guidance_that_is_the_same_everywhere_guides_nowhere(network, inputs):
    attention = network.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    keys = inputs["features"].flatten(2).transpose(1, 2)
    out = guided_attention(attention, inputs["sparse"], keys, keys, Guidance(attention=torch.full((2, 16, 16), 0.5)))
    other = guided_attention(attention, inputs["sparse"], keys, keys, Guidance(attention=torch.zeros(2, 16, 16)))
    torch.testing.assert_close(out, other, rtol=1e-4, atol=1e-5)  # a constant does not move a softmax


@torch.inference_mode()
def test_semantic_prompt_moves_queries_and_their_positional_term(network, inputs):
    # ledger 1, by an independent walk: the prompt is added to the tokens themselves, so that upstream's blocks see it
    # as query and as position, and once more to the queries after the first block and before the last attention
    transformer, semantic = network.mask_decoder.transformer, torch.linspace(-1, 1, 512).view(2, 256)
    image = inputs["features"].flatten(2).transpose(1, 2)
    position = inputs["position"].flatten(2).transpose(1, 2)
    tokens = inputs["sparse"] + semantic[:, None]
    queries, keys = tokens, image
    for number, block in enumerate(transformer.layers):
        queries = queries + (semantic[:, None] if number else 0)
        queries, keys = block(queries=queries, keys=keys, query_pe=tokens, key_pe=position)
    attended = transformer.final_attn_token_to_image(queries + tokens + semantic[:, None], keys + position, keys)
    expected = transformer.norm_final_attn(queries + attended)
    found, image_after = two_way_transformer(
        transformer,
        inputs["features"],
        inputs["position"].expand(2, -1, -1, -1),
        inputs["sparse"],
        Guidance(semantic=semantic),
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(image_after, keys, rtol=1e-5, atol=1e-5)
