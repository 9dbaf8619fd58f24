"""PerSAM learns an object from one photo and finds it in others, in whatever form they come and however small it is."""

import weakref
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import persam
from persam.errors import ConceptError, ImageError, MaskError, PerSAMError
from persam.method.calibration import CALIBRATIONS, Calibration
from persam.method.concept import Concept
from persam.method.prompts import Box
from persam.method.recipes import PERSAM, RECIPES
from persam.model import PerSAM
from tests.colour import BLUE, GREEN, GREY, RED, ColourBackbone, mask, photo
from tests.networks import small_backbone

ELSEWHERE = (40, 5, 55, 30)


@pytest.fixture
def model() -> PerSAM:
    return PerSAM(ColourBackbone())


@pytest.fixture
def red(model) -> Concept:
    return model.learn(photo(), mask(), name="red")


@pytest.fixture(scope="module")
def sam() -> PerSAM:
    """SAM's own shape with random weights: what it finds means nothing, but it must find it without NaN."""
    return PerSAM(small_backbone())


# ---- one object


def test_the_object_is_found_where_it_is_and_not_where_it_was(model, red):
    scene = photo(at_xyxy=ELSEWHERE)
    scene[40:60, 5:25] = GREEN
    (found,) = model.segment(scene, red)
    np.testing.assert_array_equal(found.mask, mask(at_xyxy=ELSEWHERE))
    assert found.box_xyxy == ELSEWHERE
    assert found.score == pytest.approx(0.9)
    assert found.present
    assert found.concept == "red"
    x, y = found.points_xy[0]
    assert 40 <= x <= 55
    assert 5 <= y <= 30
    assert found.labels.tolist() == [1, 0, 1]  # the likeliest, the unlikeliest, a point for its one part
    assert found.similarity.shape == (64, 64)
    assert found.similarity[5:31, 40:56] == pytest.approx(1)
    np.testing.assert_array_equal(found.read(), scene)


@pytest.mark.parametrize("scale", [1, 3])
def test_the_mask_has_the_photos_own_size(model, red, scale):
    scene = np.kron(photo(at_xyxy=ELSEWHERE), np.ones((scale, scale, 1), np.uint8))
    (found,) = model.segment(scene, red)
    assert found.mask.shape == (64 * scale, 64 * scale)
    expected = np.kron(mask(at_xyxy=ELSEWHERE), np.ones((scale, scale), bool))
    assert (found.mask & expected).sum() / (found.mask | expected).sum() > 0.99


def test_a_wide_photo_gives_a_map_without_its_padding(model, red):
    (found,) = model.segment(photo(hw=(32, 64), at_xyxy=(40, 5, 55, 25)), red)
    assert found.similarity.shape == (32, 64)
    assert found.box_xyxy == (40, 5, 55, 25)


def test_one_line_does_it(model):
    found = persam.segment(photo(), mask(), [photo(at_xyxy=ELSEWHERE)], model=model)
    assert [result.box_xyxy for result in found] == [ELSEWHERE]


def test_a_box_will_do_for_a_mask(model):
    for hint in (Box(8, 18, 31, 41), "box:10,20,29,39"):
        found = persam.segment(photo(), hint, photo(at_xyxy=ELSEWHERE), model=model)
        assert found[0].box_xyxy == ELSEWHERE


def test_two_photos_teach_one_concept(model):
    masks = [mask(), mask(at_xyxy=ELSEWHERE)]
    concept = model.learn([photo(), photo(at_xyxy=ELSEWHERE)], masks)
    assert len(concept.references) == 2
    (found,) = model.segment(photo(at_xyxy=(0, 0, 7, 7)), concept)
    assert found.box_xyxy == (0, 0, 7, 7)


RED_AT, BLUE_AT = (10, 20, 29, 39), (40, 6, 53, 19)  # a close-up of either has its cells at their edges


def two_things() -> np.ndarray:
    scene = photo(at_xyxy=RED_AT)
    scene[BLUE_AT[1] : BLUE_AT[3] + 1, BLUE_AT[0] : BLUE_AT[2] + 1] = BLUE
    return scene


