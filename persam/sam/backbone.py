"""What every backbone can do: encode images once, answer prompts many times."""

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from persam.errors import WeightsError
from persam.geometry import Frame, patch_colours, resize_to_input
from persam.sam._segment_anything import import_modeling
from persam.sam.checkpoint import whole_fingerprint
from persam.sam.decoder import NO_GUIDANCE, Guidance, predict_masks
from persam.types import Candidates, ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]


@runtime_checkable
class Backbone(Protocol):
    """A promptable segmentation model.

    name: as in the weights table, or the stem of the file it came from.
    fingerprint: of its encoder's weights; features of another fingerprint mean nothing to it.
    input_size: side of its square input in pixels.
    """

    name: str
    fingerprint: str
    input_size: int

    @property
    def device(self) -> torch.device: ...

    def encode(
        self, images: Sequence[UInt8[Array, "_ _ 3"]], *, fills: Sequence[float] | None = None
    ) -> ImageEmbedding:
        """The images' features as one batch: the expensive step.

        fills: for each image, the share of the input's side that its long side takes, above 0 and up to 1; by default
            all of it.
        """
        ...

    def decode(self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance = NO_GUIDANCE) -> Candidates:
        """Four masks for every row of the prompt: the cheap step.

        The prompt's rows go with the images one to one, or all of them with the only image.
        """
        ...

    def at_input(self, size: int) -> "Backbone":
        """The same network with a square input of another size in pixels; itself where it has only one size."""
        ...


class EncoderMaps(NamedTuple):
    """What an image encoder gives that has more than SAM's one map; see `ImageEmbedding`."""

    features: Float[Tensor, "b c g g"]
    fine_2x: Float[Tensor, "b c2 g2 g2"]
    fine_4x: Float[Tensor, "b c4 g4 g4"]
    location: Float[Tensor, "b k g g"]
    identity: Float[Tensor, "b d g g"]


