"""The review queue: the most uncertain first; decisions change the album and teach the concept."""

from pathlib import Path

import numpy as np
import pytest

from persam.errors import MaskError, PerSAMError
from persam.studio.album import Album, Found, Searched
from persam.studio.review import Item, Review
from tests.colour import BLUE, RED, mask, photo
from tests.studio.test_album import searched


def found(presence, score=0.9):
    points, labels, similarity = (np.zeros(shape, np.float32) for shape in ((0, 2), 0, (0, 0)))
    return Found("red", 1, score, presence, True, Path("mask.png"), points, labels, similarity)


def queue_of(taught, presences, tmp_path):
    album = Album(tmp_path)
    for number, one in enumerate(presences):
        album.searched[str(number)] = Searched(str(number), tmp_path, (64, 64), (one,), None)
    return [item.photo for item in Review(taught.model, taught.shelf, album).queue]


def test_what_is_nearest_to_the_threshold_comes_first(taught, tmp_path):
    assert queue_of(taught, [found(0.98), found(0.41), found(0.05), found(0.55)], tmp_path) == ["3", "1", "2", "0"]


def test_where_presence_is_not_judged_the_lowest_score_comes_first(taught, tmp_path):
    assert queue_of(taught, [found(None, 0.9), found(None, 0.3), found(None, 0.6)], tmp_path) == ["1", "2", "0"]


def test_what_is_accepted_teaches_and_leaves_the_queue(taught, album):
    searched(taught, album)
    count = len(taught.review.queue)
    item = taught.review.current
    said = taught.review.accept()
    assert f"{item.photo}: it is red. Learned from it: red: 2 photos" in said
    assert len(taught.review.queue) == count - 1
    assert item not in taught.review.queue
    assert taught.album[item.photo].found[item.place].present


def test_what_is_rejected_becomes_a_counter_example(taught, upload):
    rgb = photo(at_xyxy=(4, 4, 23, 23))
    searched(taught, [upload("twin.png", rgb)])
    overlay = taught.album["twin"].overlay
    said = taught.review.reject()
    assert "twin: it is not red. Learned from it: red: 1 photo, 1 not it" in said
    assert taught.shelf["red"].concept.counter_examples == 1
    one = taught.album["twin"]
    assert not one.found[0].present
    assert "not here" in str(one)
    assert one.overlay != overlay  # a new picture, under a name that no browser has kept
    assert not overlay.exists()
    assert [len(result) for result in taught.album.results()] == [0]


def test_a_click_changes_the_mask_that_is_accepted(taught, upload):
    rgb = photo(at_xyxy=(4, 4, 23, 23), colour=RED)
    rgb[40:56, 40:56] = BLUE
    searched(taught, [upload("both.png", rgb)])
    before = taught.review.mask()
    taught.review.marks = taught.review.marks.clicked((45, 45), inside=True)
    assert np.array_equal(taught.review.mask(), before | mask(at_xyxy=(40, 40, 55, 55)))
    taught.review.accept()
    kept = taught.album["both"].found[0].mask
    assert kept[45, 45]
    assert kept[10, 10]
    assert taught.review.marks.clicks == ()


def test_where_nothing_was_found_a_click_marks_the_object(taught, album):
    searched(taught, album[:1])
    taught.album.change("left", 0, mask=np.zeros((64, 64), bool), present=False)
    with pytest.raises(MaskError, match="nothing is marked in this photo"):
        taught.review.accept()
    taught.review.marks = taught.review.marks.clicked((45, 10), inside=True)
    taught.review.accept()
    assert np.array_equal(taught.album["left"].found[0].mask, mask(at_xyxy=(40, 5, 55, 30)))


def test_rejecting_where_nothing_was_found_teaches_nothing(taught, album):
    searched(taught, album[:1])
    taught.album.change("left", 0, mask=np.zeros((64, 64), bool), present=False)
    assert taught.review.reject() == "left: not here"
    assert taught.shelf["red"].not_this == ()


def test_a_decision_stands_where_nothing_can_be_learned_from_it(taught, album, tmp_path):
    from persam.studio.limits import Limits

    searched(taught, album[:1])
    taught.shelf.load(taught.shelf.save("red", tmp_path), Limits())
    assert "Nothing was learned from it: 'red' came from a file" in taught.review.reject()
    assert not taught.album["left"].found[0].present


def test_what_is_skipped_stays_as_it_is(taught, album):
    [one] = searched(taught, album[:1])
    taught.review.skip()
    assert taught.review.queue == []
    assert taught.album["left"] is one
    with pytest.raises(PerSAMError, match="nothing to review"):
        taught.review.accept()


def test_a_photo_that_could_not_be_searched_is_not_asked_about(taught, album, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    searched(taught, [broken, album[0]])
    assert taught.review.queue == [Item("left", 0)]
