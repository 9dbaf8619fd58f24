"""Values that flow between the stages: an embedding of several images is taken apart without a copy."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch

from persam.geometry import Frame
from persam.types import Candidates, ImageEmbedding, LocationPrior, Prompt

FRAMES = (Frame((4, 4), 4, 1), Frame((2, 4), 4, 1), Frame((4, 3), 4, 1, fill=0.5))
KEYS = ("a", "b", "c")


def numbered(*shape: int) -> torch.Tensor:
    return torch.arange(float(torch.tensor(shape).prod())).view(shape)


def whole() -> ImageEmbedding:
    fine = (numbered(3, 2, 8, 8), numbered(3, 1, 16, 16))
    maps = {"location": numbered(3, 5, 4, 4), "identity": numbered(3, 6, 4, 4), "colour": numbered(3, 3, 4, 4)}
    return ImageEmbedding(numbered(3, 2, 4, 4), FRAMES, KEYS, fine, **maps)


@pytest.mark.parametrize("index", [0, 1, 2, -1])
def test_an_image_of_a_batch_is_a_batch_of_one_without_a_copy(index):
    batch = whole()
    one = batch[index]
    place = index % 3
    assert len(one) == 1
    assert one.frame == FRAMES[place]
    assert one.keys == (KEYS[place],)
    pairs = [(getattr(one, name), getattr(batch, name)) for name in ("features", "location", "identity", "colour")]
    for own, maps in [*pairs, *zip(one.fine, batch.fine, strict=True)]:
        assert torch.equal(own, maps[place : place + 1])
        assert own.untyped_storage().data_ptr() == maps.untyped_storage().data_ptr()


def test_maps_that_a_backbone_does_not_have_stay_none():
    plain = ImageEmbedding(numbered(3, 2, 4, 4), FRAMES, KEYS)
    for changed in (plain[1], plain.to("meta")):
        assert [getattr(changed, field.name) for field in fields(ImageEmbedding)[3:]] == [None] * 4


def test_a_batch_is_iterated_image_by_image_and_ends():
    assert [one.keys for one in whole()] == [("a",), ("b",), ("c",)]
    for index in (3, -4):
        with pytest.raises(IndexError):
            whole()[index]


def test_only_a_batch_of_one_has_a_frame():
    with pytest.raises(ValueError, match="too many values"):
        _ = whole().frame


def test_it_moves_to_a_device_whole():
    moved = whole().to("meta")
    maps = [moved.features, moved.location, moved.identity, moved.colour, *moved.fine]
    assert {one.device.type for one in maps} == {moved.device.type} == {"meta"}
    assert (moved.frames, moved.keys) == (FRAMES, KEYS)


@pytest.mark.parametrize(
    ("frames", "keys", "counts"),
    [(FRAMES[:2], KEYS, "3 maps, 2 frames, 3 keys"), (FRAMES, KEYS[:1], "3 maps, 3 frames, 1 keys")],
)
def test_every_image_has_maps_a_frame_and_a_key(frames, keys, counts):
    with pytest.raises(ValueError, match=f"a map, a frame and a key for each image, got {counts}"):
        ImageEmbedding(numbered(3, 2, 4, 4), frames, keys)


def test_values_do_not_change():
    with pytest.raises(FrozenInstanceError):
        whole().keys = ()


# ---- prompts


@pytest.mark.parametrize(
    "half", [{"points_xy": torch.zeros(1, 2, 2)}, {"labels": torch.ones(1, 2)}], ids=["points", "labels"]
)
def test_points_and_labels_come_together(half):
    with pytest.raises(ValueError, match="points_xy and labels come together: one label"):
        Prompt(**half)


@pytest.mark.parametrize(
    ("prompt", "rows"),
    [
        (Prompt(torch.zeros(3, 2, 2), torch.ones(3, 2)), 3),
        (Prompt(box_xyxy=torch.zeros(2, 4)), 2),
        (Prompt(mask_logits=torch.zeros(5, 1, 8, 8)), 5),
        (Prompt(), 1),
    ],
    ids=["points", "boxes", "masks", "nothing"],
)
def test_a_prompt_is_as_long_as_it_has_rows(prompt, rows):
    assert len(prompt) == rows


def test_the_points_of_a_location_prior_are_one_prompt():
    prior = LocationPrior(torch.zeros(2, 2), torch.tensor([[2.0, 3.0], [7.0, 0.0]]), torch.tensor([1.0, 0.0]))
    assert prior.prompt.points_xy.tolist() == [[[2, 3], [7, 0]]]
    assert prior.prompt.labels.tolist() == [[1, 0]]
    assert (prior.prompt.box_xyxy, prior.prompt.mask_logits) == (None, None)


def test_candidates_are_four_a_row():
    with pytest.raises(TypeError, match="predicted_iou"):
        Candidates(torch.zeros(2, 4, 8, 8), torch.zeros(2, 3))
