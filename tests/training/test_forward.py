"""The forward pass of training: any input size, and guidance before the softmax as well as after it."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from persam.sam import nano
from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.types import Prompt
from training import prompts
from training.forward import LogitGuidance, decode, encode, set_input_size

POINT = Prompt(torch.tensor([[[20.0, 30.0]]]), torch.ones(1, 1))


@pytest.fixture(scope="module")
def model() -> nano.NanoSam:
    return nano.build()


@torch.inference_mode()
@pytest.mark.parametrize("size", [64, 96])
@pytest.mark.parametrize("kind", prompts.FIRST_PROMPTS)
def test_every_prompt_decodes_to_four_masks_at_a_quarter_of_any_input_size(model, kind, size):
    set_input_size(model, size)
    maps = encode(model, torch.zeros(1, 3, size, size))
    cover = torch.zeros(1, 2, size // 4, size // 4)
    cover[..., 3:8, 2:9] = 1
    rng = np.random.default_rng(0)
    prompt, guidance = prompts.first_prompt(kind, cover, maps.features, maps.features, F.avg_pool2d(cover, 4), rng)
    rows = maps.rows(torch.tensor([0]), 2)
    logits, predicted = decode(model, rows, prompt, guidance)
    assert logits.shape == (2, 4, size // 4, size // 4)
    assert predicted.shape == (2, 4)
    again = replace(prompt, mask_logits=logits[:, 1:2])
    assert not torch.equal(decode(model, rows, again, NO_GUIDANCE)[0], logits)


@torch.inference_mode()
def test_rows_repeat_each_image_for_its_prompts(model):
    maps = encode(model, torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)]))
    rows = maps.rows(torch.tensor([1, 0]), 2)
    for given, repeated in zip(maps, rows, strict=True):
        assert torch.equal(repeated, given[[1, 1, 0, 0]])


@torch.inference_mode()
def test_the_semantic_prompt_alone_is_the_same_before_and_after_the_softmax(model):
    set_input_size(model, 64)
    maps = encode(model, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    semantic = torch.randn(1, nano.WIDTH, generator=torch.Generator().manual_seed(1))
    expected, _ = decode(model, maps, POINT, Guidance(semantic=semantic))
    found, _ = decode(model, maps, POINT, LogitGuidance(torch.zeros(1, 4, 4), semantic))  # adds 0 to every logit
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)  # sums in another order


class Biased(torch.nn.Module):
    """SAM's attention by torch's own kernel, with a bias."""

    def __init__(self, attention: Any, added: torch.Tensor):
        super().__init__()
        self.attention, self.bias = attention, added.flatten(1)[:, None, None]

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        known = self.attention
        query, key, value = (
            project(x).unflatten(-1, (known.num_heads, -1)).transpose(1, 2)
            for project, x in ((known.q_proj, q), (known.k_proj, k), (known.v_proj, v))
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        return known.out_proj(mixed.transpose(1, 2).flatten(2))


@torch.inference_mode()
def test_guidance_before_the_softmax_is_a_bias_of_the_attention(model):
    set_input_size(model, 64)
    maps = encode(model, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    added = F.logsigmoid(3 * torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(1)))
    guidance = LogitGuidance(added, torch.zeros(1, nano.WIDTH))
    found, _ = decode(model, maps, POINT, guidance)
    biased = copy.deepcopy(model)
    for block in biased.mask_decoder.transformer.layers:
        block.cross_attn_token_to_image = Biased(block.cross_attn_token_to_image, added)
    expected, _ = decode(biased, maps, POINT, NO_GUIDANCE)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)  # a fused kernel sums in another order
    unguided, _ = decode(model, maps, POINT, NO_GUIDANCE)
    assert (found - unguided).abs().max() > 1e-3
