"""Panels of measured points as one SVG: no package draws them, and the file is text that a change shows in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 280, 210  # of a panel with its margins, in pixels
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 30, 42  # its margins
INK, GREY, BLUE = "#222222", "#999999", "#1482ff"
STYLE = 'font-family="Helvetica, Arial, sans-serif" font-size="11"'
Point = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """Points over a logarithmic axis, joined from left to right, and a dashed line to compare them with.

    points, guide: x above 0, ascending; y above 0 too where `log_y` is set, else from 0.
    """

    title: str
    x_label: str
    y_label: str
    points: Sequence[Point]
    guide: Sequence[Point] = ()
    log_y: bool = True


def svg(panels: Sequence[Panel], *, columns: int) -> str:
    """The panels row by row. Every point's x is marked on its axis.

    Raises:
        ValueError: a panel without points.
    """
    rows = math.ceil(len(panels) / columns)
    size = f'width="{columns * WIDTH}" height="{rows * HEIGHT}" viewBox="0 0 {columns * WIDTH} {rows * HEIGHT}"'
    drawn = []
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        drawn += [f'<g transform="translate({column * WIDTH} {row * HEIGHT})">', *_drawn(panel), "</g>"]
    background = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {STYLE}>', background, *drawn, "</svg>\n"])


def ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Round numbers within: 1, 2 and 5 of each decade, of several decades 1 alone; on a plain axis at equal steps."""
    if log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        leading = (1, 2, 5) if high < 30 * low else (1,)
        return [one for one in (first * 10.0**decade for decade in decades for first in leading) if low <= one <= high]
    steps = (first * 10.0**decade for decade in range(-3, 9) for first in (1, 2, 5))
    step = next(one for one in steps if (high - low) / one <= 5)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _drawn(panel: Panel) -> list[str]:
    if not panel.points:
        raise ValueError(f"the panel {panel.title!r} has no points")
    xs = [x for x, _ in panel.points]
    ys = [y for _, y in [*panel.points, *panel.guide]]
    low, high = (min(ys) / 1.3, max(ys) * 1.3) if panel.log_y else (0.0, max(ys) * 1.1)

    def across(x: float) -> float:
        return LEFT + _share(x, xs[0], xs[-1], log=True) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - _share(y, low, high, log=panel.log_y) * (HEIGHT - TOP - BOTTOM)

    floor, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [
        _text(LEFT, TOP - 12, panel.title, extra='font-weight="bold"'),
        _text((LEFT + end) / 2, HEIGHT - 8, panel.x_label, anchor="middle"),
        _text(14, (TOP + floor) / 2, panel.y_label, anchor="middle", turned=True),
    ]
    for y in ticks(low, high, log=panel.log_y):
        parts.append(f'<path d="M{LEFT} {down(y):.1f}H{end}" stroke="{GREY}" stroke-width="0.3"/>')
        parts.append(_text(LEFT - 5, down(y) + 4, f"{y:,.6g}", anchor="end"))
    for x in xs:
        parts.append(f'<path d="M{across(x):.1f} {floor}v4" stroke="{INK}"/>')
        parts.append(_text(across(x), floor + 16, f"{x:g}", anchor="middle"))
    parts.append(f'<path d="M{LEFT} {floor}H{end}" stroke="{INK}"/>')
    for line, look in ((panel.guide, f'stroke="{GREY}" stroke-dasharray="4 3"'), (panel.points, f'stroke="{BLUE}"')):
        if line:
            places = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in line)
            parts.append(f'<polyline points="{places}" fill="none" stroke-width="1.5" {look}/>')
    parts += [f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="3" fill="{BLUE}"/>' for x, y in panel.points]
    return parts


def _share(value: float, low: float, high: float, *, log: bool) -> float:
    """Where it lies between the two, 0 to 1."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low) if high > low else 0.5


def _text(x: float, y: float, text: str, *, anchor: str = "start", turned: bool = False, extra: str = "") -> str:
    turn = f'transform="rotate(-90 {x:.1f} {y:.1f})" ' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}" {turn}{extra}>{escape(text)}</text>'
