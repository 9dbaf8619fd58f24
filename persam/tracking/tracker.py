"""Objects followed from frame to frame. Each keeps its number for life, whether it is there or not."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from persam.errors import TrackingError
from persam.geometry import box_of
from persam.io.images import read_image
from persam.io.results import ImageResult
from persam.io.segmentation import Segmentation
from persam.method.concept import Concept, owned
from persam.method.prompt_masks import reference_mask
from persam.method.recipes import Recipe
from persam.model import PerSAM
from persam.sam.memory import as_out_of_memory
from persam.sam.plain import plain_torch
from persam.sam.video_model import VideoModel, load_video_model
from persam.tracking import official
from persam.tracking.follower import ClipFrame, Follower, apart, given
from persam.tracking.motion import flow_back
from persam.tracking.ours import Seen, Track, anchored, follow, learned, without
from persam.tracking.propagation import Propagation
from persam.tracking.recipes import (
    PERSAM_VIDEO,
    AnyTrackingRecipe,
    OfficialTrackingRecipe,
    PropagationRecipe,
    TrackingRecipe,
    find,
)

Array = np.ndarray[Any, Any]


class Tracker:
    """Follows objects through frames that are given one after the other.

    Args:
        model: finds the objects. Concepts must be its own.
        recipe: a name of `persam.tracking.recipes.TRACKING_RECIPES`, or the recipe itself, such as a PropagationRecipe.

    Raises:
        TrackingError: there is no such recipe.
        WeightsError: the recipe's video model cannot be loaded.

    Examples:
        >>> tracker = Tracker(persam.load())  # doctest: +SKIP
        >>> result = tracker.step(first, ["rex_mask.png"], names=["rex"])  # doctest: +SKIP
        >>> for rgb in frames:  # doctest: +SKIP
        ...     print(tracker.step(rgb)["rex"].present)
    """

    def __init__(self, model: PerSAM, *, recipe: str | AnyTrackingRecipe = PERSAM_VIDEO):
        self.model, self.recipe = model, find(recipe)
        self._follower = _follower(model, self.recipe)
        self._last: ClipFrame | None = None
        self._shown: ImageResult | None = None
        self._turn = 0

    def add_concepts(self, concepts: Concept | Sequence[Concept]) -> None:
        """More objects to look for, from the next frame on; no mask of them is needed.

        Raises:
            ConceptError: a concept is another backbone's.
            TrackingError: a name is taken, or the recipe is a published one, which starts from masks.
        """
        known = owned(concepts, self.model.backbone)
        self._check_names([concept.name for concept in known])
        self._follower.add(known)

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
        frame = ClipFrame(pixels, self.model.backbone)
        marks = [reference_mask(one, self.model.backbone, frame.embedding, frame.rgb) for one in masks]
        segmentations = self._follower.step(frame, marks, called)
        name = name or f"{self._turn:05d}"
        self._last, self._turn = frame, self._turn + 1
        self._shown = ImageResult(name, frame.size_hw, tuple(segmentations), partial(np.asarray, pixels), time=time)
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
        names = self._follower.names
        wanted = concept if concept is not None or len(names) != 1 else names[0]
        if wanted not in names:
            raise TrackingError(f"say which object is corrected: concept is one of {names}, and {concept!r} was given.")
        marked = reference_mask(mask, self.model.backbone, self._last.embedding, self._last.rgb)
        place = names.index(wanted)
        self._follower.correct(self._last, place, marked)
        corrected = tuple(
            given(marked, wanted, place + 1)
            if one.concept == wanted
            else replace(one, mask=one.mask & ~marked, box_xyxy=box_of(one.mask & ~marked))
            for one in result.segmentations
        )
        self._shown = replace(result, segmentations=corrected)
        return self._shown

    def _called(self, masks: Sequence[Any], names: Sequence[str] | None) -> list[str]:
        if names is None:
            return [f"object {len(self._follower.names) + number}" for number in range(1, len(masks) + 1)]
        if len(names) != len(masks):
            raise TrackingError(f"{len(masks)} masks came with {len(names)} names: give one name a mask.")
        return list(names)

    def _check_names(self, names: Sequence[str]) -> None:
        twice = [name for place, name in enumerate(names) if name in (*self._follower.names, *names[:place])]
        if twice:
            raise TrackingError(f"an object called {twice[0]!r} is tracked already: give each a name of its own.")

    def _check(self, rgb: UInt8[Array, "h w 3"], names: Sequence[str]) -> None:
        if not names and not self._follower.names:
            raise TrackingError("there is nothing to track: give a mask in the first frame, or add concepts before.")
        self._check_names(names)
        if self._last is not None and rgb.shape != self._last.rgb.shape:
            got, known = (f"{shape[1]}x{shape[0]}" for shape in (rgb.shape, self._last.rgb.shape))
            raise TrackingError(f"the frame is {got} and those before were {known}. Scale it, or start a new Tracker.")


def _follower(model: PerSAM, recipe: AnyTrackingRecipe) -> Follower:
    if isinstance(recipe, OfficialTrackingRecipe):
        return _Published(model, recipe)
    if isinstance(recipe, PropagationRecipe):
        video_model = recipe.video_model
        if not isinstance(video_model, VideoModel):
            video_model = load_video_model(video_model, device=model.backbone.device)
        return Propagation(model, video_model)
    return _Ours(model, recipe)


class _Ours:
    """Motion and recognition (`tracking.ours`): a track an object, and the grey frame before for its flow."""

    def __init__(self, model: PerSAM, recipe: TrackingRecipe):
        self.model, self.crop_refine = model, recipe.crop_refine
        self.tracks: list[Track] = []
        self.before: ClipFrame | None = None
        self.turn = 0

    @property
    def names(self) -> list[str]:
        return [track.concept.name for track in self.tracks]

    def add(self, concepts: Sequence[Concept]) -> None:
        self.tracks += [Track(number, one) for number, one in enumerate(concepts, len(self.tracks) + 1)]

    def step(self, frame: ClipFrame, masks: Sequence[Bool[Array, "h w"]], names: Sequence[str]) -> list[Segmentation]:
        flow = None if self.before is None else flow_back(frame.grey, self.before.grey)
        seen, known = Seen.of(frame.rgb, frame.embedding, flow), list(self.tracks)
        crop = self.crop_refine and bool(known)
        finds = apart(follow(self.model, seen, known, refined=self.turn % len(known) if crop else None))
        self.tracks = [learned(self.model, track, seen, one) for track, one in zip(known, finds, strict=True)]
        shown = [replace(one.segmentation(1), track_id=track.track_id) for track, one in zip(known, finds, strict=True)]
        for mask, name in zip(masks, names, strict=True):
            number = len(self.tracks) + 1
            concept = self.model.learn(frame.rgb, mask, name=name, recipe=Recipe("persam"))
            self.tracks.append(anchored(Track(number, concept), seen, mask))
            shown.append(given(mask, name, number))
        self.before, self.turn = frame, self.turn + 1
        return shown

    def correct(self, frame: ClipFrame, place: int, mask: Bool[Array, "h w"]) -> None:
        seen = Seen.of(frame.rgb, frame.embedding, None)
        self.tracks = [
            anchored(track, seen, mask) if number == place else without(track, mask)
            for number, track in enumerate(self.tracks)
        ]


class _Published:
    """The published script as it runs: its label map is all that it remembers."""

    def __init__(self, model: PerSAM, recipe: OfficialTrackingRecipe):
        self.model, self.recipe = model, recipe
        self.names: list[str] = []
        self.targets: list[official.Target] = []
        self.label_map = np.zeros((0, 0), np.uint8)

    def add(self, concepts: Sequence[Concept]) -> None:
        raise TrackingError(f"{self.recipe.name} starts from masks. Use 'persam_video' to find concepts.")

    def correct(self, frame: ClipFrame, place: int, mask: Bool[Array, "h w"]) -> None:
        raise TrackingError(f"{self.recipe.name} knows no corrections. Use 'persam_video'.")

    def step(self, frame: ClipFrame, masks: Sequence[Bool[Array, "h w"]], names: Sequence[str]) -> list[Segmentation]:
        embedding = frame.embedding
        if self.targets and masks:
            raise TrackingError("a published recipe takes all masks in the first frame. Use 'persam_video'.")
        if masks:
            self.targets = official.learn(self.model.backbone, embedding, masks, tune=self.recipe.tune)
            self.names, self.label_map = list(names), np.zeros(frame.size_hw, np.uint8)
            for number, mask in enumerate(masks, 1):
                self.label_map[mask] = number
            return [given(mask, name, n) for n, (mask, name) in enumerate(zip(masks, names, strict=True), 1)]
        merged = official.step(self.model.backbone, embedding, self.targets, self.label_map)
        self.label_map = merged.label_map
        found = []
        for number, name in enumerate(self.names, 1):
            mask = self.label_map == number
            slot = merged.slots[number - 1] if number <= len(merged.slots) else None
            score = 0.0 if slot is None else min(1.0, max(0.0, float(slot.mask.score)))
            one = replace(given(mask, name, number), score=score)
            if slot is not None:
                one = replace(
                    one,
                    points_xy=slot.prior.points_xy.cpu().numpy(),
                    labels=slot.prior.labels.cpu().numpy(),
                    similarity=slot.prior.similarity.cpu().numpy(),
                )
            found.append(one)
        return found
