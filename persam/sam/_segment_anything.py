"""The one door to `segment_anything`: its `modeling` classes, with or without torchvision.

The package imports four names from torchvision (`resize`, `to_pil_image`, `batched_nms`, `box_area`) for code that
persam never calls, and declares no dependency on it. Where torchvision imports, it is used. Where it is missing, or is
a build for another torch and fails at import, stand-ins for the four names live in `sys.modules` while
`segment_anything` is being imported and are taken out again: left in, they would mislead `torch.onnx` and transformers,
which look torchvision up there.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

STAND_INS = {
    "torchvision": (),
    "torchvision.ops": (),
    "torchvision.ops.boxes": ("batched_nms", "box_area"),
    "torchvision.transforms": (),
    "torchvision.transforms.functional": ("resize", "to_pil_image"),
}


def import_modeling() -> ModuleType:
    """`segment_anything.modeling`: ImageEncoderViT, PromptEncoder, MaskDecoder, TwoWayTransformer, Sam.

    Raises:
        ImportError: segment_anything is not installed.
    """
    if "segment_anything" in sys.modules or _torchvision_imports():
        return importlib.import_module("segment_anything.modeling")
    _forget_torchvision()  # a build for another torch leaves half-imported modules behind
    for module_name, names in STAND_INS.items():
        module = ModuleType(module_name)
        for name in names:
            setattr(module, name, _missing(name))
        sys.modules[module_name] = module
    try:
        return importlib.import_module("segment_anything.modeling")
    finally:
        _forget_torchvision()


def _torchvision_imports() -> bool:
    try:
        importlib.import_module("torchvision.ops.boxes")
        importlib.import_module("torchvision.transforms.functional")
    except Exception:  # a torchvision built for another torch raises RuntimeError ("operator ... does not exist")
        return False
    return True


def _forget_torchvision() -> None:
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]


def _missing(name: str) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        raise ImportError(f"torchvision's {name} is needed here: install a torchvision that fits your torch")

    return stand_in
