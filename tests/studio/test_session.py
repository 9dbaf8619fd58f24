"""A session from the first photo to a concept on the shelf, and what is left behind when it ends."""

import numpy as np
import pytest

from persam.errors import ConceptError, ImageError, LimitError, MaskError, PerSAMError
from persam.method.concept import Concept
from persam.studio import session as sessions
from persam.studio import shelf as shelves
from persam.studio.limits import Limits
from persam.studio.session import Session, Sessions
from tests.colour import BLUE, RED, colour_model, mask, photo


def test_a_click_in_the_view_is_answered_with_a_mask_of_the_photo(session, upload):
    rgb = photo(hw=(1280, 2560), at_xyxy=(400, 400, 1199, 799))
    session.load_reference(upload("wide.png", rgb))
    session.click((300, 250), "object")  # in a view of 1280 x 640
    assert session.mask.shape == (1280, 2560)
    assert session.mask[500, 600]
    assert session.picture().shape == (640, 1280, 3)


def test_the_photo_is_encoded_once_however_often_it_is_marked_and_a_crop_for_every_mask(session, upload):
    session.load_reference(upload("ref.png", photo()))
    for place in ((15, 25), (16, 26), (17, 27)):
        session.click(place, "object")
    assert session.model.backbone.encoded == 1 + 3


def test_a_mark_that_nothing_fits_leaves_the_last_mask(session, upload):
    session.load_reference(upload("ref.png", photo()))
    session.click((15, 30), "object")
    session.click((15, 30), "box")
    with pytest.raises(MaskError, match="corners make no box"):
        session.click((15, 35), "box")
    assert np.array_equal(session.mask, mask())


def test_marks_are_taken_back_one_by_one(session, upload):
    rgb = photo()
    rgb[40:56, 40:56] = BLUE
    session.load_reference(upload("ref.png", rgb))
    session.click((15, 30), "object")
    session.paint(mask(at_xyxy=(40, 40, 55, 55)) * np.uint8(255))
    session.undo()
    assert np.array_equal(session.mask, mask())
    session.undo()
    assert session.mask is None
    session.undo()
    assert session.mask is None


def test_clearing_forgets_the_marks(taught):
    taught.clear()
    assert taught.mask is None
    with pytest.raises(MaskError, match="nothing is marked yet"):
        taught.keep("again")


def test_another_photo_begins_without_marks(taught, upload):
    taught.load_reference(upload("other.png", photo(colour=BLUE)))
    assert taught.mask is None
    assert taught.photo.name == "other"


@pytest.mark.parametrize("way", [lambda s: s.click((1, 1), "object"), lambda s: s.picture(), lambda s: s.keep("x")])
def test_without_a_photo_every_step_says_to_load_one(session, way):
    with pytest.raises(ImageError, match="no photo yet"):
        way(session)


def test_a_click_of_another_kind_is_said(taught):
    with pytest.raises(PerSAMError, match="object, background, box, and 'triangle' was given"):
        taught.click((1, 1), "triangle")


def test_a_concept_is_kept_saved_and_loaded(taught, tmp_path):
    path = taught.shelf.save("red", tmp_path)
    assert path.name == "red.safetensors"
    other = Session(taught.model, tmp_path, Limits())
    kept = other.shelf.load(path, Limits())
    assert other.shelf.names == ["red"]
    assert kept.concept == Concept.load(path)
    assert str(kept) == "red: from a file"
    assert str(taught.shelf["red"]) == "red: 1 photo"


def test_a_concept_of_another_model_is_refused(taught, tmp_path):
    from persam.model import PerSAM
    from tests.colour import ColourBackbone

    path = taught.shelf.save("red", tmp_path)
    other = PerSAM(ColourBackbone("colours-2"))
    with pytest.raises(ConceptError, match="means nothing to"):
        shelves.Shelf(other).load(path, Limits())


