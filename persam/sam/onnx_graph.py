"""A SAM-shaped network as two ONNX graphs: the encoder, and prompts with the decoder as PerSAM asks it.

The decoder is the one of `persam.sam.decoder`, walked while it is traced. A graph has no optional inputs, so what may
be missing comes with a switch. The tracing exporter is used: the one of `torch.export` takes minutes for inputs of any
size, where this one takes seconds (PyTorch 2.13).
"""

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from persam.errors import PerSAMError
from persam.sam.backbone import EncoderMaps, SamBackbone
from persam.sam.decoder import Guidance, predict_masks

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
SQUARES = "squares"
PLAIN_MAPS = EncoderMaps._fields[:1]
FINE = EncoderMaps._fields[1:3]
# of the decoder; `FINE` come after them where the network has such maps
INPUTS = ("features", "points_xy", "labels", "mask_logits", "has_mask", "attention", "has_attention", "semantic")
ANSWERS = ("logits", "predicted_iou")
PADDING, CORNERS = -1.0, (2.0, 3.0)  # labels beside 0 and 1: no point, and the corners of a box
OPSET = 18
LARGEST = 2**31 - 1  # bytes of an ONNX file; tensors of a larger one lie beside it


class DecoderGraph(nn.Module):
    """Prompt encoder and mask decoder with tensors for every argument; see `write_decoder`."""

    def __init__(self, backbone: SamBackbone):
        super().__init__()
        self.prompts, self.decoder = backbone.model.prompt_encoder, backbone.model.mask_decoder
        self.stride = backbone.stride

    def forward(
        self,
        features: Float[Tensor, "i c g g"],
        points_xy: Float[Tensor, "b n 2"],
        labels: Float[Tensor, "b n"],
        mask_logits: Float[Tensor, "m 1 h h"],
        has_mask: Bool[Tensor, ""],
        attention: Float[Tensor, "b g g"],
        has_attention: Bool[Tensor, ""],
        semantic: Float[Tensor, "b c"],
        *fine: Tensor,
    ) -> tuple[Tensor, Tensor]:
        rows, side = labels.shape[0], features.shape[-1]
        dense = torch.where(has_mask, self.prompts.mask_downscaling(mask_logits), self._no_mask())
        grid = (torch.arange(side, device=features.device) + 0.5) / side
        across = torch.stack([grid[None].expand(side, -1), grid[:, None].expand(-1, side)], dim=-1)
        logits, predicted_iou = predict_masks(
            self.decoder,
            features.expand(rows, -1, -1, -1),
            self._position(across).permute(2, 0, 1)[None],
            self._tokens(points_xy, labels, side),
            dense.expand(rows, -1, -1, -1),
            guidance=_Switched(attention, semantic, has_attention),
            fine=(fine[0].expand(rows, -1, -1, -1), fine[1].expand(rows, -1, -1, -1)) if fine else None,
        )
        return logits, predicted_iou

    def _tokens(self, points_xy: Tensor, labels: Tensor, side: Any) -> Tensor:
        """Points and corners of boxes as SAM's prompt encoder embeds them, by their label."""
        encoder, known = self.prompts, labels[..., None]
        tokens = self._position((points_xy + 0.5) / (side * self.stride)) * (known != PADDING)
        embeddings = (encoder.not_a_point_embed, *encoder.point_embeddings)
        for label, embedding in zip((PADDING, 0.0, 1.0, *CORNERS), embeddings, strict=True):
            tokens = tokens + (known == label) * embedding.weight
        return tokens

    def _position(self, places: Tensor) -> Tensor:
        """SAM's random Fourier features of places from 0 to 1."""
        angles = 2 * math.pi * ((2 * places - 1) @ self.prompts.pe_layer.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def _no_mask(self) -> Tensor:
        embedding: Tensor = self.prompts.no_mask_embed.weight
        return embedding.view(1, -1, 1, 1)


@dataclass(frozen=True)
class _Switched(Guidance):
    """Guidance whose attention may be switched off; its semantic prompt is zero for none."""

    is_on: Bool[Tensor, ""] | None = None

    def guided(self, weights: Float[Tensor, "b n t hw"]) -> Float[Tensor, "b n t hw"]:
        assert self.is_on is not None
        return torch.where(self.is_on, super().guided(weights), weights)


def write_encoder(backbone: SamBackbone, folder: Path) -> tuple[str, ...]:
    """The names of the maps that the graph in the folder gives for some squares, as of `EncoderMaps`.

    The number of squares is free; their size too, where the network takes any.
    """
    squares = torch.zeros(2, 3, backbone.input_size, backbone.input_size, device=backbone.device)
    with torch.inference_mode():
        made = backbone.model.image_encoder(squares[:1])
    maps = EncoderMaps._fields if isinstance(made, EncoderMaps) else PLAIN_MAPS
    free = {0: "images"} | ({2: "height", 3: "width"} if backbone.any_size else {})
    free_maps = dict.fromkeys(maps, free)
    # ONNX has no memory format: convolutions are as fast from plain weights, and are traced without copies
    encoder = copy.deepcopy(backbone.model.image_encoder).to(memory_format=torch.contiguous_format)
    _write(encoder, (squares,), folder / ENCODER, (SQUARES,), maps, {SQUARES: free} | free_maps)
    return maps


def write_decoder(backbone: SamBackbone, folder: Path, maps: tuple[str, ...]) -> None:
    """The graph of prompts and decoder. Of the maps it takes `features` and those at 2x and 4x the grid.

    points_xy are pixels of the input, their number free; labels as SAM's, with PADDING and CORNERS. mask_logits lie at
    4x the grid, a row for all or one a prompt. attention and semantic are the two kinds of `Guidance`, the second 0 for
    none. Maps are of one image for all prompts, or of one a prompt.
    """
    side = backbone.input_size // backbone.stride
    embedding = backbone.encode([torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()])
    width = embedding.features.shape[1]
    given = {
        "features": embedding.features.expand(2, -1, -1, -1),
        "points_xy": torch.ones(2, 3, 2),
        "labels": torch.ones(2, 3),
        "mask_logits": torch.zeros(2, 1, 4 * side, 4 * side),
        "has_mask": torch.tensor(True),
        "attention": torch.zeros(2, side, side),
        "has_attention": torch.tensor(True),
        "semantic": torch.zeros(2, width),
    }
    rows = {name: {0: "prompts"} for name in ("labels", "points_xy", "attention", "semantic", *ANSWERS)}
    free: dict[str, dict[int, str]] = rows | {"features": {0: "images"}, "mask_logits": {0: "masks"}}
    for name in ("points_xy", "labels"):
        free[name][1] = "points"
    if FINE[0] in maps and embedding.fine is not None:
        given |= {name: one.expand(2, -1, -1, -1) for name, one in zip(FINE, embedding.fine, strict=True)}
        free |= {name: {0: "images"} for name in FINE}
    if backbone.any_size:
        for name, first in (("features", 2), ("attention", 1), ("mask_logits", 2), *((one, 2) for one in FINE)):
            if name in given:
                free[name] |= {first: f"{name}_h", first + 1: f"{name}_w"}
        free["logits"] |= {2: "h", 3: "w"}
    inputs = tuple(one.clone().to(backbone.device) for one in given.values())  # no inference tensors
    _write(DecoderGraph(backbone), inputs, folder / DECODER, tuple(given), ANSWERS, free)


def _write(
    network: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: tuple[str, ...],
    answers: tuple[str, ...],
    free: dict[str, dict[int, str]],
) -> None:
    onnx = import_onnx()
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            network.eval(),
            inputs,
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(names),
            output_names=list(answers),
            dynamic_axes=free,
        )
    parts = [one for one in path.parent.iterdir() if one.suffix != ".onnx"]
    if parts:  # a graph over 2 GB, whose tensors are files of their own: make them one
        model = onnx.load(path)
        for one in (path, *parts):
            one.unlink()
        onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data")
    onnx.checker.check_model(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings that this exporter is not the default, that sizes which do not change are not traced, and that
    a constant stays to be computed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", "Constant folding", category=UserWarning)
        yield


def import_onnx() -> Any:
    """The onnx package.

    Raises:
        PerSAMError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise PerSAMError(f'an export needs onnx ({error}). `pip install "persam[onnx]"` installs it.') from error
    return onnx
