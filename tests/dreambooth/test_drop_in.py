"""The lines of docs/dreambooth.md for diffusers' own script, in what is around them there."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F

from persam.dreambooth.layouts import LAYOUTS
from tests.dreambooth.folders import write_pair

DOCS = (Path(__file__).parents[2] / "docs" / "dreambooth.md").read_text(encoding="utf-8")
DATA, SPLIT, LOSS = re.findall(r"<!-- drop-in -->\n```python\n(.*?)```", DOCS, re.DOTALL)


def batch_of(folder: Path) -> dict:
    """The names that the script has at each place, after the first two."""
    for name, at in (("a", (10, 20, 29, 39)), ("b", (30, 4, 49, 60))):
        write_pair(folder, name, at_xyxy=at)
    names: dict[str, Any] = {
        "Path": Path,
        "torch": torch,
        "self": SimpleNamespace(pixel_values=[], original_sizes=[], crop_top_lefts=[]),
        "instance_data_root": folder / "images",
        "size": 64,
        "args": SimpleNamespace(center_crop=True, random_flip=False),
        "vae": SimpleNamespace(dtype=torch.float32),
    }
    exec(DATA, names)
    names["batch"] = {"pixel_values": torch.stack(names["self"].pixel_values)}
    exec(SPLIT, names)
    return names


def test_photos_and_masks_reach_the_loop(tmp_path):
    names = batch_of(tmp_path)
    assert names["pixel_values"].shape == (2, 3, 64, 64)
    assert [int(one.sum()) for one in names["mask"]] == [20 * 20, 20 * 57]
    assert names["self"].original_sizes == [(64, 64), (64, 64)]
    assert names["self"].crop_top_lefts == [(0, 0), (0, 0)]


def test_the_loss_is_masked_with_and_without_class_images(tmp_path):
    names = batch_of(tmp_path)
    names["model_pred"], names["target"] = torch.zeros(2, 4, 8, 8), torch.ones(2, 4, 8, 8)
    names["target"][:, :, :, 7] = 100  # beyond both objects
    exec(LOSS, names)
    assert float(names["loss"]) == 1
    assert float(F.mse_loss(names["model_pred"], names["target"])) > 1000  # what the script's line says
    names["mask"] = torch.cat([names["mask"], torch.ones_like(names["mask"])])  # the class images' half
    exec(LOSS, names)
    assert float(names["loss"]) == 1


def test_the_snr_line_cuts_the_weights(tmp_path):
    names = batch_of(tmp_path)
    names["model_pred"], names["target"] = torch.zeros(2, 4, 8, 8), torch.ones(2, 4, 8, 8)
    names["mse_loss_weights"] = torch.tensor([1.0, 3.0, 50.0, 50.0])  # four time steps, two of class images
    [line] = re.findall(r"`(loss = masked_mse.*?mse_loss_weights.*?)`", DOCS.replace("\n  ", " "))
    exec(line, names)
    assert names["loss"].tolist() == [1.0, 3.0]


def test_the_docs_name_every_layout():
    rows = re.findall(r"^\| `([\w-]+)` \| .*(?:images)", DOCS, re.MULTILINE)
    assert rows == list(LAYOUTS)
