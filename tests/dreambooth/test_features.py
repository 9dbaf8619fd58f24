"""Fidelity by parts, by hand; and by tiny DINOv2 and CLIP with random weights, made here from their configs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from persam.dreambooth.features import KINDS, OWN, best_matches, features_of
from persam.errors import DreamBoothError
from tests.colour import BLUE, GREEN, colour_model, mask, photo


def test_best_matches_by_hand():
    assert best_matches(torch.tensor([[1.0, 0.2], [0.4, 0.6]])) == pytest.approx(0.8)  # 1 and 0.6 either way
    assert best_matches(torch.tensor([[1.0, 0.0]])) == pytest.approx(0.75)  # a right part, and one too many: 1, (1+0)/2
    assert best_matches(torch.eye(5)) == 1


def tiny(kind: str, folder: Path) -> Path:
    """A model with patches of 8 pixels in 64, as transformers saves it."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64, "patch_size": 8}
    if kind == "clip":
        from transformers import CLIPVisionConfig, CLIPVisionModel

        CLIPVisionModel(CLIPVisionConfig(**sizes, intermediate_size=32)).save_pretrained(folder)
    elif kind == "dinov2":
        from transformers import Dinov2Config, Dinov2Model

        Dinov2Model(Dinov2Config(**sizes)).save_pretrained(folder)
    else:
        from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

        Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**sizes, num_register_tokens=4)).save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), [("clip", "clip"), ("dinov2", "dinov2"), ("dinov2", "registers")])
def test_the_object_counts_and_not_its_ground(tmp_path, name, kind):
    features = features_of(name, tiny(kind, tmp_path))
    model = colour_model()
    rex = model.learn(photo(), mask(), name="rex")
    shown = mask()
    on_green, blue = photo(ground=GREEN), photo(colour=BLUE)
    same, elsewhere, moved, other = (
        features.similarity(model, rex, picture, where)
        for picture, where in (
            (photo(), shown),
            (on_green, shown),
            (photo(at_xyxy=(40, 30, 59, 49), ground=GREEN), mask(at_xyxy=(40, 30, 59, 49))),
            (blue, shown),
        )
    )
    assert same == pytest.approx(1, abs=1e-5)
    assert elsewhere == pytest.approx(same, abs=1e-6)  # the ground is grey before the model sees it
    assert moved == pytest.approx(same, abs=1e-6)
    assert other < 0.99
    assert features.similarity(model, rex, photo(), np.zeros((64, 64), bool)) is None


@pytest.mark.slow
def test_a_concept_from_a_file_and_a_model_of_another_kind_are_refused(tmp_path):
    features = features_of("clip", tiny("clip", tmp_path / "clip"))
    model = colour_model()
    path = model.learn(photo(), mask(), name="rex").save(tmp_path / "rex.safetensors")
    loaded = type(model.learn(photo(), mask())).load(path)
    with pytest.raises(DreamBoothError, match="'rex' comes from a file, which holds no photo: give REF MASK"):
        features.similarity(model, loaded, photo(), mask())
    with pytest.raises(DreamBoothError, match="holds a model of the type 'clip_vision_model', and --features dinov2"):
        features_of("dinov2", tmp_path / "clip")


def test_names_and_folders():
    assert features_of("persam") is OWN
    assert set(KINDS) == {"dinov2", "clip"}
    for name, folder, says in (
        ("persam", Path("x"), "x is read for other features alone"),
        ("clip", None, "--features clip needs the folder of its model"),
        ("vgg", None, "there are no features 'vgg': choose one of persam, dinov2, clip"),
    ):
        with pytest.raises(DreamBoothError, match=says):
            features_of(name, folder)
