"""Prompts as users and PerSAM give them: clicks, boxes, a concept's location prior, and the refinements after them."""

from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.sam.nano import STRIDE
from persam.types import Prompt
from training.forward import LogitGuidance
from training.objectives import target_features
from training.views import MASK_STRIDE

FIRST_PROMPTS = {"point": 0.28, "pair": 0.2, "box": 0.24, "concept": 0.28}
FIRST_PROMPTS_OF_CONCEPTS = {"point": 0.2, "pair": 0.12, "box": 0.28, "concept": 0.4}
FIRST_PROMPTS_OF_RIDERS = {"point": 0.12, "pair": 0.08, "box": 0.2, "concept": 0.6}
NEXT_PROMPTS = {"same": 0.3, "predicted_box": 0.35, "true_box": 0.15, "correction": 0.2}


def first_prompt(
    kind: str,
    cover: Tensor,
    features: Tensor,
    reference: Tensor,
    reference_cover: Tensor,
    rng: np.random.Generator,
    *,
    misplaced: float = 0.0,
) -> tuple[Prompt, Guidance | LogitGuidance]:
    """The first round's prompt of every object, and the guidance that goes with a concept's.

    Args:
        kind: a key of FIRST_PROMPTS.
        cover: images x objects x h x w at a quarter of the input.
        features: images x c x g x g, of the images to prompt.
        reference: the other views' features, and `reference_cover` the objects' share of their patches.
        misplaced: how often guidance after the softmax is stretched as in the official code.
    """
    planes, device = cover.flatten(0, 1), cover.device
    drawn = planes.cpu().numpy()
    if kind == "box":
        return Prompt(box_xyxy=_jittered_boxes(drawn, rng).to(device)), NO_GUIDANCE
    inside = _clicks(drawn, rng).to(device)
    if kind == "concept":
        semantic = target_features(reference, reference_cover)
        return _concept_prompt(planes, inside, features, semantic, rng, misplaced)
    if kind == "point":
        return Prompt(inside[:, None], torch.ones(len(planes), 1, device=device)), NO_GUIDANCE
    return _pair(inside, _clicks(1 - drawn, rng).to(device)), NO_GUIDANCE


def next_prompt(
    kind: str,
    prompt: Prompt,
    logits: Tensor,
    predicted_iou: Tensor,
    cover: Tensor,
    rng: np.random.Generator,
    *,
    from_single: bool = False,
) -> Prompt:
    """The next round: a mask's logits, what was given before, and perhaps a box or a correcting click.

    from_single: goes on from the single mask, as the official code does after its first decode, not from the best of
    the three.
    """
    rows, device = torch.arange(len(logits), device=logits.device), logits.device
    kept = 0 if from_single else 1 + predicted_iou.detach()[:, 1:].argmax(1)
    best = logits.detach()[rows, kept]
    prompt = replace(prompt, mask_logits=best[:, None])
    planes, found = cover.cpu().numpy(), (best > 0).cpu().numpy()
    if kind == "predicted_box":
        boxes = _boxes(np.where(found.any((1, 2), keepdims=True), found, planes))
        return replace(prompt, box_xyxy=boxes.to(device))
    if kind == "true_box":
        return replace(prompt, box_xyxy=_jittered_boxes(planes, rng).to(device))
    if kind == "correction":
        missed, wrong = (planes > 0.5) & ~found, (planes < 0.5) & found
        label = missed.sum((1, 2)) >= wrong.sum((1, 2))
        missed[~(missed | wrong).any((1, 2))] = True  # nothing to correct: the click is on the object
        missed &= planes > 0.5
        click = _clicks(np.where(label[:, None, None], missed, wrong).astype(np.float32), rng)[:, None].to(device)
        labels = torch.from_numpy(label.astype(np.float32))[:, None].to(device)
        if prompt.points_xy is not None and prompt.labels is not None:
            click, labels = torch.cat([prompt.points_xy, click], 1), torch.cat([prompt.labels, labels], 1)
        return replace(prompt, points_xy=click, labels=labels)
    return prompt


