"""What a benchmark asks of a model: PerSAM's own answer, and the ceiling that a box of the truth gives."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from persam.errors import ConceptError, MaskError
from persam.eval.benchmark import Predict, Run, Setting
from persam.eval.episodes import Episode, Prediction, Reference, Target
from persam.eval.table import source_digest
from persam.geometry import box_of
from persam.io.segmentation import Segmentation
from persam.method.concept import Concept
from persam.method.crop_refine import refine_mask
from persam.method.recipes import Recipe, to_plain
from persam.model import PerSAM
from persam.sam.backbone import Backbone, NetworkBackbone, SamBackbone
from persam.types import ImageEmbedding, Prompt

Array = np.ndarray[Any, Any]
ORACLE = "oracle_box"  # not a recipe: what the decoder does when it is told where the object is
NO_POINTS, NO_LABELS = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)


def run_of(benchmark: str, model: PerSAM, *, oracle: bool = False) -> Run:
    """The name and everything that a model's predictions depend on: code, weights, device, recipe, calibration."""
    settings: dict[str, Setting] = {
        "source": source_digest(),  # not the commit, which says nothing of code that is not committed yet
        "weights": weights_digest(model.backbone),
        "device": model.backbone.device.type,  # whose seconds they are
    }
    if oracle:
        return Run(benchmark, model.backbone.name, ORACLE, settings)
    settings |= {f"recipe.{name}": value for name, value in to_plain(model.recipe).items()}
    if isinstance(model.recipe, Recipe):  # the published ones know neither
        settings["threshold"] = model.threshold
        settings |= {f"calibration.{name}": str(value) for name, value in asdict(model.calibration).items()}
    return Run(benchmark, model.backbone.name, model.recipe.name, settings)


def weights_digest(backbone: Backbone) -> str:
    """Stands for all of its weights; the backbone's own fingerprint is of its encoder alone."""
    if not isinstance(backbone, SamBackbone):
        return backbone.weights if isinstance(backbone, NetworkBackbone) else backbone.fingerprint
    digest = hashlib.sha256(backbone.fingerprint.encode())
    for name, tensor in sorted(backbone.model.state_dict().items()):
        if not name.startswith("image_encoder."):
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def predictor(model: PerSAM) -> Predict:
    """PerSAM's answers: a concept an episode, each target encoded once for all episodes that go together.

    Where nothing can be learned from the references (an object that fills a crop, or that the published rule finds no
    patch of), nothing is found.
    """

    @lru_cache(maxsize=1)  # the same object again, under another change, is not learned again
    def learned(references: tuple[Reference, ...], not_this: tuple[Reference, ...]) -> Concept | None:
        return _learned(model, references, not_this)

    def predict(episodes: Sequence[Episode]) -> Iterator[tuple[Prediction, ...]]:
        concepts = [_named(learned(episode.references, episode.not_this), episode.name) for episode in episodes]
        known = [concept for concept in concepts if concept is not None]
        for target in episodes[0].targets:
            started = time.perf_counter()
            found = iter(_found(model, target, known) if known else ())
            seconds = (time.perf_counter() - started) / len(concepts)
            yield tuple(
                _nothing(target) if concept is None else prediction_of(next(found), seconds) for concept in concepts
            )

    return predict


def _learned(model: PerSAM, references: Sequence[Reference], not_this: Sequence[Reference]) -> Concept | None:
    photos = [reference.photo.read() for reference in references]
    masks = [reference.mask.read() for reference in references]
    others = [(other.photo.read(), other.mask.read()) for other in not_this]
    try:
        return model.learn(photos, masks, not_this=others)
    except (ConceptError, MaskError):
        return None


def _named(concept: Concept | None, name: str) -> Concept | None:
    return None if concept is None else replace(concept, name=name)


def _found(model: PerSAM, target: Target, concepts: Sequence[Concept]) -> list[Segmentation]:
    """Each concept's best, as if it were looked for alone."""
    rgb = target.photo.read()
    finds = model.find(rgb, model.backbone.encode([rgb]), concepts)
    return [find.segmentation(1) for find in finds]


def oracle_box(model: PerSAM) -> Predict:
    """The best predicted mask of the truth's own box, refined as ours refines finds: what locating alone can gain."""

    def predict(episodes: Sequence[Episode]) -> Iterator[tuple[Prediction, ...]]:
        for targets in zip(*(episode.targets for episode in episodes), strict=True):
            started = time.perf_counter()
            rgb = targets[0].photo.read()
            embedding = model.backbone.encode([rgb])
            found = [answer(target, rgb, embedding) for target in targets]
            seconds = (time.perf_counter() - started) / len(targets)
            yield tuple(replace(one, seconds=seconds) for one in found)

    @torch.inference_mode()
    def answer(target: Target, rgb: UInt8[Array, "h w 3"], embedding: ImageEmbedding) -> Prediction:
        box = None if target.truth is None else box_of(target.truth.read())
        mask, score = np.zeros(embedding.frame.original_hw, bool), 0.0
        if box is not None:
            prompt = Prompt(box_xyxy=torch.tensor([list(map(float, box))], device=model.backbone.device))
            candidates = model.backbone.decode(embedding, prompt)
            best = 1 + int(candidates.predicted_iou[0, 1:].argmax())
            logits = embedding.frame.upscale(candidates.logits[:, best : best + 1])[0, 0]
            mask = refine_mask(model.backbone, rgb, (logits > 0).cpu().numpy())
            score = float(candidates.predicted_iou[0, best].clamp(0, 1))
        present = bool(mask.any())
        return Prediction(mask, score, float(present), present, NO_POINTS, NO_LABELS, seconds=0.0)

    return predict


def prediction_of(found: Segmentation, seconds: float) -> Prediction:
    """A segmentation as an answer that took so long."""
    presence = float(found.present) if found.presence is None else found.presence
    return Prediction(found.mask, found.score, presence, found.present, found.points_xy, found.labels, seconds)


def _nothing(target: Target) -> Prediction:
    height, width = target.photo.read().shape[:2]
    return Prediction(np.zeros((height, width), bool), 0.0, 0.0, False, NO_POINTS, NO_LABELS, 0.0)
