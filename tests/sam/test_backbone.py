"""What `backbone.Backbone` promises, for every kind of model."""

import numpy as np
import pytest
import torch

from persam.errors import WeightsError
from persam.sam import nano
from persam.sam.backbone import Backbone, EncoderMaps, NetworkBackbone, SamBackbone
from persam.sam.decoder import predict_masks
from persam.sam.load import find_device
from persam.types import ImageEmbedding, Prompt
from tests.colour import ColourBackbone
from tests.golden.fill import image
from tests.networks import small_backbone
from tests.sam.exports import exported
from tests.sam.flavours import BUILD, network

STRIDE = 16


def of_torch(flavour: str) -> SamBackbone:
    return SamBackbone(network(flavour), name=flavour, fingerprint="0")


@pytest.fixture(scope="module", params=[f"{kind} {flavour}" for kind in ("torch", "onnx") for flavour in sorted(BUILD)])
def backbone(request, tmp_path_factory):
    """Every kind of model, and what `persam export` makes of it."""
    kind, flavour = request.param.split()
    return of_torch(flavour) if kind == "torch" else exported(flavour, tmp_path_factory)


@pytest.fixture(scope="module", params=sorted(BUILD))
def sam_backbone(request):
    """Of PyTorch alone."""
    return of_torch(request.param)


def watch_encoder(backbone: NetworkBackbone, monkeypatch) -> list[torch.Tensor]:
    """The squares that go through the encoder from now on."""
    seen: list[torch.Tensor] = []
    encoded = backbone._encoded

    def watched(squares: torch.Tensor) -> torch.Tensor | EncoderMaps:
        seen.append(squares)
        return encoded(squares)

    monkeypatch.setattr(backbone, "_encoded", watched)
    return seen


@pytest.fixture(scope="module")
def embedding(backbone):
    return backbone.encode([image(1, 90, 160)])


IMAGES = [image(1, 90, 160), image(2, 70, 70), image(3, 160, 90)]
FILLS = [1.0, 0.5, 1.0]


@pytest.fixture(scope="module")
def batch(backbone):
    return backbone.encode(IMAGES, fills=FILLS)


def points(*rows: list[tuple[float, float, float]]) -> Prompt:
    """Prompts of (x, y, label)."""
    table = torch.tensor(rows, dtype=torch.float32)
    return Prompt(table[..., :2], table[..., 2])


def maps_of(embedding: ImageEmbedding) -> dict[str, torch.Tensor]:
    maps = {name: getattr(embedding, name) for name in ("features", "location", "identity", "colour")}
    maps |= {f"fine {number}": one for number, one in enumerate(embedding.fine or ())}
    return {name: one for name, one in maps.items() if one is not None}


def test_it_is_a_backbone(backbone):
    assert isinstance(backbone, Backbone)
    assert isinstance(ColourBackbone(), Backbone)  # the tests' own stand-in as well
    assert not isinstance(network("sam"), Backbone)


# ---- encode


def test_encode_gives_a_square_grid_and_says_how_the_image_lies_in_it(backbone, embedding):
    side = backbone.input_size // STRIDE
    assert len(embedding) == 1
    assert embedding.features.shape[2:] == (side, side)
    assert embedding.frame.original_hw == (90, 160)
    assert embedding.frame.input_size == backbone.input_size
    assert embedding.frame.grid_side == side
    assert embedding.features.dtype == torch.float32
    assert embedding.features.isfinite().all()