@pytest.mark.parametrize("form", ["list", "array", "palette file", "grey file", "tensor"])
def test_several_objects_of_one_reference_are_learned_from_one_encoding(model, tmp_path, monkeypatch, form):
    labels = mask(at_xyxy=BLUE_AT).astype(np.uint8) * 2 + mask(at_xyxy=RED_AT).astype(np.uint8) * 5
    labels[0] = 255  # undecided
    if form == "palette file":
        file = Image.fromarray(labels)
        file.putpalette([i % 7 for i in range(768)])
        file.save(tmp_path / "labels.png")
    elif form == "grey file":
        Image.fromarray(labels).save(tmp_path / "labels.png")
    masks = {
        "list": [mask(at_xyxy=BLUE_AT), "box:10,20,29,39"],
        "array": labels.astype(np.int64),
        "tensor": torch.from_numpy(labels),
    }.get(form, tmp_path / "labels.png")
    calls = times_encoded(model, two_things(), monkeypatch)
    blue, red = model.learn_each(two_things(), masks)
    assert len(calls) == 1
    assert (blue.name, red.name) == (("object 1", "object 2") if form == "list" else ("object 2", "object 5"))
    for concept, place in ((blue, BLUE_AT), (red, RED_AT)):
        (found,) = model.segment(two_things(), concept)
        assert found.box_xyxy == place
    named = model.learn_each(two_things(), masks, names=["blue", "red"], recipe="persam_f")
    assert [(one.name, one.recipe.name) for one in named] == [("blue", "persam_f"), ("red", "persam_f")]


@pytest.mark.parametrize(
    ("masks", "names", "message"),
    [
        ([], None, "0 objects came with 0 names"),
        ([mask()], ["a", "b"], "1 objects came with 2 names"),
        (np.zeros((64, 64), np.uint8), None, "holds no label but 0"),
        (np.full((64, 64), 255, np.uint8), None, "holds no label but 0"),
        (np.ones((60, 64), np.uint8), None, "is 64x60 but the photo is 64x64"),
        (np.ones((64, 64, 3), np.uint8), None, "3 channels of uint8. Pass one integer a pixel"),
        (np.ones((64, 64), np.float32), None, "1 channels of float32. Pass one integer a pixel"),
        (np.arange(4096, dtype=np.int64).reshape(64, 64), None, "holds 4094 values, 1 to 4095: more like a photo"),
        (np.full((64, 64), -1), None, "holds 1 values, -1 to -1"),
        ("nowhere.png", None, "cannot read the map of labels nowhere.png: there is no such file"),
    ],
)
def test_what_is_no_map_of_objects_is_refused(model, masks, names, message):
    with pytest.raises(MaskError, match=message):
        model.learn_each(photo(), masks, names=names)


def test_k_shot_is_lists_of_photos_and_masks_in_their_order(model):
    photos = [photo(), photo(at_xyxy=ELSEWHERE), photo(at_xyxy=(0, 0, 7, 7), hw=(48, 64))]
    masks = [mask(), "box:38,3,57,32", mask(at_xyxy=(0, 0, 7, 7), hw=(48, 64))]
    concept = model.learn(photos, masks)
    truths = [mask(), mask(at_xyxy=ELSEWHERE), mask(at_xyxy=(0, 0, 7, 7), hw=(48, 64))]
    for reference, truth in zip(concept.references, truths, strict=True):
        np.testing.assert_array_equal(reference.mask, truth)
    assert len(model.learn((photo(), photo()), (mask(), mask())).references) == 2
    assert len(model.learn(photo(), mask()).references) == 1


def test_every_shot_counts(model):
    half = model.learn([photo(), photo(colour=BLUE)], [mask(), mask()])
    for colour in (RED, BLUE):
        one = model.learn(photo(colour=colour), mask())
        assert torch.cosine_similarity(half.feature, one.feature, dim=0) > 0.5


# ---- several things in one photo


@pytest.fixture
def calibrated(monkeypatch) -> None:
    """The stand-in refuses what has not the object's colour."""
    monkeypatch.setitem(CALIBRATIONS, "colour", Calibration(threshold=0.8, spread=0.05))


SQUARES = [(4, 4, 23, 23), (40, 6, 53, 19), (20, 40, 31, 51)]


def squares(colour=RED) -> np.ndarray:
    scene = photo(at_xyxy=SQUARES[0], colour=colour)
    for x0, y0, x1, y1 in SQUARES[1:]:
        scene[y0 : y1 + 1, x0 : x1 + 1] = colour
    return scene


