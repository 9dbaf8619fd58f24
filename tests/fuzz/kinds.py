"""A case of each kind: something made by a generator, and read. Whatever it raises but a PerSAMError is a fault."""

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

from persam.errors import PerSAMError
from persam.io.brush import to_brush
from persam.io.images import read_image
from persam.io.mask_files import palette_png, yolo_lines
from persam.io.masks import Mask, read_labels, read_mask
from persam.io.rle import compress, run_lengths
from persam.method.concept import Concept
from persam.sam.checkpoint import read
from persam.sam.load import load_backbone
from tests.colour import colour_model, mask, photo
from tests.fuzz.mutate import mutated
from tests.sam import flavours

HW = (24, 32)
OBJECT = np.zeros(HW, bool)
OBJECT[6:18, 8:24] = True
TWO = OBJECT * np.uint8(1) + np.flipud(np.fliplr(OBJECT & (np.arange(32) < 12))) * np.uint8(2)
ODD = [None, True, -1, 0, 1, 7, 1e9, float("nan"), "", "x", [], {}, [[]], [1, 2], {"a": 1}, "9" * 50]


def images(rng: Random, folder: Path) -> None:
    name, data = rng.choice(_pictures())
    if rng.random() < 0.95:
        data = mutated(rng, data)
    path = folder / f"a{rng.choice(['.jpg', '.png', '.tif', name])}"
    path.write_bytes(data)
    found = read_image(io.BytesIO(data) if rng.random() < 0.3 else path)
    assert found.dtype == np.uint8, found.dtype
    assert found.ndim == 3, found.shape
    assert found.shape[2] == 3, found.shape


def masks(rng: Random, folder: Path) -> None:
    mark = Mask(_mask_source(rng, folder), rng.choice([None, None, 1, "2", "c80000", "cat"]), rng.random() < 0.1)
    found = read_mask(mark, HW, photo=folder / "a.png")
    assert found.shape == HW, found.shape
    assert found.dtype == np.bool_, found.dtype
    assert found.any(), "an empty mask"
    assert not found.all(), "a full mask"


def labels(rng: Random, folder: Path) -> None:
    found = read_labels(_mask_source(rng, folder), HW)
    assert found, "no label"
    for one in found.values():
        assert one.shape == HW, one.shape
        assert one.any(), "an empty object"


def concepts(rng: Random, folder: Path) -> None:
    path = folder / "a.safetensors"
    data = _concept() if rng.random() < 0.5 else _odd_concept(rng)
    path.write_bytes(mutated(rng, data) if rng.random() < 0.7 else data)
    model = colour_model()
    [found] = model.segment(photo(), Concept.load(path))
    assert found.segmentations


def checkpoints(rng: Random, folder: Path) -> None:
    path = folder / f"a{rng.choice(['.pth', '.pt', '.safetensors', '.bin'])}"
    data = rng.choice(_checkpoints()) if rng.random() < 0.6 else _odd_checkpoint(rng)
    path.write_bytes(mutated(rng, data) if rng.random() < 0.8 else data)
    read(path)
    load_backbone(path, device="cpu")


def commands(rng: Random, folder: Path) -> None:
    from tests.fuzz.typed import type_into

    type_into(rng, folder)


def videos(rng: Random, folder: Path) -> None:
    from tests.fuzz.videos import read_clip

    read_clip(rng, folder)


def training(rng: Random, folder: Path) -> None:
    from tests.fuzz.training import train_folder

    train_folder(rng, folder)


def uploads(rng: Random, folder: Path) -> None:
    from tests.fuzz.uploads import call

    call(rng, folder, _pictures(), _concept())


def requests(rng: Random, folder: Path) -> None:
    from tests.fuzz.uploads import request

    request(rng, folder)


# --- what is mutated


