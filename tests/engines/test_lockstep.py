"""Searches in lockstep: what each gets is what it gets alone, in fewer and larger batches."""

import threading
from functools import partial

import pytest
import torch

from persam.engines.lockstep import Failed, LockstepBackbone, together
from persam.errors import OutOfMemoryError
from persam.sam.backbone import Backbone
from tests.colour import BLUE, GREEN, RED, ColourBackbone, photo


def sums(backbone: Backbone, colours, *, crops: bool = False) -> list[float]:
    """A search that encodes as many times as there are colours, each time one image more than before."""
    found = []
    for count, colour in enumerate(colours, start=1):
        images = [photo(colour=colour)] * count
        embedding = backbone.encode(images, fills=[0.5] * count if crops else None)
        assert len(embedding) == count
        found.append(float(embedding.features.sum()))
    return found


def left_over() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "persam-search"]


def test_it_is_a_backbone_and_encodes_itself_outside_of_a_search():
    inner = ColourBackbone()
    backbone = LockstepBackbone(inner)
    assert torch.equal(backbone.encode([photo()]).features, ColourBackbone().encode([photo()]).features)
    assert inner.batches == [1]
    assert isinstance(backbone, Backbone)


def test_what_all_ask_for_at_one_moment_is_one_batch():
    inner = ColourBackbone()
    backbone = LockstepBackbone(inner)
    asked = [[RED], [BLUE, GREEN], [GREEN, RED, BLUE], []]
    found = together([partial(sums, backbone, colours) for colours in asked])
    assert found == [sums(ColourBackbone(), colours) for colours in asked]
    assert inner.batches == [1 + 1 + 1, 2 + 2, 3]


def test_whole_images_crops_and_other_inputs_are_batches_of_their_own():
    inner, finer = ColourBackbone(), ColourBackbone()
    finer.input_size = 128
    inner.at_input = lambda size: finer  # type: ignore[method-assign]
    backbone = LockstepBackbone(inner)
    together(
        [
            partial(sums, backbone, [RED]),
            partial(sums, backbone, [RED], crops=True),
            partial(sums, backbone, [BLUE]),
            partial(sums, backbone.at_input(128), [RED]),
            partial(sums, backbone.at_input(128), [RED]),
        ]
    )
    assert (inner.batches, finer.batches) == ([2, 1], [2])


def test_a_failed_search_leaves_the_others_alone():
    def fails(backbone: Backbone) -> list[float]:
        backbone.encode([photo()])
        raise ValueError("mine")

    backbone = LockstepBackbone(ColourBackbone())
    first, bad, last = together([partial(sums, backbone, [RED, BLUE]), partial(fails, backbone), partial(int, 3)])
    assert (first, last) == (sums(ColourBackbone(), [RED, BLUE]), 3)
    assert isinstance(bad, Failed)
    assert str(bad.error) == "mine"


def test_a_batch_for_which_there_is_no_memory_is_encoded_one_by_one(monkeypatch):
    inner = ColourBackbone()
    encode = inner.encode

    def scarce(images, *, fills=None):
        if len(images) > 1 or (images[0] == BLUE).all(-1).any():
            raise OutOfMemoryError("too much")
        return encode(images, fills=fills)

    monkeypatch.setattr(inner, "encode", scarce)
    backbone = LockstepBackbone(inner)
    red, blue, green = together([partial(sums, backbone, [colour]) for colour in (RED, BLUE, GREEN)])
    assert (red, green) == (sums(ColourBackbone(), [RED]), sums(ColourBackbone(), [GREEN]))
    assert isinstance(blue, Failed)
    assert isinstance(blue.error, OutOfMemoryError)


def test_an_interruption_ends_every_search(monkeypatch):
    def interrupted(images, *, fills=None):
        raise KeyboardInterrupt

    inner = ColourBackbone()
    monkeypatch.setattr(inner, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        together([partial(sums, LockstepBackbone(inner), [RED, BLUE])] * 3)
    assert not left_over()


def test_searches_run_one_at_a_time_in_their_order():
    running, order = [], []

    def search(number: int, backbone: Backbone) -> int:
        for _ in range(3):
            running.append(number)
            order.append(number)
            assert len(running) == 1
            running.clear()
            backbone.encode([photo()])
        return number

    backbone = LockstepBackbone(ColourBackbone())
    assert together([partial(search, number, backbone) for number in range(4)]) == [0, 1, 2, 3]
    assert order == [0, 1, 2, 3] * 3
    assert not left_over()
