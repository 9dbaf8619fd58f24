"""Each trainer's rule for finding a photo's mask and caption, written anew from its documentation and behaviour.

A reader raises where that trainer would, or where it would train without a mask and not say so.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class Read:
    """A photo as a trainer has it: its pixels, its weights 0 to 1, its caption."""

    rgb: np.ndarray
    weights: np.ndarray
    caption: str


def opened(path: Path) -> Image.Image:
    """As a trainer that applies no EXIF sees it; a photo that needs it would be read lying on its side."""
    image = Image.open(path)
    assert not image.getexif(), path
    assert "exif" not in image.info, path
    return image


def pixels(path: Path) -> np.ndarray:
    return np.array(opened(path).convert("RGB"))


def diffusers(folder: Path) -> dict[str, Read]:
    """`--instance_data_dir`: every entry of the folder is opened as a photo; ours reads the mask of the same name."""
    found = {}
    for path in (folder / "images").iterdir():
        mask = np.array(opened(folder / "masks" / path.name).convert("L"))
        caption = (folder / "captions" / f"{path.stem}.txt").read_text().strip()
        found[path.stem] = Read(pixels(path), mask / 255, caption)
    assert len(list((folder / "masks").iterdir())) == len(found)
    return found


def kohya(folder: Path) -> dict[str, Read]:
    """The subset's conditioning folder must have a picture for every photo, of its size, and no other; red counts.

    The schema of such a subset knows no class_tokens, and the photo's folder is not searched in depth.
    """
    config = tomllib.loads((folder / "dataset.toml").read_text())
    [dataset] = config["datasets"]
    [subset] = dataset["subsets"]
    assert set(subset) <= {"image_dir", "conditioning_data_dir", "num_repeats", "caption_extension"}
    photos, masks = (
        {path.stem: path for path in Path(subset[key]).iterdir() if path.suffix in PICTURES}
        for key in ("image_dir", "conditioning_data_dir")
    )
    assert photos.keys() == masks.keys()
    found = {}
    for stem, path in photos.items():
        assert opened(path).size == opened(masks[stem]).size
        caption = path.with_suffix(config["general"]["caption_extension"]).read_text().splitlines()[0]
        found[stem] = Read(pixels(path), pixels(masks[stem])[..., 0] / 255, caption)
    return found


def onetrainer(folder: Path) -> dict[str, Read]:
    """Photos are the pictures whose names do not end in -masklabel or -condlabel; a mask is NAME-masklabel.png."""
    found = {}
    for path in (folder / "images").iterdir():
        if path.suffix not in PICTURES or path.stem.endswith(("-masklabel", "-condlabel")):
            continue
        mask = opened(path.with_name(f"{path.stem}-masklabel.png"))
        assert mask.mode == "L"  # loaded as one channel
        caption = path.with_suffix(".txt").read_text().splitlines()[0]
        found[path.stem] = Read(pixels(path), np.array(mask) / 255, caption)
    return found


def simpletuner(folder: Path) -> dict[str, Read]:
    """A data set names the one of its masks, in which a photo's mask has the photo's file name."""
    sets = {one["id"]: one for one in json.loads((folder / "multidatabackend.json").read_text())}
    [images] = [one for one in sets.values() if one["dataset_type"] == "image"]
    masks = sets[images["conditioning_data"]]
    assert (masks["dataset_type"], masks["conditioning_type"]) == ("conditioning", "mask")
    assert images["caption_strategy"] == "textfile"
    for key in ("resolution", "resolution_type", "crop"):  # else photo and mask go to different buckets
        assert images[key] == masks[key]
    [texts] = [one for one in sets.values() if one["dataset_type"] == "text_embeds"]
    assert texts["default"] is True
    assert len({images["cache_dir_vae"], texts["cache_dir"]}) == 2
    found = {}
    for path in Path(images["instance_data_dir"]).rglob("*"):
        if path.suffix in PICTURES:
            mask = opened(Path(masks["instance_data_dir"]) / path.name).convert("L")
            assert mask.size == opened(path).size
            found[path.stem] = Read(pixels(path), np.array(mask) / 255, path.with_suffix(".txt").read_text().strip())
    return found


def ai_toolkit(folder: Path) -> dict[str, Read]:
    """Every picture below folder_path is a photo; a mask is looked for by its stem in mask_path, and may be missing."""
    [said] = yaml.safe_load((folder / "datasets.yaml").read_text(encoding="utf-8"))["datasets"]
    assert said["mask_min_value"] == 0
    photos, masks = Path(said["folder_path"]), Path(said["mask_path"])
    assert photos not in masks.parents  # a mask there would be trained on as a photo
    found = {}
    for path in photos.rglob("*"):
        if path.suffix in PICTURES:
            [mask] = [one for one in masks.iterdir() if one.stem == path.stem]
            caption = path.with_suffix(f".{said['caption_ext']}").read_text().strip()
            found[path.stem] = Read(pixels(path), np.array(opened(mask).convert("RGB").convert("L")) / 255, caption)
    return found


READERS = {
    "diffusers": diffusers,
    "kohya": kohya,
    "onetrainer": onetrainer,
    "simpletuner": simpletuner,
    "ai-toolkit": ai_toolkit,
}
