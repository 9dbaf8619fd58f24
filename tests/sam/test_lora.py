"""SAMed's pairs, merged, compute what they compute beside the base."""

import pytest
import torch
from torch import Tensor, nn

from persam.errors import WeightsError
from persam.sam import lora as samed
from persam.sam import vit
from persam.sam.load import load_backbone
from tests.sam.flavours import SMALL, saved, tensors

pytestmark = pytest.mark.slow  # seconds in all, and the quick loop has a minute

RANK = 4
# the base at SAMed's own input size, so that its positions stay as they are
BASE = vit.Sizes(width=32, depth=2, heads=2, global_blocks=(1,), input_size=samed.INPUT_SIZE, mlp_ratio=2.0)


def base_tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: 0.1 * torch.randn_like(value) for name, value in vit.build(BASE).state_dict().items()}


def pairs(prefix: str, count: int, width_in: int, width_out: int) -> dict[str, Tensor]:
    return {
        **{f"{prefix}_a_{i:03d}": torch.randn(RANK, width_in) for i in range(count)},
        **{f"{prefix}_b_{i:03d}": torch.randn(width_out, RANK) for i in range(count)},
    }


def lora_file(masks: int) -> dict[str, Tensor]:
    """What SAMed's save_lora_parameters writes for a data set of `masks - 1` classes."""
    torch.manual_seed(1)
    tuned = {
        name: 0.1 * torch.randn_like(value)
        for name, value in base_tensors().items()
        if name.startswith(("prompt_encoder.", "mask_decoder."))
    }
    decoder = vit.import_modeling().MaskDecoder(
        num_multimask_outputs=masks - 1,
        transformer_dim=256,
        transformer=nn.Identity(),
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    for name, value in decoder.state_dict(prefix="mask_decoder.").items():
        if any(part in name for part in ("mask_tokens", "output_hypernetworks_mlps", "iou_prediction_head")):
            tuned[name] = value
    return pairs("w", 2 * BASE.depth, BASE.width, BASE.width) | tuned


class Beside(nn.Module):
    """qkv with the pairs computed beside it, as in SAMed's training."""

    def __init__(self, qkv: nn.Linear, lora: dict[str, Tensor], block: int):
        super().__init__()
        self.qkv, self.lora, self.block = qkv, lora, block

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        a_q, a_v = (self.lora[f"w_a_{2 * self.block + i:03d}"] for i in range(2))
        b_q, b_v = (self.lora[f"w_b_{2 * self.block + i:03d}"] for i in range(2))
        return torch.cat([q + x @ a_q.T @ b_q.T, k, v + x @ a_v.T @ b_v.T], dim=-1)


def test_the_merged_encoder_computes_what_the_pairs_compute_beside_it():
    base, lora = base_tensors(), lora_file(masks=9)
    merged, unmerged = vit.from_tensors(samed.merge(base, lora)), vit.from_tensors(base)
    square = torch.linspace(-9, 9, 3 * BASE.input_size**2).sin().view(1, 3, BASE.input_size, BASE.input_size)
    with torch.inference_mode():
        plain = unmerged.image_encoder(square)
        for i, block in enumerate(unmerged.image_encoder.blocks):
            block.attn.qkv = Beside(block.attn.qkv, lora, i)
        expected, found = unmerged.image_encoder(square), merged.image_encoder(square)
    assert (expected - plain).abs().max() > 0.1  # the pairs do something
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)  # (W + BA)x is summed in another order


def test_a_decoder_for_classes_is_left_out_with_its_prompt_encoder():
    base, lora = base_tensors(), lora_file(masks=9)
    merged = samed.merge(base, lora)
    for name in base:
        if not name.startswith("image_encoder."):
            assert torch.equal(merged[name], base[name])


def test_a_decoder_of_sams_shape_is_taken_over():
    base, lora = base_tensors(), lora_file(masks=4)
    merged = samed.merge(base, lora)
    for name in base:
        if not name.startswith("image_encoder."):
            assert torch.equal(merged[name], lora[name])


