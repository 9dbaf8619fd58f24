"""Patches of an object by which fidelity is judged: persam's own, or DINOv2's or CLIP's from a folder of one's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from persam.errors import DreamBoothError
from persam.geometry import box_of
from persam.method.concept import Concept
from persam.method.prototypes import Patches, patch_similarity
from persam.method.verify import describe
from persam.model import PerSAM
from persam.sam.crop import Crop

Array = np.ndarray[Any, Any]
MARGIN = 1.2  # side of the crop that other models see, over the longer side of the object's box


@runtime_checkable
class Features(Protocol):
    """How similar an object in a picture is to a concept's."""

    def similarity(
        self, model: PerSAM, concept: Concept, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"]
    ) -> float | None:
        """Up to 1, of the object that the mask shows; None for an empty mask."""


def best_matches(similarity: Float[Tensor, "n m"]) -> float:
    """The mean similarity of each part to the best of the other object's, over both directions alike.

    One direction alone would be content with a single right part, or with a right object among wrong ones.
    """
    return float((similarity.amax(1).mean() + similarity.amax(0).mean()) / 2)


@dataclass(frozen=True)
class OwnFeatures:
    """Identity descriptors of persam's own model: features and colours of at most 96 parts of the object.

    With several references the most similar one counts.
    """

    def similarity(
        self, model: PerSAM, concept: Concept, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"]
    ) -> float | None:
        """Raises DreamBoothError when the concept has no identity descriptor."""
        known = concept.identity
        if known is None:
            raise DreamBoothError(
                f"the concept {concept.name!r} has no identity descriptor, by which fidelity is judged: learn it with "
                f"the recipe 'persam' and a calibrated model such as nano, or give --features."
            )
        [found] = describe(model.backbone, [(rgb, mask)], model.calibration)
        if found is None:
            return None
        return max(
            best_matches(
                patch_similarity(
                    Patches(known.features[view], known.colours[view]),
                    found.features.to(known.features.device),
                    found.colours.to(known.colours.device),
                )
            )
            for view in known.views(afar=False)
        )


OWN = OwnFeatures()


@dataclass(frozen=True)
class _Kind:
    """A family of vision models in transformers. model_types: what its config may say. mean, std: of its pixels."""

    model: str
    model_types: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


KINDS = {
    "dinov2": _Kind("AutoModel", ("dinov2", "dinov2_with_registers"), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": _Kind(
        "CLIPVisionModel",
        ("clip", "clip_vision_model"),
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
}


class TransformersFeatures:
    """Patches of DINOv2 or CLIP, of tight crops in which everything but the object is grey.

    Args:
        kind: a name of KINDS.
        folder: what `from_pretrained` reads; nothing is downloaded.

    Raises:
        DreamBoothError: transformers is not installed, or the folder holds no model of this kind.
    """

    def __init__(self, kind: str, folder: Path):
        self.kind = KINDS[kind]
        try:
            import transformers
        except ImportError as error:
            raise DreamBoothError(f"{kind} needs transformers: install persam[dreambooth].") from error
        try:
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
            if config.model_type not in self.kind.model_types:
                raise DreamBoothError(
                    f"{folder} holds a model of the type {config.model_type!r}, and --features {kind} reads "
                    f"{' or '.join(map(repr, self.kind.model_types))}. Name the folder of such a model."
                )
            model = getattr(transformers, self.kind.model).from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            first = str(error).partition("\n")[0]
            raise DreamBoothError(
                f"cannot read a {kind} model from {folder}: {first} Give a folder with config.json and weights."
            ) from error
        self.model = model.eval().requires_grad_(False)

    @torch.inference_mode()
    def similarity(
        self, model: PerSAM, concept: Concept, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"]
    ) -> float | None:
        """Raises DreamBoothError for a concept from a file, which holds no photo."""
        if not concept.references:
            raise DreamBoothError(
                f"the concept {concept.name!r} comes from a file, which holds no photo: give REF MASK instead."
            )
        if not mask.any():
            return None
        device = model.backbone.device
        self.model.to(device)
        found = self._patches(rgb, mask, device)
        return max(best_matches(self._patches(one.rgb, one.mask, device) @ found.T) for one in concept.references)

    def _patches(
        self, rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"], device: torch.device
    ) -> Float[Tensor, "n c"]:
        """Unit features of the patches that the object covers by half, or of those that it covers most."""
        config = getattr(self.model.config, "vision_config", self.model.config)
        side, patch = int(config.image_size), int(config.patch_size)
        square, shown = _alone(rgb, mask, side)
        mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (self.kind.mean, self.kind.std))
        pixels = (torch.from_numpy(square).to(device).permute(2, 0, 1).float() / 255 - mean) / std
        tokens = self.model(pixel_values=pixels[None]).last_hidden_state[0]
        count = (side // patch) ** 2
        features = F.normalize(tokens[len(tokens) - count :].float(), dim=1)  # after the class and register tokens
        cover = F.avg_pool2d(torch.from_numpy(shown)[None].float(), patch)[0].flatten().to(device)
        return features[(cover >= min(0.5, float(cover.max()))) & (cover > 0)]


def _alone(
    rgb: UInt8[Array, "h w 3"], mask: Bool[Array, "h w"], side: int
) -> tuple[UInt8[Array, "s s 3"], Bool[Array, "s s"]]:
    """The object in a square crop on grey, and where it is there."""
    box = box_of(mask)
    assert box is not None
    crop = Crop.around(box, (mask.shape[0], mask.shape[1]), margin=MARGIN)
    inside = mask[crop.slices]
    picture = np.where(inside[..., None], rgb[crop.slices], np.uint8(128))
    length = max(max(inside.shape), round(max(inside.shape) / crop.fill))
    square, shown = np.full((length, length, 3), 128, np.uint8), np.zeros((length, length), np.uint8)
    top, left = (length - inside.shape[0]) // 2, (length - inside.shape[1]) // 2
    square[top : top + inside.shape[0], left : left + inside.shape[1]] = picture
    shown[top : top + inside.shape[0], left : left + inside.shape[1]] = inside * np.uint8(255)
    small, where = (
        np.array(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR)) for plane in (square, shown)
    )
    return small, where > 127


def features_of(name: str, folder: Path | None = None) -> Features:
    """The features of a name: `persam`, or one of KINDS with the folder of its model.

    Raises:
        DreamBoothError: an unknown name, a folder that is missing, not wanted or of another model.
    """
    if name == "persam":
        if folder is not None:
            raise DreamBoothError(f"{folder} is read for other features alone: say --features dinov2 or clip.")
        return OWN
    if name not in KINDS:
        raise DreamBoothError(f"there are no features {name!r}: choose one of persam, {', '.join(KINDS)}.")
    if folder is None:
        raise DreamBoothError(f"--features {name} needs the folder of its model: give --features-model DIR.")
    return TransformersFeatures(name, folder)
