"""Photo and mask are transformed as one, and the object is never cut away."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from persam.dreambooth.dataset import MaskedPhotos, crop_start
from persam.errors import DreamBoothError
from tests.dreambooth.folders import write_pair


def red_share(pixels: torch.Tensor) -> torch.Tensor:
    """How red each pixel is, from grey 0 to the rectangle's own red 1: 220, 30, 30 on 128."""
    return ((pixels[0] - pixels[1]) * 127.5 / 190)[None]


def items(folder, count=1, **choices):
    """The first photo in so many epochs."""
    photos = MaskedPhotos([write_pair(folder, "a", **choices.pop("photo", {}))], **choices)
    for epoch in range(count):
        photos.set_epoch(epoch)
        yield photos[0]


def test_a_square_photo_at_its_own_size_is_itself(tmp_path):
    [item] = items(tmp_path, resolution=64)
    assert (item.original_hw, item.crop_top_left) == ((64, 64), (0, 0))
    assert item.pixels[:, 25, 15].tolist() == pytest.approx([220 / 127.5 - 1, 30 / 127.5 - 1, 30 / 127.5 - 1])
    assert item.pixels[:, 0, 0].tolist() == pytest.approx([128 / 127.5 - 1] * 3, abs=1e-6)
    assert torch.equal(item.mask, (red_share(item.pixels) > 0.5).float())
    assert int(item.mask.sum()) == 20 * 20


@pytest.mark.parametrize("random_flip", [False, True])
@pytest.mark.parametrize("hw", [(64, 160), (160, 64), (50, 90)])
def test_photo_and_mask_stay_together_through_resize_flip_and_crop(tmp_path, hw, random_flip):
    seen = list(items(tmp_path, 20, photo={"hw": hw}, resolution=64, random_flip=random_flip))
    for item in seen:
        # The photo is resampled by Lanczos and the mask by area: edges differ, nothing else does. A mask that lay four
        # pixels away would differ by 0.04.
        assert float((red_share(item.pixels) - item.mask).abs().mean()) < 0.02
    assert len({item.crop_top_left for item in seen}) > 5


def test_flips_are_drawn_epoch_by_epoch_and_only_where_asked_for(tmp_path):
    for random_flip, sides in ((False, {True}), (True, {True, False})):
        seen = items(tmp_path, 20, resolution=64, random_flip=random_flip)
        assert {bool(item.mask[0, 25, 15]) for item in seen} == sides  # 15 from the left, mirrored at 48


def test_the_object_is_whole_in_every_random_crop(tmp_path):
    photo = {"hw": (64, 320), "at_xyxy": (100, 4, 149, 60)}  # 50 wide in crops of 64
    seen = list(items(tmp_path, 40, photo=photo, resolution=64))
    assert {float(item.mask.sum()) for item in seen} == {50.0 * 57}
    lefts = [item.crop_top_left[1] for item in seen]
    assert (min(lefts), max(lefts)) == (86, 100)  # 149 + 1 - 64, and its own left edge: all 15 places are drawn from


def test_center_crop_moves_as_little_as_the_object_needs(tmp_path):
    wide = {"hw": (64, 200), "at_xyxy": (90, 4, 110, 60)}
    [middle] = items(tmp_path / "1", photo=wide, resolution=64, center_crop=True)
    assert middle.crop_top_left == (0, 68)  # (200 - 64) / 2
    [left] = items(tmp_path / "2", photo=wide | {"at_xyxy": (3, 4, 23, 60)}, resolution=64, center_crop=True)
    assert left.crop_top_left == (0, 3)
    assert int(left.mask.sum()) == 21 * 57


def test_an_object_larger_than_the_crop_is_centred(tmp_path):
    [item] = items(tmp_path, photo={"hw": (64, 300), "at_xyxy": (50, 10, 249, 50)}, resolution=64)
    assert item.crop_top_left == (0, 150 - 32)
    assert int(item.mask.sum()) == 64 * 41


