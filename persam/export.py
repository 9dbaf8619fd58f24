"""A model as a folder for ONNX Runtime: its graphs, and the calibration by which presence is judged."""

from pathlib import Path

from persam.errors import PerSAMError
from persam.io.write import check_empty, whole_folder
from persam.model import PerSAM
from persam.sam.backbone import SamBackbone
from persam.sam.onnx_export import Difference, export_backbone
from persam.sam.sources import TABLE

CALIBRATION = "calibration.json"
NEVER_MIXED = "an exported model is replaced only by hand"


def export_model(model: PerSAM, folder: str | Path) -> Difference:
    """The largest difference between the model and its export in the folder, which `persam.load` reads.

    Masks, predicted IoU and all maps are compared on made photos, over every kind of prompt. The folder appears whole,
    at the end, and only if they agree.

    Args:
        model: of PyTorch; what it was loaded with (weights, pixels, calibration) goes with it.
        folder: it must be empty, or not there yet.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
        WeightsError: the export computes something else than the model.
        PerSAMError: the model is an export itself, or onnx or onnxruntime is not installed.
    """
    home, backbone = Path(folder).expanduser().absolute(), model.backbone
    check_empty(home, why=NEVER_MIXED)
    if not isinstance(backbone, SamBackbone):
        raise PerSAMError(f"{backbone.name} is no PyTorch model, which an export is made of. Copy its folder instead.")
    with whole_folder(home) as place:
        difference = export_backbone(backbone, place)
        model.calibration.save(place / CALIBRATION)
    return difference


def exported_calibration(model: str | Path) -> Path | None:
    """The calibration in the folder of an exported model; None where there is no such folder."""
    path = Path(model).expanduser() / CALIBRATION
    return path if model not in TABLE and path.is_file() else None
