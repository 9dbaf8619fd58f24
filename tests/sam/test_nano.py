"""The bundled network's own parts."""

import pytest
import torch
import torch.nn.functional as F

from persam.sam import nano


def test_features_of_every_depth_count_by_their_weight():
    generator = torch.Generator().manual_seed(0)
    grid = torch.randn(1, nano.WIDTH, 6, 6, generator=generator)
    taps = [
        scale * torch.randn(1, width, side, side, generator=generator)
        for scale, width, side in zip((1, 10, 0.1, 3), nano.LEVELS[1:], (24, 12, 6, 6), strict=True)
    ]
    found = nano.hypercolumns(grid, taps)
    assert found.shape == (1, sum(nano.LEVELS), 6, 6)
    for depth, weight in zip(found.split(nano.LEVELS, 1), nano.LEVEL_WEIGHTS, strict=True):
        torch.testing.assert_close(depth.square().sum(1), torch.full((1, 6, 6), weight))
    mean_of_its_pixels = taps[0][0, :, 8:12, 4:8].mean((1, 2))
    shallowest = found[0, nano.WIDTH : nano.WIDTH + 24, 2, 1]
    length = nano.LEVEL_WEIGHTS[1] ** 0.5
    torch.testing.assert_close(shallowest, length * mean_of_its_pixels / mean_of_its_pixels.norm())


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_padding_is_tensorflows_same_with_the_odd_one_below_and_right(side, stride, dilation):
    layer = nano.SameConv(1, 1, 3, stride=stride, dilation=dilation, bias=False)
    torch.nn.init.constant_(layer.weight, 1.0)
    image = torch.arange(float(side * side)).view(1, 1, side, side)
    found = layer(image)[0, 0].detach()
    assert found.shape == (-(-side // stride),) * 2
    reach = 2 * dilation + 1
    before = max((found.shape[0] - 1) * stride + reach - side, 0) // 2
    padded = F.pad(image[0, 0], (before, reach, before, reach))
    for row, column in ((0, 0), (1, 2), (found.shape[0] - 1, found.shape[1] - 1)):
        top, left = row * stride, column * stride
        window = padded[top : top + reach : dilation, left : left + reach : dilation]
        assert found[row, column] == window.sum()


def test_a_fresh_network_depends_on_nothing_and_draws_from_no_ones_numbers():
    torch.manual_seed(5)
    first, state = nano.build(64), torch.get_rng_state()
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state)
    second = nano.build(64)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_the_bundled_file_is_its_weights_in_half_precision(nano):
    weight = nano.backbone.model.image_encoder.neck.hi[0].weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, weight.half().float())
    assert nano.backbone.input_size == 640
