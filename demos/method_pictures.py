"""Draws the pictures that explain the method, with the bundled model: `python demos/method_pictures.py [FOLDER]`.

The steps are called one by one, as docs/method-pictures.md tells them: a cat is learned from one of the example photos
and looked for in another.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

import persam
from persam.geometry import foreground_patches
from persam.io import draw
from persam.io.images import read_image
from persam.io.masks import read_mask
from persam.method import instances, location, official
from persam.method.decode import at_original, decode_prior

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "data" / "examples"
REFERENCE, TARGET = EXAMPLES / "photos" / "chelsea.jpg", EXAMPLES / "photos" / "picnic.jpg"
MASK = EXAMPLES / "masks" / "cat.png"
HEIGHT, COLUMNS = 210, {3: 3, 4: 2}


@torch.inference_mode()
def main(folder: Path, model: persam.PerSAM | None = None) -> None:
    model = model or persam.load("nano", device="cpu")
    rgb = read_image(TARGET)
    folder.mkdir(parents=True, exist_ok=True)
    for name, pictures in (
        ("location", locations(model, rgb)),
        ("points", points(model, rgb)),
        ("cascade", cascade(model, rgb)),
        ("refinement", refinement(model, rgb)),
    ):
        row = draw.side_by_side(
            list(pictures.values()), captions=list(pictures), height=HEIGHT, columns=COLUMNS[len(pictures)]
        )
        Image.fromarray(row).save(folder / f"{name}.jpg", quality=85, optimize=True)
        print(f"{name}: {'; '.join(pictures)}")


def locations(model, rgb):
    """What is learned of the reference, and where the target is like it."""
    reference = read_image(REFERENCE)
    mask = read_mask(MASK, reference.shape[:2])
    frame, [embedding] = model.backbone.encode([reference]).frame, model.backbone.encode([rgb])
    patches = frame.valid(foreground_patches(mask, frame)).numpy()
    ours = located(model, embedding)
    return {
        "reference and mask": draw.overlay(reference, mask, colour=draw.INSIDE),
        f"its {patches.sum()} patches": heat(reference, patches.astype(float), frame),
        "cosine to their mean (eq. 6)": heat(rgb, ours.prior.similarity.numpy(), embedding.frame),
        "ours: object against background": heat(rgb, ours.posterior.numpy(), embedding.frame),
    }


def points(model, rgb):
    """The location prior as prompt points, and the mask that they give."""
    embedding = model.backbone.encode([rgb])
    published = official.locate(learned(model, "official_persam"), embedding)
    ours = located(model, embedding).prior
    concept = learned(model, "persam")
    first = at_original(decode_prior(model.backbone, embedding, ours, concept), embedding.frame).logits.numpy() > 0
    nothing = np.zeros(rgb.shape[:2], bool)
    return {
        "published: peak and trough": marked(rgb, nothing, published),
        "ours: a point for each part": marked(rgb, nothing, ours),
        "ours: the first mask": marked(rgb, first, ours),
    }


def cascade(model, rgb):
    """The published cascade: a guided mask, then two refinements that are prompted with the mask before."""
    concept, embedding = learned(model, "official_persam"), model.backbone.encode([rgb])
    prior = official.locate(concept, embedding)
    pictures = {}
    prompts = ("points, guided", "and the mask before", "and its box")
    for prompt, step in zip(prompts, official.cascade(model.backbone, embedding, prior, concept), strict=False):
        mask = official.at_original(step.logits, embedding.frame).numpy() > 0
        caption = f"{prompt}: score {float(step.score):.2f}"
        pictures[caption] = draw.overlay(
            rgb, mask, points_xy=prior.points_xy.numpy(), labels=prior.labels.numpy(), box=step.box_xyxy
        )
    return pictures


def refinement(model, rgb):
    """Ours: the mask as it is decoded in the image, and after refinement in a crop; places of other instances."""
    embedding = model.backbone.encode([rgb])
    coarse, fine = (
        next(iter(model.segment([rgb], learned(model, persam.Recipe("shown", crop_refine=refined)))))
        for refined in (False, True)
    )
    window = around(fine.box_xyxy, rgb.shape[:2])
    peaks = instances.peaks(embedding, learned(model, "persam"), model.calibration)
    places = np.array([prior.points_xy[0].tolist() for prior in peaks], np.float32)
    return {
        "decoded in the image": draw.overlay(rgb, coarse.mask)[window],
        "decoded again in a crop": draw.overlay(rgb, fine.mask)[window],
        f"verified: presence {fine.presence:.2f}": fine.overlay(),
        "where other instances may be": draw.overlay(rgb, np.zeros(rgb.shape[:2], bool), points_xy=places),
    }


def learned(model, recipe):
    return model.learn(REFERENCE, MASK, name="cat", recipe=recipe)


def located(model, embedding):
    concept = learned(model, "persam")
    return location.locate(concept, concept.prototypes, embedding, model.calibration)


def marked(rgb, mask, prior):
    return draw.overlay(rgb, mask, points_xy=prior.points_xy.numpy(), labels=prior.labels.numpy())


def around(box_xyxy, hw):
    """Rows and columns of the box with a fifth of its longer side around it."""
    x0, y0, x1, y1 = box_xyxy
    more = max(x1 - x0, y1 - y0) // 5
    return slice(max(0, y0 - more), min(hw[0], y1 + more)), slice(max(0, x0 - more), min(hw[1], x1 + more))


def heat(rgb, values, frame):
    """The photo in grey with a value a patch over it, from dark blue, the lowest, to yellow, the highest."""
    height, width = (round(count * frame.stride * max(rgb.shape) / frame.input_size) for count in values.shape)
    levels = np.rint(255 * (values - values.min()) / max(np.ptp(values), 1e-6)).astype(np.uint8)
    large = cv2.resize(levels, (width, height), interpolation=cv2.INTER_NEAREST)[: rgb.shape[0], : rgb.shape[1]]
    colours = cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    grey = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2)
    return np.rint(0.35 * grey + 0.65 * colours).astype(np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "method-pictures")
