"""What a video model remembers of a clip: an object's mask in a few frames, and what it made of the latest ones.

Each object has a session of its own in transformers' sense. They share a frame's features, so that a frame is encoded
once; in a common session, a mask that is given for one object would change what the others remember of that frame.
A session keeps no more than the next frame needs, however long the clip.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, UInt8
from torch import Tensor

from persam.errors import WeightsError
from persam.sam.video_model import VideoModel
from persam.types import Decoded

Array = np.ndarray[Any, Any]
ONE = 1  # what each session calls its only object
CONDITIONING = 8  # frames with a given mask that are kept of an object: its first, and the latest


@dataclass(frozen=True, eq=False)
class Propagated:
    """An object in a frame. mask: over the frame. presence: by the network's object score, 0 to 1."""

    mask: Decoded
    presence: float


class VideoMemory:
    """What is remembered of a clip whose frames come one after the other.

    Args:
        model: its network remembers, and shall not be asked for another clip while it answers for this one.
    """

    def __init__(self, model: VideoModel):
        self.model = model
        self._sessions: dict[int, Any] = {}
        self._cache: Any = None
        self._number = -1
        self._pixels: Tensor | None = None
        self._size_hw = (0, 0)

    def enter(self, rgb: UInt8[Array, "h w 3"]) -> None:
        """Goes on to the next frame, of the clip's size."""
        self._number += 1
        self._pixels, self._size_hw = self.model.pixels(rgb), (rgb.shape[0], rgb.shape[1])

    def condition(self, track_id: int, mask: Bool[Array, "h w"]) -> None:
        """Remembers that the object is here in this frame, whatever was made of it before; the mask is not empty."""
        session = self._sessions.get(track_id) or self._begun(track_id)
        place = session.obj_id_to_idx(ONE)
        session.output_dict_per_obj[place]["non_cond_frame_outputs"].pop(self._number, None)
        session.add_mask_inputs(place, self._number, self.model.prompt(mask))
        session.obj_with_new_inputs = [ONE]
        self._answered(session)

    def propagate(self, track_id: int) -> Propagated:
        """Where the object is in this frame, by what is remembered of it; it was conditioned in an earlier one.

        Raises:
            WeightsError: the network answers with NaN.
        """
        answer, predicted_iou = self._answered(self._sessions[track_id])
        object_score = answer.object_score_logits.flatten()[0].float()
        masks = answer.pred_masks.float()
        logits = F.interpolate(masks, self._size_hw, mode="bilinear", align_corners=False)[0, 0]
        score = predicted_iou.flatten().max().float()  # of several, the mask that is taken
        if not all(bool(torch.isfinite(made).all()) for made in (logits, score, object_score)):
            raise WeightsError(f"{self.model.name} answers with NaN or infinity: its weights are damaged.")
        return Propagated(Decoded(logits, score), float(object_score.sigmoid()))

    def _begun(self, track_id: int) -> Any:
        device = self.model.device
        session = self.model.session(
            inference_device=device, inference_state_device=device, video_storage_device=device, dtype=torch.float32
        )
        self._cache = session.cache = self._cache or session.cache
        self._sessions[track_id] = session
        return session

    def _answered(self, session: Any) -> tuple[Any, Tensor]:
        """What the network says of this frame, and the predicted IoU of its masks, which is not part of that."""
        network, scores = self.model.network, list[Tensor]()
        handle = network.mask_decoder.register_forward_hook(lambda *call: scores.append(call[2][1]))
        try:
            answer = network(inference_session=session, frame_idx=self._number, frame=self._pixels)
        finally:
            handle.remove()
        self._prune(session)
        return answer, scores[-1]

    def _prune(self, session: Any) -> None:
        """Leaves of a session what the next frame, or another mask for this one, can ask for."""
        place, config = session.obj_id_to_idx(ONE), self.model.network.config
        session.processed_frames.clear()
        session.mask_inputs_per_obj[place].clear()
        session.frames_tracked_per_obj[place].clear()  # else a mask for a tracked frame would make no conditioning one
        outputs = session.output_dict_per_obj[place]
        reach = max(config.num_maskmem, config.max_object_pointers_in_encoder) - 1
        tracked, given = outputs["non_cond_frame_outputs"], outputs["cond_frame_outputs"]
        for number in [one for one in tracked if one <= self._number - reach]:
            del tracked[number]
        for number in sorted(given)[1 : 1 - CONDITIONING]:
            del given[number]
        for kept in (*tracked.values(), *given.values()):
            kept.pop("high_res_masks", None)  # was for the memory encoder alone, and is the largest
