"""The walked decoder is upstream's, until it is guided."""

import pytest
import torch

from persam.sam.decoder import Guidance, guided_attention, predict_masks
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
def test_zero_guidance_before_the_softmax_changes_nothing(network, inputs):
    plain, _ = predict_masks(network.mask_decoder, **inputs)
    nothing = Guidance(attention=torch.zeros(2, 16, 16), semantic=torch.zeros(2, 256), placement="before_softmax")
    guided, _ = predict_masks(network.mask_decoder, **inputs, guidance=nothing)
    torch.testing.assert_close(guided, plain, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("guidance", [{"attention": torch.rand(2, 16, 16)}, {"semantic": torch.ones(2, 256)}])
def test_attention_and_semantic_each_change_the_masks(network, inputs, guidance):
    plain, _ = predict_masks(network.mask_decoder, **inputs)
    guided, _ = predict_masks(network.mask_decoder, **inputs, guidance=Guidance(**guidance))
    assert (plain - guided).abs().max() > 1e-2


@torch.inference_mode()
def test_a_huge_prior_before_the_softmax_leaves_one_cell(network, inputs):
    attention = network.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    keys = inputs["features"].flatten(2).transpose(1, 2)
    prior = torch.zeros(2, 16, 16)
    prior[:, 5, 9] = 1e4
    guidance = Guidance(attention=prior, placement="before_softmax")
    out = guided_attention(attention, inputs["sparse"], keys, keys, guidance)
    cell = attention.out_proj(attention.v_proj(keys[:, 5 * 16 + 9]))
    torch.testing.assert_close(out, cell[:, None].expand_as(out), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_published_guidance_is_two_softmaxes(network, inputs):
    # ledger 2, by hand: one head's worth of uniform attention (1/256 a cell) plus the guidance, softmaxed again
    attention = network.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    keys = inputs["features"].flatten(2).transpose(1, 2)
    prior = torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(1))
    zero_queries = torch.zeros_like(inputs["sparse"])
    same_keys = torch.zeros_like(keys)
    out = guided_attention(attention, zero_queries, same_keys, keys, Guidance(attention=prior))
    weights = (torch.full((2, 256), 1 / 256) + prior.flatten(1)).softmax(-1)
    expected = attention.out_proj(torch.einsum("bn,bnc->bc", weights, attention.v_proj(keys)))
    torch.testing.assert_close(out, expected[:, None].expand_as(out), rtol=1e-4, atol=1e-4)
