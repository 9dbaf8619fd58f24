"""PASCAL-Part and PACO-Part (Matcher): a part of an object is looked for in photos cut to one object each.

PASCAL-Part, in four folds by kind of object (animals, indoor, person, vehicles):
    VOCdevkit/VOC2010/JPEGImages/<id>.jpg
    VOCdevkit/VOC2010/Annotations_Part_json_merged_part_classes/<id>.json
        {"object": [{"name", "bndbox": x0 y0 x1 y1, "parts": [{"name", "mask": [run lengths, …]}, …]}, …]}
    VOCdevkit/VOC2010/all_obj_part_to_image.json
        kind -> "object" -> object -> "part" -> part -> {"train": [id, …], "val": [id, …]}

PACO-Part, 448 parts in four folds of 112:
    coco/train2017/*.jpg, coco/val2017/*.jpg
    paco/paco_part_train.pkl, paco/paco_part_val.pkl
        {"cid2img": part -> [{photo id: "…/val2017/….jpg"}, …],
         "img2anno": photo id -> [{"category_id", "obj_ann_id", "obj_bbox": x y w h, "segmentation"}, …]}

With seed 0 the draws are Matcher's own, by the same calls in the same order to NumPy's legacy generator.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from persam.errors import DataError
from persam.eval.datasets.pickles import read_plain_pickle
from persam.eval.episodes import (
    CocoMask,
    Episode,
    Photo,
    Reference,
    Target,
    check_fold,
    check_shots,
    file_in,
    folder_in,
)
from persam.io.rle import segments

PASCAL_KINDS = ("animals", "indoor", "person", "vehicles")
PASCAL_LEFT_OUT = "aeroplane+TAIL"  # left out by Matcher too
PACO_FOLDS = 4
EPISODES = 2500
TRIES = 10_000  # draws without a usable photo after which a list is taken to hold none


@dataclass(frozen=True)
class Drawn:
    """One object's part in one photo."""

    photo: str
    found: Reference


def pascal_episodes(root: Path, *, fold: int = 0, shots: int = 1, seed: int = 0) -> Iterator[Episode]:
    """A fold's parts in turn, as many episodes as the fold lists photos, 2500 at most.

    Raises:
        DataError: a folder, list or photo is missing, or a part has too few usable photos.
    """
    check_fold(fold, len(PASCAL_KINDS))
    check_shots(shots)
    voc = folder_in(root, "VOCdevkit", "VOC2010")
    listed = json.loads(file_in(voc, "all_obj_part_to_image.json").read_text())[PASCAL_KINDS[fold]]["object"]
    photos_of = {f"{thing}+{part}": photos for thing, of in listed.items() for part, photos in of["part"].items()}
    count = min(EPISODES, sum(len(photos["val"]) for photos in photos_of.values()))
    names = [
        name for name, photos in photos_of.items() if photos["train"] and photos["val"] and name != PASCAL_LEFT_OUT
    ]
    draws = np.random.RandomState(seed)
    for number in range(count if names else 0):
        name = names[number % len(names)]
        photos = photos_of[name]["val"]
        asked = _pascal(voc, name, photos, draws, taken=[])
        references: list[Drawn] = []
        while len(references) < shots:
            taken = [asked.photo, *(reference.photo for reference in references)]
            references.append(_pascal(voc, name, photos, draws, taken=taken))
        yield _episode(name, number, asked, references)


