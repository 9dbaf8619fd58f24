"""What a benchmark asks of a model: PerSAM's own answer, and the ceiling that a box of the truth gives."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
import torch

from persam.eval.benchmark import Predict, Run, Setting, source_state
from persam.eval.episodes import Episode, Prediction
from persam.eval.episodes import Target as Question
from persam.geometry import box_of
from persam.model import PerSAM
from persam.refine import mask_logits
from persam.segmentation import Segmentation
from persam.targets import Target
from persam.types import ImageEmbedding, Prompt

ORACLE = "oracle_box"  # not a recipe: what the decoder does when it is told where the object is


def run_of(benchmark: str, model: PerSAM, *, oracle: bool = False) -> Run:
    """The name and everything that a model's predictions depend on: code, weights, recipe."""
    recipe = ORACLE if oracle else model.recipe.name
    commit, dirty = source_state()
    settings: dict[str, Setting] = {"commit": commit, "dirty": dirty, "weights": model.backbone.fingerprint}
    if not oracle:
        settings |= {f"recipe.{name}": str(value) for name, value in asdict(model.recipe).items()}
    return Run(benchmark, model.backbone.name, recipe, settings)


def predictor(model: PerSAM) -> Predict:
    """PerSAM's answers: a concept an episode, each target encoded once for all episodes that go together."""

    def predict(episodes: Sequence[Episode]) -> Iterator[tuple[Prediction, ...]]:
        concepts = []
        for episode in episodes:
            photos = [reference.photo.read() for reference in episode.references]
            masks = [reference.mask.read() for reference in episode.references]
            concepts.append(model.learn(photos, masks, name=episode.object))
        for question in episodes[0].targets:
            started = time.perf_counter()
            results = model.segment_each(Target(question.name, question.photo.path, question.photo.read), concepts)
            seconds = (time.perf_counter() - started) / len(concepts)
            yield tuple(_prediction(result, seconds) for result in results)

    return predict


def oracle_box(model: PerSAM) -> Predict:
    """The best predicted mask of the truth's own box: the ceiling of any recipe that only has to find the object."""

    def predict(episodes: Sequence[Episode]) -> Iterator[tuple[Prediction, ...]]:
        for questions in zip(*(episode.targets for episode in episodes), strict=True):
            embedding = model.embed(questions[0].photo.read())
            yield tuple(answer(question, embedding) for question in questions)

    @torch.inference_mode()
    def answer(question: Question, embedding: ImageEmbedding) -> Prediction:
        started = time.perf_counter()
        box = None if question.truth is None else box_of(question.truth.read())
        mask, score = np.zeros(embedding.frame.original_hw, bool), 0.0
        if box is not None:
            prompt = Prompt(box_xyxy=torch.tensor([list(map(float, box))], device=model.backbone.device))
            candidates = model.backbone.decode(embedding, prompt)
            best = 1 + int(candidates.predicted_iou[0, 1:].argmax())
            mask = (mask_logits(candidates.logits[0, best], embedding.frame) > 0).cpu().numpy()
            score = float(candidates.predicted_iou[0, best].clamp(0, 1))
        present = bool(mask.any())
        nowhere = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
        return Prediction(mask, score, float(present), present, *nowhere, time.perf_counter() - started)

    return predict


def _prediction(found: Segmentation, seconds: float) -> Prediction:
    # an absent object's mask counts as nothing found
    mask = found.mask if found.present else np.zeros_like(found.mask)
    return Prediction(mask, found.score, found.presence, found.present, found.points_xy, found.labels, seconds)
