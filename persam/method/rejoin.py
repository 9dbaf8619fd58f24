"""Both sides of what something in front of it cuts in two.

A mask is one component, so behind a pole there is half a dog. The location map shows the other half: a likely place
beside the mask. Both are one thing where they look more like it together than the first one does; verification tells.
(Not in the paper.)
"""

import cv2
import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from persam.geometry import box_of, longer_side
from persam.method.calibration import Calibration
from persam.method.components import keep_component
from persam.method.decode import at_original, decode_prior
from persam.method.find import Find
from persam.method.instances import outside, peaks
from persam.sam.backbone import Backbone
from persam.types import Decoded, ImageEmbedding, LocationPrior

PLACES = 2  # likely places beside the mask that are tried
NEAR = 1.0  # of the longer side of the mask's box: how far from the box they are
SIDE = 0.15  # of the larger side's area that the smaller one has at least: less is a speck beside the object
WHOLE = 0.99  # presence from which on a find is taken for whole: one side alone is hardly ever as similar
TOGETHER = 1.1  # similarity of both sides to the reference over that of one, from which on both are the object


def both_sides(backbone: Backbone, embedding: ImageEmbedding, find: Find, calibration: Calibration) -> list[Find]:
    """What may be the whole thing, for each likely place near the find: masks of two parts that do not touch.

    One is the find's mask and what a point at that place gives; the other is what points on both sides give at once.
    """
    frame, box = embedding.frame, box_of(find.inside.cpu().numpy())
    if box is None:
        return []
    places = outside(peaks(embedding, find.concept, calibration), [find])
    offered = []
    for place in [one for one in places if _near(one.points_xy[0].tolist(), box)][:PLACES]:
        points = torch.cat([find.prior.points_xy[:1], place.points_xy])
        prior = LocationPrior(find.prior.similarity, points, points.new_tensor([1.0, 1.0, 0.0]))
        other = at_original(decode_prior(backbone, embedding, place, find.concept), frame)
        if _are_sides(find.inside, other.logits > 0):
            score = (find.mask.score + other.score) / 2
            offered.append(Find(find.concept, prior, Decoded(torch.maximum(find.mask.logits, other.logits), score)))
        answer = backbone.decode(embedding, prior.prompt)
        best = int(answer.predicted_iou[0, 1:].argmax())
        sides = [keep_component(answer.logits[0, 1 + best], point, frame) for point in points[:2]]
        if _are_sides(*(side > 0 for side in sides)):
            joined = Decoded(torch.maximum(*sides), answer.predicted_iou[0, 1 + best])
            offered.append(Find(find.concept, prior, at_original(joined, frame)))
    return offered


def _near(point_xy: list[float], box_xyxy: tuple[int, int, int, int]) -> bool:
    (x, y), (x0, y0, x1, y1) = point_xy, box_xyxy
    return max(x0 - x, x - x1, y0 - y, y - y1) <= NEAR * longer_side(box_xyxy)


def _are_sides(one: Bool[Tensor, "h w"], other: Bool[Tensor, "h w"]) -> bool:
    """Whether two masks are of comparable size and do not touch."""
    areas = (int(one.sum()), int(other.sum()))
    if min(areas) <= SIDE * max(areas):
        return False
    grown = cv2.dilate(one.cpu().numpy().astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return not (grown & other.cpu().numpy()).any()
