"""Points, axes and ticks of the panels, read back from the SVG."""

import xml.etree.ElementTree as ET

import pytest

from persam.eval.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Panel, svg, ticks

SVG = "{http://www.w3.org/2000/svg}"
PANEL = Panel("Time & work", "photos", "encodings", [(1, 10.0), (10, 100.0), (100, 1000.0)], [(1, 10.0), (100, 1000.0)])


def test_what_grows_as_the_work_does_lies_on_a_straight_line_that_ends_at_the_border():
    root = ET.fromstring(svg([PANEL], columns=1))
    places = [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in root.iter(f"{SVG}circle")]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert (x0, x2) == (LEFT, WIDTH - RIGHT)
    assert TOP < y2 < y1 < y0 < HEIGHT - BOTTOM
    assert (x1 - x0, y1 - y0) == pytest.approx((x2 - x1, y2 - y1), abs=0.11)  # places have one decimal
    guide, line = (one.get("points", "").split() for one in root.iter(f"{SVG}polyline"))
    assert (guide[0], guide[-1]) == (line[0], line[-1])
    assert {"Time & work", "photos", "encodings", "1", "10", "100", "1,000"} <= {
        one.text for one in root.iter(f"{SVG}text")
    }


def test_a_plain_axis_begins_at_zero():
    root = ET.fromstring(svg([Panel("m", "x", "MB", [(1, 500.0), (2, 1000.0)], log_y=False)], columns=1))
    low, high = (HEIGHT - BOTTOM - float(one.get("cy", "")) for one in root.iter(f"{SVG}circle"))
    assert high == pytest.approx(2 * low, abs=0.2)


def test_panels_stand_row_by_row():
    root = ET.fromstring(svg([PANEL] * 5, columns=3))
    moved = [one.get("transform") for one in root.iter(f"{SVG}g")]
    assert moved == [f"translate({x * WIDTH} {y * HEIGHT})" for x, y in ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1))]
    assert (root.get("width"), root.get("height")) == (str(3 * WIDTH), str(2 * HEIGHT))


def test_one_point_stands_in_the_middle():
    [one] = ET.fromstring(svg([Panel("m", "x", "y", [(7, 3.0)])], columns=1)).iter(f"{SVG}circle")
    assert float(one.get("cx", "")) == pytest.approx(LEFT + (WIDTH - LEFT - RIGHT) / 2, abs=0.1)


def test_nothing_cannot_be_drawn():
    with pytest.raises(ValueError, match="no points"):
        svg([Panel("m", "x", "y", [])], columns=1)


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (3, 60, True, [5, 10, 20, 50]),
        (0.9, 1500, True, [1, 10, 100, 1000]),
        (0, 640, False, [0, 200, 400, 600]),
        (0, 2000, False, [0, 500, 1000, 1500, 2000]),
    ],
)
def test_ticks_are_round_numbers(low, high, log, expected):
    assert ticks(low, high, log=log) == pytest.approx(expected)
