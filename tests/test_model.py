"""PerSAM learns an object from one image and finds it in others, in whatever form they come."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from persam.errors import ConceptError, ImageError, MaskError, OutOfMemoryError, PerSAMError
from persam.method.concept import Concept
from persam.method.recipes import OFFICIAL_PERSAM_F, RECIPES, Recipe
from persam.model import PerSAM
from tests.colour import BLUE, GREEN, RED, VIEWS, ColourBackbone, colour_model, mask, photo

ELSEWHERE = (40, 5, 55, 30)
MINE = Recipe("mine", crop_refine=False)


@pytest.fixture
def model() -> PerSAM:
    return colour_model()


@pytest.fixture
def red(model) -> Concept:
    return model.learn(photo(), mask(), name="red")


# ---- one object


def test_the_object_is_found_where_it_is_and_not_where_it_was(model, red):
    scene = photo(at_xyxy=ELSEWHERE)
    scene[40:60, 5:25] = GREEN
    (found,) = model.segment(scene, red)
    np.testing.assert_array_equal(found.mask, mask(at_xyxy=ELSEWHERE))
    assert found.box_xyxy == ELSEWHERE
    assert found.score == pytest.approx(0.9)
    assert found.present
    assert found.presence > 0.99
    assert (found.best.concept, found.best.instance) == ("red", 1)
    x, y = found.points_xy[0]
    assert 40 <= x <= 55
    assert 5 <= y <= 30
    assert found.labels.tolist() == [1, 0, 1]  # the likeliest, the unlikeliest, a point for its one part
    assert found.similarity.shape == found.size_hw == (64, 64)
    assert found.similarity[5:31, 40:56] == pytest.approx(1)
    np.testing.assert_array_equal(found.read(), scene)


def test_a_blue_object_is_not_taken_for_the_red_one(model, red):
    scene = photo(at_xyxy=(5, 5, 20, 20), colour=BLUE)
    scene[34:44, 22:42] = RED
    (found,) = model.segment(scene, red)
    assert found.box_xyxy == (22, 34, 41, 43)


def test_an_object_that_is_not_there_is_not_present_and_keeps_its_best_guess(model, red):
    (found,) = model.segment(photo(colour=BLUE), red)
    assert (len(found), found.present) == (0, False)
    assert found["red"].presence < 0.2
    assert found["red"].mask.any()
    assert found["red"].box_xyxy is not None


@pytest.mark.parametrize("scale", [1, 3])
def test_the_mask_has_the_images_own_size(model, red, scale):
    scene = np.kron(photo(at_xyxy=ELSEWHERE), np.ones((scale, scale, 1), np.uint8))
    (found,) = model.segment(scene, red)
    assert found.mask.shape == (64 * scale, 64 * scale)
    expected = np.kron(mask(at_xyxy=ELSEWHERE), np.ones((scale, scale), bool))
    assert (found.mask & expected).sum() / (found.mask | expected).sum() > 0.99


def test_a_wide_image_gives_a_map_without_its_padding(model, red):
    (found,) = model.segment(photo(hw=(32, 64), at_xyxy=(40, 5, 55, 25)), red)
    assert found.similarity.shape == (32, 64)
    assert found.box_xyxy == (40, 5, 55, 25)


# ---- several references, several objects


def test_k_shot_is_lists_of_images_and_masks_in_their_order(model):
    photos = [photo(), photo(at_xyxy=ELSEWHERE), photo(at_xyxy=(0, 0, 7, 7), hw=(48, 64))]
    masks = [mask(), "box:38,3,57,32", mask(at_xyxy=(0, 0, 7, 7), hw=(48, 64))]
    concept = model.learn(photos, masks)
    truths = [mask(), mask(at_xyxy=ELSEWHERE), mask(at_xyxy=(0, 0, 7, 7), hw=(48, 64))]
    for reference, truth, rgb in zip(concept.references, truths, photos, strict=True):
        np.testing.assert_array_equal(reference.mask, truth)
        np.testing.assert_array_equal(reference.rgb, rgb)
        assert torch.equal(reference.embedding.features, ColourBackbone().encode([rgb]).features)
    assert concept.identity.image.unique().tolist() == list(range(3 * VIEWS))
    (found,) = model.segment(photo(at_xyxy=(20, 20, 27, 27)), concept)
    assert found.box_xyxy == (20, 20, 27, 27)
    assert len(model.learn((photo(), photo()), (mask(), mask())).references) == 2
    assert len(model.learn(photo(), mask()).references) == 1


def test_every_shot_counts(model):
    half = model.learn([photo(), photo(colour=BLUE)], [mask(), mask()])
    for colour in (RED, BLUE):
        one = model.learn(photo(colour=colour), mask())
        assert torch.cosine_similarity(half.feature, one.feature, dim=0) > 0.5
        (found,) = model.segment(photo(colour=colour, at_xyxy=ELSEWHERE), half)
        assert found.present


RED_AT, BLUE_AT = (10, 20, 29, 39), (40, 6, 53, 19)


def two_things() -> np.ndarray:
    scene = photo(at_xyxy=RED_AT)
    scene[mask(at_xyxy=BLUE_AT)] = BLUE
    return scene


@pytest.mark.parametrize("form", ["list", "array", "palette file", "grey file", "tensor"])
def test_several_objects_of_one_reference_are_learned_together(model, tmp_path, form):
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
    blue, red = model.learn_each(two_things(), masks)
    assert (blue.name, red.name) == (("object 1", "object 2") if form == "list" else ("object 2", "object 5"))
    for concept, place in ((blue, BLUE_AT), (red, RED_AT)):
        (found,) = model.segment(two_things(), concept)
        assert found.box_xyxy == place
    named = model.learn_each(two_things(), masks, names=["blue", "red"], recipe=MINE)
    assert [(one.name, one.recipe) for one in named] == [("blue", MINE), ("red", MINE)]


@pytest.mark.parametrize("recipe", ["persam", MINE, "official_persam"], ids=str)
def test_learning_each_is_learning_one_by_one(model, recipe):
    together = model.learn_each(
        two_things(), [mask(at_xyxy=BLUE_AT), mask(at_xyxy=RED_AT)], names=["blue", "red"], recipe=recipe
    )
    for one, place in zip(together, (BLUE_AT, RED_AT), strict=True):
        assert one == model.learn(two_things(), mask(at_xyxy=place), name=one.name, recipe=recipe)


@pytest.mark.parametrize(
    ("masks", "names", "message"),
    [
        ([], None, "0 objects came with 0 names"),
        ([mask()], ["a", "b"], "1 objects came with 2 names"),
        (np.zeros((64, 64), np.uint8), None, "the mask is empty"),
        (np.full((64, 64), 255, np.uint8), None, "the mask is full"),
        (np.ones((60, 64), np.uint8), None, "is 64x60 but the photo is 64x64"),
        (np.ones((64, 64, 3), np.uint8), None, "the mask is full"),
        (np.arange(4096, dtype=np.int64).reshape(64, 64), None, "no mask but a photo or a soft map"),
        (np.full((64, 64), -1), None, "the mask has negative values, down to -1"),
        ("nowhere.png", None, "cannot read the mask nowhere.png: there is no such file"),
    ],
)
def test_what_is_no_map_of_objects_is_refused(model, masks, names, message):
    with pytest.raises(MaskError, match=message):
        model.learn_each(photo(), masks, names=names)


# ---- recipes and tuning


@pytest.mark.parametrize("recipe", [*RECIPES, MINE], ids=str)
@pytest.mark.parametrize("shots", [1, 2])
@pytest.mark.usefixtures("quick_fit")
def test_a_concept_comes_back_from_its_file_equal_and_finds_the_same(model, tmp_path, recipe, shots):
    photos, masks = [photo(), photo(at_xyxy=ELSEWHERE)], [mask(), mask(at_xyxy=ELSEWHERE)]
    concept = model.learn(photos[:shots], masks[:shots], recipe=recipe)
    loaded = Concept.load(concept.save(tmp_path / "red.safetensors"))
    assert loaded == concept
    scene = photo(at_xyxy=(6, 40, 19, 53))
    (before,), (after,) = model.segment(scene, concept), model.segment(scene, loaded)
    np.testing.assert_array_equal(after.mask, before.mask)
    assert (after.score, after.presence, after.present) == (before.score, before.presence, True)


@pytest.mark.parametrize("recipe", ["persam", MINE, Recipe("blind", verify=False)], ids=str)
@pytest.mark.usefixtures("quick_fit")
def test_tuning_keeps_every_other_choice_of_the_concept(model, tmp_path, recipe):
    learned = model.learn(photo(), mask(), name="red", recipe=recipe)
    assert learned.scale_weights is None
    tuned = model.tune(learned)
    assert tuned.recipe == replace(learned.recipe, tune=True)  # its name too
    assert replace(tuned, recipe=learned.recipe, scale_weights=None) == learned
    assert tuned.scale_weights.sum().item() == pytest.approx(1, abs=1e-5)
    assert tuned.scale_weights.argmax() == 0  # the whole: the part is its left half
    assert Concept.load(tuned.save(tmp_path / "red.safetensors")) == tuned
    (found,) = model.segment(photo(at_xyxy=ELSEWHERE), tuned)
    np.testing.assert_array_equal(found.mask, mask(at_xyxy=ELSEWHERE))


@pytest.mark.usefixtures("quick_fit")
def test_tuning_means_the_part_that_the_user_marked(model):
    half = model.tune(model.learn(photo(), mask(at_xyxy=(10, 20, 19, 39))))
    assert half.scale_weights.argmax() == 1


@pytest.mark.usefixtures("quick_fit")
def test_tuning_the_published_recipe_gives_its_published_sibling(model):
    tuned = model.tune(model.learn(photo(), mask(), name="red", recipe="official_persam"))
    assert tuned.recipe == OFFICIAL_PERSAM_F
    assert tuned == model.learn(photo(), mask(), name="red", recipe="official_persam_f")


def test_a_loaded_concept_cannot_be_tuned(model, red, tmp_path):
    loaded = Concept.load(red.save(tmp_path / "red.safetensors"))
    with pytest.raises(ConceptError, match=r"'red' has no reference photos to tune on .* tune before saving"):
        model.tune(loaded)


def test_learn_takes_the_models_recipe_and_then_its_own():
    model = colour_model(recipe=MINE)
    assert model.learn(photo(), mask()).recipe == MINE
    assert model.learn(photo(), mask(), recipe="persam").recipe == RECIPES["persam"]
    assert colour_model(recipe="official_persam").learn(photo(), mask()).recipe == RECIPES["official_persam"]


@pytest.mark.parametrize(
    "ask", [lambda model: model.learn(photo(), mask(), recipe="perfect"), lambda _: colour_model(recipe="perfect")]
)
def test_an_unknown_recipe_is_answered_with_the_known_ones(model, ask):
    with pytest.raises(PerSAMError, match=r"no recipe named 'perfect'. Choose one of: persam, persam_f, official"):
        ask(model)


def test_without_verification_nothing_is_judged():
    model = colour_model(recipe=Recipe("blind", verify=False), threshold=1.0)
    (found,) = model.segment(photo(colour=BLUE), model.learn(photo(), mask()))
    assert (found.presence, found.present) == (None, True)


# ---- what cannot be


def test_another_models_concept_is_refused(red):
    backbone = ColourBackbone("colours-2")
    other = PerSAM(backbone)
    message = r"'red' was learned with colour \(weights colours-1\) and means nothing to colour \(weights colours-2\)"
    with pytest.raises(ConceptError, match=message):
        other.segment(photo(), red)
    with pytest.raises(ConceptError, match=message):
        other.tune(red)
    assert backbone.encoded == 0


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ([photo(), photo()], [mask()], "2 reference photos came with 1 mask: "),
        (photo(), [mask(), mask()], "1 reference photo came with 2 masks"),
        ([], [], "0 reference photos came with 0 masks"),
        (
            photo(),
            [10, 20, 30.5, 40],
            r'For a box write persam\.Box\(10, 20, 30\.5, 40\) or "box:10,20,30\.5,40", for points',
        ),
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


def test_an_image_of_nan_is_refused(model, red):
    with pytest.raises(ImageError, match="NaN"):
        next(model.segment(torch.full((3, 64, 64), torch.nan), red))
    with pytest.raises(ImageError, match="NaN"):
        model.learn(torch.full((3, 64, 64), torch.nan), mask())


@pytest.mark.parametrize("name", [7, None, b"rex"])
def test_a_name_is_text(model, name):
    with pytest.raises(ConceptError, match=r"a concept's name is text, and .* was given\. Write name="):
        model.learn(photo(), mask(), name=name)
    with pytest.raises(ConceptError, match="a concept's name is text"):
        model.learn_each(photo(), [mask()], names=[name])


# ---- images that cannot be searched


def test_an_image_that_cannot_be_searched_is_skipped_and_the_others_keep_their_places(model, red, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    targets = [
        photo(at_xyxy=ELSEWHERE),
        tmp_path / "none.jpg",
        None,
        photo(colour=BLUE),
        tmp_path / "text.jpg",
        photo(),
    ]
    found = list(model.segment(targets, red, on_error="skip"))
    assert [one.name for one in found] == ["image_0001", "none", "image_0003", "image_0004", "text", "image_0006"]
    assert [one.present for one in found] == [True, False, False, False, False, True]
    assert [type(one.error) for one in found] == [
        type(None),
        ImageError,
        ImageError,
        type(None),
        ImageError,
        type(None),
    ]
    missing = found[1]
    assert (len(missing), list(missing), missing.segmentations, missing.size_hw) == (0, [], (), (0, 0))
    assert missing.source == tmp_path / "none.jpg"
    assert repr(missing).startswith("ImageResult('none': not searched, cannot read the image")
    assert missing.error.__traceback__ is None  # it would keep the image in memory
    for ask in (lambda: missing.mask, lambda: missing["red"], lambda: missing.best):
        with pytest.raises(PerSAMError, match=r"'none' was not searched: .* there is no such file"):
            ask()
    with pytest.raises(ImageError, match="there is no such file"):
        missing.overlay()


def test_after_an_error_that_is_raised_the_next_image_can_be_asked_for(model, red):
    results = model.segment([photo(), None, photo(at_xyxy=ELSEWHERE)], red)
    assert next(results).present
    with pytest.raises(ImageError, match="cannot read the image from 'NoneType'"):
        next(results)
    assert next(results).box_xyxy == ELSEWHERE
    assert list(results) == []


def test_too_little_memory_for_one_image_is_an_error_of_that_image(model, red, monkeypatch):
    encode = model.backbone.encode

    def greedy(images, **how):
        if images[0].shape[0] > 64:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")
        return encode(images, **how)

    monkeypatch.setattr(model.backbone, "encode", greedy)
    large, small = model.segment([photo(hw=(96, 96)), photo()], red, on_error="skip")
    assert isinstance(large.error, OutOfMemoryError)
    assert str(large.error).startswith("the search in image_0001 needs more memory than is free (CUDA out of memory).")
    assert small.present


def test_what_to_do_with_errors_is_one_of_two(model, red):
    with pytest.raises(PerSAMError, match="on_error must be 'raise' or 'skip', and 'ignore' was given"):
        model.segment([], red, on_error="ignore")