def paco_episodes(root: Path, *, fold: int = 0, shots: int = 1, seed: int = 0) -> Iterator[Episode]:
    """2500 episodes of a fold: part, photos and objects drawn at random.

    In the training list's order, every fourth part from the fold's number on is in the fold, if the validation list
    has more than `shots` photos of it. A reference is never the target's photo, but two may be of the same photo.

    Raises:
        DataError: a folder, list or photo is missing, or the fold is empty.
    """
    check_fold(fold, PACO_FOLDS)
    check_shots(shots)
    photos_root = folder_in(root, "coco")
    order = list(read_plain_pickle(file_in(root, "paco", "paco_part_train.pkl"))["cid2img"])
    listed = read_plain_pickle(file_in(root, "paco", "paco_part_val.pkl"))
    photos_of = {category: _each_once(photos) for category, photos in listed["cid2img"].items()}
    classes = [
        category
        for category in order[fold : len(order) // PACO_FOLDS * PACO_FOLDS : PACO_FOLDS]
        if len(photos_of.get(category, ())) > shots
    ]
    if not classes:
        raise DataError(f"fold {fold} of PACO-Part is empty: no part of it has more than {shots} photos.")
    draws = np.random.RandomState(seed)
    for number in range(EPISODES):
        category = classes[draws.choice(len(classes), 1, replace=False)[0]]
        photos = photos_of[category]
        asked = _paco(photos_root, category, photos, listed["img2anno"], draws, taken="")
        references = [
            _paco(photos_root, category, photos, listed["img2anno"], draws, taken=asked.photo) for _ in range(shots)
        ]
        yield _episode(f"part_{category:04d}", number, asked, references)


def _episode(name: str, number: int, asked: Drawn, references: list[Drawn]) -> Episode:
    return Episode(
        object=name,
        draw=f"{number:04d}",
        references=tuple(reference.found for reference in references),
        targets=(Target(Path(asked.photo).stem, asked.found.photo, asked.found.mask),),
    )


def _pascal(voc: Path, name: str, photos: list[str], draws: np.random.RandomState, *, taken: list[str]) -> Drawn:
    """A photo not taken yet, and in it one object that shows the part; redrawn, both of them, until there is one."""
    object_name, part_name = name.split("+")
    for _ in range(TRIES):
        photo = photos[draws.choice(len(photos), 1, replace=False)[0]]
        if photo in taken:
            continue
        path = file_in(voc, "Annotations_Part_json_merged_part_classes", f"{photo}.json")
        objects = [one for one in json.loads(path.read_text())["object"] if one["name"] == object_name]
        if not objects:
            raise DataError(f"{path} has no {object_name}, though the list of parts says so.")
        chosen = objects[draws.choice(len(objects), 1, replace=False)[0]]
        masks = [mask for part in chosen["parts"] if part["name"] == part_name for mask in part["mask"]]
        if not masks:
            continue
        x0, y0, x1, y1 = (int(side) for side in chosen["bndbox"].values())
        return Drawn(photo, _cut(file_in(voc, "JPEGImages", f"{photo}.jpg"), (x0, y0, x1, y1), masks))
    raise DataError(f"{name}: none of its {len(photos)} photos can be drawn besides {taken}.")


def _paco(
    photos_root: Path,
    category: int,
    photos: dict[Any, str],
    annotations: dict[Any, list[dict[str, Any]]],
    draws: np.random.RandomState,
    *,
    taken: str,
) -> Drawn:
    """A photo other than the one taken, and in it one object that shows the part."""
    for _ in range(TRIES):
        photo_id = list(photos)[draws.choice(len(photos), 1, replace=False)[0]]
        if photos[photo_id] == taken:
            continue
        parts = [one for one in annotations[photo_id] if one["category_id"] == category]
        objects = list(dict.fromkeys(one["obj_ann_id"] for one in parts))
        chosen = objects[draws.choice(len(objects), 1, replace=False)[0]]
        parts = [one for one in parts if one["obj_ann_id"] == chosen]
        x, y, width, height = parts[0]["obj_bbox"]
        box = (int(x), int(y), int(x + width), int(y + height))
        cut = _cut(file_in(photos_root, photos[photo_id]), box, [one["segmentation"] for one in parts])
        return Drawn(photos[photo_id], cut)
    raise DataError(f"part {category}: none of its {len(photos)} photos can be drawn besides {taken}.")


def _each_once(photos: list[dict[Any, str]]) -> dict[Any, str]:
    """Photo id -> "val2017/….jpg"; the list repeats photos and holds the paths of whoever wrote it."""
    paths: dict[Any, str] = {}
    for photo in photos:
        for photo_id, path in photo.items():
            paths.setdefault(photo_id, "/".join(path.split("/")[-2:]))
    return paths


def _cut(path: Path, crop_xyxy: tuple[int, int, int, int], segmentations: list[Any]) -> Reference:
    photo = Photo(path, crop_xyxy)
    return Reference(photo, CocoMask(tuple(part for one in segmentations for part in segments(one)), photo))
