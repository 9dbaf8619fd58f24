"""Objects followed from frame to frame. Each keeps its number for life, whether it is there or not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from persam.errors import TrackingError
from persam.geometry import box_of
from persam.io.images import read_image
from persam.io.results import ImageResult, Segmentation
from persam.method.concept import Concept, owned
from persam.method.find import Find, without_overlap
from persam.method.prompts import reference_mask
from persam.method.recipes import Recipe
from persam.model import PerSAM
from persam.sam.memory import as_out_of_memory
from persam.sam.plain import plain_torch
from persam.tracking import official
from persam.tracking.motion import flow_back, half_grey
from persam.tracking.ours import Seen, Track, anchored, follow, learned, without
from persam.tracking.recipes import PERSAM_VIDEO, AnyTrackingRecipe, OfficialTrackingRecipe, TrackingRecipe, find
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame that was taken in: what the next one and a correction need of it."""

    rgb: UInt8[Array, "h w 3"]
    embedding: ImageEmbedding
    grey: UInt8[Array, "hs ws"]


class Tracker:
    """Follows objects through frames that are given one after the other.

    Args:
        model: finds the objects. Concepts must be its own.
        recipe: a name of `persam.tracking.recipes.TRACKING_RECIPES`, or the recipe itself.

    Raises:
        TrackingError: there is no such recipe.

    >>> tracker = Tracker(persam.load())  # doctest: +SKIP
    >>> result = tracker.step(first, ["rex_mask.png"], names=["rex"])  # doctest: +SKIP
    >>> for rgb in frames:  # doctest: +SKIP
    ...     print(tracker.step(rgb)["rex"].present)
    """

    def __init__(self, model: PerSAM, *, recipe: str | AnyTrackingRecipe = PERSAM_VIDEO):
        self.model, self.recipe = model, find(recipe)
        self._tracks: list[Track] = []
        self._official = _Published(model, self.recipe) if isinstance(self.recipe, OfficialTrackingRecipe) else None
        self._last: _Frame | None = None
        self._shown: ImageResult | None = None
        self._turn = 0

    def add_concepts(self, concepts: Concept | Sequence[Concept]) -> None:
        """More objects to look for, from the next frame on; no mask of them is needed.

        Raises:
            ConceptError: a concept is another backbone's.
            TrackingError: a name is taken, or the recipe is a published one, which starts from masks.
        """
        if self._official is not None:
            raise TrackingError(f"{self.recipe.name} starts from masks. Use 'persam_video' to find concepts.")
        known = owned(concepts, self.model.backbone)
        self._check_names([concept.name for concept in known])
        self._tracks += [Track(number, one) for number, one in enumerate(known, len(self._tracks) + 1)]

    @as_out_of_memory("tracking a frame")
    @torch.inference_mode()
    @plain_torch()
    def step(
        self,
        rgb: Any,
        masks: Sequence[Any] = (),
        *,
        names: Sequence[str] | None = None,
        name: str | None = None,
        time: float | None = None,
    ) -> ImageResult:
        """The next frame: every object in it, present or not, in the order of their numbers.

        Args:
            rgb: the frame, as `read_image` takes it.
            masks: of objects that enter in this frame, each a mask or a prompt as for `PerSAM.learn`.
            names: what results call the entering objects; "object 1" and so on by number when not given.
            name: of the frame; its place from 00000 on when not given.
            time: seconds from the start of the video.

        Raises:
            ImageError, MaskError: the frame or a mask cannot be used.
            OutOfMemoryError: the frame is too large for what is free.
            TrackingError: nothing to track yet, a frame of another size, a name that is taken, or masks that enter
                late under a published recipe.
        """
        pixels = read_image(rgb)
        called = self._called(masks, names)
        self._check(pixels, called)
        embedding = self.model.backbone.encode([pixels])
        frame = _Frame(pixels, embedding, half_grey(pixels))
        marks = [reference_mask(one, self.model.backbone, embedding) for one in masks]
        if self._official is not None:
            segmentations = self._official.step(frame.rgb, embedding, marks, called)
        else:
            segmentations = self._step(frame, marks, called)
        name = name or f"{self._turn:05d}"
        self._last, self._turn = frame, self._turn + 1
        self._shown = ImageResult(name, _size(pixels), tuple(segmentations), partial(np.asarray, pixels), time=time)
        return self._shown

    @torch.inference_mode()
    @plain_torch()
    def correct(self, result: ImageResult, mask: Any, *, concept: str | None = None) -> ImageResult:
        """The last frame with an object put right; it goes on from there, under its number.

        Args:
            result: what the last `step` or `correct` gave.
            mask: where the object is, as a mask of the frame's size or a Box, Points, Polygon or Scribble.
            concept: which object; not needed where there is one.

        Raises:
            MaskError: the mask cannot be used.
            TrackingError: the result is not the last one, no object has that name, or the recipe is a published one.
        """
        if self._last is None or self._shown is not result:
            raise TrackingError("only the last frame can be corrected: pass the result of the latest step.")
        if self._official is not None:
            raise TrackingError(f"{self.recipe.name} knows no corrections. Use 'persam_video'.")
        names = self._names
        wanted = concept if concept is not None or len(names) != 1 else names[0]
        if wanted not in names:
            raise TrackingError(f"say which object is corrected: concept is one of {names}, and {concept!r} was given.")
        marked = reference_mask(mask, self.model.backbone, self._last.embedding)
        place = names.index(wanted)
        seen = Seen.of(self._last.rgb, self._last.embedding, None)
        self._tracks = [
            anchored(track, seen, marked) if number == place else without(track, marked)
            for number, track in enumerate(self._tracks)
        ]
        corrected = tuple(
            _given(marked, wanted, self._tracks[place].track_id)
            if one.concept == wanted
            else replace(one, mask=one.mask & ~marked, box_xyxy=box_of(one.mask & ~marked))
            for one in result.segmentations
        )
        self._shown = replace(result, segmentations=corrected)
        return self._shown

    def _step(self, frame: _Frame, masks: Sequence[Bool[Array, "h w"]], names: Sequence[str]) -> list[Segmentation]:
        flow = None if self._last is None else flow_back(frame.grey, self._last.grey)
        seen, known = Seen.of(frame.rgb, frame.embedding, flow), list(self._tracks)
        crop = isinstance(self.recipe, TrackingRecipe) and self.recipe.crop_refine and bool(known)
        finds = follow(self.model, seen, known, refined=self._turn % len(known) if crop else None)
        finds = _apart(finds)
        self._tracks = [learned(self.model, track, seen, one) for track, one in zip(known, finds, strict=True)]
        shown = [replace(one.segmentation(1), track_id=track.track_id) for track, one in zip(known, finds, strict=True)]
        for mask, name in zip(masks, names, strict=True):
            number = len(self._tracks) + 1
            concept = self.model.learn(frame.rgb, mask, name=name, recipe=Recipe("persam"))
            self._tracks.append(anchored(Track(number, concept), seen, mask))
            shown.append(_given(mask, name, number))
        return shown

    @property
    def _names(self) -> list[str]:
        return [track.concept.name for track in self._tracks] if self._official is None else self._official.names

    def _called(self, masks: Sequence[Any], names: Sequence[str] | None) -> list[str]:
        if names is None:
            return [f"object {len(self._names) + number}" for number in range(1, len(masks) + 1)]
        if len(names) != len(masks):
            raise TrackingError(f"{len(masks)} masks came with {len(names)} names: give one name a mask.")
        return list(names)

    def _check_names(self, names: Sequence[str]) -> None:
        twice = [name for place, name in enumerate(names) if name in (*self._names, *names[:place])]
        if twice:
            raise TrackingError(f"an object called {twice[0]!r} is tracked already: give each a name of its own.")

    def _check(self, rgb: UInt8[Array, "h w 3"], names: Sequence[str]) -> None:
        if not names and not self._names:
            raise TrackingError("there is nothing to track: give a mask in the first frame, or add concepts before.")
        self._check_names(names)
        if self._last is not None and rgb.shape != self._last.rgb.shape:
            got, known = (f"{shape[1]}x{shape[0]}" for shape in (rgb.shape, self._last.rgb.shape))
            raise TrackingError(f"the frame is {got} and those before were {known}. Scale it, or start a new Tracker.")