class NetworkBackbone(ABC):
    """A backbone whose network sees a padded square, and prompts in its pixels. How it is run is the subclass's.

    Args:
        name: what results and concepts call it.
        fingerprint: identifies its encoder's weights.
        input_size: side of the square in pixels.
        stride: input pixels a patch.
        batch_size: how many images go through the encoder at once on an accelerator.
        any_size: whether the encoder is convolutional and takes squares of any size.
    """

    def __init__(
        self, *, name: str, fingerprint: str, input_size: int, stride: int, batch_size: int = 1, any_size: bool = False
    ):
        self.name, self.fingerprint = name, fingerprint
        self.input_size, self.stride = input_size, stride
        self.batch_size, self.any_size = batch_size, any_size

    @property
    @abstractmethod
    def device(self) -> torch.device: ...

    @property
    @abstractmethod
    def weights(self) -> str:
        """Sixteen hexadecimal digits that stand for all its weights; the fingerprint is of its encoder alone."""

    @property
    @abstractmethod
    def normalisation(self) -> tuple[Any, Any]:
        """Mean and deviation of R, G and B, 0..255, by which pixels reach the encoder."""

    @abstractmethod
    def _encoded(self, squares: Float[Tensor, "b 3 s s"]) -> Tensor | EncoderMaps:
        """What the encoder gives for some squares."""

    @abstractmethod
    def _answered(
        self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance
    ) -> tuple[Float[Tensor, "b 4 h w"], Float[Tensor, "b 4"]]:
        """Logits and predicted IoU of a prompt in pixels of the input, on the device."""

    @torch.inference_mode()
    def encode(
        self, images: Sequence[UInt8[Array, "_ _ 3"]], *, fills: Sequence[float] | None = None
    ) -> ImageEmbedding:
        shares = [1.0] * len(images) if fills is None else fills
        frames = tuple(
            Frame((rgb.shape[0], rgb.shape[1]), self.input_size, self.stride, fill)
            for rgb, fill in zip(images, shares, strict=True)
        )
        resized = [resize_to_input(rgb, frame) for rgb, frame in zip(images, frames, strict=True)]
        squares = torch.stack([self._square(small) for small in resized])
        # on a CPU larger batches are no faster, and slower where their activations are mapped anew each time
        at_once = 1 if squares.device.type == "cpu" else self.batch_size
        batches: list[Any] = [self._encoded(batch) for batch in squares.split(at_once)]
        self._check_finite(
            *(maps for batch in batches for maps in (batch if isinstance(batch, EncoderMaps) else [batch]))
        )
        colours = [patch_colours(small, frame) for small, frame in zip(resized, frames, strict=True)]
        keys = tuple(_digest(small, frame) for small, frame in zip(resized, frames, strict=True))
        colour = torch.stack(colours).to(self.device)
        if not isinstance(batches[0], EncoderMaps):
            return ImageEmbedding(torch.cat(batches), frames, keys, colour=colour)
        maps = EncoderMaps(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
        fine = (maps.fine_2x, maps.fine_4x)
        return ImageEmbedding(maps.features, frames, keys, fine, maps.location, maps.identity, colour)

    @torch.inference_mode()
    def decode(self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance = NO_GUIDANCE) -> Candidates:
        frames = embedding.frames if len(embedding) == len(prompt) else embedding.frames * len(prompt)
        points_xy = labels = box_xyxy = None
        if prompt.points_xy is not None and prompt.labels is not None:
            points_xy, labels = _to_input(prompt.points_xy.to(self.device), frames), prompt.labels.to(self.device)
        if prompt.box_xyxy is not None:
            box_xyxy = _to_input(prompt.box_xyxy.to(self.device).view(-1, 2, 2), frames).flatten(1)
        mask_logits = None if prompt.mask_logits is None else prompt.mask_logits.to(self.device)
        logits, predicted_iou = self._answered(embedding, Prompt(points_xy, labels, box_xyxy, mask_logits), guidance)
        self._check_finite(logits, predicted_iou)
        return Candidates(logits, predicted_iou)

    def at_input(self, size: int) -> "NetworkBackbone":
        """The same network, sharing its weights, with an input of `size` pixels (a multiple of its stride)."""
        if not self.any_size or size == self.input_size:
            return self
        other = copy.copy(self)
        other._resize(size)
        return other

    def _resize(self, size: int) -> None:
        self.input_size = size

    def _check_finite(self, *made: Tensor) -> None:
        """Raises where the network answers with NaN, which would compare as "not here"."""
        if not all(bool(torch.isfinite(maps).all()) for maps in made):
            raise WeightsError(
                f"{self.name} answers with NaN or infinity: its weights are damaged, or overflow in "
                f"{str(made[0].dtype).removeprefix('torch.')}. `persam weights verify` checks a named model; load "
                "another one, or in float32."
            )

    def _square(self, small: UInt8[Array, "hi wi 3"]) -> Float[Tensor, "3 s s"]:
        """The normalised image at the top left of the padded square, whose padding is 0."""
        pixels = torch.from_numpy(small.copy()).to(self.device).permute(2, 0, 1).float()
        mean, std = (
            torch.as_tensor(value, dtype=torch.float32, device=self.device).view(3, 1, 1)
            for value in self.normalisation
        )
        square = pixels.new_zeros(3, self.input_size, self.input_size)
        square[:, : pixels.shape[1], : pixels.shape[2]] = (pixels - mean) / std
        return square


class SamBackbone(NetworkBackbone):
    """Any model with SAM's parts under SAM's names: `image_encoder`, `prompt_encoder`, `mask_decoder`.

    Args:
        model: the network, in evaluation mode, with `pixel_mean` and `pixel_std` for RGB 0..255. `batch_size`, where
            it has one, is how many images go through its encoder at once on an accelerator; else one. `any_size`,
            where it is set, says that its encoder is convolutional and takes inputs of any size.
        name: what results and concepts call it.
        fingerprint: identifies its weights.
    """

    def __init__(self, model: nn.Module, *, name: str, fingerprint: str):
        self.model = cast(Any, model.requires_grad_(False))  # its parts are known by name, not by type
        self.prompt_encoder = self.model.prompt_encoder
        input_size: int = self.prompt_encoder.input_image_size[0]
        super().__init__(
            name=name,
            fingerprint=fingerprint,
            input_size=input_size,
            stride=input_size // self.prompt_encoder.image_embedding_size[0],
            batch_size=getattr(model, "batch_size", 1),
            any_size=getattr(model, "any_size", False),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (_Modeling(), type(self), self.__dict__)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def weights(self) -> str:
        return whole_fingerprint(self.model)

    @property
    def normalisation(self) -> tuple[Any, Any]:
        return self.model.pixel_mean, self.model.pixel_std

    def _resize(self, size: int) -> None:
        super()._resize(size)
        grid, encoder = size // self.stride, copy.copy(self.prompt_encoder)
        encoder.image_embedding_size, encoder.input_image_size = (grid, grid), (size, size)
        encoder.mask_input_size = (4 * grid, 4 * grid)
        self.prompt_encoder = encoder

    def _encoded(self, squares: Float[Tensor, "b 3 s s"]) -> Tensor | EncoderMaps:
        made: Tensor | EncoderMaps = self.model.image_encoder(squares)
        return made

    def _answered(
        self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance
    ) -> tuple[Float[Tensor, "b 4 h w"], Float[Tensor, "b 4"]]:
        encoder, rows, fine = self.prompt_encoder, len(prompt), embedding.fine
        points = None if prompt.points_xy is None else (prompt.points_xy, prompt.labels)
        sparse, dense = encoder(points, prompt.box_xyxy, prompt.mask_logits)
        return predict_masks(
            self.model.mask_decoder,
            embedding.features.expand(rows, -1, -1, -1),
            encoder.get_dense_pe(),
            sparse,
            dense,
            guidance=guidance,
            fine=None if fine is None else (fine[0].expand(rows, -1, -1, -1), fine[1].expand(rows, -1, -1, -1)),
        )


class _Modeling:
    """Goes before a network in a pickle: its classes are `segment_anything`'s, which only `import_modeling` imports."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _import_modeling, ()


def _import_modeling() -> None:
    import_modeling()


def _unpickled(_: object, kind: type[SamBackbone], state: dict[str, Any]) -> SamBackbone:
    backbone = kind.__new__(kind)
    backbone.__dict__.update(state)
    return backbone


def _to_input(points_xy: Float[Tensor, "b n 2"], frames: tuple[Frame, ...]) -> Float[Tensor, "b n 2"]:
    return torch.stack([frame.to_input(row) for frame, row in zip(frames, points_xy, strict=True)])


def _digest(small: UInt8[Array, "hi wi 3"], frame: Frame) -> str:
    """Of everything that an image's maps depend on beside the weights: its pixels at input size, and its frame."""
    digest = hashlib.blake2b(repr(frame).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(small).data)
    return digest.hexdigest()
