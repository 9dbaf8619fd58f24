"""What an exported model costs beside PyTorch, on the CPU: `persam bench export`.

Both take turns, so that a busy machine changes both.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from persam.export import export_model
from persam.model import PerSAM
from persam.sam.decoder import Guidance
from persam.sam.load import load_backbone
from persam.types import Prompt

PHOTO_HW = (480, 640)


@dataclass(frozen=True)
class Speed:
    """One measurement.

    step: `encode` an image, or `decode` a guided point. torch_ms, onnx_ms: medians of so many runs.
    difference: the export's largest from PyTorch in this step, over the largest value of its map.
    """

    model: str
    input_size: int
    step: str
    runs: int
    torch_ms: float
    onnx_ms: float
    difference: float
    onnxruntime: str


def speeds(model: PerSAM, runs: int) -> Iterator[Speed]:
    """Of both steps, after one run of each that does not count."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "export"
        difference = export_model(model, folder)
        backbones = (model.backbone, load_backbone(folder))
        rgb = np.random.default_rng(0).integers(0, 256, (*PHOTO_HW, 3), dtype=np.uint8)
        embedding = model.backbone.encode([rgb])
        side = embedding.features.shape[-1]
        guidance = Guidance(attention=torch.linspace(0, 1, side * side).view(1, side, side))
        prompt = Prompt(torch.tensor([[[320.0, 240.0], [10.0, 10.0]]]), torch.tensor([[1.0, 0.0]]))
        encoding = [partial(one.encode, [rgb]) for one in backbones]
        decoding = [partial(one.decode, embedding, prompt, guidance) for one in backbones]
        for step, ways, far in (("encode", encoding, difference.encoder), ("decode", decoding, difference.decoder)):
            torch_ms, onnx_ms = _medians(ways, runs)
            size = embedding.frame.input_size
            yield Speed(model.backbone.name, size, step, runs, torch_ms, onnx_ms, far, version("onnxruntime"))


def _medians(ways: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """Milliseconds of each."""
    spent: list[list[float]] = [[] for _ in ways]
    for turn in range(runs + 1):
        for place, way in enumerate(ways):
            begun = time.perf_counter()
            way()
            if turn:
                spent[place].append(1000 * (time.perf_counter() - begun))
    return [statistics.median(one) for one in spent]