def times_encoded(model, scene, monkeypatch) -> list[int]:
    """Counts, from now on, how often the whole scene is encoded: a close-up is another photo."""
    calls, encode = [], model.backbone.encode

    def counted(rgb, **how):
        if rgb.shape == scene.shape and not how:
            calls.append(1)
        return encode(rgb, **how)

    monkeypatch.setattr(model.backbone, "encode", counted)
    return calls


@pytest.mark.usefixtures("calibrated")
@pytest.mark.parametrize(
    ("places", "alike", "kept"),
    [
        (3, [0.9], 0),  # recognised at once
        (3, [0.1, 0.9], 1),
        (3, [0.2, 0.5, 0.1], None),  # nowhere
        (1, [0.2], None),
    ],
)
def test_an_instance_is_looked_for_elsewhere_until_one_is_recognised(model, red, monkeypatch, places, alike, kept):
    order = [one.box_xyxy for one in next(model.segment_instances(squares(), red))]
    red = replace(red, recipe=replace(PERSAM, places=places))
    values = iter(alike)
    monkeypatch.setattr("persam.model.resemblance", lambda known, found: next(values))
    (found,) = model.segment_instances(squares(), red, limit=1)
    assert next(values, None) is None  # asked so often and no oftener
    assert [one.box_xyxy for one in found] == ([] if kept is None else [order[kept]])


@pytest.mark.usefixtures("calibrated")
def test_a_place_that_was_refused_is_not_asked_for_again(model, red, monkeypatch):
    order = [one.box_xyxy for one in next(model.segment_instances(squares(), red))]
    values = iter([0.9, 0.1, 0.9, 0.9, 0.9])
    monkeypatch.setattr("persam.model.resemblance", lambda known, found: next(values))
    (found,) = model.segment_instances(squares(), red)
    assert [one.box_xyxy for one in found] == [order[0], order[2]]


@pytest.mark.usefixtures("calibrated")
def test_one_thing_is_looked_for_at_one_place(model, red, monkeypatch):
    values = iter([0.2])
    monkeypatch.setattr("persam.model.resemblance", lambda known, found: next(values))
    (found,) = model.segment(squares(), red)
    assert not found.present
    assert found.presence == pytest.approx(CALIBRATIONS["colour"].presence(0.2))


@pytest.mark.usefixtures("calibrated")
def test_every_instance_is_found_with_a_mask_of_its_own(model, red, monkeypatch):
    calls = times_encoded(model, squares(), monkeypatch)
    (found,) = model.segment_instances(squares(), red)
    assert len(calls) == 1
    assert sorted(one.box_xyxy for one in found) == sorted(SQUARES)
    for one in found:
        np.testing.assert_array_equal(one.mask, mask(at_xyxy=one.box_xyxy))
        assert one.present
        x, y = one.points_xy[0].round().astype(int)
        assert one.mask[y, x]


@pytest.mark.usefixtures("calibrated")
def test_the_instance_most_like_the_reference_comes_first(model, red):
    scene = squares(colour=(200, 60, 60))
    x0, y0, x1, y1 = SQUARES[2]
    scene[y0 : y1 + 1, x0 : x1 + 1] = RED
    (found,) = model.segment_instances(scene, red)
    assert found[0].box_xyxy == SQUARES[2]


@pytest.mark.usefixtures("calibrated")
@pytest.mark.parametrize("limit", [1, 2])
def test_no_more_instances_than_asked_for(model, red, limit):
    (found,) = model.segment_instances(squares(), red, limit=limit)
    assert len(found) == limit


@pytest.mark.usefixtures("calibrated")
def test_a_photo_without_the_object_has_no_instance(model, red):
    none, three = model.segment_instances([photo(colour=BLUE), squares()], red)
    assert none == ()
    assert len(three) == 3


@pytest.fixture
def two(model, red) -> list[Concept]:
    return [red, model.learn(photo(colour=BLUE), mask(), name="blue")]