def _saved(picture: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def _pictures() -> list[tuple[str, bytes]]:
    rgb = np.random.default_rng(0).integers(0, 256, (*HW, 3), np.uint8)
    rgba, grey = np.dstack([rgb, rgb[..., 0]]), rgb[..., 0]
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = {"save_all": True, "append_images": [Image.fromarray(rgb[::-1].copy())]}
    return [
        (".png", _saved(rgb, "PNG", exif=turned)),
        (".png", _saved(rgba, "PNG")),
        (".png", _saved(grey.astype(np.uint16) * 200, "PNG")),
        (".png", _saved(Image.fromarray(rgb).quantize(32), "PNG", transparency=0)),
        (".png", _saved(Image.fromarray(rgb), "PNG", **frames)),
        (".jpg", _saved(rgb, "JPEG", exif=turned)),
        (".jpg", _saved(Image.fromarray(rgb).convert("CMYK"), "JPEG")),
        (".jpg", _saved(rgb, "JPEG", progressive=True, icc_profile=_profile())),
        (".tif", _saved(rgb, "TIFF")),
        (".tif", _saved(rgba, "TIFF", compression="tiff_lzw")),
        (".tif", _saved(grey.astype(np.uint16) * 16, "TIFF", tiffinfo={262: 0})),
        (".tif", _saved(grey.astype(np.float32) / 255, "TIFF")),
        (".tif", _saved(grey.astype(np.int32), "TIFF")),
        (".tif", _saved(Image.fromarray(rgb), "TIFF", **frames)),
        (".gif", _saved(Image.fromarray(rgb), "GIF", **frames)),
        (".webp", _saved(rgba, "WEBP")),
        (".bmp", _saved(rgb, "BMP")),
        (".ppm", _saved(rgb, "PPM")),
        (".heic", bytes([0, 0, 0, 24]) + b"ftypheic" + bytes(40)),
    ]


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


@cache
def _masks() -> list[tuple[str, bytes]]:
    colours = (TWO[..., None] == 1) * np.array((200, 0, 0)) + (TWO[..., None] == 2) * np.array((0, 0, 200))
    pictures = [OBJECT, TWO, TWO.astype(np.uint16) * 1000, colours.astype(np.uint8), OBJECT.astype(np.float32)]
    pictures += [np.dstack([colours.astype(np.uint8), OBJECT * np.uint8(255)])]
    files = [(".tif", _saved(one, "TIFF")) for one in pictures]
    files += [(".png", _saved(one, "PNG")) for one in pictures if one.dtype != np.float32]
    files += [(".png", palette_png(TWO)), (".jpg", _saved(colours.astype(np.uint8), "JPEG"))]
    for one in (*pictures, np.stack([OBJECT, ~OBJECT])):
        file = io.BytesIO()
        np.save(file, one)
        files.append((".npy", file.getvalue()))
    file = io.BytesIO()
    np.savez(file, mask=OBJECT, score=1.0)
    files.append((".npz", file.getvalue()))
    files.append((".txt", (yolo_lines(OBJECT, 0) + yolo_lines(TWO == 2, 1)).encode()))
    files.append((".xml", _cvat()))
    return files + [(".json", json.dumps(one).encode()) for one in _shapes()]


def _cvat() -> bytes:
    shapes = (
        '<polygon label="cat" points="8,6;24,6;24,18;8,18" group_id="1" />',
        '<box label="dog" xtl="1" ytl="1" xbr="5" ybr="4" rotation="30" />',
        '<ellipse label="cat" cx="9" cy="9" rx="4" ry="3" />',
        '<mask label="cat" rle="2,3,1" left="3" top="4" width="3" height="2" />',
    )
    return f'<annotations><image name="a" width="32" height="24">{"".join(shapes)}</image></annotations>'.encode()


def _shapes() -> list[Any]:
    runs = {"size": list(HW), "counts": run_lengths(OBJECT)}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[8, 6, 24, 6, 24, 18, 8, 18]]}
    shape = {"label": "cat", "shape_type": "polygon", "points": [[8, 6], [23, 6], [23, 17], [8, 17]]}
    return [
        runs,
        {"size": list(HW), "counts": compress(run_lengths(OBJECT))},
        annotation,
        [annotation, annotation | {"category_id": 2, "segmentation": runs}],
        {"images": [{"id": 1, "file_name": "a.png"}], "categories": [], "annotations": [annotation]},
        {"imageHeight": HW[0], "imageWidth": HW[1], "shapes": [shape, shape | {"shape_type": "rectangle"}]},
        _label_studio(
            ("brushlabels", {"format": "rle", "rle": to_brush(OBJECT)}),
            ("polygonlabels", {"points": [[25, 25], [75, 25], [75, 75]]}),
            ("rectanglelabels", {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 10}),
            ("ellipselabels", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10}),
        ),
        {"shapes": [{"label": "cat", "shape_type": "mask", "points": [[0, 0], [9, 9]], "mask": "aGVsbG8="}]},
    ]


def _label_studio(*regions: tuple[str, dict[str, Any]]) -> Any:
    size = {"original_width": HW[1], "original_height": HW[0]}
    result = [{"type": kind, "value": {kind: ["cat"], **value}, **size} for kind, value in regions]
    return [{"data": {"image": "a.png"}, "annotations": [{"result": result}]}]


def _mask_source(rng: Random, folder: Path) -> Any:
    """A damaged file, an array of odd values or JSON with an odd part."""
    chance = rng.random()
    if chance < 0.6:
        suffix, data = rng.choice(_masks())
        path = folder / f"a{suffix}"
        path.write_bytes(mutated(rng, data))
        return path
    if chance < 0.8:
        value = _with_odd(rng, rng.choice(_shapes()))
        if rng.random() < 0.5:
            (folder / "a.json").write_text(json.dumps(value))
            return folder / "a.json"
        return value
    return _odd_array(rng)


