"""The object in a photo as a person marks it: clicks, a box or paint, and further clicks that correct the mask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from persam.errors import MaskError
from persam.method.crop_refine import refine_mask
from persam.method.prompt_masks import mask_from_prompt
from persam.method.prompts import Box, Points
from persam.sam.backbone import Backbone
from persam.sam.plain import plain_torch
from persam.types import ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
Place = tuple[float, float]
SURE = 8.0  # logit of a mask that is handed to the decoder: on the object, and minus that beside it
KEPT = 0.3  # share of the mask that an answer must hold to be that mask put right, and nothing else
ERASER = 0.03  # of the photo's longer side: what a click takes away where the decoder knows nothing better


@dataclass(frozen=True, eq=False)
class Marks:
    """What was marked in a photo, in its pixels.

    clicks: places, and whether they are on the object. corner: of a box whose other corner is still to come.
    box, painted: where the mask starts from; clicks made before are forgotten, those made after correct it.
    before: what was marked one step earlier.
    """

    clicks: tuple[tuple[Place, bool], ...] = ()
    corner: Place | None = None
    box: Box | None = None
    painted: Bool[Array, "h w"] | None = None
    before: "Marks | None" = None

    def clicked(self, place_xy: Place, *, inside: bool) -> "Marks":
        """With one more click, on the object or beside it."""
        return replace(self, clicks=(*self.clicks, (place_xy, inside)), corner=None, before=self)

    def cornered(self, place_xy: Place) -> "Marks":
        """With a corner of a box; the second one makes the box.

        Raises:
            MaskError: it lies above, below or beside the first one, so that there is no box.
        """
        if self.corner is None:
            return replace(self, corner=place_xy, before=self)
        (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(self.corner, place_xy, strict=True))
        if x0 == x1 or y0 == y1:
            raise MaskError("the two corners make no box. Click the corner that lies opposite.")
        return Marks(box=Box(x0, y0, x1, y1), before=self)

    def painted_over(self, mask: Bool[Array, "h w"]) -> "Marks":
        return Marks(painted=mask, before=self)

    @property
    def places(self) -> tuple[list[Place], list[Place]]:
        """The clicks on the object, and those beside it."""
        inside, outside = ([place for place, on in self.clicks if on is wanted] for wanted in (True, False))
        return inside, outside

    @property
    def drawn(self) -> tuple[Float[Array, "n 2"], Float[Array, "n"]]:
        """The places as a picture shows them, and labels: 1 on the object, as a lone corner is, and 0 beside it."""
        inside, outside = self.places
        if self.corner is not None:
            inside = [*inside, self.corner]
        points = np.array([*inside, *outside], np.float32).reshape(-1, 2)
        return points, np.array([1] * len(inside) + [0] * len(outside), np.float32)


def put_right(
    mask: Bool[Array, "h w"], marks: Marks, backbone: Backbone, embedding: ImageEmbedding
) -> Bool[Array, "h w"]:
    """A find's mask after the clicks, of which there is one at least; of an empty mask what the clicks alone mean.

    Raises:
        MaskError: nothing fits them, or nothing is left.
    """
    if mask.any():
        return corrected(mask, *marks.places, backbone, embedding)
    asked = mask_of(Marks(clicks=marks.clicks), backbone, embedding)
    assert asked is not None  # there are clicks
    return asked


@torch.inference_mode()
@plain_torch()
def mask_of(marks: Marks, backbone: Backbone, embedding: ImageEmbedding) -> Bool[Array, "h w"] | None:
    """The mask that the marks mean; None before there are any.

    Raises:
        MaskError: nothing fits them, or nothing is left.
    """
    inside, outside = marks.places
    if marks.painted is not None:
        start = marks.painted
    elif marks.box is not None:
        start = mask_from_prompt(marks.box, backbone, embedding)
    elif inside:
        start = mask_from_prompt(Points(inside, outside), backbone, embedding)
        if _agrees(start, start, inside, outside):
            return start
    elif outside:
        raise MaskError("click on the object first; clicks beside it come after that.")
    else:
        return None
    return corrected(start, inside, outside, backbone, embedding)


@torch.inference_mode()
@plain_torch()
def refined(
    mask: Bool[Array, "h w"], marks: Marks, backbone: Backbone, rgb: UInt8[Array, "h w 3"]
) -> Bool[Array, "h w"]:
    """The mask refined in a crop, which costs an encoding; as it was where it was painted, or the clicks say no."""
    if marks.painted is not None:
        return mask
    finer = refine_mask(backbone, rgb, mask)
    return finer if _agrees(finer, mask, *marks.places) else mask


@torch.inference_mode()
@plain_torch()
def corrected(
    mask: Bool[Array, "h w"],
    inside: Sequence[Place],
    outside: Sequence[Place],
    backbone: Backbone,
    embedding: ImageEmbedding,
) -> Bool[Array, "h w"]:
    """The mask with the places inside in it and those outside not: of the decoder's answers, the one most like it.

    Where no answer agrees with the clicks, what the decoder finds at a click is added or taken away.

    Args:
        mask: of the image, not empty.
        inside: x and y in pixels.
        outside: likewise.
        backbone: whose decoder is asked, with the clicks and the mask as its prompt.
        embedding: of the image.

    Raises:
        MaskError: nothing is left.
    """
    if not inside and not outside:
        return mask
    labels = torch.tensor([[1.0] * len(inside) + [0.0] * len(outside)])
    points = torch.tensor([*inside, *outside], dtype=torch.float32)[None]
    prompt = Prompt(points, labels, mask_logits=_as_logits(mask, embedding))
    answers = (embedding.frame.upscale(backbone.decode(embedding, prompt).logits)[0] > 0).cpu().numpy()
    fitting = [one for one in answers if _agrees(one, mask, inside, outside)]
    if fitting:
        return np.asarray(max(fitting, key=lambda one: (one & mask).sum() / (one | mask).sum()))
    return _edited(mask, inside, outside, backbone, embedding)


def _agrees(
    answer: Bool[Array, "h w"], mask: Bool[Array, "h w"], inside: Sequence[Place], outside: Sequence[Place]
) -> bool:
    clicks = all(_at(answer, place) for place in inside) and not any(_at(answer, place) for place in outside)
    return clicks and bool((answer & mask).sum() >= KEPT * mask.sum())


def _edited(
    mask: Bool[Array, "h w"],
    inside: Sequence[Place],
    outside: Sequence[Place],
    backbone: Backbone,
    embedding: ImageEmbedding,
) -> Bool[Array, "h w"]:
    changed = mask.copy()
    for place in inside:
        if not _at(changed, place):
            changed |= mask_from_prompt(Points([place], list(outside)), backbone, embedding)
    for place in outside:
        if _at(changed, place):
            there = mask_from_prompt(Points([place]), backbone, embedding)
            if any(_at(there, other) for other in inside) or not (changed & ~there).any():
                there = _disc(place, mask.shape)
            changed &= ~there
    if not changed.any():
        raise MaskError("nothing of the object is left. Take the last click back.")
    return changed


def _as_logits(mask: Bool[Array, "h w"], embedding: ImageEmbedding) -> Float[Tensor, "1 1 s s"]:
    """The mask as an earlier answer of the decoder: over the padded square, at 4x the grid."""
    import cv2

    frame, side = embedding.frame, 4 * embedding.frame.grid_side
    height, width = (max(1, round(length * side / frame.input_size)) for length in frame.input_hw)
    small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    logits = torch.full((1, 1, side, side), -SURE, device=embedding.device)
    logits[0, 0, :height, :width] = (torch.from_numpy(np.asarray(small)).to(embedding.device) * 2 - 1) * SURE
    return logits


def _at(mask: Bool[Array, "h w"], place_xy: Place) -> bool:
    x, y = place_xy
    return bool(mask[min(mask.shape[0] - 1, round(y)), min(mask.shape[1] - 1, round(x))])


def _disc(place_xy: Place, hw: tuple[int, ...]) -> Bool[Array, "h w"]:
    rows, columns = np.ogrid[: hw[0], : hw[1]]
    distance = np.hypot(columns - place_xy[0], rows - place_xy[1])
    return np.asarray(distance <= max(1.0, ERASER * max(hw)))
