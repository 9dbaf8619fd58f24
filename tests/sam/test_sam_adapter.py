"""SAM-Adapter computes what its authors' code computes (tests/golden/README.md), and takes prompts beside."""

import numpy as np
import pytest
import torch
from torch import Tensor

from persam.errors import WeightsError
from persam.sam import sam_adapter, vit
from persam.sam.backbone import SamBackbone
from persam.sam.load import load_backbone
from persam.types import Prompt
from tests.golden.fill import fill, image
from tests.sam.flavours import GOLDEN, SMALL, network, published, saved, tensors

BASE = vit.Sizes(64, 2, 4, (1,), input_size=256)  # of the recorded width; no more of it counts


def base_tensors() -> dict[str, Tensor]:
    return dict(fill(vit.build(BASE).state_dict(), 1))


def small_file() -> dict[str, Tensor]:
    """A small one as the authors save it: two tensors under names of their own, and no embeddings of prompts."""
    whole = network("sam_adapter").state_dict()
    own = {name: value for name, value in whole.items() if not name.startswith("prompt_encoder.")}
    return own | {name: whole[f"prompt_encoder.{name}"] + 1 for name in sam_adapter.OWN}


@pytest.mark.slow
def test_features_and_masks_are_the_recorded_ones(tmp_path):
    recorded = np.load(GOLDEN / "sam_adapter.npz")
    file = saved(published("sam_adapter_keys.txt", int(recorded["weight_seed"])), tmp_path / "model_epoch_best.pth")
    backbone = load_backbone(file, base=saved(base_tensors(), tmp_path / "base.pth"), device="cpu")
    assert (backbone.name, backbone.input_size) == ("model_epoch_best", 1024)
    assert backbone.model.pixel_mean == vit.Sam.pixel_mean
    embedding = backbone.encode([image(*recorded["image"])])
    candidates = backbone.decode(embedding, Prompt())
    # another BLAS, and sums in another order, move features by 3e-5 and logits by 2e-5
    np.testing.assert_allclose(embedding.features[:, ::8, ::2, ::2], recorded["features"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(candidates.logits[:, :1, ::4, ::4], recorded["logits"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(candidates.predicted_iou[:, :1], recorded["score"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("side", [64, 224])
def test_the_high_pass_zeroes_the_middle_of_the_shifted_spectrum(side):
    generator = sam_adapter.PromptGenerator(width=32, depth=1, bottleneck=2, input_size=side, patch=16)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.fftshift(torch.fft.fft2(images), dim=(-2, -1))
    middle = slice(side // 4, 3 * side // 4)
    spectrum[..., middle, middle] = 0
    expected = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real.abs()
    torch.testing.assert_close(generator.high_pass(images), expected, rtol=0, atol=1e-4)


def test_prompts_are_embedded_as_in_its_base_and_all_else_is_its_own():
    file, base = small_file(), tensors(seed=8)
    merged = sam_adapter.merge(base, file)
    from_base = {name for name in merged if name not in file and name.removeprefix("prompt_encoder.") not in file}
    assert from_base == {
        name
        for name in base
        if name.startswith(("prompt_encoder.point_", "prompt_encoder.not_a_point_", "prompt_encoder.mask_downscaling."))
    }
    assert all(torch.equal(merged[name], base[name]) for name in from_base)
    for name, value in file.items():
        assert torch.equal(merged[f"prompt_encoder.{name}" if name in sam_adapter.OWN else name], value)
    assert len(merged) == len(from_base) + len(file)


def test_a_prompt_changes_the_mask():
    loaded = sam_adapter.from_tensors(sam_adapter.merge(tensors(seed=8), small_file()))
    backbone = SamBackbone(loaded, name="adapted", fingerprint="0")
    embedding = backbone.encode([image(1, 90, 160)])
    at = Prompt(torch.tensor([[[80.0, 45.0]]]), torch.ones(1, 1))
    assert (backbone.decode(embedding, at).logits - backbone.decode(embedding, Prompt()).logits).abs().max() > 0.1


@pytest.mark.parametrize(("sizes", "bottleneck"), [(SMALL, 1), (vit.Sizes(48, 2, 3, (), input_size=128, window=7), 5)])
def test_sizes_and_bottleneck_are_read_off_the_tensors(sizes, bottleneck):
    built = sam_adapter.build(sizes, bottleneck=bottleneck)
    again = sam_adapter.from_tensors(built.state_dict())
    square = torch.randn(1, 3, sizes.input_size, sizes.input_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(again.image_encoder(square), built.image_encoder(square))


def test_without_a_base_the_width_names_it(tmp_path):
    wide = {vit.SIGNATURE: torch.zeros(1024, 3, 16, 16)}
    assert sam_adapter.base_name(small_file() | wide) == "vit_l"
    with pytest.raises(WeightsError, match=r"it is 32 wide, and no named SAM is .* Give the base model's file as"):
        load_backbone(saved(small_file(), tmp_path / "adapter.pth"), device="cpu")


def test_a_base_of_another_width_is_refused():
    with pytest.raises(WeightsError, match="this SAM-Adapter is 32 wide and its base 64: give the SAM it was"):
        sam_adapter.merge(base_tensors(), small_file())


def test_a_whole_one_takes_no_base(tmp_path):
    whole = saved(network("sam_adapter").state_dict(), tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match=r"a base goes with a LoRA file or a SAM-Adapter\. Leave the base out"):
        load_backbone(whole, base=whole, device="cpu")


@pytest.mark.parametrize(
    ("gone", "more", "complaint"),
    [
        ("embedding_generator.", None, r"2 tensors differ \(prompt_generator\.embedding_generator\.bias, "),
        ("shared_mlp.", "shared_mlp1.weight", r"3 tensors differ \(.*\.shared_mlp\.weight, .*\.shared_mlp1\.weight"),
        ("shared_mlp.weight", "shared_mlp.weight", r"1 tensors differ \(prompt_generator\.shared_mlp\.weight\)"),
    ],
    ids=["handcrafted features alone", "a shared layer a stage", "shape"],
)
@pytest.mark.parametrize("of", [lambda: network("sam_adapter").state_dict(), small_file], ids=["whole", "as saved"])
def test_other_prompt_generators_are_named(gone, more, complaint, of, tmp_path):
    start = sam_adapter.SIGNATURE
    content = {name: value for name, value in of().items() if not name.startswith(start + gone)}
    if more is not None:
        content[start + more] = torch.zeros(3)
    with pytest.raises(WeightsError, match=f"its prompt generator is not the one that SAM-Adapter has.*{complaint}"):
        load_backbone(saved(content, tmp_path / "other.pth"), device="cpu")
