"""What `base.Backbone` promises, for every kind of model."""

import numpy as np
import pytest
import torch

from persam.sam import nano
from persam.sam.backbone import SamBackbone
from persam.sam.decoder import predict_masks
from persam.sam.load import find_device
from persam.types import Prompt
from tests.golden.fill import image
from tests.sam.flavours import BUILD, network

STRIDE = 16


@pytest.fixture(scope="module", params=sorted(BUILD))
def backbone(request):
    return SamBackbone(network(request.param), name=request.param, fingerprint="0")


@pytest.fixture(scope="module")
def embedding(backbone):
    return backbone.encode(image(1, 90, 160))


def points(*rows: list[tuple[float, float, float]]) -> Prompt:
    """Prompts of (x, y, label)."""
    table = torch.tensor(rows, dtype=torch.float32)
    return Prompt(table[..., :2], table[..., 2])


def test_encode_gives_a_square_grid_and_says_how_the_photo_lies_in_it(backbone, embedding):
    side = backbone.input_size // STRIDE
    assert embedding.features.shape[1:] == (side, side)
    assert embedding.frame.original_hw == (90, 160)
    assert embedding.frame.input_size == backbone.input_size
    assert embedding.features.dtype == torch.float32
    assert embedding.features.isfinite().all()


@pytest.mark.parametrize("fill", [1.0, 0.5])
def test_the_photo_is_normalised_and_then_padded_to_a_square_with_zeros(backbone, fill):
    seen = []
    encoder = backbone.model.image_encoder
    hook = encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    side = int(fill * backbone.input_size)
    photo = image(2, side // 2, side)
    try:
        embedding = backbone.encode(photo, fill=fill)
    finally:
        hook.remove()
    height, width = photo.shape[:2]
    [square] = seen
    mean, std = (np.asarray(value, np.float32) for value in (backbone.model.pixel_mean, backbone.model.pixel_std))
    np.testing.assert_allclose(square[0, :, :height, :width].permute(1, 2, 0), (photo - mean) / std, atol=1e-6)
    assert square.shape == (1, 3, backbone.input_size, backbone.input_size)
    assert not square[:, :, height:].any()
    assert not square[:, :, :, width:].any()
    assert embedding.frame.input_hw == (height, width)


@pytest.mark.parametrize(
    ("prompt", "rows"),
    [
        (points([(80, 45, 1)]), 1),
        (points([(80, 45, 1), (5, 5, 0)], [(20, 60, 1), (150, 80, 0)], [(1, 1, 1), (2, 2, 1)]), 3),
        (Prompt(box_xyxy=torch.tensor([[10.0, 10, 100, 80], [0, 0, 20, 20]])), 2),
    ],
    ids=["point", "three rows of two points", "two boxes"],
)
def test_decode_gives_four_masks_at_four_times_the_grid_for_every_row(backbone, embedding, prompt, rows):
    side = 4 * backbone.input_size // STRIDE
    candidates = backbone.decode(embedding, prompt)
    assert candidates.logits.shape == (rows, 4, side, side)
    assert candidates.predicted_iou.shape == (rows, 4)


def test_a_row_does_not_know_of_the_others(backbone, embedding):
    together = backbone.decode(embedding, points([(80, 45, 1)], [(20, 60, 1)]))
    alone = backbone.decode(embedding, points([(20, 60, 1)]))
    # another batch size takes other matrix kernels
    torch.testing.assert_close(together.logits[1:], alone.logits, atol=1e-3, rtol=1e-4)


def test_a_mask_prompt_is_taken(backbone, embedding):
    first = backbone.decode(embedding, points([(80, 45, 1)]))
    again = Prompt(*(getattr(points([(80, 45, 1)]), key) for key in ("points_xy", "labels")), None, first.logits[:, :1])
    assert not torch.equal(backbone.decode(embedding, again).logits, first.logits)


def test_without_guidance_the_masks_are_upstreams_own_bit_for_bit(backbone, embedding):
    decoder, prompts = backbone.model.mask_decoder, backbone.model.prompt_encoder
    coordinates = torch.tensor([[[100.0, 60.0], [30.0, 90.0]]])
    with torch.inference_mode():
        sparse, dense = prompts((coordinates, torch.tensor([[1.0, 0.0]])), None, None)
        features, position = embedding.features[None], prompts.get_dense_pe()
        upstream = decoder.predict_masks(features, position, sparse, dense)
        ours = predict_masks(decoder, features, position, sparse, dense)
    assert torch.equal(ours[0], upstream[0])
    assert torch.equal(ours[1], upstream[1])


def test_everything_stays_on_the_device_of_the_weights(backbone, embedding):
    """Whatever this machine has; on one with a GPU, `auto` is the GPU."""
    device = find_device("auto")
    moved = SamBackbone(backbone.model.to(device), name="moved", fingerprint="0")
    try:
        found = moved.encode(image(1, 90, 160))
        # prompts may come from the CPU
        candidates = moved.decode(found, points([(80, 45, 1)]))
        assert moved.device.type == found.features.device.type == candidates.logits.device.type == device.type
    finally:
        backbone.model.to("cpu")


def test_nothing_is_left_to_train(backbone):
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())


def test_only_nano_has_maps_of_their_own_to_compare_cells_by(backbone, embedding):
    side = embedding.frame.grid_side
    if backbone.name != "nano":
        assert embedding.levels is None
        assert embedding.identity is None
        return
    assert embedding.levels.shape == (sum(nano.LEVELS), side, side)
    assert embedding.identity.shape == (nano.IDENTITY_WIDTH, side, side)
    weight = backbone.model.image_encoder.identity.weight[:, :, 0, 0]
    torch.testing.assert_close(embedding.identity[:, 2, 3], weight @ embedding.levels[:, 2, 3])


def test_features_of_every_depth_count_by_their_weight():
    generator = torch.Generator().manual_seed(0)
    grid = torch.randn(1, nano.WIDTH, 6, 6, generator=generator)
    taps = [
        scale * torch.randn(1, width, side, side, generator=generator)
        for scale, width, side in zip((1, 10, 0.1, 3), nano.LEVELS[1:], (24, 12, 6, 6), strict=True)
    ]
    found = nano.levels(grid, taps)
    assert found.shape == (1, sum(nano.LEVELS), 6, 6)
    for depth, weight in zip(found.split(nano.LEVELS, 1), nano.LEVEL_WEIGHTS, strict=True):
        torch.testing.assert_close(depth.square().sum(1), torch.full((1, 6, 6), weight))
    mean_of_its_pixels = taps[0][0, :, 8:12, 4:8].mean((1, 2))
    shallowest = found[0, nano.WIDTH : nano.WIDTH + 24, 2, 1]
    length = nano.LEVEL_WEIGHTS[1] ** 0.5
    torch.testing.assert_close(shallowest, length * mean_of_its_pixels / mean_of_its_pixels.norm())
