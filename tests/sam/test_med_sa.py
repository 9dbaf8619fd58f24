"""Med-SA computes what its authors' code computes (tests/golden/README.md), in the layouts of several years."""

import numpy as np
import pytest
import torch
from torch import Tensor

from persam.errors import WeightsError
from persam.sam import med_sa, vit
from persam.sam.load import load_backbone
from persam.types import Prompt
from tests.golden.fill import fill, image
from tests.sam.flavours import GOLDEN, network, published, saved

NAMES_OF_2023 = {
    ".attn.rel_h": ".attn.rel_pos_h",
    ".attn.rel_w": ".attn.rel_pos_w",
    ".mlp.layers.0.0.": ".mlp.lin1.",
    ".mlp.fc.": ".mlp.lin2.",
}


def recorded_tensors(seed: int, layout: str) -> dict[str, Tensor]:
    """What a file of that layout holds; values depend on a tensor's name and shape there."""
    listed = published("med_sa_keys.txt", seed)
    if layout == "_2023":
        for new, old in NAMES_OF_2023.items():
            listed = {name.replace(new, old): value for name, value in listed.items()}
    if layout == "_256":
        for name, value in listed.items():
            if ".attn.rel_" in name and len(value) == 127:
                listed[name] = torch.zeros(31, value.shape[1])
    return dict(fill(listed, seed))


def as_saved(state: dict[str, Tensor]) -> dict[str, object]:
    """A training checkpoint as the authors' script writes it."""
    paths = {"path_helper": {"prefix": "logs/sam", "ckpt_path": "logs/sam/Model"}}
    optimizer = {"state": {}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    return {
        "epoch": 3,
        "model": "sam",
        "state_dict": state,
        "optimizer": optimizer,
        "best_tol": np.float64(0.5),
    } | paths


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "size", "places", "pixels"),
    [("", 1024, 2, 8), ("_256", 256, 1, 2), ("_2023", 1024, 4, 4)],
    ids=["2024", "256 pixels", "2023"],
)
def test_features_and_masks_are_the_recorded_ones(layout, size, places, pixels, tmp_path):
    recorded = np.load(GOLDEN / "med_sa.npz")
    content = as_saved(recorded_tensors(int(recorded["weight_seed"]), layout))
    backbone = load_backbone(saved(content, tmp_path / "best_dice_checkpoint.pth"), device="cpu")
    assert (backbone.name, backbone.input_size) == ("best_dice_checkpoint", size)
    photo = image(*recorded["image"])
    embedding = backbone.encode([photo])
    points_xy = torch.from_numpy(recorded["points_xy"]).float() / (1024 / photo.shape[1])
    labels = torch.from_numpy(recorded["labels"]).float()
    candidates = backbone.decode(embedding, Prompt(points_xy[None], labels[None]))
    features, logits = recorded[f"features{layout}"], recorded[f"logits{layout}"]
    scores = recorded[f"score{layout}" if layout else "scores"]
    masks = logits.shape[1]
    # another BLAS, and sums in another order, move features by 1e-5 and logits by 2e-5
    np.testing.assert_allclose(embedding.features[:, ::8, ::places, ::places], features, rtol=0, atol=1e-3)
    np.testing.assert_allclose(candidates.logits[:, :masks, ::pixels, ::pixels], logits, rtol=0, atol=1e-3)
    np.testing.assert_allclose(candidates.predicted_iou[:, :masks], scores, rtol=0, atol=1e-3)


def test_at_224_pixels_where_all_blocks_look_alike_the_features_are_the_same():
    sizes = vit.Sizes(32, 3, 2, (2,), input_size=224)
    built = med_sa.build(sizes, bottleneck=4)
    built.load_state_dict(fill(built.state_dict(), 3))
    square = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = med_sa.from_tensors(built.state_dict()).image_encoder(square)
        # one window of the whole grid, or the whole grid: equal
        torch.testing.assert_close(found, built.image_encoder(square), rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [128, 256, 512])
def test_the_input_size_is_that_of_the_relative_positions(side):
    sizes = vit.Sizes(32, 2, 2, (1,), input_size=side)
    content = med_sa.build(sizes, bottleneck=4).state_dict()
    content |= {med_sa.POSITIONS: torch.randn(1, 64, 64, 32)}  # files have 64 x 64 at any size
    content = {name.replace("rel_pos_", "rel_"): value for name, value in content.items()}
    loaded = med_sa.from_tensors(content)
    assert vit.sizes_of(loaded.state_dict()) == sizes
    assert loaded.prompt_encoder.input_image_size == (side, side)


def test_depth_adapters_do_nothing():
    one, other = network("med_sa"), network("med_sa")
    other.load_state_dict({n: 2 * v if "Depth" in n else v for n, v in one.state_dict().items()})
    square = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(one.image_encoder(square), other.image_encoder(square))


def small_file() -> dict[str, Tensor]:
    return dict(network("med_sa").state_dict())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (lambda: small_file() | {med_sa.POSITIONS: torch.zeros(1, 257, 32)}, "on another encoder than SAM's ViT"),
        (
            lambda: {name: value for name, value in small_file().items() if "rel_pos" not in name},
            "a Med-SA without relative positions, .* its input size cannot be read",
        ),
        (
            lambda: small_file() | {"image_encoder.blocks.1.attn.rel_pos_h": torch.zeros(63, 16)},
            r"for several sizes of grid \(\[27, 31, 63\] rows\)",
        ),
        (
            lambda: {name.replace("D_fc", "fc"): value for name, value in small_file().items()},
            r"no image_encoder\.blocks\.0\.Space_Adapter\.D_fc1\.weight: its adapters are not those of Med-SA",
        ),
        (
            lambda: {n: v for n, v in small_file().items() if "1.MLP_Adapter" not in n},
            r"4 missing \(image_encoder\.blocks\.1\.MLP_Adapter",
        ),
        (
            lambda: small_file() | {"mask_decoder.mask_tokens.weight": torch.zeros(2, 256)},
            r"mask_decoder\.mask_tokens\.weight 2x256 instead of 4x256",
        ),
        (
            lambda: small_file() | {vit.SIGNATURE: torch.zeros(32, 3, 16, 16, 16)},
            "it is a 3D model, made for volumes",
        ),
    ],
    ids=["EfficientSAM", "no positions", "several sizes", "other adapters", "missing", "two masks", "3D"],
)
def test_relatives_are_named(content, complaint, tmp_path):
    file = saved(content(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=complaint) as caught:
        load_backbone(file, device="cpu")
    assert str(file) in str(caught.value)
