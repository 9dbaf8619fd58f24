"""What `persam export` makes of the small models: each is exported once, and opened again for every test file."""

from pathlib import Path

from persam.sam.backbone import SamBackbone
from persam.sam.onnx_backbone import OnnxBackbone
from persam.sam.onnx_export import export_backbone
from tests.sam.flavours import network

_FOLDERS: dict[str, Path] = {}


def exported(flavour: str, tmp_path_factory) -> OnnxBackbone:
    if flavour not in _FOLDERS:
        folder = tmp_path_factory.mktemp(f"{flavour}-onnx")
        export_backbone(SamBackbone(network(flavour), name=flavour, fingerprint="0"), folder)
        _FOLDERS[flavour] = folder
    return OnnxBackbone(_FOLDERS[flavour])
