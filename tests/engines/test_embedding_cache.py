"""The cache around a backbone: the same answers, and no second encoding of a photo."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from persam.engines import embedding_cache
from persam.engines.embedding_cache import CachedBackbone
from persam.engines.embedding_store import SUFFIX, EmbeddingStore
from persam.model import PerSAM
from persam.sam.backbone import Backbone, SamBackbone
from persam.sam.wrapped import innermost
from tests.colour import CALIBRATION, ColourBackbone, mask, photo
from tests.engines.test_embedding_store import assert_same
from tests.sam.flavours import network

PLACES = [(4, 4, 15, 15), (40, 6, 55, 21), (20, 40, 31, 51)]
ALBUM = [photo(at_xyxy=place) for place in PLACES]
EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


def cached(folder: Path, **choices) -> Any:
    return CachedBackbone(ColourBackbone(**choices), EmbeddingStore(folder, 10**8))


def images(count: int = 3) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (40 + 9 * number, 61, 3), np.uint8) for number in range(count)]


def test_it_is_a_backbone_and_wraps_one(tmp_path):
    backbone = cached(tmp_path)
    assert innermost(CachedBackbone(backbone, backbone.store)) is backbone.inner
    assert (backbone.name, backbone.fingerprint, backbone.input_size) == ("colour", CALIBRATION.fingerprint, 256)
    assert isinstance(backbone, Backbone)


@pytest.mark.parametrize("flavour", ["sam", "vit_t", "nano"])
def test_every_flavour_answers_to_the_bit_what_it_answers_without(tmp_path, flavour):
    inner = SamBackbone(network(flavour), name=flavour, fingerprint="0")
    plain = inner.encode(images())
    for _ in range(2):  # cold, then warm
        backbone = CachedBackbone(inner, EmbeddingStore(tmp_path, 10**8))
        assert_same(backbone.encode(images()), plain)
    assert (backbone.loaded, backbone.encoded) == (3, 0)


def test_a_second_concept_costs_crops_alone(tmp_path):
    backbone = cached(tmp_path)
    alone, model = (PerSAM(one, calibration=CALIBRATION) for one in (ColourBackbone(), backbone))
    for name, costs in (("first", 3 * [1, 1]), ("second", 3 * [1])):  # a photo and a crop of it, then the crop
        concept = model.learn(photo(), mask(), name=name)
        backbone.inner.batches.clear()
        results = list(model.segment(ALBUM, concept))
        assert backbone.inner.batches == costs
        assert results == list(alone.segment(ALBUM, concept))


def test_only_what_is_missing_is_encoded_and_the_order_stays(tmp_path):
    backbone = cached(tmp_path)
    backbone.encode([images()[1]])
    batch = backbone.encode(images())
    assert backbone.inner.batches == [1, 2]
    assert_same(batch, ColourBackbone().encode(images()))


def test_crops_are_not_kept(tmp_path):
    backbone = cached(tmp_path)
    backbone.encode(images(1), fills=[1.0])
    backbone.encode(images(1), fills=[1.0])
    assert (backbone.inner.encoded, list(tmp_path.iterdir())) == (2, [])


@pytest.mark.parametrize("change", ["pixel", "shape", "weights", "input", "version"])
def test_what_decides_an_embedding_decides_its_entry(tmp_path, monkeypatch, change):
    cached(tmp_path).encode(images(1))
    [rgb] = images(1)
    backbone = cached(tmp_path)
    if change == "pixel":
        rgb[3, 4, 1] ^= 1
    elif change == "shape":
        rgb = rgb.reshape(61, 40, 3)
    elif change == "weights":
        backbone = cached(tmp_path, fingerprint="colours-2")
    elif change == "input":
        backbone.input_size = 512
    else:
        monkeypatch.setattr(embedding_cache, "_version", lambda: "a later one")
    backbone.encode([rgb])
    assert (backbone.loaded, backbone.encoded) == (0, 1)


def test_a_damaged_entry_is_made_anew(tmp_path):
    backbone = cached(tmp_path)
    first = backbone.encode(images(1))
    [entry] = tmp_path.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert_same(backbone.encode(images(1)), first)
    assert (backbone.loaded, backbone.encoded) == (0, 2)
    assert entry.read_bytes() == whole


def test_another_input_size_has_entries_of_its_own(tmp_path):
    inner = SamBackbone(network("nano"), name="nano", fingerprint="0")
    backbone: Any = CachedBackbone(inner, EmbeddingStore(tmp_path, 10**9))
    assert backbone.at_input(backbone.input_size) is backbone
    finer = backbone.at_input(512)
    assert_same(finer.encode(images(1)), inner.at_input(512).encode(images(1)))
    assert (finer.input_size, len(list(tmp_path.iterdir()))) == (512, 1)
    backbone.encode(images(1))
    assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == 2
    again = backbone.at_input(512)
    assert_same(again.encode(images(1)), finer.encode(images(1)))
    assert again.loaded == 1


def write_and_read(folder: str, seed: int) -> int:
    """What a process does; how many of its answers were wrong."""
    draw = np.random.default_rng(seed)
    photos, plain = images(6), ColourBackbone()
    backbone = CachedBackbone(ColourBackbone(), EmbeddingStore(Path(folder), 200_000))  # four entries
    wrong = 0
    for place in draw.integers(0, 6, 40):
        found = backbone.encode([photos[place]])
        wrong += not torch.equal(found.features, plain.encode([photos[place]]).features)
    return wrong


@pytest.mark.slow
def test_processes_share_a_folder(tmp_path):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        other = pool.starmap_async(write_and_read, [(str(tmp_path), 0)])
        while not other.ready():
            assert write_and_read(str(tmp_path), 1) == 0
        assert other.get() == [0]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200_000 * (1 + 1 / 20) + 50_000


@pytest.mark.slow
def test_nano_finds_the_same_with_and_without_cold_and_warm(nano, tmp_path):
    picnic, cat = EXAMPLES / "photos" / "picnic.jpg", EXAMPLES / "truth" / "picnic_cat.png"
    album = EXAMPLES / "photos" / "chelsea.jpg"
    concept = nano.learn(picnic, cat)
    plain = list(nano.segment(album, concept))
    for encoded in (1, 0):
        backbone = CachedBackbone(nano.backbone, EmbeddingStore(tmp_path, 10**9))
        assert list(PerSAM(backbone).segment(album, concept)) == plain
        assert backbone.encoded == encoded
