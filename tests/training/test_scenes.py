"""Scenes show the photo's objects where their masks say, in both views, whatever was done to the views."""

import io
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from persam.geometry import Frame, cell_cover, resize_to_input
from tests.training.conftest import HEIGHT, LEFT, RIGHT, WIDTH, Drawn, plane, write_archive
from training import scenes
from training.scenes import ANY, CROWDS, RIDERS, SINGLES, Mix, Photo, Photos, draw_scene, whole_view

MIXES = {"any": ANY, "singles": SINGLES, "crowds": CROWDS, "riders": RIDERS}
EVERY_KIND = Mix(scenes.SOURCE_SHARES, dict.fromkeys(["whole", "window", "pasted", "mosaic", "twin"], 0.2))


@pytest.fixture
def photos(archive) -> Photos:
    return Photos(archive, held_out=False)


def by_id(photos: Photos, name: str) -> Photo:
    return next(photo for photo in photos.photos if photo.id == name)


# --- the archive


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
    trained = {photo.id for photo in Photos(archive, held_out=False).photos}
    held_out = {photo.id for photo in Photos(archive, held_out=True).photos}
    assert trained == {"voc_001", "voc_002", "ecssd_002"}
    assert held_out == {"voc_034", "ecssd_001"}  # crc32("voc_034") = 20 * 73186939
    assert Photo("voc_034", "elsewhere", 1, 2, 3, True).held_out


def test_one_name_in_twenty_is_held_out():
    share = np.mean([Photo(f"photo_{i}", "voc", 1, 1, 1, False).held_out for i in range(4000)])
    assert share == pytest.approx(0.05, abs=0.01)


def test_an_archive_without_held_out_photos_says_so(tmp_path):
    archive = write_archive(tmp_path / "few.zip", (Drawn("voc_001", (LEFT,)),))
    assert len(Photos(archive, held_out=False).photos) == 1
    with pytest.raises(ValueError, match=r"few.zip has no held-out photo with a mask among its 1\. Add photos"):
        Photos(archive, held_out=True)


def test_photos_of_an_unknown_source_only_are_refused_by_the_sources_there_are(tmp_path):
    archive = write_archive(tmp_path / "mine.zip", (Drawn("mine_001", (LEFT,)),))
    with pytest.raises(ValueError, match="one of voc, ecssd, ccp, bsds, horse, human, coco"):
        Photos(archive, held_out=False)


def test_sources_are_drawn_by_their_share_not_by_their_number_of_photos(photos):
    rng = np.random.default_rng(0)
    drawn = [photos.draw(rng).source for _ in range(2000)]
    assert set(drawn) == {"voc", "ecssd"}
    assert drawn.count("voc") / 2000 == pytest.approx(0.45 / (0.45 + 0.14), abs=0.03)


# --- scenes


def test_a_scene_depends_on_its_generator_alone(photos):
    def scene(seed: int):
        return draw_scene(photos, np.random.default_rng(seed), size=64, objects=3, mix=CROWDS)

    for first, again in zip(scene(5), scene(5), strict=True):
        assert np.array_equal(first.rgb, again.rgb)
        assert np.array_equal(first.cover, again.cover)
        assert np.array_equal(first.weight, again.weight)
        assert first.twin == again.twin
    assert not np.array_equal(scene(5)[0].rgb, scene(6)[0].rgb)


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
def test_views_are_square_inputs_with_masks_at_a_quarter(photos, mix):
    for seed in range(10):
        for view in draw_scene(photos, np.random.default_rng(seed), size=64, objects=3, mix=mix):
            assert (view.rgb.shape, view.rgb.dtype) == ((64, 64, 3), np.uint8)
            assert (view.cover.shape, view.cover.dtype) == ((3, 16, 16), np.float32)
            assert (view.weight.shape, view.weight.dtype) == ((16, 16), np.float32)
            assert view.cover.min() >= 0
            assert view.cover.max() <= 1 + 1e-6
            assert set(np.unique(view.weight)) <= {0, 1}


def test_a_photo_with_fewer_objects_repeats_them(tmp_path):
    photos = Photos(write_archive(tmp_path / "one.zip", (Drawn("ecssd_002", (RIGHT,)),)), held_out=False)
    first, second = draw_scene(photos, np.random.default_rng(0), size=64, objects=3, mix=ANY)
    for view in (first, second):
        assert np.array_equal(view.cover, view.cover[[0, 0, 0]])
        assert view.cover[0].max() > 0.9