@pytest.mark.usefixtures("calibrated")
def test_several_concepts_are_found_in_one_pass(model, two, monkeypatch):
    scene = squares()
    scene[6:20, 40:54] = BLUE
    scene[40:52, 20:32] = GREY
    calls = times_encoded(model, scene, monkeypatch)
    ((first, second),) = model.segment_together(scene, two)
    assert len(calls) == 1
    assert (first.concept, first.box_xyxy) == ("red", SQUARES[0])
    assert (second.concept, second.box_xyxy) == ("blue", SQUARES[1])


@pytest.mark.usefixtures("calibrated")
def test_a_pixel_belongs_to_one_concept(model, red):
    same = [red, replace(red, name="again")]
    for first, second in model.segment_together([photo(at_xyxy=ELSEWHERE), photo()], same):
        assert not (first.mask & second.mask).any()
        np.testing.assert_array_equal(first.mask, first.mask | second.mask)  # of equally sure ones, the first
        assert not second.present
        assert second.box_xyxy is None


@pytest.mark.usefixtures("calibrated")
def test_a_concept_that_is_not_here_owns_no_pixel(model, two):
    for order in (two, two[::-1]):
        (results,) = model.segment_together(photo(at_xyxy=ELSEWHERE), order)
        found = {result.concept: result for result in results}
        np.testing.assert_array_equal(found["red"].mask, mask(at_xyxy=ELSEWHERE))
        assert not found["blue"].present
        assert not found["blue"].mask.any()


# ---- albums


@pytest.fixture
def album(tmp_path):
    """Three files: the object at the left, in the middle, at the right."""
    for number, left in enumerate((0, 20, 40), start=1):
        Image.fromarray(photo(at_xyxy=(left, 20, left + 19, 39))).save(tmp_path / f"photo{number}.png")
    return tmp_path


LEFTS = [("photo1", 0), ("photo2", 20), ("photo3", 40)]


def lefts(found) -> list[tuple[str, int]]:
    return [(result.name, result.box_xyxy[0]) for result in found]


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
    assert lefts(found) == LEFTS
    assert [result.source for result in found] == sorted(album.iterdir())


@pytest.mark.parametrize(("zoom", "refuses", "times"), [(False, False, 1), (False, True, 2), (True, True, 3)])
def test_each_photo_is_encoded_once_and_what_was_found_once_closer_for_each_use(album, zoom, refuses, times):
    model = PerSAM(ColourBackbone(), recipe=replace(PERSAM, zoom=zoom, refuses=refuses))
    red = model.learn(photo(), mask())
    before = model.backbone.encoded
    assert len(list(model.segment(album, red))) == 3
    assert model.backbone.encoded == before + 3 * times


@pytest.mark.parametrize(("recipe", "times"), [("persam", 2), ("official_persam", 1), ("official_persam_f", 1)])
def test_a_reference_is_looked_at_closely_only_where_the_recipe_asks_who_it_is(tmp_path, recipe, times):
    model = PerSAM(ColourBackbone(), recipe=recipe)
    concept = model.learn(photo(), mask())
    assert model.backbone.encoded == times
    assert (len(concept.portrait.features) > 0) is (times == 2)
    again = Concept.load(concept.save(tmp_path / "red.safetensors"))
    assert again.portrait.features.shape == concept.portrait.features.shape
    (found,) = model.segment(photo(at_xyxy=ELSEWHERE), again)
    assert found.present


def test_a_recipe_that_does_not_refuse_does_not_judge(album):
    model = PerSAM(ColourBackbone(), recipe=replace(PERSAM, refuses=False), threshold=1.0)
    red = model.learn(photo(), mask())
    assert [(found.presence, found.present) for found in model.segment(album, red)] == [(1.0, True)] * 3


def test_a_generator_is_drawn_from_one_photo_at_a_time(model):
    drawn = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            drawn.append(1)
            yield photo(at_xyxy=ELSEWHERE)

    found = persam.segment(photo(), mask(), endless(), model=model)
    assert len(drawn) == 0
    for number in (1, 2, 3):
        assert next(found).box_xyxy == ELSEWHERE
        assert len(drawn) == number


def test_a_photo_of_a_generator_is_forgotten_with_its_result(model):
    alive = []

    class Photo(np.ndarray):
        """An array that can be watched."""

    def some() -> Iterator[np.ndarray]:
        for _ in range(4):
            rgb = photo(at_xyxy=ELSEWHERE).view(Photo)
            alive.append(weakref.ref(rgb))
            yield rgb
            del rgb

    for result in persam.segment(photo(), mask(), some(), model=model):
        del result
        assert sum(reference() is not None for reference in alive) <= 1


