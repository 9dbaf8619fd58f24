"""The archive is read as it was written: masks, ignored pixels, colours, and which photos are held out."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import HEIGHT, LEFT, RIGHT, WIDTH, Drawn, plane, write_archive
from training.archive import Photo, Photos


@pytest.fixture
def photos(archive: Path) -> Photos:
    return Photos([archive], held_out=False)


def by_id(photos: Photos, name: str) -> Photo:
    return next(photo for photo in photos.photos if photo.id == name)


def test_masks_and_ignored_pixels_are_those_that_were_drawn(photos, archive):
    with zipfile.ZipFile(archive) as file:
        assert Image.open(io.BytesIO(file.read("masks/voc_001.png"))).mode == "1"  # as in train.zip
    masks, ignore = photos.masks(by_id(photos, "voc_001"))
    assert np.array_equal(masks, np.stack([plane(LEFT), plane(RIGHT)]))
    assert np.array_equal(ignore, plane((40, 10, 44, 50)))
    assert (masks.dtype, ignore.dtype) == (np.uint8, np.uint8)


def test_without_an_ignore_plane_every_pixel_counts(photos):
    masks, ignore = photos.masks(by_id(photos, "voc_002"))
    assert len(masks) == 2
    assert ignore.shape == (HEIGHT, WIDTH)
    assert not ignore.any()


def test_colours_come_in_the_order_red_green_blue(photos):
    rgb = photos.rgb(by_id(photos, "voc_001"))
    assert rgb.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(rgb[45, 70].astype(int) - (220, 60, 40)).max() <= 8  # JPEG


def test_photos_are_held_out_by_their_name_and_those_without_masks_left_out(archive):
    trained = {photo.id for photo in Photos([archive], held_out=False).photos}
    held_out = {photo.id for photo in Photos([archive], held_out=True).photos}
    assert trained == {"voc_001", "voc_002", "ecssd_002"}
    assert held_out == {"voc_034", "ecssd_001"}  # crc32("voc_034") = 20 * 73186939
    assert Photo("voc_034", "elsewhere", 1, 2, 3, True).held_out


def test_photos_of_the_same_things_are_held_out_together():
    photos = [Photo(f"photo_{i}", "render", 1, 1, 1, False, group=f"shelf_{i % 100}") for i in range(400)]
    held_out = {photo.group for photo in photos if photo.held_out}
    assert 0 < len(held_out) < 20
    assert all(photo.held_out == (photo.group in held_out) for photo in photos)


def test_several_archives_are_read_as_one(archive, tmp_path):
    more = write_archive(tmp_path / "more.zip", (Drawn("render_001", (RIGHT,), group="shelf", same=(0,)),))
    photos = Photos([archive, more], held_out=False)
    assert {photo.id for photo in photos.photos} == {"voc_001", "voc_002", "ecssd_002", "render_001"}
    masks, _ = photos.masks(by_id(photos, "render_001"))
    assert np.array_equal(masks, plane(RIGHT)[None])
    masks, _ = photos.masks(by_id(photos, "ecssd_002"))
    assert np.array_equal(masks, plane(RIGHT)[None])
    assert photos.pairs == []  # one photo of the shelf


def test_one_name_in_twenty_is_held_out():
    share = np.mean([Photo(f"photo_{i}", "voc", 1, 1, 1, False).held_out for i in range(4000)])
    assert share == pytest.approx(0.05, abs=0.01)


def test_an_archive_without_held_out_photos_says_so(tmp_path):
    archive = write_archive(tmp_path / "few.zip", (Drawn("voc_001", (LEFT,)),))
    assert len(Photos([archive], held_out=False).photos) == 1
    with pytest.raises(ValueError, match=r"few.zip has no held-out photo with a mask among its 1\. Add photos"):
        Photos([archive], held_out=True)


def test_photos_of_an_unknown_source_only_are_refused_by_the_sources_there_are(tmp_path):
    archive = write_archive(tmp_path / "mine.zip", (Drawn("mine_001", (LEFT,)),))
    with pytest.raises(ValueError, match="one of voc, ecssd, ccp, bsds, horse, human, coco"):
        Photos([archive], held_out=False)


def test_sources_are_drawn_by_their_share_not_by_their_number_of_photos(photos):
    rng = np.random.default_rng(0)
    drawn = [photos.draw(rng).source for _ in range(2000)]
    assert set(drawn) == {"voc", "ecssd"}
    assert drawn.count("voc") / 2000 == pytest.approx(0.45 / (0.45 + 0.14), abs=0.03)