def test_the_variant_that_adapts_the_decoder_is_merged_too():
    base = base_tensors()
    lora = {name: value for name, value in lora_file(masks=4).items() if "transformer" not in name}
    lora |= pairs("sa", 4, 256, 256) | pairs("cti", 4, 256, 128) | pairs("cit", 4, 256, 128)
    lora |= {"fati_qa": torch.randn(RANK, 256), "fati_qb": torch.randn(128, RANK)}
    lora |= {"fati_va": torch.randn(RANK, 256), "fati_vb": torch.randn(128, RANK)}
    merged = samed.merge(base, lora)
    for name, a, b in (
        ("layers.1.self_attn.q_proj", "sa_a_002", "sa_b_002"),
        ("layers.0.cross_attn_token_to_image.v_proj", "cti_a_001", "cti_b_001"),
        ("layers.1.cross_attn_image_to_token.v_proj", "cit_a_003", "cit_b_003"),
        ("final_attn_token_to_image.v_proj", "fati_va", "fati_vb"),
    ):
        key = f"mask_decoder.transformer.{name}.weight"
        torch.testing.assert_close(merged[key], base[key] + lora[b] @ lora[a])
    untouched = "mask_decoder.transformer.layers.0.self_attn.k_proj.weight"
    assert torch.equal(merged[untouched], base[untouched])


def test_positions_of_a_larger_base_are_cut_to_samed_input_size():
    sizes = vit.Sizes(width=32, depth=2, heads=2, global_blocks=(1,), input_size=1024, mlp_ratio=2.0)
    base = dict(vit.build(sizes).state_dict())
    rows = torch.arange(64.0).view(1, 64, 1, 1).expand(1, 64, 64, 32)
    base["image_encoder.pos_embed"] = rows.clone()
    merged = samed.merge(base, lora_file(masks=9))
    assert vit.sizes_of(merged).input_size == 512
    # each of the 32 rows lies half-way between two of the 64
    assert merged["image_encoder.pos_embed"][0, :, 0, 0].tolist() == [2 * i + 0.5 for i in range(32)]
    assert merged["image_encoder.blocks.1.attn.rel_pos_h"].shape == (63, 16)
    assert merged["image_encoder.blocks.0.attn.rel_pos_h"].shape == (27, 16)


def test_load_puts_a_lora_file_on_its_base(tmp_path):
    base = saved(base_tensors(), tmp_path / "base.pth")
    lora = saved(lora_file(masks=9), tmp_path / "epoch_159.pth")
    backbone = load_backbone(lora, base=base, device="cpu")
    assert (backbone.name, backbone.input_size) == ("epoch_159", 512)
    assert backbone.model.pixel_std == (255.0, 255.0, 255.0)
    assert backbone.fingerprint != load_backbone(base, device="cpu").fingerprint


def test_a_lora_file_of_another_base_says_so(tmp_path):
    base = saved(tensors(), tmp_path / "base.pth")  # as wide, but of four blocks
    lora = saved(lora_file(masks=9), tmp_path / "lora.pth")
    assert SMALL.width == BASE.width
    with pytest.raises(WeightsError, match=r"lora\.pth: it holds 8 LoRA tensors of width 32, and a base of 4 blocks"):
        load_backbone(lora, base=base, device="cpu")


def test_without_a_base_the_width_names_it():
    assert samed.base_name({"w_a_000": torch.zeros(4, 768)}) == "vit_b"
    assert samed.base_name({"w_a_000": torch.zeros(4, 1280)}) == "vit_h"
    with pytest.raises(WeightsError, match="32 wide, and no named SAM is"):
        samed.base_name({"w_a_000": torch.zeros(4, 32)})


def test_other_tensors_beside_the_pairs_are_named():
    with pytest.raises(WeightsError, match=r"1 unexpected tensors \(optimizer\.step\)"):
        samed.merge(base_tensors(), lora_file(masks=9) | {"optimizer.step": torch.zeros(1)})