def test_a_bad_photo_comes_after_the_results_before_it(model, red, album):
    (album / "photo2.png").write_text("no photo")
    found = model.segment(album, red)
    assert next(found).name == "photo1"
    with pytest.raises(ImageError, match=r"photo2.png"):
        next(found)


@pytest.fixture
def quick_fit(monkeypatch):
    """PerSAM-F's thousand steps cut to sixty larger ones; tests/test_scales.py holds the real fit."""
    monkeypatch.setattr("persam.method.scales.STEPS", 60)
    monkeypatch.setattr("persam.method.scales.LEARNING_RATE", 1e-2)


# ---- objects as small, thin or large as they come


LARGE = {"all but a row": (0, 0, 63, 62), "all but a pixel": None}
SIZES = {"one pixel": (31, 17, 31, 17), "line across": (0, 40, 63, 40), "line down": (12, 0, 12, 63)} | LARGE


@pytest.mark.parametrize(
    ("recipe", "marked"),
    [(recipe, size) for recipe in ("persam", "persam_f") for size in SIZES]
    + [(recipe, size) for recipe in ("official_persam", "official_persam_f") for size in LARGE],
)
@pytest.mark.usefixtures("quick_fit")
def test_an_object_of_any_size_gives_no_nan(model, recipe, marked):
    inside = ~mask(at_xyxy=(63, 63, 63, 63)) if SIZES[marked] is None else mask(at_xyxy=SIZES[marked])
    scene = np.where(inside[..., None], np.uint8(RED), np.uint8(GREY))
    (found,) = model.segment(scene, model.learn(scene, inside, recipe=recipe))
    numbers = [*found.points_xy.flatten(), *found.similarity.flatten(), found.score, found.presence]
    assert np.isfinite(numbers).all()
    np.testing.assert_array_equal(found.mask, inside)


@pytest.mark.parametrize("recipe", ["persam", "persam_f"])
@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.usefixtures("quick_fit")
def test_a_speck_in_a_large_photo_is_enough_for_our_recipes(sam, recipe, side):
    rgb = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    speck = mask(at_xyxy=(500, 600, 500 + side - 1, 600 + side - 1), hw=(700, 900))
    concept = sam.learn(rgb, speck, recipe=recipe)
    (found,) = sam.segment(rgb, concept)
    assert torch.isfinite(concept.feature).all()
    assert np.isfinite([*found.points_xy.flatten(), found.score, found.presence]).all()


@pytest.mark.parametrize("recipe", ["official_persam", "official_persam_f"])
def test_a_speck_in_a_large_photo_is_an_error_in_the_published_recipes_and_not_nan(sam, recipe):
    rgb, speck = np.zeros((700, 900, 3), np.uint8), mask(at_xyxy=(500, 600, 500, 600), hw=(700, 900))
    with pytest.raises(ConceptError, match="covers no grid cell"):
        sam.learn(rgb, speck, recipe=recipe)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("hw", [(1, 1), (10, 20000), (20000, 10)])
@pytest.mark.usefixtures("quick_fit")
def test_a_photo_of_any_shape_gives_a_mask_of_its_shape(sam, recipe, hw):
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (80, 120, 3), dtype=np.uint8)
    concept = sam.learn(reference, mask(at_xyxy=(20, 20, 90, 70), hw=(80, 120)), recipe=recipe)
    (found,) = sam.segment(rng.integers(0, 256, (*hw, 3), dtype=np.uint8), concept)
    assert found.mask.shape == hw
    assert np.isfinite([*found.points_xy.flatten(), *found.similarity.flatten(), found.score, found.presence]).all()
    assert 0 <= found.score <= 1


