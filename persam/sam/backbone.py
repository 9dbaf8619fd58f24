"""What every backbone can do: encode a photo once, answer prompts many times."""

from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from persam.geometry import Frame, cell_colours, resize_to_input
from persam.sam.decoder import NO_GUIDANCE, Guidance, predict_masks
from persam.types import Candidates, ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]


@runtime_checkable
class Backbone(Protocol):
    """A promptable segmentation model.

    name: as in the weights table, or the stem of the file it came from.
    fingerprint: of its encoder's weights; features of another fingerprint mean nothing to it.
    """

    name: str
    fingerprint: str

    @property
    def device(self) -> torch.device: ...

    def encode(self, rgb: UInt8[Array, "h w 3"], *, fill: float = 1.0) -> ImageEmbedding:
        """The photo's features: the expensive step.

        fill: the share of the input's side that the photo's long side takes, above 0 and up to 1.
        """
        ...

    def decode(self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance = NO_GUIDANCE) -> Candidates:
        """Four masks for every row of the prompt: the cheap step."""
        ...


class SamBackbone:
    """Any model with SAM's parts under SAM's names: `image_encoder`, `prompt_encoder`, `mask_decoder`.

    Args:
        model: the network, in evaluation mode, with `pixel_mean` and `pixel_std` for RGB 0..255.
        name: what results and concepts call it.
        fingerprint: identifies its weights.
    """

    def __init__(self, model: nn.Module, *, name: str, fingerprint: str):
        self.model = cast(Any, model.requires_grad_(False))  # its parts are known by name, not by type
        self.name = name
        self.fingerprint = fingerprint
        self.input_size: int = self.model.prompt_encoder.input_image_size[0]
        self.stride = self.input_size // self.model.prompt_encoder.image_embedding_size[0]

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @torch.inference_mode()
    def encode(self, rgb: UInt8[Array, "h w 3"], *, fill: float = 1.0) -> ImageEmbedding:
        height, width = rgb.shape[:2]
        frame = Frame((height, width), self.input_size, self.stride, fill)
        resized = resize_to_input(rgb, frame)
        colour = cell_colours(resized, frame).to(self.device)
        small = torch.from_numpy(resized.copy()).to(self.device).permute(2, 0, 1).float()
        mean, std = (small.new_tensor(list(value)).view(3, 1, 1) for value in self._normalisation())
        square = small.new_zeros(3, self.input_size, self.input_size)
        square[:, : small.shape[1], : small.shape[2]] = (small - mean) / std
        features = self.model.image_encoder(square[None])
        if isinstance(features, tuple):
            grid, finer, finest, levels, identity = (part[0] for part in features)
            return ImageEmbedding(grid, frame, (finer, finest), colour, levels, identity)
        return ImageEmbedding(features[0], frame, colour=colour)

    @torch.inference_mode()
    def decode(self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance = NO_GUIDANCE) -> Candidates:
        encoder, rows, frame = self.model.prompt_encoder, len(prompt), embedding.frame
        points = box = None
        if prompt.points_xy is not None and prompt.labels is not None:
            points = (frame.to_input(prompt.points_xy.to(self.device)), prompt.labels.to(self.device))
        if prompt.box_xyxy is not None:
            box = frame.to_input(prompt.box_xyxy.to(self.device).view(-1, 2, 2)).flatten(1)
        mask_logits = None if prompt.mask_logits is None else prompt.mask_logits.to(self.device)
        sparse, dense = encoder(points, box, mask_logits)
        fine = embedding.fine
        logits, predicted_iou = predict_masks(
            self.model.mask_decoder,
            embedding.features.expand(rows, -1, -1, -1),
            encoder.get_dense_pe(),
            sparse,
            dense,
            guidance=guidance,
            fine=None if fine is None else (fine[0].expand(rows, -1, -1, -1), fine[1].expand(rows, -1, -1, -1)),
        )
        return Candidates(logits, predicted_iou)

    def _normalisation(self) -> tuple[list[float], list[float]]:
        mean, std = (
            torch.as_tensor(value).flatten().tolist() for value in (self.model.pixel_mean, self.model.pixel_std)
        )
        return mean, std
