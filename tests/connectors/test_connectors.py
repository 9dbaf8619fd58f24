"""CVAT's function by cvat-sdk's own protocol; FiftyOne's model by a stand-in that holds to its protocol."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import pytest
from cvat_sdk.masks import decode_mask
from PIL import Image

from persam.connectors import cvat, fiftyone
from persam.errors import ConceptError, PerSAMError
from persam.io import rle
from tests.colour import BLUE, ColourBackbone, colour_model, mask, photo

SCENE = photo(at_xyxy=(40, 5, 55, 30))
SCENE[40:52, 4:20] = BLUE
RED_MASK = mask(at_xyxy=(40, 5, 55, 30))
BLUE_MASK = mask(at_xyxy=(4, 40, 19, 51))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Concept files of a red and of a blue thing; every model is the colour stand-in."""
    monkeypatch.setattr("persam.api.load_backbone", lambda model, **_: ColourBackbone())
    model = colour_model()
    model.learn(photo(), mask(), name="red").save(tmp_path / "red.safetensors")
    model.learn(photo(colour=BLUE), mask(), name="blue").save(tmp_path / "blue.safetensors")
    return [str(tmp_path / "red.safetensors"), str(tmp_path / "blue.safetensors")]


@dataclass
class Context(cvataa.DetectionFunctionContext):
    conf_threshold: float | None = None
    conv_mask_to_poly: bool = False
    frame_name: str = "a.png"


def test_a_cvat_function_names_its_labels_and_draws_masks(files: list[str]) -> None:
    function = cvat.function(files)
    assert isinstance(function.spec, cvataa.DetectionFunctionSpec)
    assert [(one.name, one.id) for one in function.spec.labels] == [("red", 0), ("blue", 1)]
    shapes = function.detect(Context(), Image.fromarray(SCENE))
    assert [(one.type.value, one.label_id, one.frame) for one in shapes] == [("mask", 0, 0), ("mask", 1, 0)]
    for shape, truth in zip(shapes, (RED_MASK, BLUE_MASK), strict=True):
        found = decode_mask(shape.points, image_width=64, image_height=64)
        np.testing.assert_array_equal(found, truth)


def test_a_cvat_function_draws_polygons_where_it_is_asked_to(files: list[str]) -> None:
    shapes = cvat.function(files[0]).detect(Context(conv_mask_to_poly=True), Image.fromarray(SCENE))
    assert [(one.type.value, one.label_id) for one in shapes] == [("polygon", 0)]
    drawn = rle.draw([rle.Polygon(tuple(one.points)) for one in shapes], (64, 64))
    np.testing.assert_array_equal(drawn, RED_MASK)


def test_a_threshold_of_cvat_leaves_out_what_is_less_sure(files: list[str]) -> None:
    function = cvat.function(files)
    assert len(function.detect(Context(conf_threshold=0.3), Image.fromarray(SCENE))) == 2
    assert function.detect(Context(conf_threshold=1.0), Image.fromarray(SCENE)) == []


def test_cvat_cli_makes_a_function_of_words(files: list[str]) -> None:
    function = cvat.create(concept=os.pathsep.join(files), max_instances=2)
    assert [one.name for one in function.spec.labels] == ["red", "blue"]
    assert function.detect(Context(), Image.fromarray(photo(colour=(30, 200, 30)))) == []  # neither is here


def test_a_function_of_two_concepts_of_one_name_is_refused_at_once(files: list[str]) -> None:
    with pytest.raises(ConceptError, match="red"):
        cvat.function([files[0], files[0]])


@pytest.mark.parametrize(
    ("package", "make", "message"),
    [
        ("cvat_sdk", cvat.function, "pip install cvat-sdk"),
        ("fiftyone", fiftyone.model, "pip install fiftyone"),
    ],
)
def test_without_the_tool_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, package: str, make: Any, message: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"{package}.auto_annotation", raising=False)
    with pytest.raises(PerSAMError, match=message):
        make("red.safetensors")


class Model:
    """FiftyOne 1.22's base class of models, with what `apply_model` asks of one."""

    media_type = property(lambda self: pytest.fail("media_type is the subclass's"))
    ragged_batches = property(lambda self: pytest.fail("ragged_batches is the subclass's"))
    transforms = property(lambda self: pytest.fail("transforms is the subclass's"))
    preprocess = property(lambda self: pytest.fail("preprocess is the subclass's"))
    has_logits = property(lambda self: False)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: object) -> None:
        return None

    def predict(self, arg: Any) -> Any:
        pytest.fail("predict is the subclass's")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    package, core, models = (ModuleType(name) for name in ("fiftyone", "fiftyone.core", "fiftyone.core.models"))
    models.Model = Model  # type: ignore[attr-defined]
    package.core, core.models = core, models  # type: ignore[attr-defined]
    package.Detection = package.Detections = SimpleNamespace  # type: ignore[attr-defined]
    for one in (package, core, models):
        monkeypatch.setitem(sys.modules, one.__name__, one)


@pytest.mark.usefixtures("stand_in")
def test_a_model_of_fiftyone_predicts_detections(files: list[str]) -> None:
    model = fiftyone.model(files)
    assert isinstance(model, Model)
    assert (model.media_type, model.ragged_batches, model.transforms, model.preprocess) == ("image", True, None, False)
    with model as ready:
        [labels, nothing] = ready.predict_all([SCENE, photo(colour=(30, 200, 30))])
    assert nothing.detections == []
    red, blue = labels.detections
    assert (red.label, blue.label) == ("red", "blue")
    assert red.bounding_box == [40 / 64, 5 / 64, 16 / 64, 26 / 64]
    assert (red.mask.shape, red.mask.all()) == ((26, 16), True)
    assert (red.instance, 0 < red.confidence <= 1, red.presence > 0.5) == (1, True, True)
