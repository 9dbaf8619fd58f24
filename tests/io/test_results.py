"""A result is ready to look at, to save and to hand on; here are some made by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import MaskError, OutputError, PerSAMError
from persam.io import draw
from persam.io.results import ImageResult
from persam.io.segmentation import Segmentation
from tests.io.made import image, segmentation

MASK = np.zeros((40, 60), bool)
MASK[10:20, 30:34] = True
OTHER = np.zeros((40, 60), bool)
OTHER[25:35, 40:55] = True
NOTHING = np.zeros((40, 60), bool)


def found(**changes) -> Segmentation:
    return segmentation(MASK, **changes)


def absent(mask: np.ndarray = MASK, concept: str = "rex") -> Segmentation:
    return segmentation(mask, concept, present=False, presence=0.125)


def park(*segmentations: Segmentation, **changes) -> ImageResult:
    return image("park", *segmentations, source=Path("park.jpg"), **changes)


# --- one segmentation


def test_the_mask_is_saved_as_0_and_255(tmp_path):
    path = found().save(tmp_path / "masks" / "park.png")
    assert path == tmp_path / "masks" / "park.png"
    with Image.open(path) as saved:
        np.testing.assert_array_equal(np.array(saved), MASK * np.uint8(255))


def test_the_suffix_chooses_the_format_and_the_format_argument_overrules_it(tmp_path):
    saved = np.load(found().save(tmp_path / "park.npz"))
    np.testing.assert_array_equal(saved["mask"], MASK)
    assert saved["score"] == 0.875
    assert json.loads(found().save(tmp_path / "park.json").read_text()) == found().to_coco()
    assert found().save(tmp_path / "park.txt").read_text().startswith("0 0.5")
    with Image.open(found().save(tmp_path / "palette.png", format="palette")) as saved:
        assert saved.mode == "P"


@pytest.mark.parametrize(("name", "format"), [("park.tga", None), ("park", None), ("park.png", "perfect")])
def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path, name, format):
    with pytest.raises(OutputError, match=r"choose one of .*png"):
        found().save(tmp_path / name, format=format)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*park.png: a part of .*file is a file"):
        found().save(tmp_path / "file" / "park.png")


def test_a_coco_annotation_by_hand():
    annotation = found().to_coco(image_id=7, category_id=3, annotation_id=11)
    assert annotation.pop("segmentation")["size"] == [40, 60]
    assert annotation == {
        "id": 11,
        "image_id": 7,
        "category_id": 3,
        "bbox": [30, 10, 4, 10],
        "area": 40,
        "iscrowd": 0,
        "score": 0.875,
    }


def test_it_tells_in_a_line_what_was_found():
    text = "box (30, 10, 33, 19), 40 pixels, score 0.88, presence 0.75"
    assert repr(found()) == f"Segmentation('rex': {text})"
    assert repr(absent()) == "Segmentation('rex': not here, score 0.88, presence 0.12)"
    assert repr(found(presence=None)).endswith("score 0.88, presence not judged)")
    assert repr(park(found())) == f"ImageResult('park': {found()!r})"


def test_a_label_is_the_concept_and_how_sure_its_presence_is():
    assert found().label == "rex 0.75"
    assert found(presence=None).label == "rex"


# --- an image


def test_what_is_present_counts():
    tom, second = segmentation(OTHER, "tom"), segmentation(OTHER, "rex", 2)
    result = park(found(), second, absent(concept="tom"))
    assert (len(result), bool(result), result.present) == (2, True, True)
    assert list(result) == [result.segmentations[0], second]
    nothing = park(absent(), absent(NOTHING, "tom"))
    assert (len(nothing), bool(nothing), nothing.present, list(nothing)) == (0, False, False, [])
    assert park(absent(), tom).best is tom


def test_a_concept_is_found_by_its_name():
    rex, second, tom = found(), segmentation(OTHER, "rex", 2), absent(concept="tom")
    result = park(rex, second, tom)
    assert result["rex"] is rex
    assert result["tom"] is tom
    with pytest.raises(PerSAMError, match=r"nothing called 'cup' .* in 'park'\. It was asked for 'rex', 'tom'\."):
        result["cup"]
    with pytest.raises(PerSAMError, match=r"It was asked for nothing\."):
        park()["rex"]


def test_its_own_values_are_those_of_the_best_segmentation():
    result = park(absent(NOTHING, "tom"), segmentation(OTHER, "rex", score=0.5))
    best = result["rex"]
    assert result.best is best
    assert result.mask is best.mask
    assert (result.score, result.presence, result.box_xyxy) == (0.5, 0.75, (40, 25, 54, 34))
    assert result.points_xy is best.points_xy
    assert result.labels is best.labels
    assert result.similarity is best.similarity
    guess = park(absent(), absent(OTHER, "tom"))
    assert guess.mask is MASK  # of the first concept, where nothing is present


def test_there_is_no_best_of_nothing():
    with pytest.raises(PerSAMError, match=r"nothing was looked for in 'park': the result holds no segmentation\."):
        _ = park().mask


def test_masks_of_another_size_are_our_own_mistake():
    with pytest.raises(ValueError, match=r"expected masks of \(40, 61\) \(height, width\), got \(40, 60\)"):
        park(found(), size_hw=(40, 61))


def test_an_image_saves_its_best_mask(tmp_path):
    path = park(absent(NOTHING, "tom"), found()).save(tmp_path / "park.json")
    assert json.loads(path.read_text()) == found().to_coco()


# --- pictures


def changed(result: ImageResult) -> np.ndarray:
    return (result.overlay() != 100).any(axis=2)


def test_the_overlay_shows_mask_box_and_points_and_leaves_the_photo_alone():
    rgb = np.full((40, 60, 3), 100, np.uint8)
    marked = changed(park(found(), read=lambda: rgb))
    assert (rgb == 100).all()
    assert marked[12:18, 31:33].all()  # the mask
    assert marked[19, 30]  # the box's corner
    assert marked[35, 5]  # the point outside
    assert not marked[30, 45]


def test_the_overlay_of_an_absent_object_shows_the_words_alone():
    marked = changed(park(absent()))
    assert marked[:10].any()
    assert not marked[18:].any()
    np.testing.assert_array_equal(park(absent()).overlay(), park(absent(NOTHING)).overlay())


def overlaid(monkeypatch: pytest.MonkeyPatch, result: ImageResult) -> list[tuple]:
    """The label, the colour and the number of points of everything that is drawn."""
    drawn = []

    def overlay(rgb, mask, *, colour=draw.AZURE, label, points_xy=(), **more):
        drawn.append((label, colour, len(points_xy)))
        return rgb

    monkeypatch.setattr(draw, "overlay", overlay)
    result.overlay()
    return drawn


def test_several_objects_have_colours_of_their_own_and_no_points(monkeypatch):
    blue, orange = draw.COLOURS[:2]
    assert overlaid(monkeypatch, park(found(), segmentation(OTHER, "tom"))) == [
        ("rex 0.75", blue, 0),
        ("tom 0.75", orange, 0),
    ]


def test_a_tracked_object_keeps_its_colour_whoever_is_with_it(monkeypatch):
    rex, tom = replace(found(), track_id=1), replace(segmentation(OTHER, "tom"), track_id=2)
    orange = draw.COLOURS[1]
    assert ("tom 0.75", orange, 0) in overlaid(monkeypatch, park(rex, tom))
    assert overlaid(monkeypatch, park(tom)) == [("tom 0.75", orange, 0)]
    last = replace(tom, track_id=len(draw.COLOURS) + 2)  # colours come again
    assert overlaid(monkeypatch, park(last)) == [("tom 0.75", orange, 0)]


def test_instances_of_one_concept_are_numbered(monkeypatch):
    drawn = overlaid(monkeypatch, park(found(), segmentation(OTHER, "rex", 2), segmentation(OTHER, "tom")))
    assert [label for label, *_ in drawn] == ["1 rex 0.75", "2 rex 0.75", "tom 0.75"]


def test_what_is_not_present_is_named_in_a_corner(monkeypatch):
    drawn = overlaid(monkeypatch, park(found(), absent(concept="tom"), absent(concept="cup")))
    assert drawn == [("rex 0.75", draw.COLOURS[0], 0), ("tom, cup: not here", draw.INK, 0)]


def test_a_single_object_comes_with_its_points(monkeypatch):
    assert overlaid(monkeypatch, park(found())) == [("rex 0.75", draw.AZURE, 2)]


def test_the_photo_is_read_when_it_is_needed_and_not_before():
    reads = []

    def read():
        reads.append(1)
        return np.full((40, 60, 3), 100, np.uint8)

    result = park(found(), read=read)
    repr(result)
    assert reads == []
    result.overlay()
    assert reads == [1]


def test_the_cutout_is_the_object_alone():
    cutout = park(found()).cutout()
    assert cutout.shape == (10, 4, 4)
    assert (cutout == [100, 100, 100, 255]).all()


def test_there_is_no_cutout_of_nothing():
    with pytest.raises(MaskError, match="there is nothing to cut out: no pixel of the 60x40 mask is set"):
        park(absent(NOTHING)).cutout()
