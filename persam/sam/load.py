"""The models behind one protocol: encode images once, answer prompts many times.

A further kind of model is a module with `SIGNATURE` (how tensor names begin that tell its files) and `from_tensors`, a
place in `KINDS`, and, where it has a name, a line in `persam.sam.sources.TABLE`. Files that lack what only the SAM has
that they were trained on are in `ON_A_BASE`: their module has `base_name`, `merge` and `PIXELS` too.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Literal

import torch

from persam.errors import PerSAMError, WeightsError
from persam.sam import lora, med_sa, nano, sam_adapter, tiny_vit, vit, weights
from persam.sam.backbone import SamBackbone
from persam.sam.checkpoint import fingerprint, read
from persam.sam.onnx_backbone import OnnxBackbone
from persam.sam.plain import plain_torch

KINDS = (sam_adapter, med_sa, vit, tiny_vit, nano)  # those of a plain ViT after those that add to it
ON_A_BASE = {lora.SIGNATURE: lora, sam_adapter.WITHOUT_PROMPTS: sam_adapter}
OTHER_KINDS = {
    "vision_encoder.": "it is in the transformers library's layout",
    "image_encoder.trunk.": "it is a SAM 2",
    "sam_mask_decoder.": "it is a SAM 2",
    "model.sam_mask_decoder.": "it is a SAM 2",
}
Pixels = Literal["sam", "unit"]
NORMALISATION: dict[Pixels, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "sam": (vit.Sam.pixel_mean, vit.Sam.pixel_std),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
}


@plain_torch()
def load_backbone(
    name_or_path: str | Path,
    *,
    device: str | torch.device = "auto",
    base: str | Path | None = None,
    pixels: Pixels | None = None,
) -> SamBackbone | OnnxBackbone:
    """A model, ready to encode.

    Example:
        >>> load_backbone("vit_b")                                       # fetched once, checksum verified
        >>> load_backbone("medsam_vit_b.pth", pixels="unit")             # a fine-tuned SAM, as it was saved
        >>> load_backbone("epoch_159.pth", base="sam_vit_b_01ec64.pth")  # SAMed's LoRA on top of its base
        >>> load_backbone("best_dice_checkpoint.pth")                    # Med-SA: its adapters are part of the file

    Args:
        name_or_path: a name of `persam weights list`; or a file: a whole SAM in Segment Anything's layout, of any
            ViT size, a MobileSAM, a Med-SA, a SAM-Adapter, or SAMed's LoRA; or a folder that `persam export` wrote,
            which runs on the CPU.
        device: `auto` takes CUDA, then Apple's MPS, then the CPU; or as PyTorch names it.
        base: what a LoRA file or a SAM-Adapter was trained on; without it, the named SAM of the same width.
        pixels: how pixels reach the encoder. `sam`: by Meta's mean and deviation. `unit`: as 0 to 1, which MedSAM's
            training used and its file does not tell. By default what the file says, else `unit` for SAMed, else `sam`.

    Raises:
        WeightsError: unknown name; no such file; missing, damaged or unknown weights.
        PerSAMError: no such device.
    """
    folder = Path(name_or_path).expanduser()
    if name_or_path not in weights.TABLE and folder.is_dir():
        return _exported(folder, str(device), has_words=base is not None or pixels is not None)
    target = find_device(device)
    file = _file(name_or_path)
    try:
        tensors = read(file, is_checked=name_or_path in weights.TABLE)
        part = next((kind for name, kind in ON_A_BASE.items() if name in tensors), None)
        if part is not None:
            base_file = _file(part.base_name(tensors) if base is None else base)
            tensors, pixels = part.merge(read(base_file), tensors), pixels or part.PIXELS
        elif base is not None:
            raise WeightsError(
                "this is a whole model, and a base goes with a LoRA file or a SAM-Adapter. Leave the base out."
            )
        model = _kind_of(tensors).from_tensors(tensors)
    except WeightsError as error:
        raise error if str(file) in str(error) else WeightsError(f"{file}: {error}") from error
    if pixels is not None:
        model.pixel_mean, model.pixel_std = NORMALISATION[pixels]
    name = str(name_or_path) if name_or_path in weights.TABLE else file.stem
    return SamBackbone(model.to(target), name=name, fingerprint=fingerprint(model))


def find_device(device: str | torch.device = "auto") -> torch.device:
    """The device of this name, if it is there; for `auto`, the fastest that is.

    Raises:
        PerSAMError: no such device on this machine, or not with this build of PyTorch.
    """
    here = ["cpu"]
    if torch.backends.mps.is_available():
        here.insert(0, "mps")
    if torch.cuda.is_available():
        here.insert(0, "cuda")
    if device == "auto":
        return torch.device(here[0])
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise PerSAMError(f"no device is called {device!r}. Give auto, {', '.join(here)}.") from None
    if wanted.type not in here:
        raise PerSAMError(
            f"no {wanted.type} device here (PyTorch {torch.__version__}). Give auto or {' or '.join(here)}, "
            f"or install a PyTorch built for {wanted.type}."
        )
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise PerSAMError(f"no {wanted} here: {torch.cuda.device_count()} CUDA device(s), counted from 0.")
    return wanted


def _exported(folder: Path, device: str, *, has_words: bool) -> OnnxBackbone:
    if device not in ("auto", "cpu"):
        raise PerSAMError(f"{folder} is an exported model, which runs on the CPU. Give the device auto or cpu.")
    if has_words:
        raise WeightsError(f"{folder} is an exported model: what `base` and `pixels` say was settled by its export.")
    return OnnxBackbone(folder)


def _file(name_or_path: str | Path) -> Path:
    """The file of a named model, fetched if need be, or the path itself."""
    if "://" in str(name_or_path):
        raise WeightsError(f"{name_or_path} is an address, not a path. Download the file first.")
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, str) and (name_or_path in weights.TABLE or not _is_path(name_or_path)):
        return weights.fetch(name_or_path)
    return path


def _is_path(text: str) -> bool:
    path = Path(text).expanduser()
    return path.exists() or bool(path.suffix) or len(path.parts) > 1


def _kind_of(tensors: Mapping[str, torch.Tensor]) -> ModuleType:
    for kind in KINDS:
        if any(name.startswith(kind.SIGNATURE) for name in tensors):
            return kind
    names = sorted(tensors)
    told = next((why for start, why in OTHER_KINDS.items() if any(name.startswith(start) for name in names)), None)
    raise WeightsError(
        f"{told or 'an unknown kind of model'} ({len(names)} tensors: {', '.join(names[:4])}, ...). Give a checkpoint "
        "in Segment Anything's own layout (image_encoder.*, prompt_encoder.*, mask_decoder.*) or SAMed's LoRA file."
    )