def test_crops_of_a_line_by_hand():
    shown = np.zeros(20, bool)
    shown[[3, 4, 5]] = True
    assert [crop_start(shown, 8, chance) for chance in (0.0, 0.5, 0.999)] == [0, 2, 3]
    assert crop_start(shown, 8, None) == 3  # the middle is 6: as near as three places allow
    apart = np.zeros(20, bool)
    apart[[0, 1, 18]] = True  # does not fit: the middle one of its places, not the empty middle of its box
    assert crop_start(apart, 8, 0.5) == 0
    assert crop_start(np.ones(20, bool), 20, 0.9) == 0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_no_crop_cuts_an_object_that_fits_or_misses_one_that_does_not(data):
    length = data.draw(st.integers(1, 60))
    side = data.draw(st.integers(1, length))
    shown = np.zeros(length, bool)
    shown[data.draw(st.lists(st.integers(0, length - 1), min_size=1))] = True
    start = crop_start(shown, side, data.draw(st.none() | st.floats(0, 1, exclude_max=True)))
    assert 0 <= start <= length - side
    inside = shown[start : start + side].sum()
    places = np.flatnonzero(shown)
    assert inside == shown.sum() if places[-1] - places[0] < side else inside > 0


def test_the_same_seed_and_epoch_give_the_same_item_and_others_another(tmp_path):
    pairs = [write_pair(tmp_path, name, hw=(64, 320), at_xyxy=(100, 4, 119, 60)) for name in "ab"]
    photos = MaskedPhotos(pairs, resolution=64, seed=3)
    again = MaskedPhotos(pairs, resolution=64, seed=3)
    assert torch.equal(photos[1].pixels, again[1].pixels)
    assert photos[1].crop_top_left == again[1].crop_top_left
    places = []
    for seed, epoch, index in ((3, 0, 0), (3, 0, 1), (3, 2, 0), (5, 0, 0)):
        other = MaskedPhotos(pairs, resolution=64, seed=seed)
        other.set_epoch(epoch)
        places.append(other[index].crop_top_left)
    assert len(set(places)) == 4


def test_small_photos_are_enlarged_and_mixed_sizes_come_out_alike(tmp_path):
    sizes = [(30, 50), (64, 64), (300, 200)]
    pairs = [write_pair(tmp_path, str(number), hw=hw) for number, hw in enumerate(sizes)]
    photos = MaskedPhotos(pairs, resolution=128)
    assert [len(photos), *(photos[number].original_hw for number in range(3))] == [3, *sizes]
    for number in range(3):
        assert photos[number].pixels.shape == (3, 128, 128)
        assert photos[number].mask.shape == (1, 128, 128)
        assert float(photos[number].pixels.abs().max()) <= 1
        assert float(photos[number].mask.max()) == 1


def test_a_mask_thinner_than_a_pixel_is_kept_in_shares(tmp_path):
    [item] = items(tmp_path, photo={"hw": (640, 640), "at_xyxy": (300, 100, 300, 199)}, resolution=64)
    assert float(item.mask.max()) == pytest.approx(0.1)
    assert int((item.mask > 0).sum()) == 10


def test_a_single_pixel_of_a_large_photo_is_kept(tmp_path):
    [item] = items(tmp_path, photo={"hw": (960, 1920), "at_xyxy": (1500, 300, 1500, 300)}, resolution=32)
    assert float(item.mask.sum()) == pytest.approx(1 / 900)  # of 30 x 30 pixels each
    assert int((item.mask > 0).sum()) == 1


def test_there_is_no_item_beyond_the_last(tmp_path):
    with pytest.raises(IndexError):
        MaskedPhotos([write_pair(tmp_path, "a")], resolution=64)[1]


def test_a_transparent_or_turned_file_is_read_as_it_is_shown(tmp_path):
    pair = write_pair(tmp_path, "a", hw=(64, 160))
    exif = Image.Exif()
    exif[0x0112] = 6  # lay on its side
    with Image.open(pair.image) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(pair.image, exif=exif)
    item = MaskedPhotos([pair], resolution=64)[0]
    assert item.original_hw == (64, 160)


@pytest.mark.parametrize("resolution", [0, 4, 100])
def test_a_resolution_that_is_no_multiple_of_eight_is_refused(tmp_path, resolution):
    with pytest.raises(DreamBoothError, match=f"at a resolution of {resolution}: latents are 8 pixels wide"):
        MaskedPhotos([write_pair(tmp_path, "a")], resolution=resolution)


def test_no_photos_are_refused():
    with pytest.raises(DreamBoothError, match="no photos to train on"):
        MaskedPhotos([], resolution=64)