@pytest.mark.parametrize("fill", [1.0, 0.5])
def test_the_image_is_normalised_and_then_padded_to_a_square_with_zeros(backbone, fill, monkeypatch):
    seen = watch_encoder(backbone, monkeypatch)
    side = int(fill * backbone.input_size)
    photo = image(2, side // 2, side)
    embedding = backbone.encode([photo], fills=[fill])
    height, width = photo.shape[:2]
    [square] = seen
    model = network(backbone.name)
    mean, std = (np.asarray(value, np.float32) for value in (model.pixel_mean, model.pixel_std))
    np.testing.assert_allclose(square[0, :, :height, :width].permute(1, 2, 0), (photo - mean) / std, atol=1e-6)
    assert square.shape == (1, 3, backbone.input_size, backbone.input_size)
    assert not square[:, :, height:].any()
    assert not square[:, :, :, width:].any()
    assert embedding.frame.input_hw == (height, width)


@pytest.mark.slow
def test_a_batch_is_its_images_one_by_one(backbone, batch):
    assert len(batch) == 3
    assert [frame.original_hw for frame in batch.frames] == [(90, 160), (70, 70), (160, 90)]
    assert [frame.fill for frame in batch.frames] == FILLS
    for number, (rgb, fill) in enumerate(zip(IMAGES, FILLS, strict=True)):
        alone, one = backbone.encode([rgb], fills=[fill]), batch[number]
        assert one.frames == alone.frames
        assert one.keys == alone.keys
        assert maps_of(one).keys() == maps_of(alone).keys()
        for name, maps in maps_of(one).items():
            # equal on a CPU; an accelerator takes several at once, with other kernels that sum in another order
            torch.testing.assert_close(maps, maps_of(alone)[name], rtol=1e-4, atol=1e-4)


def test_on_a_cpu_images_go_through_the_encoder_one_by_one(backbone, monkeypatch):
    monkeypatch.setattr(backbone, "batch_size", 2)
    seen = watch_encoder(backbone, monkeypatch)
    embedding = backbone.encode(IMAGES)
    assert [len(squares) for squares in seen] == [1, 1, 1]
    assert {len(maps) for maps in maps_of(embedding).values()} == {3}


@torch.inference_mode()
def test_the_encoder_takes_several_at_once_for_an_accelerator(backbone):
    generator = torch.Generator().manual_seed(0)
    squares = torch.randn(2, 3, backbone.input_size, backbone.input_size, generator=generator)
    together, alone = backbone._encoded(squares), backbone._encoded(squares[1:])
    if isinstance(together, torch.Tensor):
        together, alone = [together], [alone]
    for both, one in zip(together, alone, strict=True):
        # another batch size takes other matrix kernels, which sum in another order
        torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-4)


def test_nano_takes_sixteen_at_once_there_and_the_large_ones_one(backbone):
    assert backbone.batch_size == (16 if backbone.name == "nano" else 1)


def test_images_and_fills_come_in_equal_number(backbone):
    with pytest.raises(ValueError, match="zip"):
        backbone.encode(IMAGES, fills=[1.0])


