"""Models, concepts and results as objects: in other processes, compared, after chdir, under a program's settings."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import persam
from persam.errors import ImageError, MaskError
from persam.io.results import ImageResult
from persam.method.prompts import Box, Points, Polygon, Scribble
from tests.colour import BLUE, colour_model, mask, photo
from tests.io.made import image, segmentation
from tests.networks import small_backbone

ROOT = Path(__file__).parent.parent


@pytest.fixture
def found() -> ImageResult:
    model = colour_model()
    return next(model.segment(photo(at_xyxy=(40, 5, 55, 30)), model.learn(photo(), mask(), name="red")))


# ---- other processes


def search(work: tuple) -> ImageResult:
    model, concept, target = work
    return next(model.segment(target, concept))


class Photos(torch.utils.data.Dataset):
    """A data set that searches its photos in whatever process asks for them."""

    def __init__(self, model, concept, photos) -> None:
        self.model, self.concept, self.photos = model, concept, photos

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(search((self.model, self.concept, self.photos[index])).mask)


@pytest.mark.slow
def test_a_model_works_in_a_spawned_pool_and_in_the_workers_of_a_loader(nano, tmp_path):
    concept = nano.learn(photo(), mask(), name="red", recipe="official_persam")
    Image.fromarray(photo(at_xyxy=(40, 5, 55, 30))).save(tmp_path / "a.png")
    expected = search((nano, concept, tmp_path / "a.png"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (result,) = pool.map_async(search, [(nano, concept, tmp_path / "a.png")]).get(timeout=120)
    assert result == expected
    assert result.overlay().shape == (64, 64, 3)
    data = Photos(nano, concept, [tmp_path / "a.png"])
    loader = torch.utils.data.DataLoader(data, num_workers=1, multiprocessing_context="spawn", timeout=120)
    (batch,) = loader
    assert torch.equal(batch[0], torch.from_numpy(expected.mask))


@pytest.mark.slow
def test_a_pickle_is_opened_by_a_program_that_has_imported_nothing(tmp_path):
    small = persam.PerSAM(small_backbone())
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(small))
    program = "import pickle, sys; model = pickle.load(open(sys.argv[1], 'rb')); print(model.backbone.fingerprint)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model.pickle")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("small-3\n", 0), done.stderr


def test_copies_answer_the_same():
    backbone = small_backbone()
    for again in (pickle.loads(pickle.dumps(backbone)), copy.deepcopy(backbone)):
        assert (again.name, again.fingerprint, again.stride) == (backbone.name, backbone.fingerprint, backbone.stride)
        assert again.model is not backbone.model
        assert torch.equal(again.encode([photo()]).features, backbone.encode([photo()]).features)


def test_results_and_concepts_travel(found):
    model = colour_model()
    red = model.learn(photo(), mask(), name="red")
    assert pickle.loads(pickle.dumps(red)) == red
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    np.testing.assert_array_equal(again.read(), found.read())
    lost = ImageResult.of_error("lost", ImageError("there is no such file"))
    assert pickle.loads(pickle.dumps(lost)) == lost
    (frame,) = persam.track([photo()], mask(), model=model)
    assert pickle.loads(pickle.dumps(frame)) == frame


# ---- compared


def test_results_are_equal_when_they_say_the_same(found):
    model = colour_model()
    red = model.learn(photo(), mask(), name="red")
    same, other = model.segment([photo(at_xyxy=(40, 5, 55, 30)), photo()], red)
    assert same == found
    assert hash(same) == hash(found)
    assert same.best == found.best
    assert same != other
    assert same.best != other.best
    assert found in [other, same]
    assert {found, same, other} == {found, other}
    assert found != "park"
    assert found.best is not None
    changed = found.best.mask.copy()
    changed[0, 0] = True
    assert replace(found.best, mask=changed) != found.best


def test_a_name_is_in_a_result_when_it_is_present():
    here, away = segmentation(np.eye(3, dtype=bool), "rex"), segmentation(np.eye(3, dtype=bool), "tom", present=False)
    result = image("park", here, away)
    assert "rex" in result
    assert "tom" not in result
    assert "max" not in result
    assert here in result
    assert away not in result
    assert 7 not in result


def test_concepts_are_equal_and_found_in_lists_and_sets():
    model = colour_model()
    red, again, blue = (
        model.learn(photo(colour=colour), mask(), name="x") for colour in (photo()[25, 15], photo()[25, 15], BLUE)
    )
    assert (red == again, red == blue, red == None, red == "x") == (True, False, False, False)  # noqa: E711
    assert blue in [red, blue]
    assert red not in [blue]
    assert len({red, again, blue}) == 2
    assert red.references[0] != again.references[0]  # no error: by identity, as they are photos
    assert red.references[0] in red.references


# ---- after chdir, and when the photo is another


def test_an_overlay_is_drawn_from_another_folder_and_not_over_another_photo(tmp_path, monkeypatch):
    model = colour_model()
    monkeypatch.chdir(tmp_path)
    Path("album").mkdir()
    Image.fromarray(photo()).save("album/a.png")
    (result,) = model.segment("album/a.png", model.learn(photo(), mask()))
    before = result.overlay()
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    np.testing.assert_array_equal(result.overlay(), before)
    assert result.source == Path("album/a.png")  # as it was given
    os.utime(tmp_path / "album/a.png", (1, 1))
    np.testing.assert_array_equal(result.overlay(), before)
    for other in (photo(colour=BLUE), photo(hw=(48, 64))):
        Image.fromarray(other).save(tmp_path / "album/a.png")
        with pytest.raises(ImageError, match=r"album/a\.png has changed since it was searched, .* Search it again"):
            result.overlay()
    (tmp_path / "album/a.png").unlink()
    with pytest.raises(ImageError, match="there is no such file"):
        result.cutout()


# ---- under what a program has set for torch


def under_autocast() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


class Float64:
    """For as long as it is entered, new tensors are float64."""

    def __enter__(self) -> None:
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *_: object) -> None:
        torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("quick_fit")
@pytest.mark.parametrize("setting", [under_autocast, Float64])
def test_what_a_program_has_set_for_torch_changes_nothing(setting):
    backbone = small_backbone()
    model, scene = persam.PerSAM(backbone, recipe="official_persam"), photo(at_xyxy=(40, 5, 55, 30))
    scene = np.kron(scene, np.ones((4, 4, 1), np.uint8))
    marked = np.kron(mask(), np.ones((4, 4), bool))
    plain = next(model.segment(scene, model.learn(scene, marked)))
    tracked = list(persam.track([scene, scene], marked, model=model, recipe="official_persam_video"))
    with setting():
        dtype, casts = torch.get_default_dtype(), torch.is_autocast_enabled("cpu")
        assert next(model.segment(scene, model.learn(scene, marked))) == plain
        assert next(model.segment(scene, model.learn_each(scene, [marked], names=["object"]))) == plain
        assert list(persam.track([scene, scene], marked, model=model, recipe="official_persam_video")) == tracked
        assert torch.get_default_dtype() == dtype
        assert torch.is_autocast_enabled("cpu") == casts


@pytest.mark.slow
@pytest.mark.parametrize("setting", [under_autocast, Float64])
def test_nano_is_loaded_learns_and_finds_under_them(nano, setting):
    expected = next(nano.segment(photo(at_xyxy=(40, 5, 55, 30)), nano.learn(photo(), mask())))
    with setting():
        model = persam.load("nano", device="cpu")
        assert next(model.segment(photo(at_xyxy=(40, 5, 55, 30)), model.learn(photo(), mask()))) == expected


# ---- prompts from arrays


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: Points(np.array([[1, 2], [3, 4]])), Points(((1, 2), (3, 4)))),
        (lambda: Points(np.array([[1.5, 2]], np.float32), np.array([[9, 9]])), Points(((1.5, 2.0),), ((9, 9),))),
        (lambda: Points(torch.tensor([[1.0, 2.0]])), Points(((1.0, 2.0),))),
        (lambda: Points([[1, 2]], []), Points(((1, 2),))),
        (lambda: Points((15, 25)), Points(((15, 25),))),
        (lambda: Scribble(np.array([[1, 2], [3, 4]])), Scribble(((1, 2), (3, 4)))),
        (lambda: Polygon(np.array([[1, 2], [3, 4], [5, 9]])), Polygon(((1, 2), (3, 4), (5, 9)))),
        (lambda: Box(*np.array([1, 2, 3, 4], np.float32)), Box(1, 2, 3, 4)),
    ],
)
def test_places_may_be_arrays(made, expected):
    assert made() == expected
    assert hash(made()) == hash(expected)


@pytest.mark.parametrize(
    ("places", "says"),
    [
        (np.zeros((2, 3)), r"inside_xy is an array of float64 and shape \(2, 3\)"),
        ([[1, 2], [3]], "inside_xy is"),
        ("15,25", "inside_xy is"),
        (None, "inside_xy is"),
        (np.zeros((1, 2, 2)), r"inside_xy is an array of float64 and shape \(1, 2, 2\)"),
    ],
)
def test_places_that_are_none(places, says):
    with pytest.raises(
        MaskError, match=rf"Points takes places as pairs x, y, such as \(\(10, 20\), \(30, 40\)\); {says}"
    ):
        Points(places)


def test_an_array_of_places_marks_the_object():
    model = colour_model()
    red = model.learn(photo(), Points(np.array([[15, 25]])))
    assert next(model.segment(photo(), red)).box_xyxy == (10, 20, 29, 39)
