"""MobileSAM's encoder computes what its authors' copy computes (tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from persam.sam import tiny_vit
from persam.sam.backbone import SamBackbone
from persam.types import Prompt
from tests.golden.fill import fill, image

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def recorded():
    return np.load(GOLDEN / "vit_t.npz")


@pytest.fixture(scope="module")
def backbone(recorded):
    weights = fill(tiny_vit.build().state_dict(), int(recorded["weight_seed"]))
    return SamBackbone(tiny_vit.from_tensors(weights), name="vit_t", fingerprint="golden")


@pytest.fixture(scope="module")
def embedding(backbone, recorded):
    return backbone.encode([image(*recorded["image"])])


def test_names_and_shapes_are_those_of_the_published_file():
    published = dict(line.split() for line in (GOLDEN / "vit_t_keys.txt").read_text().splitlines())
    with torch.device("meta"):
        ours = tiny_vit.build().state_dict()
    assert {name: "x".join(map(str, value.shape)) or "scalar" for name, value in ours.items()} == published


@pytest.mark.slow
def test_features(embedding, recorded):
    # features reach 6; another BLAS moves them by about 1e-5
    np.testing.assert_allclose(embedding.features[0, ::8].numpy(), recorded["features"][0], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_masks_and_scores(backbone, embedding, recorded):
    xy, labels = (torch.from_numpy(recorded[key])[None].float() for key in ("points_xy", "labels"))
    candidates = backbone.decode(embedding, Prompt(xy, labels))
    # logits reach 14; another BLAS moves them by about 1e-4
    np.testing.assert_allclose(candidates.logits[0, 1:, ::4, ::4].numpy(), recorded["logits"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(candidates.predicted_iou[0, 1:].numpy(), recorded["scores"], rtol=0, atol=1e-3)


def test_distances_number_the_offsets_of_a_window():
    # patches of a 2 x 2 window in reading order: right neighbour 1, lower neighbour 2, diagonal 3
    assert tiny_vit.distances(2).tolist() == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
