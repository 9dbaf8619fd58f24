"""Scenes are about objects that the mix asks for, the same ones in both views."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.conftest import BOTH, HEIGHT, LEFT, RIGHT, WIDTH, Drawn, plane, write_archive
from training import scenes
from training.archive import Photos, common
from training.mix import ANY, CROWDS, EVERYDAY, EVERYDAY_SHARES, RIDERS, SINGLES, SOURCE_SHARES, Mix
from training.scenes import draw_scene
from training.views import SHARES_OF_THE_SIDE, View

MIXES = {"any": ANY, "singles": SINGLES, "crowds": CROWDS, "riders": RIDERS, "everyday": EVERYDAY}
RIDER, HORSE = (30, 10, 60, 44), (20, 40, 80, 70)


@pytest.fixture
def photos(archive: Path) -> Photos:
    return Photos([archive], held_out=False)


def test_a_scene_depends_on_its_generator_alone(photos):
    def views(seed: int) -> tuple[View, View]:
        return draw_scene(photos, np.random.default_rng(seed), size=64, objects=3, mix=CROWDS).views

    for first, again in zip(views(5), views(5), strict=True):
        assert np.array_equal(first.rgb, again.rgb)
        assert np.array_equal(first.cover, again.cover)
        assert np.array_equal(first.weight, again.weight)
        assert first.twin == again.twin
    assert not np.array_equal(views(5)[0].rgb, views(6)[0].rgb)


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
def test_views_are_square_inputs_with_masks_at_a_quarter(photos, mix):
    for seed in range(10):
        for view in draw_scene(photos, np.random.default_rng(seed), size=64, objects=3, mix=mix).views:
            assert view.rgb.shape == (64, 64, 3)
            assert view.cover.shape == (3, 16, 16)
            assert view.weight.shape == (16, 16)
            assert view.rgb.dtype == np.uint8
            assert view.cover.dtype == view.weight.dtype == np.float32
            assert view.cover.min() >= 0
            assert view.cover.max() <= 1 + 1e-6
            assert set(np.unique(view.weight)) <= {0, 1}


def test_a_photo_with_fewer_objects_repeats_them(tmp_path):
    photos = Photos([write_archive(tmp_path / "one.zip", (Drawn("ecssd_002", (RIGHT,)),))], held_out=False)
    for view in draw_scene(photos, np.random.default_rng(0), size=64, objects=3, mix=ANY).views:
        assert np.array_equal(view.cover, view.cover[[0, 0, 0]])
        assert view.cover[0].max() > 0.9


def test_specks_are_never_chosen(tmp_path):
    speck = (70, 60, 75, 64)  # 20 of 7,680 pixels: 0.26 %
    photos = Photos([write_archive(tmp_path / "speck.zip", (Drawn("ecssd_002", (speck, LEFT)),))], held_out=False)
    for seed in range(5):
        first, _ = draw_scene(photos, np.random.default_rng(seed), size=64, objects=2, mix=ANY).views
        assert np.array_equal(first.cover[0], first.cover[1])  # LEFT twice


def test_a_union_is_drawn_only_until_masks_are_single(tmp_path, monkeypatch):
    masks = np.stack([plane(LEFT) | plane(RIGHT), plane(LEFT), plane(RIGHT)])
    photos = Photos([write_archive(tmp_path / "union.zip", (Drawn("voc_001", (LEFT, LEFT, RIGHT)),))], held_out=False)
    monkeypatch.setattr(photos, "masks", lambda photo: (masks, np.zeros_like(masks[0])))
    chosen: list[np.ndarray] = []
    monkeypatch.setattr(scenes, "draw_view", lambda photos, rng, subject, **how: chosen.append(subject.masks))
    areas = {}
    for mix in (ANY, SINGLES):
        chosen.clear()
        for seed in range(10):
            draw_scene(photos, np.random.default_rng(seed), size=64, objects=3, mix=mix)
        areas[mix.single] = {int(area) for planes in chosen for area in planes.sum((1, 2))}
    assert areas[True] == {32 * 40, 34 * 46}
    assert areas[False] == {32 * 40, 34 * 46, 32 * 40 + 34 * 46}


def test_look_alikes_come_into_the_scene_together(tmp_path, monkeypatch):
    masks = np.stack([plane(LEFT) | plane(RIGHT), plane(LEFT), plane(RIGHT), plane((40, 50, 56, 80))])
    photos = Photos([write_archive(tmp_path / "union.zip", (Drawn("voc_001", (LEFT,)),))], held_out=False)
    monkeypatch.setattr(photos, "masks", lambda photo: (masks, np.zeros_like(masks[0])))
    mix = Mix(SOURCE_SHARES, {"whole": 1.0}, look_alikes=1.0)
    pairs = set()
    for seed in range(12):
        view, _ = draw_scene(photos, np.random.default_rng(seed), size=96, objects=2, mix=mix).views
        pairs.add(tuple(round(float(area)) for area in view.cover.sum((1, 2)) * 16))
    assert all(set(pair) == {1280, 1564} for pair in pairs if pair[0] != 480)  # LEFT and RIGHT come together
    assert len(pairs) > 1


def test_a_rider_and_the_horse_are_one_object_beside_its_parts(tmp_path):
    drawn = (Drawn("voc_001", (RIDER, HORSE)), Drawn("voc_002", (LEFT, RIGHT)))
    photos = Photos([write_archive(tmp_path / "rider.zip", drawn)], held_out=False)
    assert [(photo.id, pairs) for photo, pairs in photos.joined] == [("voc_001", [(0, 1)])]
    mix = Mix(SOURCE_SHARES, {"whole": 1.0}, joined=1.0)
    for seed in range(5):
        scene = draw_scene(photos, np.random.default_rng(seed), size=96, objects=3, mix=mix)
        assert scene.photo.id == "voc_001"
        areas = scene.views[0].cover.sum((1, 2)) * 16
        assert areas == pytest.approx([30 * 34 + 60 * 30 - 30 * 4, 30 * 34, 60 * 30], rel=0.02)


def test_the_two_views_may_be_two_photos_of_the_same_things(tmp_path):
    drawn = (
        Drawn("render_001", (LEFT, RIGHT), group="shelf", same=(0, 1)),
        Drawn("render_003", (RIDER, HORSE, LEFT), group="shelf", same=(7, 1, 0)),
        Drawn("voc_001", (BOTH,)),
    )
    photos = Photos([write_archive(tmp_path / "pairs.zip", drawn)], held_out=False)
    assert [(one.id, other.id, common(one, other)) for one, other in photos.pairs] == [
        ("render_001", "render_003", [(0, 2), (1, 1)])
    ]
    mix = Mix(SOURCE_SHARES, {"whole": 1.0}, another_photo=1.0)
    sizes = {round(area(LEFT)): round(area(LEFT)), round(area(RIGHT)): round(area(HORSE))}
    for seed in range(6):
        first, second = draw_scene(photos, np.random.default_rng(seed), size=96, objects=3, mix=mix).views
        here, there = (view.cover.sum((1, 2)) * 16 for view in (first, second))
        assert {round(a) for a in here} == set(sizes)
        assert [sizes[round(a)] for a in here] == [round(a) for a in there]


def test_a_thing_may_be_drawn_with_another_photo_of_it(tmp_path):
    drawn = (
        Drawn("render_001", (LEFT, RIGHT), group="shelf", same=(None, 1)),
        Drawn("render_003", (HORSE,), group="shelf", same=(1,)),
    )
    photos = Photos([write_archive(tmp_path / "pairs.zip", drawn)], held_out=False)
    mix = Mix(SOURCE_SHARES, {"whole": 1.0}, another_photo=1.0)
    shown = scenes.draw_object(photos, np.random.default_rng(0), mix, smallest=0.1)
    assert [int(mask.sum()) for _, mask in shown] == [area(RIGHT), area(HORSE)]


def area(box: tuple[int, int, int, int]) -> int:
    return int(plane(box).sum())


def test_without_a_rider_things_are_drawn_as_they_are(photos):
    assert photos.joined == []
    mix = Mix(SOURCE_SHARES, {"whole": 1.0}, joined=1.0)
    plain = Mix(SOURCE_SHARES, {"whole": 1.0})
    rng = np.random.default_rng(3)
    view, _ = draw_scene(photos, rng, size=96, objects=2, mix=mix).views
    rng = np.random.default_rng(3)
    rng.random()  # the draw that chose a rider
    expected, _ = draw_scene(photos, rng, size=96, objects=2, mix=plain).views
    assert np.array_equal(view.rgb, expected.rgb)


def test_a_composed_object_is_two_photos_things_and_shows_both(tmp_path):
    drawn = (Drawn("voc_001", (HORSE,)), Drawn("ecssd_002", (RIDER,)))
    photos = Photos([write_archive(tmp_path / "two.zip", drawn)], held_out=False)
    mix = Mix(SOURCE_SHARES, {"whole": 1.0}, composed=1.0)
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
    photos = Photos([write_archive(tmp_path / "full.zip", (Drawn("voc_001", (everywhere,)),))], held_out=False)
    subject = scenes._composed(photos, np.random.default_rng(0), 3, CROWDS)
    assert subject.masks.shape == (1, 80, 96)


def test_before_masks_are_single_no_view_is_a_twin(photos):
    twins = dict.fromkeys((False, True), 0)
    for mix in (ANY, SINGLES):
        for seed in range(40):
            views = draw_scene(photos, np.random.default_rng(seed), size=16, objects=1, mix=mix).views
            twins[mix.single] += sum(view.twin for view in views)
    assert twins[False] == 0
    assert 2 <= twins[True] <= 25  # 12 of 80 expected


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
def test_shares_of_a_mix_sum_to_one_and_name_what_there_is(mix):
    assert sum(mix.sources.values()) == pytest.approx(1)
    assert sum(mix.views.values()) == pytest.approx(1)
    assert mix.sources.keys() in (SOURCE_SHARES.keys(), EVERYDAY_SHARES.keys())
    assert mix.views.keys() - {"window", "fill"} <= SHARES_OF_THE_SIDE.keys()


def test_a_thing_is_drawn_from_the_photos_that_have_one_large_enough(photos):
    for seed in range(10):
        [(rgb, mask)] = scenes.draw_object(photos, np.random.default_rng(seed), SINGLES, smallest=0.2)
        assert rgb.shape == (HEIGHT, WIDTH, 3)
        assert mask.dtype == bool
        assert mask.mean() >= 0.2
        assert rgb[mask].max(1).mean() > 150 > rgb[~mask].min(1).mean()  # light things on dark ground
    drawn = [scenes.draw_object(photos, np.random.default_rng(seed), SINGLES, smallest=0.0) for seed in range(20)]
    assert min(mask.mean() for [(_, mask)] in drawn) < 0.2
