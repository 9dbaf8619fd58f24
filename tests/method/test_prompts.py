"""Every way of pointing at the object becomes a mask: by hand, or by the backbone, which is asked just that."""

import numpy as np
import pytest
import torch

from persam.errors import MaskError
from persam.eval.metrics import iou
from persam.method import crop_refine
from persam.method.prompt_masks import mask_from_prompt, reference_mask
from persam.method.prompts import Box, Pointed, Points, Polygon, Scribble, UserPrompt, parse_prompt
from persam.sam.decoder import NO_GUIDANCE
from persam.types import Candidates
from tests.colour import RED, ColourBackbone, mask, photo

# ---- as text


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("box:10,20,200,300", Box(10, 20, 200, 300)),
        ("box: 1.5, 2, 3, 4.25", Box(1.5, 2, 3, 4.25)),
        ("point:40,50", Points(((40, 50),))),
        ("points:40,50;60,70", Points(((40, 50), (60, 70)))),
        ("points:40,50;-10,12", Points(((40, 50),), ((10, 12),))),
        ("points: 40,50 ; 60,70 ;", Points(((40, 50), (60, 70)))),
        ("polygon:1,2;5,2;5,6", Polygon(((1, 2), (5, 2), (5, 6)))),
        ("scribble:1,2;5,2", Scribble(((1, 2), (5, 2)))),
    ],
)
def test_a_prompt_in_words(text: str, prompt: UserPrompt):
    assert parse_prompt(text) == prompt


@pytest.mark.parametrize("text", ["mask.png", "album/box.png", "C:\\masks\\rex.png", "circle:1,2,3", "box"])
def test_what_does_not_begin_as_a_prompt_is_a_path(text):
    assert parse_prompt(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("box:1,2,3", "4 finite numbers are needed, got '1,2,3'"),
        ("box:1,2,3,four", "could not convert string to float: 'four'"),
        ("box:1,2,3,nan", "4 finite numbers are needed"),
        ("points:1;2", "2 finite numbers are needed, got '1'"),
        ("polygon:1,2,3;4,5;6,7", "2 finite numbers are needed"),
        ("polygon:1,2;-4,5;6,7;8,9", "a polygon has no places outside, got '-4,5'"),
        ("scribble:1,2;-4,5", "a scribble has no places outside, got '-4,5'"),
    ],
)
def test_numbers_that_cannot_be_read_are_quoted_with_the_right_form(text, reason):
    with pytest.raises(MaskError) as error:
        parse_prompt(text)
    assert str(error.value).startswith(f"cannot read {text!r}: {reason}")
    assert "Write box:x0,y0,x1,y1 or points:x,y;x,y or polygon" in str(error.value)


# ---- what the backbone is asked


def marked(prompt: Pointed, rgb=None) -> tuple[np.ndarray, ColourBackbone]:
    backbone = ColourBackbone()
    return mask_from_prompt(prompt, backbone, backbone.encode([photo() if rgb is None else rgb])), backbone


def test_a_polygon_is_filled_without_asking_the_backbone():
    found, backbone = marked(Polygon(((2, 1), (6, 1), (2, 5))))
    expected = np.zeros((64, 64), bool)
    for row, columns in {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}.items():  # corners and edges belong to it
        expected[row, 2 : 2 + columns] = True
    np.testing.assert_array_equal(found, expected)
    assert backbone.prompts == []


def test_a_polygon_over_the_photos_edge_is_cut_there():
    found, _ = marked(Polygon(((60, 62), (64, 62), (64, 64), (60, 64))))
    assert found.sum() == 4 * 2


def test_a_box_goes_to_the_backbone_as_a_box():
    found, backbone = marked(Box(8, 18, 31, 41))
    np.testing.assert_array_equal(found, mask())
    first, second = backbone.prompts
    assert first.box_xyxy.tolist() == [[8, 18, 31, 41]]
    assert first.points_xy is None
    assert first.mask_logits is None
    assert second.box_xyxy.tolist() == [[8, 18, 31, 41]]  # asked again, with the first answer
    assert second.mask_logits.shape == (1, 1, 256, 256)
    np.testing.assert_array_equal(second.mask_logits[0, 0, ::4, ::4] > 0, mask())


def test_points_go_to_the_backbone_with_their_labels():
    found, backbone = marked(Points(((15, 25), (20, 30)), ((1, 2),)))
    np.testing.assert_array_equal(found, mask())
    assert backbone.prompts[0].points_xy.tolist() == [[[15, 25], [20, 30], [1, 2]]]
    assert backbone.prompts[0].labels.tolist() == [[1, 1, 0]]
    assert backbone.prompts[0].box_xyxy is None


def test_a_scribble_is_a_few_points_from_end_to_end():
    line = tuple((10.0 + i, 22.0) for i in range(20))
    found, backbone = marked(Scribble(line))
    np.testing.assert_array_equal(found, mask())
    points = backbone.prompts[0].points_xy[0]
    assert points.shape == (8, 2)
    assert points[0].tolist() == [10, 22]
    assert points[-1].tolist() == [29, 22]
    assert torch.equal(backbone.prompts[0].labels, torch.ones(1, 8))


def test_a_scribble_of_two_places_is_two_points():
    _, backbone = marked(Scribble(((12, 22), (14, 30))))
    assert backbone.prompts[0].points_xy.tolist() == [[[12, 22], [14, 30]]]