def test_specks_are_never_chosen(tmp_path):
    speck = (70, 60, 75, 64)  # 20 of 7,680 pixels: 0.26 %
    photos = Photos(write_archive(tmp_path / "speck.zip", (Drawn("ecssd_002", (speck, LEFT)),)), held_out=False)
    for seed in range(5):
        first, _ = draw_scene(photos, np.random.default_rng(seed), size=64, objects=2, mix=ANY)
        assert np.array_equal(first.cover[0], first.cover[1])  # LEFT twice


def test_a_union_is_drawn_only_until_masks_are_single(tmp_path, monkeypatch):
    masks = np.stack([plane(LEFT) | plane(RIGHT), plane(LEFT), plane(RIGHT)])
    photos = Photos(write_archive(tmp_path / "union.zip", (Drawn("voc_001", (LEFT, LEFT, RIGHT)),)), held_out=False)
    monkeypatch.setattr(photos, "masks", lambda photo: (masks, np.zeros_like(masks[0])))
    chosen: list[np.ndarray] = []
    monkeypatch.setattr(scenes, "_view", lambda photos, rng, rgb, masks, ignore, **how: chosen.append(masks))
    areas = {}
    monkeypatch.setattr(scenes, "replace", lambda view, **how: view)
    for mix in (ANY, SINGLES):
        chosen.clear()
        for seed in range(10):
            draw_scene(photos, np.random.default_rng(seed), size=64, objects=3, mix=mix)
        areas[mix.single] = {int(area) for planes in chosen for area in planes.sum((1, 2))}
    assert areas[True] == {32 * 40, 34 * 46}
    assert areas[False] == {32 * 40, 34 * 46, 32 * 40 + 34 * 46}


# --- groups


def hand_made(*rows: str) -> np.ndarray:
    """A mask of 10 x 10 blocks, one a character."""
    return np.kron(np.array([[mark == "#" for mark in row] for row in rows]), np.ones((10, 10))).astype(np.uint8)


DOGS, DOG, OTHER_DOG, HEAD = (hand_made(row) for row in ("##.##", "##...", "...##", "#...."))


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([DOGS, DOG, OTHER_DOG], True),  # a class's union and its things
        ([DOG, DOGS, OTHER_DOG], False),  # the question is about the first
        ([DOGS], False),  # falls apart, but nothing says into what: a dog behind a pole
        ([DOGS, DOG], False),  # one thing of two has a mask: still a dog behind a pole
        ([DOG, HEAD, hand_made(".#...")], False),  # in one piece: parts are no group
        ([DOGS, DOG, hand_made("..###")], False),  # the second thing lies partly outside
    ],
)
def test_a_group_falls_apart_into_things_that_have_masks(masks, expected):
    assert scenes._is_group(np.stack(masks), 0) is expected


def test_crumbs_do_not_make_a_group():
    whole = DOG.copy()
    whole[0, 45] = 1  # far below 5 % of the area
    assert not scenes._is_group(np.stack([whole, DOG, HEAD]), 0)


def test_siblings_are_the_other_things_of_the_same_group():
    masks = np.stack([DOGS, DOG, OTHER_DOG, HEAD, hand_made("..#..")])
    assert scenes._siblings(masks, 1) == {2}
    assert scenes._siblings(masks, 2) == {1, 3}  # a head of the other dog is not this dog either
    assert scenes._siblings(masks, 4) == set()


def test_siblings_come_into_the_scene_together(tmp_path, monkeypatch):
    masks = np.stack([plane(LEFT) | plane(RIGHT), plane(LEFT), plane(RIGHT), plane((40, 50, 56, 80))])
    photos = Photos(write_archive(tmp_path / "union.zip", (Drawn("voc_001", (LEFT,)),)), held_out=False)
    monkeypatch.setattr(photos, "masks", lambda photo: (masks, np.zeros_like(masks[0])))
    mix = Mix(scenes.SOURCE_SHARES, {"whole": 1.0}, siblings=1.0)
    pairs = set()
    for seed in range(12):
        view, _ = draw_scene(photos, np.random.default_rng(seed), size=96, objects=2, mix=mix)
        pairs.add(tuple(round(float(area)) for area in view.cover.sum((1, 2)) * 16))
    assert all(set(pair) == {1280, 1564} for pair in pairs if pair[0] != 480)  # LEFT and RIGHT come together
    assert len(pairs) > 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([".....", ".##..", ".##..", ".....", "....."], [".....", ".....", "...#.", ".###.", "....."], True),
        ([".##..", ".##..", ".....", "....."], [".....", ".....", ".....", ".###."], False),  # a gap
        (["##...", "##...", "##..."], ["..##.", "..##.", "..##."], False),  # side by side
        ([".....", ".##..", ".##..", "....."], [".....", ".....", ".##..", "....."], False),  # a part
        ([".....", ".#...", ".#...", "....."], [".....", "..###", "#####", "#####"], False),  # cut off by the photo
        ([".....", "..#..", ".....", "....."], [".....", ".#.#.", ".###.", ".###."], False),  # a speck
    ],
    ids=["rider", "gap", "beside", "part", "cut off", "speck"],
)
def test_one_thing_is_upon_another(one, other, expected):
    assert scenes._is_upon(hand_made(*one), hand_made(*other)) is expected
    assert scenes._is_upon(hand_made(*other), hand_made(*one)) is expected


