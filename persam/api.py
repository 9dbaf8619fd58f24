"""The whole of persam in one call, and the model behind it."""

from pathlib import Path
from typing import Any

import torch

from persam.export import exported_calibration
from persam.io.results import ImageResult
from persam.method.calibration import Calibration
from persam.method.recipes import PERSAM, AnyRecipe, find
from persam.model import PerSAM
from persam.sam.load import Pixels, load_backbone


def load(
    model: str | Path = "nano",
    *,
    device: str | torch.device = "auto",
    recipe: str | AnyRecipe = PERSAM,
    calibration: str | Path | Calibration | None = None,
    threshold: float = 0.5,
    base: str | Path | None = None,
    pixels: Pixels | None = None,
) -> PerSAM:
    """A model that is ready to learn and find. Nothing is changed for the rest of the process.

    On Linux, `persam.sam.malloc.keep_large_blocks()` saves a large encoder time on the CPU.

    Args:
        model: `nano` (bundled), `vit_t`, `vit_b`, `vit_l`, `vit_h` (fetched once), the path of a SAM checkpoint, or the
            folder of an exported model (`persam export`).
        device: `auto` takes CUDA, then MPS, then the CPU.
        recipe: the default of `learn`.
        calibration: of the model, or its file; None takes that of an exported model's folder, else the package's or
            the one that `persam eval calibrate` left.
        threshold: the presence, 0..1, from which on an object counts as present.
        base: what a LoRA file such as SAMed's or a SAM-Adapter was trained on; without it, the named SAM of its width.
        pixels: how pixels reach the encoder: `sam` by Meta's mean and deviation, `unit` as 0 to 1 (MedSAM's training);
            by default what the file says, else `sam`.

    Raises:
        WeightsError: unknown name, or weights that are missing or damaged.
        CalibrationError: the calibration cannot be read, or belongs to other weights.
        PerSAMError: the device is not there, there is no such recipe, or the threshold is not in 0..1.
    """
    chosen = find(recipe)  # before weights are fetched
    calibration = exported_calibration(model) if calibration is None else calibration
    known = Calibration.load(calibration) if isinstance(calibration, str | Path) else calibration
    backbone = load_backbone(model, device=device, base=base, pixels=pixels)
    return PerSAM(backbone, recipe=chosen, calibration=known, threshold=threshold)


def segment(
    ref_img: Any,
    ref_mask: Any,
    targets: Any,
    *,
    not_this: Any = (),
    model: str | Path | PerSAM = "nano",
    recipe: str | AnyRecipe | None = None,
    max_instances: int = 1,
    device: str | torch.device = "auto",
    on_error: str = "raise",
) -> list[ImageResult]:
    """The object of the reference in each target: the whole of persam in one call.

    Args:
        ref_img: the reference image, or a list of images of the same object.
        ref_mask: its mask (or Box, Points, Polygon, Scribble), or a list, one an image.
        targets: one image, a list, a folder, a glob, or an iterator. For an album that does not fit in memory as
            results, `PerSAM.segment` yields them one by one.
        not_this: counter-examples, pairs of an image and a mask, as for `PerSAM.learn`.
        model: a name or path as for `load`, or a loaded PerSAM.
        recipe: name or Recipe; the model's own when None.
        max_instances: at most so many of it in an image, the most similar first.
        device: where a model given by name runs.
        on_error: `raise`, or `skip`: the result of a target that cannot be read or searched has an `error` and no
            segmentation, and the others keep their places.

    Raises:
        PerSAMError: one of its children says what cannot be used, and what to do.

    Examples:
        >>> found = persam.segment("rex.jpg", "rex_mask.png", ["park.jpg", "beach.jpg"])  # doctest: +SKIP
        >>> found[0].mask.shape, found[0].present  # doctest: +SKIP
        ((480, 640), True)
    """
    ready = model if isinstance(model, PerSAM) else load(model, device=device)
    concept = ready.learn(ref_img, ref_mask, not_this=not_this, recipe=recipe)
    return list(ready.segment(targets, concept, max_instances=max_instances, on_error=on_error))
