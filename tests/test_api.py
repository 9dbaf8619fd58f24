"""The two calls that a user starts with: `persam.load` and `persam.segment`."""

import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import persam
from persam.errors import CalibrationError, ImageError, MaskError, PerSAMError, WeightsError
from persam.io.results import ImageResult
from persam.method.concept import Concept
from persam.method.prompts import Box
from persam.model import PerSAM
from tests.colour import BLUE, GREY, RED, colour_model, mask, photo

ELSEWHERE = (40, 5, 55, 30)
REPOSITORY = Path(__file__).parent.parent
EXAMPLES = REPOSITORY / "data" / "examples"


@pytest.fixture
def model() -> PerSAM:
    return colour_model()


# ---- segment


def test_one_bad_target_does_not_lose_the_others(model, tmp_path):
    targets = [photo(at_xyxy=ELSEWHERE), tmp_path / "none.jpg", photo(colour=BLUE)]
    with pytest.raises(ImageError, match="there is no such file"):
        persam.segment(photo(), mask(), targets, model=model)
    found = persam.segment(photo(), mask(), targets, model=model, on_error="skip")
    assert [(one.present, one.error is None) for one in found] == [(True, True), (False, False), (False, True)]


def test_one_line_does_it(model):
    found = persam.segment(photo(), mask(), [photo(at_xyxy=ELSEWHERE), photo(colour=BLUE)], model=model)
    assert isinstance(found, list)
    assert [one.present for one in found] == [True, False]
    assert found[0].box_xyxy == ELSEWHERE
    np.testing.assert_array_equal(found[0].mask, mask(at_xyxy=ELSEWHERE))


def test_a_single_image_and_a_generator_give_a_list_too(model):
    for targets in (photo(at_xyxy=ELSEWHERE), (one for one in [photo(at_xyxy=ELSEWHERE)]), iter([photo()])):
        found = persam.segment(photo(), mask(), targets, model=model)
        assert isinstance(found, list)
        assert [type(one) for one in found] == [ImageResult]


@pytest.mark.parametrize("marked", [Box(8, 18, 31, 41), "box:10,20,29,39", "points:15,25"])
def test_a_prompt_will_do_for_a_mask(model, marked):
    (found,) = persam.segment(photo(), marked, photo(at_xyxy=ELSEWHERE), model=model)
    assert found.box_xyxy == ELSEWHERE


def test_lists_are_several_references_of_one_object(model):
    (found,) = persam.segment([photo(), photo(colour=BLUE)], [mask(), mask()], photo(colour=BLUE), model=model)
    assert found.present


def test_recipe_and_number_of_instances_are_passed_on(model):
    scene = np.full((64, 64, 3), GREY, np.uint8)
    for place in ((4, 4, 23, 23), (40, 6, 53, 19)):
        scene[mask(at_xyxy=place)] = RED
    (found,) = persam.segment(photo(), mask(), scene, model=model, max_instances=5)
    assert [one.concept for one in found] == ["object", "object"]
    (found,) = persam.segment(photo(), mask(), photo(colour=BLUE), model=model, recipe="official_persam")
    assert (found.presence, found.present) == (None, True)
    with pytest.raises(PerSAMError, match="one instance an image"):
        persam.segment(photo(), mask(), scene, model=model, recipe="official_persam", max_instances=2)


@pytest.fixture
def album(tmp_path):
    """Three files: the object at the left, in the middle, at the right."""
    for number, left in enumerate((0, 20, 40), start=1):
        Image.fromarray(photo(at_xyxy=(left, 20, left + 19, 39))).save(tmp_path / f"photo{number}.png")
    return tmp_path


@pytest.mark.parametrize(
    "targets",
    [
        lambda folder: folder,
        lambda folder: str(folder),
        lambda folder: f"{folder}/*.png",
        lambda folder: sorted(folder.iterdir()),
        lambda folder: [folder / "photo1.png", f"{folder}/photo[23].png"],
    ],
    ids=["folder", "text", "glob", "list", "mixed list"],
)
def test_an_album_is_a_folder_a_pattern_or_a_list(model, album, targets):
    found = persam.segment(photo(), mask(), targets(album), model=model)
    assert [(one.name, one.box_xyxy[0]) for one in found] == [("photo1", 0), ("photo2", 20), ("photo3", 40)]
    assert [one.source for one in found] == sorted(album.iterdir())


# ---- one image after the other


def test_images_are_drawn_one_at_a_time(model):
    drawn = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            drawn.append(1)
            yield photo(at_xyxy=ELSEWHERE)

    found = model.segment(endless(), model.learn(photo(), mask()))
    assert len(drawn) == 0
    for number in (1, 2, 3):
        assert next(found).box_xyxy == ELSEWHERE
        assert len(drawn) == number


