"""The official recipes compute what the authors' code computes (tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from persam.geometry import official_cells
from persam.io import images as io
from persam.method.concept import target_cells
from persam.method.location import confidence_map, locate
from persam.method.recipes import OFFICIAL_PERSAM, OFFICIAL_PERSAM_F
from persam.method.refine import first_decode, mask_logits, refine
from persam.method.scales import dice_focal
from persam.model import PerSAM
from persam.sam.backbone import SamBackbone
from tests.golden.fill import image, mask
from tests.networks import sam

TOLERANCE = 1e-3  # another BLAS moves logits by about 1e-4


class Recorded:
    """One golden file, its network, and the reference already learned."""

    def __init__(self, number: int):
        self.numbers = np.load(Path(__file__).parents[1] / "golden" / f"official_{number}.npz")
        network = sam(int(self.numbers["weight_seed"]))
        self.model = PerSAM(SamBackbone(network, name="golden", fingerprint=f"golden-{number}"))
        self.reference = tuple(int(v) for v in self.numbers["reference"])
        self.targets = [tuple(int(v) for v in row) for row in self.numbers["targets"]]
        self.photos = [image(*target) for target in self.targets]
        self.embeddings = [self.model.embed(photo) for photo in self.photos]
        self.concepts = {
            recipe.name: self.model.learn(image(*self.reference), mask(*self.reference), recipe=recipe)
            for recipe in (OFFICIAL_PERSAM, OFFICIAL_PERSAM_F)
        }

    def steps(self, recipe, target: int):
        concept, embedding = self.concepts[recipe.name], self.embeddings[target]
        prior = locate(concept, embedding)
        backbone = self.model.backbone
        first = first_decode(backbone, embedding, prior, concept)
        return refine(backbone, embedding, prior, first, recipe)


@pytest.fixture(scope="module", params=[1, 2])
def recorded(request):
    return Recorded(request.param)


def close(actual, expected, tolerance=TOLERANCE):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=tolerance)


def test_reference_cells_and_features(recorded):
    numbers = recorded.numbers
    concept = recorded.concepts["official_persam"]
    (reference,) = concept.references
    frame = reference.embedding.frame
    np.testing.assert_array_equal(official_cells(reference.mask, frame, 128), numbers["persam/cells"])
    np.testing.assert_array_equal(target_cells(reference, OFFICIAL_PERSAM), numbers["persam/cells"])
    close(concept.feature, numbers["persam/target_feature"][0], 1e-5)
    close(concept.semantic, numbers["persam/target_embedding"][0, 0])
    close(recorded.concepts["official_persam_f"].feature, numbers["persam_f/target_feature"][0], 1e-5)


@pytest.mark.parametrize("target", [0, 1])
def test_location_and_guidance(recorded, target):
    numbers, concept = recorded.numbers, recorded.concepts["official_persam"]
    embedding = recorded.embeddings[target]
    prior = locate(concept, embedding)
    close(confidence_map(concept.feature, embedding), numbers[f"persam/{target}/similarity"], 1e-5)
    np.testing.assert_array_equal(prior.points_xy, numbers[f"persam/{target}/points_xy"])
    assert prior.labels.tolist() == [1, 0]
    close(prior.attention, numbers[f"persam/{target}/attn"], 1e-4)


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("recipe", [OFFICIAL_PERSAM, OFFICIAL_PERSAM_F], ids=["persam", "persam_f"])
def test_every_decode_of_the_cascade(recorded, recipe, target):
    key = f"{recipe.name.removeprefix('official_')}/{target}"
    numbers = recorded.numbers
    prior, (first, second, third) = recorded.steps(recipe, target)
    np.testing.assert_array_equal(prior.points_xy, numbers[f"{key}/points_xy"])
    close(first.logits[::4, ::4], numbers[f"{key}/logits1"].squeeze())
    if recipe is OFFICIAL_PERSAM:
        close(first.predicted_iou, numbers[f"{key}/score1"][0])
        assert second.box_xyxy is None
    else:
        assert second.box_xyxy == tuple(numbers[f"{key}/box1"])
    assert third.box_xyxy == tuple(numbers[f"{key}/box2"])
    for number, step in ((2, second), (3, third)):
        best = int(numbers[f"{key}/best{number}"])
        assert step.best == best
        close(step.logits[::4, ::4], numbers[f"{key}/logits{number}"][best])
        close(step.predicted_iou, numbers[f"{key}/score{number}"][best])
    found = (mask_logits(third.logits, recorded.embeddings[target].frame) > 0).numpy()
    expected = np.unpackbits(numbers[f"{key}/mask"])[: found.size].reshape(found.shape) > 0
    assert (found & expected).sum() / (found | expected).sum() >= 0.999


def test_scale_weights_and_their_losses(recorded):
    numbers, concept = recorded.numbers, recorded.concepts["official_persam_f"]
    close(concept.scale_weights, numbers["persam_f/weights"], 2e-3)
    (reference,) = concept.references
    prior = locate(concept, reference.embedding)
    np.testing.assert_array_equal(prior.points_xy, numbers["persam_f/ref_point_xy"])
    first = first_decode(recorded.model.backbone, reference.embedding, prior, concept)
    logits = mask_logits(first.logits, reference.embedding.frame)
    loss = dice_focal(logits.flatten(), torch.from_numpy(reference.mask).float().flatten())
    assert float(loss) == pytest.approx(numbers["persam_f/last_loss"].sum(), abs=2e-3)


def test_the_public_call_gives_the_same_mask(recorded):
    found = next(recorded.model.segment(recorded.photos[0], recorded.concepts["official_persam"]))
    assert abs(int(found.mask.sum()) - int(recorded.numbers["persam/0/area"])) <= 0.001 * found.mask.sum() + 5


def test_a_mask_file_of_any_grey_level_means_the_same(recorded):
    reference = recorded.concepts["official_persam"].references[0]
    height, width = reference.mask.shape
    for grey in (1, 128, 255):
        assert (io.read_mask((reference.mask * grey).astype(np.uint8), (height, width)) == reference.mask).all()