def test_a_concept_file_that_is_far_too_large_is_not_read(taught, tmp_path, monkeypatch):
    path = taught.shelf.save("red", tmp_path)
    monkeypatch.setattr(shelves, "CONCEPT_BYTES", 100)
    with pytest.raises(LimitError, match=r"red\.safetensors has"):
        taught.shelf.load(path, Limits())


@pytest.mark.parametrize(("name", "said"), [("  ", "give the object a name"), ("x" * 61, "61 characters")])
def test_a_name_that_cannot_be_used(taught, name, said):
    with pytest.raises(PerSAMError, match=said):
        taught.keep(name)


def test_the_shelf_ends(taught, monkeypatch):
    monkeypatch.setattr(shelves, "MOST_CONCEPTS", 2)
    taught.keep("second")
    with pytest.raises(LimitError, match="holds 2 concepts"):
        taught.keep("third")
    taught.keep("red")  # replaces its own
    taught.shelf.remove("second")
    taught.keep("third")
    assert taught.shelf.names == ["red", "third"]


def test_a_further_reference_and_a_counter_example_are_learned_from(taught):
    alone = taught.shelf["red"].concept
    taught.shelf.teach("red", photo(at_xyxy=(30, 30, 49, 49)), mask(at_xyxy=(30, 30, 49, 49)), is_it=True)
    with_two = taught.shelf["red"].concept
    assert with_two != alone
    taught.shelf.teach("red", photo(colour=BLUE), mask(), is_it=False)
    kept = taught.shelf["red"]
    assert kept.concept.counter_examples == 1
    assert str(kept) == "red: 2 photos, 1 not it"
    assert kept.concept.references == ()  # they are kept once, as the examples


def test_a_concept_of_a_file_cannot_be_taught(taught, tmp_path):
    taught.shelf.load(taught.shelf.save("red", tmp_path), Limits())
    with pytest.raises(ConceptError, match="holds no photos"):
        taught.shelf.teach("red", photo(), mask(), is_it=True)


def test_examples_end(taught, monkeypatch):
    monkeypatch.setattr(shelves, "MOST_EXAMPLES", 1)
    with pytest.raises(LimitError, match="has 1 examples"):
        taught.shelf.teach("red", photo(), mask(), is_it=True)


def test_what_is_not_on_the_shelf_is_said(taught):
    with pytest.raises(ConceptError, match="no 'blue' on the shelf"):
        taught.shelf.concepts(["blue"])
    with pytest.raises(ConceptError, match="choose what to look for"):
        taught.shelf.concepts([])


def test_a_closed_session_leaves_nothing(model, tmp_path, album):
    session = Session(model, tmp_path / "uploads", Limits())
    session.shelf.learn("red", photo(), mask())
    list(session.album.search(album, session.shelf.concepts(["red"]), model, session.limits))
    assert any(session.folder.rglob("*.png"))
    session.close()
    assert not session.folder.exists()


def test_a_new_album_removes_the_files_of_the_one_before(taught, album):
    old = taught.album.folder
    list(taught.album.search(album, taught.shelf.concepts(["red"]), taught.model, taught.limits))
    taught.new_album()
    assert not old.exists()
    assert taught.review.album is taught.album
    assert taught.album.folder.is_dir()


def test_sessions_are_apart_and_the_one_idle_longest_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    open_ = Sessions(colour_model(), tmp_path, Limits())
    first, second = open_["a"], open_["b"]
    assert open_["a"] is first  # used again
    assert open_["c"] not in (first, second)
    assert len(open_) == 2
    assert first.folder.exists()
    assert not second.folder.exists()
    open_.end("a")
    open_.end("a")
    assert not first.folder.exists()
    open_.close()
    assert list(tmp_path.iterdir()) == []


def test_the_reference_is_refused_when_it_is_too_large(model, tmp_path, upload):
    session = Session(model, tmp_path, Limits(megapixels=0.001))
    with pytest.raises(LimitError, match="64x64 pixels"):
        session.load_reference(upload("ref.png", photo(colour=RED)))
    assert session.photo is None