RIDER, HORSE = (30, 10, 60, 44), (20, 40, 80, 70)


def test_a_rider_and_the_horse_are_one_object_beside_its_parts(tmp_path):
    drawn = (Drawn("voc_001", (RIDER, HORSE)), Drawn("voc_002", (LEFT, RIGHT)))
    photos = Photos(write_archive(tmp_path / "rider.zip", drawn), held_out=False)
    assert photos.joined == [(by_id(photos, "voc_001"), [(0, 1)])]
    mix = Mix(scenes.SOURCE_SHARES, {"whole": 1.0}, joined=1.0)
    for seed in range(5):
        view, _ = draw_scene(photos, np.random.default_rng(seed), size=96, objects=3, mix=mix)
        assert view.photo.id == "voc_001"
        areas = view.cover.sum((1, 2)) * 16
        assert areas == pytest.approx([30 * 34 + 60 * 30 - 30 * 4, 30 * 34, 60 * 30], rel=0.02)


def test_without_a_rider_things_are_drawn_as_they_are(photos):
    assert photos.joined == []
    mix = Mix(scenes.SOURCE_SHARES, {"whole": 1.0}, joined=1.0)
    plain = Mix(scenes.SOURCE_SHARES, {"whole": 1.0})
    rng = np.random.default_rng(3)
    view, _ = draw_scene(photos, rng, size=96, objects=2, mix=mix)
    rng = np.random.default_rng(3)
    rng.random()  # the draw that chose a rider
    expected, _ = draw_scene(photos, rng, size=96, objects=2, mix=plain)
    assert np.array_equal(view.rgb, expected.rgb)


def test_a_composed_object_is_two_photos_things_and_shows_both(tmp_path):
    drawn = (Drawn("voc_001", (HORSE,)), Drawn("ecssd_002", (RIDER,)))
    photos = Photos(write_archive(tmp_path / "two.zip", drawn), held_out=False)
    mix = Mix(scenes.SOURCE_SHARES, {"whole": 1.0}, composed=1.0)
    for seed in range(8):
        subject = scenes._composed(photos, np.random.default_rng(seed), 3, mix)
        whole, below, above = (mask > 0 for mask in subject.masks)
        assert np.array_equal(whole, below | above)
        assert not (below & above).any()
        assert above.sum() > 0.15 * whole.sum()
        assert below.sum() > 0.15 * whole.sum()
        bright = subject.rgb.max(2) > 120  # things are bright, the ground is dark
        rim = cv2.morphologyEx(whole.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5))) > 0
        assert (bright == whole)[~rim].all()


def test_where_nothing_fits_upon_a_thing_there_are_things_as_they_are(tmp_path):
    everywhere = (0, 0, 96, 80)
    photos = Photos(write_archive(tmp_path / "full.zip", (Drawn("voc_001", (everywhere,)),)), held_out=False)
    subject = scenes._composed(photos, np.random.default_rng(0), 3, CROWDS)
    assert subject.masks.shape == (1, 80, 96)


# --- where things are


