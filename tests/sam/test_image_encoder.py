"""SAM's image encoder: the features of `segment_anything`'s own, whatever it makes at a time."""

import pytest
import torch
from torch import nn

from persam.sam import image_encoder, peers, vit
from persam.sam.image_encoder import offsets, parts
from tests.golden.fill import fill
from tests.sam.flavours import SMALL

CPU = torch.device("cpu")
SIZES = [
    SMALL,
    vit.Sizes(48, 2, 3, (), input_size=224, window=7),  # windows fit the grid
    vit.Sizes(32, 3, 1, (0, 2), input_size=128, patch=8, mlp_ratio=3.0),  # smaller than the only window
]
NAMES = ["small", "no padding", "patch 8"]


def both(sizes: vit.Sizes) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs, with the same weights under the same names."""
    theirs = peers.segment_anything(sizes)
    weights = fill(theirs.state_dict(), 5)
    for name, value in weights.items():
        if "rel_pos" in name:
            value *= 4  # else they change too little to be missed
    ours = vit.build(sizes).image_encoder
    ours.load_state_dict(weights)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs


def squares(sizes: vit.Sizes, count: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, sizes.input_size, sizes.input_size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("sizes", SIZES, ids=NAMES)
@torch.inference_mode()
def test_features_are_those_of_segment_anything(sizes, count):
    ours, theirs = both(sizes)
    images = squares(sizes, count)
    expected = theirs(images)
    # sums in another order; a layer norm ends the encoder, so that features have a deviation of 1
    torch.testing.assert_close(ours(images), expected, rtol=0, atol=1e-4)
    for name in ("rel_pos_h", "rel_pos_w"):
        getattr(ours.blocks[0].attn, name).zero_()
        assert (ours(images) - expected).abs().max() > 1e-2  # what a mistake in the positions would change


@pytest.mark.parametrize("sizes", SIZES, ids=NAMES)
@torch.inference_mode()
def test_what_is_made_at_a_time_changes_nothing(sizes, monkeypatch):
    ours, _ = both(sizes)
    images = squares(sizes, 2)
    asked: list[int] = []

    def counted(count, bytes_each, device):
        asked.append(len(parts(count, bytes_each, device)))
        return parts(count, bytes_each, device)

    monkeypatch.setattr(image_encoder, "parts", counted)
    monkeypatch.setitem(image_encoder.ACTIVATION_BYTES, "cpu", 1 << 40)
    whole = ours(images)
    assert set(asked) == {1}
    monkeypatch.setitem(image_encoder.ACTIVATION_BYTES, "cpu", 10_000)
    asked.clear()
    torch.testing.assert_close(ours(images), whole, rtol=0, atol=1e-4)
    assert max(asked) > 4


def test_gradients_are_those_of_segment_anything():
    ours, theirs = both(SMALL)
    images = squares(SMALL)
    found, expected = (
        torch.autograd.grad(one(images).square().mean(), [dict(one.named_parameters())["blocks.0.attn.rel_pos_h"]])[0]
        for one in (ours, theirs)
    )
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_a_place_knows_how_far_every_other_is():
    assert offsets(3, CPU).tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


def test_parts_are_equal_cover_everything_and_stay_below_the_limit(monkeypatch):
    monkeypatch.setitem(image_encoder.ACTIVATION_BYTES, "cpu", 100)
    assert parts(5, 10, CPU) == [slice(0, 5)]
    assert parts(5, 40, CPU) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert parts(2, 1000, CPU) == [slice(0, 1), slice(1, 2)]  # never less than one
    assert parts(5, 40, torch.device("cuda")) == [slice(0, 5)]
