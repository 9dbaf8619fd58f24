"""An exported model as a backbone: ONNX Runtime computes the maps and the masks, on the CPU."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from persam.errors import PerSAMError, WeightsError
from persam.sam.backbone import EncoderMaps, NetworkBackbone
from persam.sam.decoder import Guidance
from persam.sam.onnx_graph import ANSWERS, CORNERS, DECODER, ENCODER, FINE, PADDING, PLAIN_MAPS, SQUARES
from persam.types import ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
SETTINGS = "persam.json"
FORMAT = "persam-onnx-1"
KINDS = {
    "name": str,
    "fingerprint": str,
    "weights": str,
    "input_size": int,
    "stride": int,
    "batch_size": int,
    "any_size": bool,
    "pixel_mean": list,
    "pixel_std": list,
    "maps": list,
    "files": dict,
}


class OnnxBackbone(NetworkBackbone):
    """What `persam export` wrote. Its tensors are PyTorch's, on the CPU.

    Args:
        folder: with both graphs and `persam.json`.

    Raises:
        WeightsError: a file is missing, damaged, or not of an export.
        PerSAMError: onnxruntime is not installed.
    """

    def __init__(self, folder: Path):
        self.folder, settings = folder, _settings(folder)
        super().__init__(
            **{key: settings[key] for key in ("name", "fingerprint", "input_size", "stride", "batch_size", "any_size")}
        )
        self.maps = tuple(settings["maps"])
        self._weights, self._normalisation = settings["weights"], (settings["pixel_mean"], settings["pixel_std"])
        self._encoder, self._decoder = _session(folder / ENCODER), _session(folder / DECODER)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.folder, self.input_size)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def weights(self) -> str:
        return f"onnx {self._weights}"

    @property
    def normalisation(self) -> tuple[Any, Any]:
        return self._normalisation

    def _encoded(self, squares: Float[Tensor, "b 3 s s"]) -> Tensor | EncoderMaps:
        made = [torch.from_numpy(one) for one in self._encoder.run(list(self.maps), {SQUARES: squares.numpy()})]
        return made[0] if self.maps == PLAIN_MAPS else EncoderMaps(*made)

    def _answered(
        self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance
    ) -> tuple[Float[Tensor, "b 4 h w"], Float[Tensor, "b 4"]]:
        rows, features, masks = len(prompt), embedding.features, prompt.mask_logits
        points_xy, labels = _as_points(prompt)
        attention, semantic, side = guidance.attention, guidance.semantic, features.shape[-1]
        given = {
            "features": features,
            "points_xy": points_xy,
            "labels": labels,
            "mask_logits": features.new_zeros(1, 1, 4 * side, 4 * side) if masks is None else masks,
            "has_mask": torch.tensor(masks is not None),
            "attention": features.new_zeros(1, side, side) if attention is None else attention,
            "has_attention": torch.tensor(attention is not None),
            "semantic": features.new_zeros(1, features.shape[1]) if semantic is None else semantic,
        }
        for name in ("attention", "semantic"):
            given[name] = given[name].expand(rows, *given[name].shape[1:])
        if embedding.fine is not None:
            given |= dict(zip(FINE, embedding.fine, strict=True))
        arrays = {name: np.ascontiguousarray(one.numpy()) for name, one in given.items()}
        logits, predicted_iou = self._decoder.run(list(ANSWERS), arrays)
        return torch.from_numpy(logits), torch.from_numpy(predicted_iou)


def _as_points(prompt: Prompt) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
    """Points, and the corners of the boxes or the padding that SAM's prompt encoder puts in their place."""
    rows = len(prompt)
    points_xy, labels = [torch.zeros(rows, 0, 2)], [torch.zeros(rows, 0)]
    if prompt.points_xy is not None and prompt.labels is not None:
        points_xy, labels = [prompt.points_xy], [prompt.labels]
        if prompt.box_xyxy is None:
            points_xy.append(torch.zeros(rows, 1, 2))
            labels.append(torch.full((rows, 1), PADDING))
    if prompt.box_xyxy is not None:
        points_xy.append(prompt.box_xyxy.view(rows, 2, 2))
        labels.append(torch.tensor(CORNERS).expand(rows, 2))
    return torch.cat(points_xy, dim=1), torch.cat(labels, dim=1)


def _opened(folder: Path, input_size: int) -> NetworkBackbone:
    return OnnxBackbone(folder).at_input(input_size)


def _settings(folder: Path) -> dict[str, Any]:
    """What `persam.json` says, where the files are as it says."""
    advice = "Make it again with `persam export MODEL -o DIR`."
    try:
        found = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{folder} is a folder without {SETTINGS}: it is no exported model. {advice}") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder / SETTINGS} cannot be read: {error}. {advice}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise WeightsError(f"{folder / SETTINGS} is not of the format {FORMAT}. {advice}")
    if wrong := [key for key, kind in KINDS.items() if type(found.get(key)) is not kind]:
        raise WeightsError(f"{folder / SETTINGS} has no valid {', '.join(wrong)}. {advice}")
    colours = {len(found[key]) for key in ("pixel_mean", "pixel_std")}
    if colours != {3} or not 0 < found["stride"] <= found["input_size"]:
        raise WeightsError(f"{folder / SETTINGS} has an impossible normalisation or size. {advice}")
    for name, size in found["files"].items():
        here = (folder / name).stat().st_size if (folder / name).is_file() else None
        if here != size:
            what = "is missing" if here is None else f"has {here} bytes instead of {size}"
            raise WeightsError(f"{folder / name} {what}: the export is not whole. Copy it again, or export again.")
    return found


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise PerSAMError(
            f'an exported model needs onnxruntime ({error}). `pip install "persam[onnx]"` installs it.'
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # a library does not log
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, which have no base of their own
        raise WeightsError(f"{path} cannot be opened: {error}. Export the model again.") from error
