"""Objects as small, thin or large as they come, in images of any shape: a mask of the image's shape, and never NaN."""

import numpy as np
import pytest
import torch

from persam.errors import ConceptError
from persam.method.calibration import Calibration, Presence
from persam.method.recipes import RECIPES
from persam.model import PerSAM
from tests.colour import GREY, RED, colour_model, mask
from tests.networks import small_backbone

pytestmark = [pytest.mark.usefixtures("quick_fit"), pytest.mark.slow]


@pytest.fixture(scope="module")
def sam() -> PerSAM:
    """SAM's own shape with random weights: what it finds means nothing, but it must find it without NaN."""
    backbone = small_backbone()
    return PerSAM(backbone, calibration=Calibration(backbone.fingerprint, presence=Presence(0.5, 0.5)))


def numbers_of(found) -> list[float]:
    presence = [] if found.presence is None else [found.presence]
    return [*found.points_xy.flatten(), *found.similarity.flatten(), found.score, *presence]


LARGE = {"all but a row": (0, 0, 63, 62), "all but a pixel": None}
SIZES = {"one pixel": (31, 17, 31, 17), "line across": (0, 40, 63, 40), "line down": (12, 0, 12, 63)} | LARGE


@pytest.mark.parametrize(
    ("recipe", "marked"),
    [(recipe, size) for recipe in ("persam", "persam_f") for size in SIZES]
    + [(recipe, size) for recipe in ("official_persam", "official_persam_f") for size in LARGE],
)
def test_an_object_of_any_size_gives_no_nan(recipe, marked):
    model = colour_model()
    inside = ~mask(at_xyxy=(63, 63, 63, 63)) if SIZES[marked] is None else mask(at_xyxy=SIZES[marked])
    scene = np.where(inside[..., None], np.uint8(RED), np.uint8(GREY))
    (found,) = model.segment(scene, model.learn(scene, inside, recipe=recipe))
    assert np.isfinite(numbers_of(found)).all()
    np.testing.assert_array_equal(found.mask, inside)


@pytest.mark.parametrize("recipe", ["persam", "persam_f"])
@pytest.mark.parametrize("side", [1, 3])
def test_a_speck_in_a_large_image_is_enough_for_our_recipes(sam, recipe, side):
    rgb = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    speck = mask(at_xyxy=(500, 600, 500 + side - 1, 600 + side - 1), hw=(700, 900))
    concept = sam.learn(rgb, speck, recipe=recipe)
    (found,) = sam.segment(rgb, concept)
    assert torch.isfinite(concept.feature).all()
    assert np.isfinite(numbers_of(found)).all()
    assert found.presence is not None


@pytest.mark.parametrize("recipe", ["official_persam", "official_persam_f"])
def test_a_speck_in_a_large_image_is_an_error_in_the_published_recipes_and_not_nan(sam, recipe):
    rgb, speck = np.zeros((700, 900, 3), np.uint8), mask(at_xyxy=(500, 600, 500, 600), hw=(700, 900))
    with pytest.raises(ConceptError, match="covers no patch by the published rule"):
        sam.learn(rgb, speck, recipe=recipe)


@pytest.fixture(scope="module")
def learned(sam):
    """The same object by every recipe."""
    rgb = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    marked = mask(at_xyxy=(20, 20, 90, 70), hw=(80, 120))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persam.method.scales.STEPS", 5)  # any weights will do
        return {recipe: sam.learn(rgb, marked, name=recipe, recipe=recipe) for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("hw", [(1, 1), (10, 20000), (20000, 10)])
def test_an_image_of_any_shape_gives_a_mask_of_its_shape(sam, learned, recipe, hw):
    rgb = np.random.default_rng(1).integers(0, 256, (*hw, 3), dtype=np.uint8)
    (found,) = sam.segment(rgb, learned[recipe])
    assert found.mask.shape == hw
    assert np.isfinite(numbers_of(found)).all()
    assert 0 <= found.score <= 1


@pytest.mark.slow
def test_an_image_of_any_shape_may_hold_several(sam, learned):
    for hw in ((1, 1), (10, 20000), (3, 2)):
        rgb = np.random.default_rng(1).integers(0, 256, (*hw, 3), dtype=np.uint8)
        (found,) = sam.segment(rgb, [learned["persam"], learned["persam_f"]], max_instances=3)
        assert {one.concept for one in found.segmentations} == {"persam", "persam_f"}
        claims = np.stack([one.mask & one.present for one in found.segmentations]).sum(0)
        assert claims.max() <= 1


@pytest.mark.parametrize("hw", [(2, 1), (10, 20000)])
def test_an_image_of_any_shape_will_do_for_a_reference(sam, hw):
    rgb = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    concept = sam.tune(sam.learn(rgb, mask(at_xyxy=(0, 0, hw[1] // 2, hw[0] // 2 - 1), hw=hw)))
    assert torch.isfinite(concept.feature).all()
    assert torch.isfinite(concept.scale_weights).all()