def test_a_prompt_counts_in_the_images_own_pixels():
    rgb = photo(hw=(128, 256), at_xyxy=(40, 60, 99, 103))  # the network sees it at a quarter
    found, _ = marked(Points(((50, 70),)), rgb)
    assert found.shape == (128, 256)
    assert found[70, 50]
    assert not found[30, 20]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Box(30, 20, 10, 40), "is empty: its first corner must be above and left of the second"),
        (Box(30, 20, 30, 40), "is empty: its first corner"),
        (Box(float("nan"), 20, 30, 40), "is empty: its first corner"),
        (Box(10, 20, 70, 40), r"\(70, 40\) lies outside the reference photo of 64x64 pixels"),
        (Points(()), "points need at least one place inside the object"),
        (Points((), ((3, 4),)), "points need at least one place inside the object"),
        (Points(((3, 65),)), r"\(3, 65\) lies outside the reference photo of 64x64"),
        (Points(((3, 4),), ((-1, 4),)), r"\(-1, 4\) lies outside"),
        (Points(((float("nan"), 4),)), r"\(nan, 4\) lies outside"),
        (Polygon(((1, 1), (5, 5))), "a polygon needs at least three corners, and 2 were given"),
        (Polygon(((1, 1), (5, 5), (99, 5))), r"\(99, 5\) lies outside"),
        (Scribble(()), "a scribble needs at least one point on the object"),
        (Scribble(((1, 99),)), r"\(1, 99\) lies outside"),
    ],
)
def test_a_prompt_that_marks_nothing_says_why(prompt, message):
    with pytest.raises(MaskError, match=message):
        marked(prompt)


def test_a_reference_is_marked_by_a_mask_a_prompt_or_its_text():
    backbone = ColourBackbone()
    embedding = backbone.encode([photo()])
    for marked in (mask(), Box(8, 18, 31, 41), "box:8,18,31,41", "points:15,25"):
        np.testing.assert_array_equal(reference_mask(marked, backbone, embedding, photo()), mask())
    with pytest.raises(MaskError, match=r"the mask is 32x32 but rex\.jpg is 64x64"):
        reference_mask(mask(hw=(32, 32)), backbone, embedding, photo(), image_name="rex.jpg")


class Coarse(ColourBackbone):
    """Sees the whole photo so coarsely that masks grow by two pixels; a crop as it is.

    elsewhere: in a crop it takes the upper left corner for the object.
    """

    def __init__(self, *, elsewhere: bool = False):
        super().__init__()
        self.elsewhere = elsewhere

    def decode(self, embedding, prompt, guidance=NO_GUIDANCE):
        candidates = super().decode(embedding, prompt, guidance)
        logits = candidates.logits.clone()
        if max(embedding.frames[0].original_hw) == 64:
            logits = torch.nn.functional.max_pool2d(logits, 17, stride=1, padding=8)
        elif self.elsewhere:
            logits[:] = -5
            logits[..., :40, :40] = 5
        return Candidates(logits, candidates.predicted_iou)


@pytest.mark.parametrize("prompt", [Box(8, 18, 31, 41), Points(((15, 25),), ((2, 2),)), Scribble(((12, 22), (20, 30)))])
def test_the_mask_of_a_prompt_is_refined_in_a_crop(prompt):
    backbone = Coarse()
    embedding = backbone.encode([photo()])
    assert mask_from_prompt(prompt, backbone, embedding).sum() > 1.15 * mask().sum()
    np.testing.assert_array_equal(reference_mask(prompt, backbone, embedding, photo()), mask())
    assert backbone.batches == [1, 1]


@pytest.mark.parametrize("prompt", [Box(8, 18, 31, 41), Points(((28, 38),))])
def test_where_the_crop_shows_something_else_the_mask_of_a_prompt_stays(prompt):
    backbone = Coarse(elsewhere=True)
    embedding = backbone.encode([photo()])
    found = reference_mask(prompt, backbone, embedding, photo())
    np.testing.assert_array_equal(found, mask_from_prompt(prompt, backbone, embedding))


def test_two_clicks_on_two_things_still_have_both():
    rgb = photo()
    rgb[50:60, 50:60] = RED
    backbone = ColourBackbone()
    both = reference_mask(Points(((15, 25), (55, 55))), backbone, backbone.encode([rgb]), rgb)
    np.testing.assert_array_equal(both, mask() | mask(at_xyxy=(50, 50, 59, 59)))


def test_a_polygon_is_taken_as_it_was_drawn():
    backbone = Coarse()
    drawn = Polygon(((9, 19), (31, 19), (31, 41), (9, 41)))
    embedding = backbone.encode([photo()])
    found = reference_mask(drawn, backbone, embedding, photo())
    np.testing.assert_array_equal(found, mask_from_prompt(drawn, backbone, embedding))
    assert backbone.batches == [1]


def test_in_a_large_photo_the_mask_is_refined_in_a_smaller_copy(monkeypatch):
    backbone, rgb = ColourBackbone(), photo(hw=(2048, 2048), at_xyxy=(320, 640, 959, 1279))  # the input has 256
    seen = []
    monkeypatch.setattr(crop_refine, "follow_edges", lambda logits, image: seen.append(image.shape) or logits)
    found = reference_mask(Box(300, 620, 980, 1300), backbone, backbone.encode([rgb]), rgb)
    assert seen == [(1024, 1024, 3)]
    assert found.shape == (2048, 2048)
    assert iou(found, mask(hw=(2048, 2048), at_xyxy=(320, 640, 959, 1279))) > 0.97
