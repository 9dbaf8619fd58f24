"""How a result shows itself in a notebook: a small picture and a table, as HTML that holds all it needs."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from persam.errors import PerSAMError

Array = np.ndarray[Any, Any]
SIDE = 480  # longer side of the picture in pixels, so that a notebook of many results stays small


def figure(title: str, draw: Callable[[], UInt8[Array, "h w 3"]] | None, records: Sequence[Mapping[str, Any]]) -> str:
    """A picture with its title, and a table with a row for each record. Nothing in the texts is taken as HTML.

    Args:
        title: above the picture.
        draw: gives the picture; where that is not possible any more, its error is shown instead. None: there is none.
        records: what to say, by its name; all have the keys of the first.
    """
    try:
        picture = "" if draw is None else f'<img src="data:image/jpeg;base64,{_jpeg(draw())}" alt="{escape(title)}">'
    except PerSAMError as error:
        picture = f"<p>{escape(str(error))}</p>"
    head = "".join(f"<th>{escape(key)}</th>" for key in (records[0] if records else ()))
    rows = "".join(f"<tr>{''.join(f'<td>{escape(_text(cell))}</td>' for cell in one.values())}</tr>" for one in records)
    table = f"<table><tr>{head}</tr>{rows}</table>" if records else ""
    return f"<div><strong>{escape(title)}</strong><br>{picture}{table}</div>"


def _text(cell: object) -> str:
    """A cell's value as people read it."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return ", ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell)


def _jpeg(rgb: UInt8[Array, "h w 3"]) -> str:
    picture, file = Image.fromarray(rgb), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode()
