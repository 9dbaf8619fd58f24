"""A canvas over a photo to paint on. What is painted comes back as a picture of the view's own size.

Gradio's ImageEditor draws by WebGL, which takes seconds a stroke where there is no GPU; this one is a plain canvas.
"""

import base64
import binascii
import io
import itertools
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from persam.errors import MaskError
from persam.io.write import encode
from persam.studio.page.look import ACCENT
from persam.studio.photo import VIEW_SIDE, Photo, view

Array = np.ndarray[Any, Any]
PNG = "data:image/png;base64,"
COLOUR = tuple(int(ACCENT[place : place + 2], 16) for place in (1, 3, 5))
_turns = itertools.count()

TEMPLATE = """
<div class="tools">
  <label>Brush <input type="range" class="size" min="4" max="160" value="40"></label>
  <label><input type="checkbox" class="erase"> Erase</label>
</div>
<div class="pad" data-turn="${value && value.turn}">
  <img class="photo" draggable="false" alt="" src="${value && value.photo}">
  <img class="layer" alt="" src="${value && value.layer}">
  <canvas></canvas>
</div>
"""
CSS = """
.tools { display: flex; gap: 24px; align-items: center; padding: 2px 0 10px; font-size: 0.9rem; }
.tools label { display: flex; gap: 8px; align-items: center; }
.pad { position: relative; width: fit-content; max-width: 100%; margin: 0 auto; line-height: 0; }
.pad img.photo { display: block; width: 100%; min-width: min(100%, 640px); max-height: 640px; }
.pad img.layer { display: none; }
.pad canvas { position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0.55; cursor: crosshair;
  touch-action: none; }
"""
SCRIPT = """
const one = (name) => element.querySelector(name);
let last = null;
element.addEventListener('load', () => {
  const photo = one('img.photo'), layer = one('img.layer'), canvas = one('canvas');
  if (!canvas || !photo.naturalWidth) return;
  if (canvas.width !== photo.naturalWidth || canvas.height !== photo.naturalHeight || !canvas.dataset.ready) {
    canvas.width = photo.naturalWidth;
    canvas.height = photo.naturalHeight;
    canvas.dataset.ready = 'yes';
  }
  if (layer.complete && layer.naturalWidth) canvas.getContext('2d').drawImage(layer, 0, 0, canvas.width, canvas.height);
}, true);
const place = (event) => {
  const canvas = one('canvas'), box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  return [x * canvas.width, y * canvas.height];
};
const stroke = (to) => {
  const canvas = one('canvas'), pen = canvas.getContext('2d');
  pen.globalCompositeOperation = one('.erase').checked ? 'destination-out' : 'source-over';
  pen.strokeStyle = 'ACCENT';
  pen.lineCap = pen.lineJoin = 'round';
  pen.lineWidth = one('.size').value * canvas.width / canvas.getBoundingClientRect().width;
  pen.beginPath();
  pen.moveTo(last[0], last[1]);
  pen.lineTo(to[0], to[1] + 0.01);
  pen.stroke();
  last = to;
};
element.addEventListener('pointerdown', (event) => {
  if (event.target.tagName !== 'CANVAS') return;
  event.target.setPointerCapture(event.pointerId);
  last = place(event);
  stroke(last);
});
element.addEventListener('pointermove', (event) => { if (last) stroke(place(event)); });
element.addEventListener('pointerup', () => {
  if (!last) return;
  last = null;
  trigger('input', {painting: one('canvas').toDataURL('image/png')});
});
""".replace("ACCENT", ACCENT)


def pad() -> Any:
    """The component. Its `input` event has the painting as `painting`, after every stroke."""
    import gradio as gr

    return gr.HTML(None, html_template=TEMPLATE, css_template=CSS, js_on_load=SCRIPT, visible=False, elem_id="painting")


def ground(photo: Photo, painted: Bool[Array, "h w"] | None = None) -> dict[str, Any]:
    """What the component shows: the photo's view, and over it what is painted already."""
    height, width = photo.view_hw
    layer = np.zeros((height, width, 4), np.uint8)
    if painted is not None:
        small = Image.fromarray(painted).resize((width, height), Image.Resampling.NEAREST)
        layer[np.array(small)] = (*COLOUR, 255)
    return {
        "photo": _data_of(Image.fromarray(view(photo.rgb)), "JPEG"),
        "layer": _data_of(Image.fromarray(layer), "PNG"),
        "turn": next(_turns),  # the same picture again is shown again
    }


def layer_of(painting: object) -> UInt8[Array, "lh lw 4"]:
    """The picture that the component sent.

    Raises:
        MaskError: it is none, or larger than any view.
    """
    try:
        if not isinstance(painting, str) or not painting.startswith(PNG):
            raise ValueError("not a PNG")
        with Image.open(io.BytesIO(base64.b64decode(painting[len(PNG) :], validate=True)), formats=["PNG"]) as image:
            if max(image.size) > VIEW_SIDE:
                raise ValueError(f"{image.width}x{image.height} pixels")
            return np.array(image.convert("RGBA"))
    except (ValueError, OSError, SyntaxError, binascii.Error) as error:
        raise MaskError(f"the painting cannot be read ({error}). Load the photo again, and paint anew.") from error


def _data_of(image: Image.Image, kind: str) -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encode(image, kind)).decode()}"