def test_an_image_is_forgotten_with_its_result(model):
    alive = []

    class Photo(np.ndarray):
        """An array that can be watched."""

    def some() -> Iterator[np.ndarray]:
        for _ in range(4):
            rgb = photo(at_xyxy=ELSEWHERE).view(Photo)
            alive.append(weakref.ref(rgb))
            yield rgb
            del rgb

    for result in model.segment(some(), model.learn(photo(), mask())):
        del result
        assert sum(reference() is not None for reference in alive) <= 1
    assert len(alive) == 4


def test_a_bad_image_comes_after_the_results_before_it(model, album):
    (album / "photo2.png").write_text("no photo")
    found = model.segment(album, model.learn(photo(), mask()))
    assert next(found).name == "photo1"
    with pytest.raises(ImageError, match=r"photo2.png"):
        next(found)


# ---- load


def test_nano_is_the_default_and_comes_with_its_calibration(nano):
    model = persam.load(device="cpu")
    assert model.backbone.name == "nano"
    assert model.backbone.fingerprint == nano.backbone.fingerprint
    assert model.calibration == nano.calibration
    assert (model.recipe, model.threshold) == (persam.RECIPES["persam"], 0.5)


def test_a_model_is_loaded_by_its_name_with_the_choices_given(nano, tmp_path):
    own = replace(nano.calibration, slope=3.0)
    file = own.save(tmp_path / "own.json")
    for given in (own, file, str(file)):
        model = persam.load("nano", device="cpu", recipe="persam_f", calibration=given, threshold=0.8)
        assert (model.calibration, model.recipe, model.threshold) == (own, persam.RECIPES["persam_f"], 0.8)


@pytest.mark.parametrize(
    ("choices", "kind", "message"),
    [
        ({"model": "nanno"}, WeightsError, "Did you mean 'nano'"),
        ({"recipe": "perfect"}, PerSAMError, "no recipe named 'perfect'"),
        ({"threshold": 2.0}, PerSAMError, "threshold must lie between 0 and 1"),
        ({"device": "gpu"}, PerSAMError, "no device is called 'gpu'"),
        ({"calibration": "none.json"}, CalibrationError, "there is no calibration file none.json"),
    ],
)
def test_what_cannot_be_loaded_says_why(choices, kind, message):
    with pytest.raises(kind, match=message):
        persam.load(**({"device": "cpu"} | choices))


def test_a_calibration_of_other_weights_is_refused(nano):
    other = replace(nano.calibration, fingerprint="0123456789abcdef")
    with pytest.raises(
        CalibrationError, match=r"of weights 0123456789abcdef, and nano has .*eval calibrate --model nano"
    ):
        persam.load("nano", device="cpu", calibration=other)


UNCHANGED = """
import os, signal, sys, warnings
import cv2, numpy, torch
from PIL import Image, ImageFile

Image.MAX_IMAGE_PIXELS = 12345


def state():
    return {
        "pixels": Image.MAX_IMAGE_PIXELS,
        "truncated": ImageFile.LOAD_TRUNCATED_IMAGES,
        "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        "torch": (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "errors": numpy.geterr(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "torchvision": [name for name in sys.modules if name.startswith("torchvision")],
        "exceptions": sys.excepthook,
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
    }


import persam
from persam import api  # what it imports is not what it does

before = state()
model = persam.load("nano", device="cpu")
changed = [name for name, value in state().items() if value != before[name]]
assert not changed, changed
"""


@pytest.mark.slow
def test_loading_a_model_changes_nothing_for_the_process():
    command = [sys.executable, "-c", UNCHANGED]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- the bundled model


@pytest.mark.slow
def test_the_cat_is_found_again_and_a_photo_without_it_refused(nano, tmp_path):
    photos = EXAMPLES / "photos"
    concept = nano.learn(photos / "chelsea.jpg", EXAMPLES / "masks" / "cat.png", name="cat")
    loaded = Concept.load(concept.save(tmp_path / "cat.safetensors"))
    assert loaded == concept
    garden, coffee = nano.segment([photos / "garden.jpg", photos / "coffee.jpg"], loaded)
    with Image.open(EXAMPLES / "truth" / "garden_cat.png") as file:
        truth = np.array(file) > 0
    assert garden.present
    assert (garden.mask & truth).sum() / (garden.mask | truth).sum() > 0.8
    assert not coffee.present
    assert coffee["cat"].presence < 0.5


def test_a_mask_that_cannot_be_used_names_its_photo(model, album):
    with pytest.raises(MaskError, match=r"the mask is 32x32 but .*photo1\.png is 64x64"):
        persam.segment(album / "photo1.png", mask(hw=(32, 32)), photo(), model=model)
