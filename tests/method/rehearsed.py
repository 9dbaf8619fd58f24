"""A backbone that answers what it was told, and squares to tell it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from persam.geometry import Frame
from persam.sam.decoder import NO_GUIDANCE, Guidance
from persam.types import Candidates, ImageEmbedding, Prompt

SIDE = 8  # of the image, of its input and of the masks; two patches a side
EMBEDDING = ImageEmbedding(torch.zeros(1, 3, 2, 2), (Frame((SIDE, SIDE), SIDE, 4),), ("an image",))

Answer = tuple[list[Tensor], list[float]]


def square(x0: int, y0: int, x1: int, y1: int, *, side: int = SIDE, height: float = 5.0) -> Tensor:
    """Logits of 5 from corner to corner, corners included, and -5 elsewhere."""
    logits = torch.full((side, side), -height)
    logits[y0 : y1 + 1, x0 : x1 + 1] = height
    return logits


EVERYTHING, NOTHING = square(0, 0, 7, 7), torch.full((SIDE, SIDE), -5.0)
WHOLE, PART, SUBPART = square(0, 0, 7, 6), square(1, 2, 5, 4), square(2, 3, 2, 3)


def answer(*scores: float, masks: Sequence[Tensor] = (EVERYTHING, WHOLE, PART, SUBPART)) -> Answer:
    """What one decode gives: single, whole, part and subpart, with these predicted IoUs."""
    return list(masks), list(scores)


class Rehearsed:
    """Gives the answers in turn, the last one for ever after, and remembers what it was asked."""

    name, fingerprint, device, input_size = "rehearsed", "0", torch.device("cpu"), SIDE

    def __init__(self, *answers: Answer):
        self.answers = list(answers)
        self.asked: list[tuple[Prompt, Guidance]] = []

    def encode(self, images, *, fills=None) -> ImageEmbedding:
        raise AssertionError("the image is encoded already")

    def at_input(self, size: int) -> "Rehearsed":
        return self

    def decode(self, embedding: ImageEmbedding, prompt: Prompt, guidance: Guidance = NO_GUIDANCE) -> Candidates:
        self.asked.append((prompt, guidance))
        masks, scores = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Candidates(torch.stack(masks)[None], torch.tensor([scores], dtype=torch.float32))