class _Published:
    """The published script as it runs: its label map is all that it remembers."""

    def __init__(self, model: PerSAM, recipe: OfficialTrackingRecipe):
        self.model, self.tune = model, recipe.tune
        self.names: list[str] = []
        self.targets: list[official.Target] = []
        self.label_map = np.zeros((0, 0), np.uint8)

    def step(
        self,
        rgb: UInt8[Array, "h w 3"],
        embedding: ImageEmbedding,
        masks: Sequence[Bool[Array, "h w"]],
        names: Sequence[str],
    ) -> list[Segmentation]:
        if self.targets and masks:
            raise TrackingError("a published recipe takes all masks in the first frame. Use 'persam_video'.")
        if masks:
            self.targets = official.learn(self.model.backbone, embedding, masks, tune=self.tune)
            self.names, self.label_map = list(names), np.zeros(_size(rgb), np.uint8)
            for number, mask in enumerate(masks, 1):
                self.label_map[mask] = number
            return [_given(mask, name, n) for n, (mask, name) in enumerate(zip(masks, names, strict=True), 1)]
        merged = official.step(self.model.backbone, embedding, self.targets, self.label_map)
        self.label_map = merged.label_map
        found = []
        for number, name in enumerate(self.names, 1):
            mask = self.label_map == number
            slot = merged.slots[number - 1] if number <= len(merged.slots) else None
            score = 0.0 if slot is None else min(1.0, max(0.0, float(slot.mask.score)))
            one = replace(_given(mask, name, number), score=score)
            if slot is not None:
                one = replace(
                    one,
                    points_xy=slot.prior.points_xy.cpu().numpy(),
                    labels=slot.prior.labels.cpu().numpy(),
                    similarity=slot.prior.similarity.cpu().numpy(),
                )
            found.append(one)
        return found


def _apart(finds: Sequence[Find]) -> list[Find]:
    """The finds in the same order, each pixel with one of them."""
    apart = {one.concept.name: one for one in without_overlap(finds)} if finds else {}
    return [apart[find.concept.name] for find in finds]


def _given(mask: Bool[Array, "h w"], name: str, number: int) -> Segmentation:
    """A mask that was given, as a result."""
    return Segmentation.of_mask(name, mask, score=1.0, present=bool(mask.any()), track_id=number)


def _size(rgb: UInt8[Array, "h w 3"]) -> tuple[int, int]:
    return rgb.shape[0], rgb.shape[1]
