"""In a notebook a result is a small picture and its numbers, and never markup of somebody else's."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from persam.errors import ImageError
from persam.io import draw
from persam.io.notebook import SIDE
from persam.io.results import ImageResult, Segmentation
from persam.method.concept import Concept
from tests.colour import RED, colour_model, mask, photo

EVIL = '<script>alert("x")</script>&'


def picture_in(html: str) -> np.ndarray:
    [data] = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.array(image)


def result(name: str = "park", concept: str = "rex", hw: tuple[int, int] = (64, 64)) -> ImageResult:
    where = mask(hw=hw)
    found = Segmentation.of_mask(concept, where, score=0.876543, present=True, presence=0.98765)
    absent = Segmentation.of_mask("tom", np.zeros(hw, bool), score=0.5, present=False)
    return ImageResult(name, hw, (found, absent), lambda: photo(hw=hw))


def test_a_result_shows_its_overlay_and_a_row_for_each_thing_that_was_looked_for():
    html = result()._repr_html_()
    shown, drawn = picture_in(html), result().overlay()
    assert np.abs(shown.astype(int) - drawn.astype(int)).mean() < 6  # JPEG
    assert "<strong>park</strong>" in html
    rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert rows == [
        ["concept", "present", "presence", "score", "box_xyxy", "area_px"],
        ["rex", "yes", "0.9877", "0.8765", "10, 20, 29, 39", "400"],
        ["tom", "no", "-", "0.5", "-", "0"],
    ]


def test_a_large_photo_is_a_small_picture():
    assert picture_in(result(hw=(500, 1000))._repr_html_()).shape == (SIDE // 2, SIDE, 3)


def test_names_are_texts():
    html = result(name=EVIL, concept=EVIL)._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;") == 3  # title, alternative text, concept
    assert "<script" not in result(concept=EVIL)["tom"]._repr_html_()


def test_a_segmentation_shows_its_mask():
    assert np.array_equal(picture_in(result()["rex"]._repr_html_())[..., 0] > 127, mask())


def test_a_photo_that_has_gone_leaves_the_numbers_and_says_so(tmp_path):
    Image.fromarray(photo(colour=RED)).save(tmp_path / "a.png")
    model = colour_model()
    [found] = model.segment(tmp_path / "a.png", model.learn(photo(), mask()))
    (tmp_path / "a.png").unlink()
    html = found._repr_html_()
    assert "no such file" in html
    assert "10, 20, 29, 39" in html


def test_a_photo_that_was_not_searched_says_why():
    html = ImageResult.of_error("a", ImageError(f"cannot read {EVIL}"))._repr_html_()
    assert "cannot read &lt;script&gt;" in html
    assert "<table" not in html


@pytest.mark.parametrize("side", [1, 2])
def test_a_photo_of_a_pixel_is_shown(side: int):
    one = ImageResult("dot", (1, side), (), lambda: np.zeros((1, side, 3), np.uint8))
    assert picture_in(one._repr_html_()).shape == (1, side, 3)


def test_a_concept_shows_its_reference_and_from_a_file_what_is_known(tmp_path):
    rex = colour_model().learn([photo(), photo()], [mask(), mask()], name=EVIL)
    assert repr(rex) == f"Concept({EVIL!r}: recipe persam; model colour; views 2; counter-examples 0; tuned False)"
    shown = picture_in(rex._repr_html_())
    assert np.abs(shown.astype(int) - draw.overlay(photo(), mask(), colour=draw.INSIDE).astype(int)).mean() < 6
    loaded = Concept.load(rex.save(tmp_path / "rex.safetensors"))._repr_html_()
    assert "<img" not in loaded
    assert "<script" not in loaded
    assert "<td>persam</td><td>colour</td><td>2</td><td>0</td><td>no</td>" in loaded