def _odd_array(rng: Random) -> Any:
    shape = rng.choice(
        [HW, HW, (*HW, 1), (*HW, 3), (*HW, 4), (3, *HW), (5, *HW), (1, 1, *HW), (0, *HW), (*HW, 0), (), (7,)]
    )
    kind = rng.choice([np.bool_, np.uint8, np.int8, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64])
    own = np.random.default_rng(rng.randrange(1 << 30))
    values = rng.choice(
        [[0, 1], [0, 1, 255], [0, 1, 2], [0, 127, 128, 255], [0, 254, 255], [0, 3, 40, 90], [0, 100], [7]]
    )
    array = own.choice(values, shape)
    if rng.random() < 0.6 and len(shape) >= 2 and 0 not in shape:  # areas rather than noise
        rows, columns = (4, 4)
        blocks = own.choice(values, HW)[::rows, ::columns].repeat(rows, 0).repeat(columns, 1)
        array = np.broadcast_to(blocks.reshape(*HW, 1) if shape[-1] in (1, 3, 4) else blocks, shape).copy()
    with np.errstate(all="ignore"):
        array = array.astype(kind)
    if array.dtype.kind == "f" and rng.random() < 0.3 and array.size:
        array.flat[rng.randrange(array.size)] = rng.choice([np.nan, np.inf, -1, 1e30 if kind != np.float16 else 6e4])
    return torch.from_numpy(array) if rng.random() < 0.2 and kind is not np.uint16 else array


def _with_odd(rng: Random, value: Any) -> Any:
    """The value with one part of it replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        return value | {key: _with_odd(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        return [*value[:place], _with_odd(rng, value[place]), *value[place + 1 :]]
    return rng.choice(ODD)


@cache
def _concept() -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        concept = colour_model().learn(photo(), mask(), name="red")
        return concept.save(Path(folder) / "a.safetensors").read_bytes()


def _odd_concept(rng: Random) -> bytes:
    from safetensors.torch import load, save

    data = _concept()
    size = int.from_bytes(data[:8], "little")
    words = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["persam"])
    tensors = load(data)
    if rng.random() < 0.5:
        words = _with_odd(rng, words)
    else:
        name = rng.choice(sorted(tensors))
        tensors[name] = _odd_tensor(rng, tensors[name])
    return save({name: one.contiguous() for name, one in tensors.items()}, {"persam": json.dumps(words)})


def _odd_tensor(rng: Random, value: torch.Tensor) -> torch.Tensor:
    return rng.choice(
        [
            lambda: value[:0],
            lambda: value[None],
            lambda: value[..., :1],
            lambda: value.double(),
            lambda: value.int(),
            lambda: value.bool(),
            lambda: value * 1e30,
            lambda: value * 0,
            lambda: value - value.float().mean(),
            lambda: torch.full_like(value, float("nan")) if value.is_floating_point() else value * 0 - 1,
        ]
    )()


@cache
def _tensors() -> dict[str, torch.Tensor]:
    """Of a network as it is, cut to the parts that are small."""
    return {name: value for name, value in flavours.tensors().items() if value.numel() < 20_000}


@cache
def _checkpoints() -> list[bytes]:
    from safetensors.torch import save

    whole = _tensors()
    return [_torch(whole), _torch({"model": whole, "epoch": 3}), save({k: v.contiguous() for k, v in whole.items()})]


def _torch(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _odd_checkpoint(rng: Random) -> bytes:
    tensors: dict[Any, Any] = dict(flavours.tensors() if rng.random() < 0.2 else _tensors())
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(sorted(tensors, key=str))
        change = rng.randrange(4)
        if change == 0:
            del tensors[name]
        elif change == 1:
            value = tensors[name]
            tensors[name] = _odd_tensor(rng, value) if isinstance(value, torch.Tensor) and value.ndim else value
        elif change == 2:
            tensors[name] = rng.choice(ODD)
        else:
            tensors[rng.choice([3, "x", "module.y", (1, 2), None])] = tensors.pop(name)
    wrapped: Any = rng.choice(
        [tensors, {"model": tensors}, {"net": tensors}, [tensors], {"state_dict": {"model": tensors}}]
    )
    return _torch(wrapped)


KINDS: dict[str, tuple[int, Callable[[Random, Path], None]]] = {
    "images": (30, images),
    "masks": (30, masks),
    "labels": (12, labels),
    "concepts": (10, concepts),
    "checkpoints": (6, checkpoints),
    "commands": (12, commands),
    "videos": (12, videos),
    "training": (8, training),
    "uploads": (8, uploads),
    "requests": (8, requests),
}
"""Each kind with its share of the cases."""
EXPECTED = PerSAMError
