"""The official recipes compute what the authors' code computes (tests/golden/README.md)."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from persam.geometry import official_patches
from persam.io.masks import read_mask
from persam.method import official
from persam.method.concept import Concept, Reference
from persam.method.location import confidence_map
from persam.method.recipes import OFFICIAL_PERSAM, OFFICIAL_PERSAM_F, OfficialRecipe
from persam.method.scales import dice_focal
from persam.model import PerSAM
from persam.sam.backbone import SamBackbone
from persam.types import ImageEmbedding
from tests.golden.fill import image, mask
from tests.networks import sam

TOLERANCE = 1e-3  # another BLAS moves logits by about 1e-4


class Recorded:
    """One golden file, its network, and the reference already learned."""

    def __init__(self, number: int):
        self.numbers = np.load(Path(__file__).parents[1] / "golden" / f"official_{number}.npz")
        network = sam(int(self.numbers["weight_seed"]))
        self.backbone = SamBackbone(network, name="golden", fingerprint=f"golden-{number}")
        scene = tuple(int(v) for v in self.numbers["reference"])
        targets = [tuple(int(v) for v in row) for row in self.numbers["targets"]]
        self.photos = [image(*target) for target in targets]
        self.reference = Reference(image(*scene), self.backbone.encode([image(*scene)]), mask(*scene))

    @cache  # noqa: B019 (a module's fixture holds it)
    def embedding(self, target: int) -> ImageEmbedding:
        return self.backbone.encode([self.photos[target]])

    @cache  # noqa: B019
    def concept(self, recipe: OfficialRecipe) -> Concept:
        """PerSAM-F's is fitted at the image's own size, which takes long."""
        return official.learn([self.reference], recipe, name="object", backbone=self.backbone)


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow)])
def recorded(request):
    return Recorded(request.param)


def close(actual, expected, tolerance=TOLERANCE):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=tolerance)


def test_reference_patches_and_features(recorded):
    numbers, reference = recorded.numbers, recorded.reference
    np.testing.assert_array_equal(official.target_patches(reference), numbers["persam/cells"])
    patches = official_patches(reference.mask, reference.embedding.frame, 128)
    np.testing.assert_array_equal(patches, numbers["persam/cells"])
    concept = recorded.concept(OFFICIAL_PERSAM)
    close(concept.feature, numbers["persam/target_feature"][0], 1e-5)
    close(concept.semantic, numbers["persam/target_embedding"][0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("target", [0, 1])
def test_location_and_guidance(recorded, target):
    numbers, concept = recorded.numbers, recorded.concept(OFFICIAL_PERSAM)
    embedding = recorded.embedding(target)
    prior = official.locate(concept, embedding)
    close(confidence_map(concept.feature, embedding), numbers[f"persam/{target}/similarity"], 1e-5)
    np.testing.assert_array_equal(prior.points_xy, numbers[f"persam/{target}/points_xy"])
    assert prior.labels.tolist() == [1, 0]
    close(prior.attention, numbers[f"persam/{target}/attn"], 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("recipe", [OFFICIAL_PERSAM, OFFICIAL_PERSAM_F], ids=["persam", "persam_f"])
def test_every_decode_of_the_cascade(recorded, recipe, target):
    key = f"{recipe.name.removeprefix('official_')}/{target}"
    numbers, concept, embedding = recorded.numbers, recorded.concept(recipe), recorded.embedding(target)
    prior = official.locate(concept, embedding)
    np.testing.assert_array_equal(prior.points_xy, numbers[f"{key}/points_xy"])
    first, second, third = official.cascade(recorded.backbone, embedding, prior, concept)
    close(first.logits[::4, ::4], numbers[f"{key}/logits1"].squeeze())
    if recipe is OFFICIAL_PERSAM:
        close(first.score, numbers[f"{key}/score1"][0])
        assert second.box_xyxy is None
    else:
        assert second.box_xyxy == tuple(numbers[f"{key}/box1"])
    assert third.box_xyxy == tuple(numbers[f"{key}/box2"])
    for number, step in ((2, second), (3, third)):
        best = int(numbers[f"{key}/best{number}"])
        assert step.best == best
        close(step.logits[::4, ::4], numbers[f"{key}/logits{number}"][best])
        close(step.score, numbers[f"{key}/score{number}"][best])
    find = official.segment(recorded.backbone, embedding, concept)
    found = find.inside.numpy()
    expected = np.unpackbits(numbers[f"{key}/mask"])[: found.size].reshape(found.shape) > 0
    assert (found & expected).sum() / (found | expected).sum() >= 0.999
    assert torch.equal(find.mask.score, third.score)
    assert find.presence is None
    assert find.present


@pytest.mark.slow
def test_feature_scale_weights_and_their_losses(recorded):
    numbers, concept = recorded.numbers, recorded.concept(OFFICIAL_PERSAM_F)
    close(concept.feature, numbers["persam_f/target_feature"][0], 1e-5)
    close(concept.scale_weights, numbers["persam_f/weights"], 2e-3)
    reference = recorded.reference
    prior = official.locate(concept, reference.embedding)
    np.testing.assert_array_equal(prior.points_xy, numbers["persam_f/ref_point_xy"])
    first, *_ = official.cascade(recorded.backbone, reference.embedding, prior, concept)
    logits = reference.embedding.frame.upscale(first.logits[None, None])
    loss = dice_focal(logits.flatten(), torch.from_numpy(reference.mask).float().flatten())
    assert float(loss) == pytest.approx(numbers["persam_f/last_loss"].sum(), abs=2e-3)


@pytest.mark.slow
def test_the_public_call_gives_the_same_mask(recorded):
    found = next(PerSAM(recorded.backbone).segment(recorded.photos[0], recorded.concept(OFFICIAL_PERSAM)))
    assert abs(int(found.mask.sum()) - int(recorded.numbers["persam/0/area"])) <= 0.001 * found.mask.sum() + 5


def test_a_mask_file_of_any_grey_level_means_the_same(recorded):
    reference = recorded.reference
    height, width = reference.mask.shape
    for grey in (1, 128, 255):
        assert (read_mask((reference.mask * grey).astype(np.uint8), (height, width)) == reference.mask).all()