@pytest.mark.parametrize("hw", [(2, 1), (10, 20000)])
@pytest.mark.usefixtures("quick_fit")
def test_a_photo_of_any_shape_will_do_for_a_reference(sam, hw):
    rgb = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    concept = sam.tune(sam.learn(rgb, mask(at_xyxy=(0, 0, hw[1] // 2, hw[0] // 2 - 1), hw=hw)))
    assert torch.isfinite(concept.feature).all()
    assert torch.isfinite(concept.scale_weights).all()


# ---- recipes and tuning


@pytest.mark.usefixtures("quick_fit")
def test_tuning_turns_persam_into_persam_f(model, red):
    assert red.scale_weights is None
    tuned = model.tune(red)
    assert tuned.recipe.name == "persam_f"
    assert tuned.name == "red"
    assert tuned.scale_weights.sum().item() == pytest.approx(1, abs=1e-5)
    assert tuned.scale_weights.argmax() == 0  # the whole: the part is its left half
    (found,) = model.segment(photo(at_xyxy=ELSEWHERE), tuned)
    np.testing.assert_array_equal(found.mask, mask(at_xyxy=ELSEWHERE))


@pytest.mark.usefixtures("quick_fit")
def test_tuning_means_the_part_that_the_user_marked(model):
    half = model.tune(model.learn(photo(), mask(at_xyxy=(10, 20, 19, 39))))
    assert half.scale_weights.argmax() == 1


@pytest.mark.usefixtures("quick_fit")
def test_tuning_the_published_recipe_gives_its_published_sibling(model):
    tuned = model.tune(model.learn(photo(), mask(), recipe="official_persam"))
    assert tuned.recipe.name == "official_persam_f"


def test_a_loaded_concept_finds_the_same_and_cannot_be_tuned(model, red, tmp_path):
    loaded = Concept.load(red.save(tmp_path / "red.safetensors"))
    (found,) = model.segment(photo(at_xyxy=ELSEWHERE), loaded)
    assert found.box_xyxy == ELSEWHERE
    with pytest.raises(ConceptError, match=r"'red' has no reference photos to tune on .* tune before saving"):
        model.tune(loaded)


@pytest.mark.usefixtures("quick_fit")
def test_a_tuned_concept_keeps_its_weights_on_disk(model, red, tmp_path):
    tuned = model.tune(red)
    loaded = Concept.load(tuned.save(tmp_path / "red.safetensors"))
    (found,) = model.segment(photo(at_xyxy=ELSEWHERE), loaded)
    (expected,) = model.segment(photo(at_xyxy=ELSEWHERE), tuned)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert found.score == expected.score


# ---- what cannot be


def test_another_models_concept_is_refused(red):
    other = PerSAM(ColourBackbone("colours-2"))
    message = r"'red' was learned with colour \(weights colours-1\) and means nothing to colour \(weights colours-2\)"
    with pytest.raises(ConceptError, match=message):
        next(other.segment(photo(), red))
    assert other.backbone.encoded == 0


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ([photo(), photo()], [mask()], "2 reference photos came with 1 masks"),
        (photo(), [mask(), mask()], "1 reference photos came with 2 masks"),
        ([], [], "0 reference photos came with 0 masks"),
        (photo(), mask(hw=(32, 32)), "the mask is 32x32 but .* is 64x64"),
        (photo(), np.zeros((64, 64), bool), "the mask is empty"),
        (photo(), np.ones((64, 64), bool), "the mask is full"),
        (photo(), np.full((64, 64), np.nan), "NaN"),
        (photo(), "no such mask.png", "no such file"),
        (photo(), "box:1,2,3", "4 finite numbers"),
        (photo(), "box:60,60,90,90", "lies outside the reference photo of 64x64"),
    ],
)
def test_a_reference_that_cannot_be_used_says_why(model, images, masks, message):
    with pytest.raises(MaskError, match=message):
        model.learn(images, masks)


def test_a_photo_of_nan_is_refused(model, red):
    with pytest.raises(ImageError, match="NaN"):
        next(model.segment(torch.full((3, 64, 64), torch.nan), red))
    with pytest.raises(ImageError, match="NaN"):
        model.learn(torch.full((3, 64, 64), torch.nan), mask())


def test_an_unknown_recipe_is_answered_with_the_known_ones(model):
    with pytest.raises(PerSAMError, match=r"no recipe named 'perfect'. Choose one of: persam, persam_f, official"):
        model.learn(photo(), mask(), recipe="perfect")


def test_a_blue_object_is_not_taken_for_the_red_one(model, red):
    scene = photo(at_xyxy=(5, 5, 20, 20), colour=BLUE)
    scene[34:44, 22:42] = RED
    (found,) = model.segment(scene, red)
    assert found.box_xyxy == (22, 34, 41, 43)