def seed_of(kind: str, *, mirror: bool) -> int:
    """A seed whose first two draws are this kind of view, mirrored or not."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        if (
            rng.choice(list(EVERY_KIND.views), p=list(EVERY_KIND.views.values())) == kind
            and (rng.random() < 0.5) == mirror
        ):
            return seed
    raise AssertionError(f"no seed under 1000 gives {kind}")


def bright_square(hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Dark ground with a white square left of and above the middle, and its mask."""
    height, width = hw
    mask = np.zeros(hw, np.uint8)
    mask[height // 5 : height // 2, width // 6 : width // 2] = 1
    return np.repeat(mask[..., None] * 235 + 10, 3, axis=2).astype(np.uint8), mask


@pytest.mark.parametrize("hw", [(60, 80), (80, 60), (600, 480)], ids=["landscape", "portrait", "shrunk"])
@pytest.mark.parametrize("mirror", [False, True], ids=["straight", "mirrored"])
@pytest.mark.parametrize("kind", EVERY_KIND.views)
def test_the_mask_lies_on_the_object_in_every_kind_of_view(photos, monkeypatch, kind, mirror, hw):
    monkeypatch.setattr(scenes, "recolour", lambda rgb, rng: rgb)
    rgb, mask = bright_square(hw)
    rng = np.random.default_rng(seed_of(kind, mirror=mirror))
    nothing = np.zeros_like(mask)
    view = scenes._view(photos, rng, rgb, mask[None], nothing, size=256, focus=mask, mix=EVERY_KIND)
    cover = view.cover[0]
    near = cv2.dilate((cover > 0.01).astype(np.uint8), np.ones((3, 3))) > 0  # the object and a rim of ground
    bright = (cv2.resize(view.rgb, (64, 64), interpolation=cv2.INTER_AREA)[..., 0].astype(np.float32) - 10) / 235
    assert (cover > 0.5).sum() > 30
    # PAD_GREY beyond the photo reads as half bright, but the square is inside it; 0.2 is a fifth of a quarter pixel
    assert np.abs(bright - cover)[near].max() < 0.2
    assert np.abs(bright - cover)[near].mean() < 0.04
    assert view.twin is (kind == "twin")
    assert view.weight.min() == 1


@pytest.mark.parametrize("mirror", [False, True])
def test_mirrored_views_are_mirrored(photos, monkeypatch, mirror):
    monkeypatch.setattr(scenes, "recolour", lambda rgb, rng: rgb)
    rgb, mask = bright_square((80, 80))
    rng = np.random.default_rng(seed_of("whole", mirror=mirror))
    view = scenes._view(photos, rng, rgb, mask[None], np.zeros_like(mask), size=80, focus=mask, mix=EVERY_KIND)
    assert np.array_equal(view.rgb, rgb[:, ::-1] if mirror else rgb)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_window_holds_its_object_and_turns_it_a_little(mirror):
    _, mask = bright_square((60, 80))
    for seed in range(20):
        matrix = scenes._window(np.random.default_rng(seed), mask, 256, mirror)
        turn = matrix[:, :2] @ np.diag([-1.0, 1.0]) if mirror else matrix[:, :2]
        scale = np.sqrt(np.linalg.det(turn))  # a turn and one scale, once the mirror is taken off
        angle = np.arctan2(turn[1, 0], turn[0, 0])
        assert np.allclose(turn, scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))
        assert abs(np.rad2deg(angle)) < 4 * 8
        shown = cv2.warpAffine(mask, matrix, (256, 256), flags=cv2.INTER_NEAREST).sum()
        assert shown > 0.85 * mask.sum() * scale**2  # a turned corner may leave the square


def test_a_twin_view_shows_the_object_a_second_time(photos, monkeypatch):
    monkeypatch.setattr(scenes, "recolour", lambda rgb, rng: rgb)
    rgb, mask = bright_square((80, 80))
    rng = np.random.default_rng(seed_of("twin", mirror=False))
    view = scenes._view(photos, rng, rgb, mask[None], np.zeros_like(mask), size=256, focus=mask, mix=EVERY_KIND)
    bright = cv2.resize(view.rgb, (64, 64), interpolation=cv2.INTER_AREA)[..., 0] > 200
    assert (bright & (view.cover[0] < 0.01)).sum() > 50


def test_a_mosaic_shows_other_photos_around_the_view(photos, monkeypatch):
    monkeypatch.setattr(scenes, "recolour", lambda rgb, rng: rgb)
    monkeypatch.setattr(photos, "rgb", lambda photo: np.full((60, 80, 3), 200, np.uint8))
    rgb, mask = bright_square((80, 80))
    rng = np.random.default_rng(seed_of("mosaic", mirror=False))
    view = scenes._view(photos, rng, rgb, mask[None], np.zeros_like(mask), size=256, focus=mask, mix=EVERY_KIND)
    others = (view.rgb == 200).all(2).mean()
    assert 1 - 0.6**2 - 0.05 <= others <= 1 - 0.35**2 + 0.01


