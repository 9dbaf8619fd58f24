"""SAM 2.1 and EdgeTAM for video, as transformers has them: loaded from a folder, or by a Hugging Face name.

Without torchvision, which transformers' own processors need: the few lines of theirs that matter are here.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from persam.errors import WeightsError
from persam.sam.checkpoint import check_values, digest_of_tensors
from persam.sam.load import find_device
from persam.sam.memory import is_out_of_memory
from persam.sam.plain import plain_torch

Array = np.ndarray[Any, Any]
KINDS = {"sam2_video": "Sam2Video", "edgetam_video": "EdgeTamVideo"}  # by a config's model_type: how classes begin
FILES = ("config.json", "*.safetensors", "*.safetensors.index.json")  # of a repository, what is fetched
EXAMPLE = "facebook/sam2.1-hiera-tiny"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of both families' pixels, 0 to 1
SHOWN = 4  # names that a message lists before it only counts
THIN = 0.75  # of the largest cover: what stands for an object that covers no input pixel by half


@dataclass(frozen=True, eq=False)
class VideoModel:
    """A network that carries masks through a clip by its memory.

    network: transformers' Sam2VideoModel or EdgeTamVideoModel. name: as it was asked for. session: what transformers
    keeps of a clip, as a class. fingerprint: of the network's weights.
    """

    network: Any = field(repr=False)
    name: str
    session: Any
    fingerprint: str

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def side(self) -> int:
        """Of the square input, in pixels."""
        size = self.network.config.image_size
        return int(size if isinstance(size, int) else size[0])

    def pixels(self, rgb: UInt8[Array, "h w 3"]) -> Float[Tensor, "1 3 s s"]:
        """The frame as the network takes it: squeezed into the square, whatever its proportions."""
        plane = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device).permute(2, 0, 1)[None].float()
        square = _resized(plane, (self.side, self.side)).round().clamp(0, 255) / 255
        mean, std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (MEAN, STD))
        return (square - mean) / std

    def prompt(self, mask: Bool[Array, "h w"]) -> Float[Tensor, "1 1 s s"]:
        """The mask as the network takes it, 0 or 1: pixels that it covers by half, or, where it is thinner, most."""
        plane = torch.from_numpy(np.ascontiguousarray(mask)).to(self.device)[None, None].float()
        cover = _resized(plane, (self.side, self.side))
        least = min(0.5, THIN * float(cover.max()))
        return ((cover >= least) & (cover > 0)).float()


@plain_torch()
def load_video_model(name_or_folder: str | Path, *, device: str | torch.device = "auto") -> VideoModel:
    """A video model, ready to carry masks.

    Example:
        >>> load_video_model("facebook/sam2.1-hiera-tiny")  # doctest: +SKIP
        >>> load_video_model("~/models/edgetam")  # doctest: +SKIP

    Args:
        name_or_folder: a folder in transformers' layout (config.json and safetensors); or the name of a repository at
            Hugging Face, which is fetched once into its cache.
        device: as for `persam.load`.

    Raises:
        WeightsError: transformers is not installed or too old; no such folder; no connection; another kind of model;
            or damaged weights.
        PerSAMError: no such device.
    """
    target = find_device(device)
    check_source(name_or_folder)
    import transformers

    folder = _local(name_or_folder)
    kind = _kind_of(folder)
    if not hasattr(transformers, f"{kind}Model"):
        raise WeightsError(
            f"transformers {transformers.__version__} has no {kind}Model: pip install -U 'persam[sam2]'."
        )
    try:
        network = _read(transformers, kind, folder)
    except WeightsError as error:
        raise WeightsError(f"{name_or_folder}: {error}") from error
    session = getattr(transformers, f"{kind}InferenceSession")
    fingerprint = digest_of_tensors(network.state_dict())
    return VideoModel(network.to(target), str(name_or_folder), session, fingerprint)


def check_source(name_or_folder: str | Path) -> None:
    """Raises a WeightsError where it shows, without importing or fetching anything, that this cannot be loaded."""
    path = Path(name_or_folder).expanduser()
    if path.is_dir():
        _kind_of(path)
    elif path.is_file():
        raise WeightsError(
            f"{path} is a file, and a video model is a folder in transformers' layout (config.json and "
            f"model.safetensors); Meta's own .pt files are not read. Give the folder, or a name such as {EXAMPLE}."
        )
    elif not _is_repository(name_or_folder):
        raise WeightsError(
            f"there is no folder {path}. Give the folder of a video model in transformers' layout, or a name at "
            f"Hugging Face with its owner, such as {EXAMPLE}."
        )
    if find_spec("transformers") is None:
        raise WeightsError("video models need transformers. Install it: pip install 'persam[sam2]'.")


def _is_repository(name: str | Path) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) is not None


def _local(name_or_folder: str | Path) -> Path:
    """The folder itself, or that in which Hugging Face's client keeps the repository, fetched if need be."""
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(name_or_folder), allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{name_or_folder} is no folder here, and cannot be fetched from Hugging Face: {_first_line(error)}. Check "
            f"the name and the connection; or run `hf download {name_or_folder} --local-dir DIR` on a machine that has "
            "one, and give DIR."
        ) from error


def _kind_of(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{folder} is no model in transformers' layout: its config.json is missing, damaged, or names no "
            f"model_type ({error}). Give a folder with config.json and model.safetensors."
        ) from error
    if model_type not in KINDS:
        raise WeightsError(
            f"{folder} holds a model of the type {model_type!r}, which does not propagate masks. Give one of the type "
            f"{' or '.join(map(repr, KINDS))}, such as {EXAMPLE}."
        )
    return KINDS[model_type]


def _read(transformers: ModuleType, kind: str, folder: Path) -> Any:
    """The network, in evaluation mode, holding exactly what the folder holds."""
    try:
        with torch.random.fork_rng(devices=[]), _quiet(transformers):  # what is drawn in vain is not the caller's
            network, told = getattr(transformers, f"{kind}Model").from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told, and refused below by name
            )
    except ImportError as error:  # EdgeTAM's encoder is one of timm's
        raise WeightsError(f"this model needs a further package: {_first_line(error)}.") from error
    except Exception as error:  # a damaged file or configuration shows itself in whatever way
        if is_out_of_memory(error):
            raise
        raise WeightsError(f"these weights cannot be read: {_first_line(error)}. Copy the folder again.") from error
    mismatched = {key[0] if isinstance(key, tuple) else key for key in told["mismatched_keys"]}
    if missing := sorted({*told["missing_keys"], *mismatched}):
        listed = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
        raise WeightsError(f"{len(missing)} tensors are missing or of another shape ({listed}). Copy the folder again.")
    check_values(network.state_dict())
    return network.eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Without transformers' bar and remarks: what is wrong with the weights is said by an error."""
    log = transformers.utils.logging
    verbosity, had_bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if had_bar:
            log.enable_progress_bar()


def _resized(planes: Float[Tensor, "1 c h w"], size: tuple[int, int]) -> Float[Tensor, "1 c hs ws"]:
    """As transformers' processors resize frames and masks."""
    return F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)