@pytest.mark.slow
def test_a_key_stands_for_what_the_network_saw(backbone):
    rgb = image(1, 40, 60)
    other = rgb.copy()
    other[20, 30] ^= 128
    same = np.array(rgb[:, ::-1][:, ::-1])  # other memory, same pixels
    shares = backbone.encode([rgb, same, other, rgb, rgb[:, :59]], fills=[1.0, 1.0, 1.0, 0.5, 1.0]).keys
    assert shares[0] == shares[1]
    assert len(set(shares)) == 4
    assert backbone.encode([rgb]).keys == shares[:1]
    # pixels alone do not tell how an image lies in its input, nor how large it was
    side = backbone.input_size
    plain = [np.full((*hw, 3), 127, np.uint8) for hw in ((side, side // 4), (side // 4, side), (2 * side, side // 2))]
    assert len(set(backbone.encode(plain).keys)) == 3


def test_only_nano_has_maps_of_their_own_for_location_and_identity(backbone, embedding):
    side = embedding.frame.grid_side
    assert embedding.colour.shape == (1, 3, side, side)
    if backbone.name != "nano":
        assert (embedding.location, embedding.identity, embedding.fine) == (None, None, None)
        return
    assert embedding.location.shape == (1, sum(nano.LEVELS), side, side)
    assert embedding.identity.shape == (1, nano.IDENTITY_WIDTH, side, side)
    assert [maps.shape[-1] for maps in embedding.fine] == [2 * side, 4 * side]
    weight = network("nano").image_encoder.identity.weight.detach()[:, :, 0, 0]
    torch.testing.assert_close(embedding.identity[0, :, 2, 3], weight @ embedding.location[0, :, 2, 3])


# ---- decode


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


@pytest.mark.parametrize("kind", ["points", "boxes", "points, boxes and masks"])
def test_rows_go_with_the_images_one_to_one(backbone, batch, kind):
    where = points([(80, 45, 1)], [(20, 60, 1)], [(30, 100, 0)])
    boxes = torch.tensor([[10.0, 10, 100, 80], [5, 5, 60, 60], [20, 30, 80, 150]])
    if kind == "points":
        prompt = where
    elif kind == "boxes":
        prompt = Prompt(box_xyxy=boxes)
    else:
        side = 4 * batch.frames[0].grid_side
        masks = torch.linspace(-8, 8, 3 * side * side).view(3, 1, side, side)
        prompt = Prompt(where.points_xy, where.labels, boxes, masks)
    together = backbone.decode(batch, prompt)
    for row in range(3):
        parts = (prompt.points_xy, prompt.labels, prompt.box_xyxy, prompt.mask_logits)
        own = Prompt(*(None if part is None else part[row : row + 1] for part in parts))
        alone = backbone.decode(batch[row], own)
        # another batch size takes other matrix kernels
        torch.testing.assert_close(together.logits[row : row + 1], alone.logits, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(together.predicted_iou[row : row + 1], alone.predicted_iou, atol=1e-4, rtol=1e-4)


def test_a_mask_prompt_is_taken(backbone, embedding):
    first = backbone.decode(embedding, points([(80, 45, 1)]))
    again = Prompt(
        *(getattr(points([(80, 45, 1)]), key) for key in ("points_xy", "labels")), mask_logits=first.logits[:, :1]
    )
    assert not torch.equal(backbone.decode(embedding, again).logits, first.logits)


def test_without_guidance_the_masks_are_upstreams_own_bit_for_bit(sam_backbone):
    decoder, prompts = sam_backbone.model.mask_decoder, sam_backbone.model.prompt_encoder
    embedding = sam_backbone.encode([image(1, 90, 160)])
    coordinates = torch.tensor([[[100.0, 60.0], [30.0, 90.0]]])
    with torch.inference_mode():
        sparse, dense = prompts((coordinates, torch.tensor([[1.0, 0.0]])), None, None)
        features, position = embedding.features, prompts.get_dense_pe()
        upstream = decoder.predict_masks(features, position, sparse, dense)
        ours = predict_masks(decoder, features, position, sparse, dense)
    assert torch.equal(ours[0], upstream[0])
    assert torch.equal(ours[1], upstream[1])


# ---- device and training


def test_everything_stays_on_the_device_of_the_weights(sam_backbone):
    """Whatever this machine has; on one with a GPU, `auto` is the GPU."""
    device = find_device("auto")
    moved = SamBackbone(sam_backbone.model.to(device), name="moved", fingerprint="0")
    try:
        found = moved.encode([image(1, 90, 160)])
        # prompts may come from the CPU
        candidates = moved.decode(found, points([(80, 45, 1)]))
        assert {maps.device.type for maps in maps_of(found).values()} == {device.type}
        assert moved.device.type == candidates.logits.device.type == device.type
    finally:
        sam_backbone.model.to("cpu")


def test_nothing_is_left_to_train(sam_backbone):
    assert not any(parameter.requires_grad for parameter in sam_backbone.model.parameters())


def test_nano_takes_inputs_of_another_size_with_the_same_weights_and_others_their_own_alone(backbone):
    other = backbone.at_input(320)
    if backbone.name != "nano":
        assert other is backbone
        return
    pixels = image(1, 90, 160)
    built = nano.NanoSam(320).eval()  # the same network made for that size
    built.load_state_dict(network("nano").state_dict())
    expected = SamBackbone(built, name="nano", fingerprint="0")
    prompt = Prompt(torch.tensor([[[80.0, 45.0]]]), torch.ones(1, 1), torch.tensor([[20.0, 10.0, 120.0, 80.0]]))
    shown = (other.encode([pixels]), expected.encode([pixels]))
    assert shown[0].features.shape[-1] == 320 // STRIDE
    masks = [one.decode(maps, prompt) for one, maps in zip((other, expected), shown, strict=True)]
    far = 0.0 if isinstance(backbone, SamBackbone) else 1e-3  # ONNX Runtime's kernels sum in another order
    torch.testing.assert_close(shown[0].features, shown[1].features, rtol=0, atol=far)
    torch.testing.assert_close(masks[0].logits, masks[1].logits, rtol=far, atol=far)
    torch.testing.assert_close(masks[0].predicted_iou, masks[1].predicted_iou, rtol=far, atol=far)
    assert backbone.encode([pixels]).features.shape[-1] == backbone.input_size // STRIDE  # itself, it has not changed


@pytest.mark.parametrize("part", ["image_encoder", "mask_decoder", "prompt_encoder"])
def test_a_network_that_answers_with_nan_is_an_error_and_not_an_answer(part):
    backbone = small_backbone()
    fine = backbone.encode([np.zeros((9, 9, 3), np.uint8)])
    for parameter in getattr(backbone.model, part).parameters():
        parameter.fill_(float("nan"))
    prompt = Prompt(torch.ones(1, 1, 2), torch.ones(1, 1))
    ask = backbone.encode if part == "image_encoder" else lambda images: backbone.decode(fine, prompt)
    with pytest.raises(WeightsError, match="small answers with NaN or infinity: its weights are damaged, or overflow"):
        ask([np.zeros((9, 9, 3), np.uint8)])