def test_before_masks_are_single_no_view_is_a_twin(photos):
    twins = dict.fromkeys((False, True), 0)
    for mix in (ANY, SINGLES):
        for seed in range(40):
            views = draw_scene(photos, np.random.default_rng(seed), size=16, objects=1, mix=mix)
            twins[mix.single] += sum(view.twin for view in views)
    assert twins[False] == 0
    assert 2 <= twins[True] <= 25  # 12 of 80 expected


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
def test_shares_of_a_mix_sum_to_one_and_name_what_there_is(mix):
    assert sum(mix.sources.values()) == pytest.approx(1)
    assert sum(mix.views.values()) == pytest.approx(1)
    assert mix.sources.keys() == scenes.SOURCE_SHARES.keys()
    assert mix.views.keys() - {"window"} <= scenes.SHARES_OF_THE_SIDE.keys()


@pytest.mark.parametrize("hw", [(72, 96), (96, 72)], ids=["landscape", "portrait"])
def test_the_whole_view_is_framed_as_inference_frames_a_photo(hw):
    height, width = hw
    ys, xs = np.mgrid[:height, :width]
    rgb = np.stack([2 * ys, 2 * xs, ys + xs], axis=2).astype(np.uint8)  # smooth, so that kernels make no difference
    mask = np.zeros(hw, np.uint8)
    mask[10:40, 20:60] = 1
    ignore = np.zeros(hw, np.uint8)
    ignore[:, :6] = 1
    view = whole_view(rgb, mask[None], ignore, size=128)
    frame = Frame(hw, 128)
    rows, columns = frame.input_hw
    assert max(rows, columns) == 128
    inside = view.rgb[: rows - 1, : columns - 1].astype(int)
    # at 4/3 of the size, half a pixel's centre moves by a sixth: under one level of this ramp, and rounding
    assert np.abs(inside - resize_to_input(rgb, frame)[: rows - 1, : columns - 1].astype(int)).max() <= 2
    assert (view.rgb[rows:] == scenes.PAD_GREY).all()
    assert (view.rgb[:, columns:] == scenes.PAD_GREY).all()
    expected = cell_cover(mask > 0, frame, stride=4).numpy()
    assert np.abs(view.cover[0] - expected).max() < 0.15
    assert np.array_equal(view.cover[0] > 0.5, expected > 0.5)
    assert not view.weight[: rows // 4, :2].any()  # 6 ignored columns become 8: two quarter pixels
    assert view.weight[:, 3:].all()
    assert view.weight[rows // 4 :].all()  # padding counts: nothing may be found there


def test_other_colours_leave_everything_where_it_is():
    rgb, mask = bright_square((40, 40))
    changed = 0
    for seed in range(20):
        recoloured = scenes.recolour(rgb, np.random.default_rng(seed))
        assert (recoloured.shape, recoloured.dtype) == (rgb.shape, np.uint8)
        grey = recoloured.mean(axis=2)
        assert grey[mask > 0].min() > grey[mask == 0].max() - 60  # blur moves levels across the edge
        assert grey[mask > 0].mean() > grey[mask == 0].mean() + 100
        changed += not np.array_equal(recoloured, rgb)
    assert 10 <= changed < 20


def test_a_moved_view_is_smeared_along_one_line_and_keeps_its_light():
    dot = np.zeros((401, 401, 3), np.uint8)
    dot[200, 200] = 255
    lengths = set()
    for seed in range(10):
        moved = scenes.moved(dot, np.random.default_rng(seed))[..., 0]
        ys, xs = np.nonzero(moved)
        assert moved.sum() == pytest.approx(255, rel=0.05)
        spread = np.cov(np.stack([ys, xs])) if len(ys) > 1 else np.zeros((2, 2))
        assert np.linalg.eigvalsh(spread)[0] < 0.3  # no wider than a line of pixels
        lengths.add(len(ys))
    assert len(lengths) > 2
    assert max(lengths) <= 2 * 401 // 80 + 1


def test_a_thing_is_drawn_from_the_photos_that_have_one_large_enough(photos):
    for seed in range(10):
        rgb, mask = scenes.draw_thing(photos, np.random.default_rng(seed), SINGLES, smallest=0.2)
        assert rgb.shape == (HEIGHT, WIDTH, 3)
        assert mask.dtype == bool
        assert mask.mean() >= 0.2
        assert rgb[mask].max(1).mean() > 150 > rgb[~mask].min(1).mean()  # light things on dark ground
    drawn = [scenes.draw_thing(photos, np.random.default_rng(seed), SINGLES, smallest=0.0) for seed in range(20)]
    assert min(mask.mean() for _, mask in drawn) < 0.2
