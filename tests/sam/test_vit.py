"""SAM's sizes: Meta's for the named models, and read off the tensors of any other file."""

import pytest
import torch

from persam.errors import WeightsError
from persam.sam import vit
from tests.networks import sam as upstream_sam
from tests.sam.flavours import SMALL, tensors

# parameters of Meta's three models, prompt encoder and mask decoder (4,064,564) included
PARAMETERS = {"vit_b": 93_735_472, "vit_l": 312_342_832, "vit_h": 641_090_608}


@pytest.mark.parametrize("name", sorted(vit.SIZES))
def test_the_named_models_have_metas_sizes(name):
    with torch.device("meta"):
        built = vit.build(vit.SIZES[name])
    assert sum(parameter.numel() for parameter in built.parameters()) == PARAMETERS[name]
    assert vit.sizes_of(built.state_dict()) == vit.SIZES[name]


@pytest.mark.parametrize(
    "sizes",
    [
        SMALL,
        vit.Sizes(64, 4, 4, (1, 3)),
        vit.Sizes(48, 2, 3, (), input_size=512, window=7),
        vit.Sizes(32, 3, 1, (2,), input_size=128, patch=8, mlp_ratio=3.0),
    ],
    ids=["small", "golden", "no global block", "patch 8"],
)
def test_sizes_are_read_off_the_tensors(sizes):
    with torch.device("meta"):
        built = vit.build(sizes)
    assert vit.sizes_of(built.state_dict()) == sizes


def test_the_network_is_the_one_of_metas_builder():
    ours = vit.from_tensors(upstream_sam(3, input_size=256).state_dict())
    theirs = upstream_sam(3, input_size=256)
    square = torch.linspace(-2, 2, 3 * 256 * 256).view(1, 3, 256, 256).sin()
    with torch.inference_mode():
        # sums in another order (test_image_encoder.py)
        torch.testing.assert_close(ours.image_encoder(square), theirs.image_encoder(square), rtol=0, atol=1e-4)
    assert theirs.pixel_mean.flatten().tolist() == pytest.approx(ours.pixel_mean)
    assert theirs.pixel_std.flatten().tolist() == pytest.approx(ours.pixel_std)


def test_a_file_without_positions_is_no_sam():
    cut = {name: value for name, value in tensors().items() if "rel_pos" not in name}
    with pytest.raises(WeightsError, match=r"no image_encoder\.blocks\.0\.attn\.rel_pos_h"):
        vit.from_tensors(cut)


def test_a_network_for_volumes_is_named():
    deep = tensors() | {vit.SIGNATURE: torch.zeros(32, 3, 16, 16, 16)}
    with pytest.raises(WeightsError, match="it is a 3D model, made for volumes, and no SAM for images"):
        vit.from_tensors(deep)