def _pair(inside: Tensor, outside: Tensor) -> Prompt:
    labels = inside.new_tensor([[1.0, 0.0]]).repeat(len(inside), 1)
    return Prompt(torch.stack([inside, outside], 1), labels)


def _concept_prompt(
    planes: Tensor, inside: Tensor, features: Tensor, semantic: Tensor, rng: np.random.Generator, misplaced: float
) -> tuple[Prompt, Guidance | LogitGuidance]:
    """PerSAM's own prompt: the peak and trough of the similarity to `semantic`, with guidance from it.

    Where the peak misses the object, the point inside takes its place.
    """
    unit = F.normalize(features, dim=1)
    similarity = torch.einsum("ioc,ichw->iohw", F.normalize(semantic, dim=-1), unit).flatten(0, 1).detach()
    side = similarity.shape[-1]

    def centre(patch: Tensor) -> Tensor:
        return (torch.stack([patch % side, patch // side], 1) + 0.5) * STRIDE - 0.5

    peak, trough = similarity.flatten(1).argmax(1), similarity.flatten(1).argmin(1)
    cover = F.avg_pool2d(planes[:, None], STRIDE // MASK_STRIDE).flatten(1)
    hit = cover.gather(1, peak[:, None]) > 0.3
    prompt = _pair(torch.where(hit, centre(peak), inside), centre(trough))
    z = (similarity - similarity.mean((1, 2), keepdim=True)) / similarity.std((1, 2), keepdim=True).clamp(min=1e-6)
    if rng.random() < 0.5:
        if misplaced and rng.random() < misplaced:
            z = _stretched(z, rng)
        return prompt, Guidance(z.sigmoid(), semantic.flatten(0, 1))
    return prompt, LogitGuidance(F.logsigmoid(z), semantic.flatten(0, 1))


def _stretched(z: Tensor, rng: np.random.Generator) -> Tensor:
    """Upper rows or left columns over the whole grid: what ledger 3 makes of a photo that is not square."""
    side = z.shape[-1]
    kept = int(rng.integers(side // 2, side + 1))
    part = z[:, :kept] if rng.random() < 0.7 else z[:, :, :kept]
    return F.interpolate(part[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0]


def _clicks(planes: np.ndarray, rng: np.random.Generator) -> Tensor:
    """A point of each plane, in input pixels: half of the time its innermost one."""
    points = []
    for plane in planes:
        sure = (plane > 0.5).astype(np.uint8)
        if not sure.any():
            sure = (plane >= plane.max()).astype(np.uint8)
        if rng.random() < 0.5:
            depth = cv2.distanceTransform(np.pad(sure, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
            y, x = np.unravel_index(depth.argmax(), depth.shape)
        else:
            choices = np.flatnonzero(sure)
            y, x = np.unravel_index(choices[rng.integers(len(choices))], sure.shape)
        points.append(((x + 0.5) * MASK_STRIDE - 0.5, (y + 0.5) * MASK_STRIDE - 0.5))
    return torch.tensor(points, dtype=torch.float32)


def _boxes(planes: np.ndarray) -> Tensor:
    boxes = []
    for plane in planes:
        ys, xs = np.nonzero(plane > min(0.5, plane.max() * 0.99))
        boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(ys) else (0, 0, *plane.shape[::-1]))
    return torch.tensor(boxes, dtype=torch.float32) * MASK_STRIDE - 0.5


def _jittered_boxes(planes: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The true boxes, their sides moved by a normal of 5 % of the extent (SAM: 10 %, at most 20 pixels)."""
    boxes = _boxes(planes)
    extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    noise = torch.from_numpy(rng.normal(0, 0.05, boxes.shape)).float() * extent
    return boxes + noise.clamp(-20, 20)
