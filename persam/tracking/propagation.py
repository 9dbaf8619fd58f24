"""A video model's memory carries each mask on (SAM 2, section 4); our concepts start it in place of a click.

An object starts in the frame that a mask is given for, or in the first one in which the concept is found. A mask that
is given later is one more frame that the memory goes by. What the video model has not seen for long is looked for as in
a photo, and keeps its number when it comes back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from persam.io.segmentation import Segmentation
from persam.method.concept import Concept
from persam.method.find import Find
from persam.method.recipes import Recipe
from persam.model import PerSAM
from persam.sam.video_memory import VideoMemory
from persam.sam.video_model import VideoModel
from persam.tracking.follower import ClipFrame, apart, given
from persam.types import Decoded, LocationPrior

Array = np.ndarray[Any, Any]
PATIENCE = 24  # frames in a row without an object after which it is searched for; a second of most clips


@dataclass(frozen=True, eq=False)
class _Followed:
    """An object. unseen: frames in a row without it; None before it was first seen, when nothing is remembered."""

    track_id: int
    concept: Concept
    unseen: int | None = None


class Propagation:
    """Follows by a video model. A frame is encoded by the PerSAM only where an object is sought, or a prompt needs it.

    Args:
        model: learns and finds the objects; from its threshold on, the video model's object score counts as present.
        video_model: carries the masks.
    """

    def __init__(self, model: PerSAM, video_model: VideoModel):
        self.model, self.memory = model, VideoMemory(video_model)
        self.objects: list[_Followed] = []

    @property
    def names(self) -> list[str]:
        return [one.concept.name for one in self.objects]

    def add(self, concepts: Sequence[Concept]) -> None:
        self.objects += [_Followed(number, one) for number, one in enumerate(concepts, len(self.objects) + 1)]

    def step(self, frame: ClipFrame, masks: Sequence[Bool[Array, "h w"]], names: Sequence[str]) -> list[Segmentation]:
        self.memory.enter(frame.rgb)
        known = self.objects
        carried = {one.track_id: self._carried(one) for one in known if one.unseen is not None}
        searched = self._searched(frame, carried)
        finds = apart([searched.get(one.track_id) or carried[one.track_id] for one in known])
        for one, find in zip(known, finds, strict=True):
            if find.present and one.track_id in searched:
                self.memory.condition(one.track_id, find.inside.cpu().numpy())
        self.objects = [_after(one, find) for one, find in zip(known, finds, strict=True)]
        shown = [replace(find.segmentation(1), track_id=one.track_id) for one, find in zip(known, finds, strict=True)]
        for mask, name in zip(masks, names, strict=True):
            number = len(self.objects) + 1
            concept = self.model.learn(frame.rgb, mask, name=name, recipe=Recipe("persam"))
            self.memory.condition(number, mask)
            self.objects.append(_Followed(number, concept, unseen=0))
            shown.append(given(mask, name, number))
        return shown

    def correct(self, frame: ClipFrame, place: int, mask: Bool[Array, "h w"]) -> None:
        one = self.objects[place]
        self.memory.condition(one.track_id, mask)
        self.objects[place] = replace(one, unseen=0)

    def _carried(self, one: _Followed) -> Find:
        """What the video model says of an object that it remembers."""
        found = self.memory.propagate(one.track_id)
        device = self.model.backbone.device  # where what is searched for is found
        mask = Decoded(found.mask.logits.to(device), found.mask.score.to(device))
        present = found.presence >= self.model.threshold and bool((mask.logits > 0).any())
        return Find(one.concept, _unasked(), mask, found.presence, present)

    def _searched(self, frame: ClipFrame, carried: Mapping[int, Find]) -> dict[int, Find]:
        """By number, finds that stand instead of what is carried: of all that never was seen, and of comebacks."""
        sought = [one for one in self.objects if self._is_sought(one, carried)]
        if not sought:
            return {}
        finds = self.model.find(frame.rgb, frame.embedding, [one.concept for one in sought])
        return {
            one.track_id: find
            for one, find in zip(sought, finds, strict=True)
            if one.unseen is None or (find.present and find.presence is not None)
        }

    def _is_sought(self, one: _Followed, carried: Mapping[int, Find]) -> bool:
        if one.unseen is None:
            return True
        judges = self.model.calibration.presence is not None  # without that everything is found everywhere
        return judges and one.unseen >= PATIENCE and not carried[one.track_id].present


def _after(one: _Followed, find: Find) -> _Followed:
    """The object after a frame in which it was found so, or not."""
    if find.present:
        return replace(one, unseen=0)
    return one if one.unseen is None else replace(one, unseen=one.unseen + 1)


def _unasked() -> LocationPrior:
    """Of a mask that no location prior led to."""
    return LocationPrior(torch.zeros(0, 0), torch.zeros(0, 2), torch.zeros(0))
