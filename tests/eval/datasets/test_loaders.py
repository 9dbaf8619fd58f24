from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from persam.errors import DataError
from persam.eval.changes import CHANGES
from persam.eval.datasets import (
    absence,
    album,
    coco20i,
    davis,
    fss,
    lookalikes,
    lvis92i,
    mosaic,
    parts,
    perseg,
    robustness,
)
from persam.eval.episodes import Episode
from tests.eval import folders
from tests.eval.folders import block


def names(episode: Episode) -> list[str]:
    return [target.name for target in episode.targets]


def truth(episode: Episode, place: int = 0) -> np.ndarray:
    source = episode.targets[place].truth
    assert source is not None
    return source.read()


def drawn(rows: list[str]) -> np.ndarray:
    return np.array([[digit != "0" for digit in row] for row in rows])


def test_perseg_takes_photo_00_as_the_reference_and_pairs_by_name(tmp_path):
    root = folders.perseg(tmp_path, {"cat": 3, "100_mug": 2})
    folders.photo(root / "Images" / "cat" / "07.jpg")  # a photo without a mask is no target
    mug, cat = perseg.episodes(root)
    assert (mug.name, cat.name) == ("100_mug", "cat")
    # ledger 7: the published script would leave out every photo of an object with 00 in its name
    assert names(mug) == ["01"]
    assert names(cat) == ["01", "02"]
    assert cat.references[0].photo.path == root / "Images" / "cat" / "00.jpg"
    assert np.array_equal(cat.references[0].mask.read(), drawn(block(0, 1, 2, 3)))
    assert np.array_equal(truth(cat, 1), drawn(block(2, 1, 4, 3)))


def test_perseg_leaves_out_eight_names_only_where_there_are_more_than_40_objects(tmp_path):
    few = folders.perseg(tmp_path / "few", {"vase": 2, "cat": 2})
    assert [episode.object for episode in perseg.episodes(few)] == ["cat", "vase"]
    many = folders.perseg(tmp_path / "many", {"vase": 2, "cat2": 2} | {f"toy{number}": 2 for number in range(40)})
    assert {episode.object for episode in perseg.episodes(many)} == {f"toy{number}" for number in range(40)}


def test_davis_2016_asks_every_frame_after_the_first_for_whatever_is_annotated(tmp_path):
    root = folders.davis(tmp_path, {"dog": 4, "camel": 3})
    camel, dog = davis.episodes_2016(root)
    assert names(camel) == ["00001", "00002"]
    assert names(dog) == ["00001", "00002", "00003"]
    assert np.array_equal(truth(dog), drawn(block(2, 1, 5, 4)))
    assert dog.references[0].photo.path.name == "00000.jpg"


def test_davis_2016_reads_the_published_list_of_pairs(tmp_path):
    root = folders.davis(tmp_path, {"dog": 3, "camel": 3})
    pairs = [f"/JPEGImages/480p/dog/{n:05d}.jpg /Annotations/480p/dog/{n:05d}.png" for n in range(3)]
    folders.written(root / "ImageSets" / "480p" / "val.txt", "\n".join(pairs) + "\n")
    assert [episode.object for episode in davis.episodes_2016(root)] == ["dog"]


def test_davis_2017_asks_for_the_objects_of_a_sequence_together(tmp_path):
    rows = ["00000000", "01100220", "01100220", "00000000", "00000000", "00000000"]
    root = folders.davis(tmp_path, {"dogs": 3, "spare": 3}, rows=rows, year=2017)
    folders.written(root / "ImageSets" / "2017" / "val.txt", "dogs\n")
    first, second = davis.episodes_2017(root)
    assert (first.object, second.object) == ("dogs_1", "dogs_2")
    assert first.together == second.together == "dogs"
    assert [target.photo for target in first.targets] == [target.photo for target in second.targets]
    assert np.array_equal(truth(second), drawn(block(5, 1, 7, 3)))


def test_davis_2017_does_not_take_void_for_an_object(tmp_path):
    root = folders.davis(tmp_path, {"dog": 3}, rows=block(1, 1, 3, 3), year=2017)
    mask = root / "Annotations" / "480p" / "dog" / "00000.png"
    pixels = np.array([[int(digit) for digit in row] for row in block(1, 1, 3, 3)], np.uint8)
    pixels[5] = davis.VOID
    image = Image.fromarray(pixels)
    image.putpalette(folders.PALETTE)
    image.save(mask)
    assert [episode.object for episode in davis.episodes_2017(root)] == ["dog_1"]


def test_album_takes_frame_0_and_the_frames_at_one_third_two_thirds_and_the_end(tmp_path):
    root = folders.davis(tmp_path, {"a": 5, "b": 10})
    five, ten = album.episodes(root)
    assert names(five) == ["00002", "00003", "00004"]  # 5/3 = 1.67, 10/3 = 3.33
    assert names(ten) == ["00003", "00007", "00009"]  # 10/3 = 3.33, 20/3 = 6.67


def test_absence_shows_every_reference_the_photos_of_all_sequences(tmp_path):
    root = folders.davis(tmp_path, {"a": 5, "b": 5})
    first, second = absence.episodes(root)
    assert names(first) == names(second)
    assert names(first) == ["a_00002", "a_00003", "a_00004", "b_00002", "b_00003", "b_00004"]
    assert [target.truth is not None for target in first.targets] == [True] * 3 + [False] * 3
    assert [target.truth is not None for target in second.targets] == [False] * 3 + [True] * 3
    assert first.references[0].photo.path.parent.name == "a"


def test_robustness_asks_for_each_object_under_each_change_in_its_own_photos_and_as_many_of_others(tmp_path):
    root = folders.davis(tmp_path, {"a": 5, "b": 5, "c": 5})
    episodes = list(robustness.episodes(root))
    assert [episode.name for episode in episodes[:3]] == ["none/a", "x0.5/a", "x0.35/a"]
    assert len(episodes) == 3 * len(CHANGES)
    assert {episode.object for episode in episodes} == set(CHANGES)
    for episode in episodes[: len(CHANGES)]:
        assert names(episode) == ["00002", "00003", "00004", "b_00002", "c_00003", "b_00004"]
        assert [target.truth is not None for target in episode.targets] == [True] * 3 + [False] * 3
        assert episode.references[0].photo.path.parent.name == "a"
        assert np.array_equal(episode.references[0].mask.read(), drawn(block(2, 1, 5, 4)))
    last = episodes[-1]
    assert names(last)[3:] == ["a_00002", "b_00003", "a_00004"]


def test_robustness_changes_photo_and_mask_together_and_a_strangers_photo_by_its_own_object(tmp_path):
    root = folders.davis(tmp_path, {"a": 5, "b": 5})
    for path in (root / "Annotations" / "480p" / "b").iterdir():
        folders.labels(path, block(0, 0, 8, 1), palette=False, times=255)
    plain, turned, bar = [one for one in robustness.episodes(root, only=["none", "rot90", "bar"]) if one.draw == "a"]
    assert plain.targets[0].photo.read().shape == (6, 8, 3)
    assert turned.targets[0].photo.read().shape == (8, 6, 3)
    assert np.array_equal(truth(plain), drawn(block(2, 1, 5, 4)))
    assert np.array_equal(truth(turned), np.rot90(drawn(block(2, 1, 5, 4))))
    assert (bar.targets[0].photo.read() == plain.targets[0].photo.read()).all()  # a fifth of 3 pixels is none
    stranger = bar.targets[3].photo.read()
    assert (stranger != plain.targets[3].photo.read()).any(axis=(0, 2)).tolist() == [False] * 3 + [True] + [False] * 4


def test_robustness_takes_perseg_too_and_a_folder_of_both(tmp_path):
    folders.davis(tmp_path / "both" / "davis", {"a": 5})
    folders.perseg(tmp_path / "both" / "perseg", {"cat": 2})
    (tmp_path / "both" / "notes.txt").write_text("no data")
    flipped = list(robustness.episodes(tmp_path / "both", only=["flip", "flip"]))
    assert [episode.name for episode in flipped] == ["flip/davis/a", "flip/perseg/cat"]
    assert names(flipped[0]) == ["00002", "00003", "00004", "perseg_cat_01"]  # each once
    alone = folders.perseg(tmp_path / "perseg", {"cat": 2, "mug": 2})
    assert [episode.draw for episode in robustness.episodes(alone, only=["flip"])] == ["cat", "mug"]


@pytest.mark.parametrize(
    ("only", "complaint"),
    [(["x0.5", "x0.2"], r"no change 'x0\.2'; there are none, x0\.5,"), (["none"], "1 object in .*: robustness needs")],
)
def test_robustness_says_what_it_lacks(only, complaint, tmp_path):
    with pytest.raises(DataError, match=complaint):
        list(robustness.episodes(folders.davis(tmp_path, {"a": 5}), only=only))


def test_look_alikes_show_the_objects_own_photos_anothers_of_its_kind_and_both(tmp_path):
    root = folders.davis(tmp_path, {"car-roundabout": 5, "car-shadow": 8, "dog": 5, "bmx-trees": 5})
    first, second = lookalikes.episodes(root)  # a rider without another one asks nothing
    assert [one.name for one in (first, second)] == ["car-roundabout/car-shadow", "car-shadow/car-roundabout"]
    assert names(first) == [f"{place}_{whose}" for place in range(3) for whose in ("own", "other", "both")]
    own, other, both = first.targets[3:6]
    assert (own.photo.path.parent.name, own.photo.path.stem) == ("car-roundabout", "00003")
    assert (other.photo.path.parent.name, other.photo.path.stem, other.truth) == ("car-shadow", "00005", None)
    assert (both.photo.path, both.photo.beside) == (other.photo.path, own.photo.path)
    there, empty = drawn(block(2, 1, 5, 4)), np.zeros((6, 8), bool)
    assert np.array_equal(truth(first, 2), np.hstack([there, empty]))
    assert np.array_equal(truth(first, 3), there)
    assert np.array_equal(truth(first, 5), np.hstack([empty, there]))


def test_a_counter_example_is_the_others_first_frame_and_no_target(tmp_path):
    root = folders.davis(tmp_path, {"car-roundabout": 5, "car-shadow": 8})
    plain, against = list(lookalikes.episodes(root)), list(lookalikes.episodes_with_counter_examples(root))
    assert [replace(one, not_this=()) for one in against] == plain
    for own, other in (against, against[::-1]):
        assert own.not_this == other.references
        assert own.not_this[0].photo not in {target.photo for target in own.targets}


def test_a_mosaic_shows_two_videos_side_by_side_and_asks_for_both_objects(tmp_path):
    root = folders.davis(tmp_path, {"cat": 3, "ant": 5})
    left, right = mosaic.episodes(root)
    assert [one.name for one in (left, right)] == ["ant+cat_1", "ant+cat_2"]
    assert left.together == right.together == "ant+cat"
    assert names(left) == names(right) == ["00001", "00002"]  # as long as the shorter one
    assert left.targets[0].photo.read().shape == (6, 16, 3)
    assert left.targets[0].photo == right.targets[0].photo
    own = folders.block(2, 1, 5, 4)
    for episode, halves in ((left, (own, 6 * [8 * "0"])), (right, (6 * [8 * "0"], own))):
        expected = np.array([[digit == "1" for digit in a + b] for a, b in zip(*halves, strict=True)])
        np.testing.assert_array_equal(episode.references[0].mask.read(), expected)
        np.testing.assert_array_equal(episode.targets[1].truth.read(), expected)


def test_a_mosaic_needs_two_videos_of_one_height(tmp_path):
    with pytest.raises(DataError, match=r"1 sequence in .*: a mosaic needs two"):
        list(mosaic.episodes(folders.davis(tmp_path / "single", {"dog": 5})))
    root = folders.davis(tmp_path / "heights", {"ant": 3, "cat": 3})
    folders.photo(root / "JPEGImages" / "480p" / "cat" / "00001.jpg", size_hw=(9, 8))
    with pytest.raises(DataError, match=r"9 pixels high and .* 6: they make no mosaic"):
        next(mosaic.episodes(root)).targets[0].photo.read()


def test_fss_asks_for_each_photo_of_the_test_classes_once(tmp_path):
    for name in ("ab_wheel", "zebra", "trained_on"):
        for number in range(1, 11):
            folders.photo(tmp_path / "data" / name / f"{number}.jpg")
            folders.labels(tmp_path / "data" / name / f"{number}.png", block(1, 1, 3, 3), palette=False, times=128)
    folders.written(tmp_path / "splits" / "test.txt", "zebra\nab_wheel\n")
    episodes = list(fss.episodes(tmp_path, shots=2))
    assert [episode.name for episode in episodes[:3]] == ["ab_wheel/1", "ab_wheel/10", "ab_wheel/2"]
    assert len(episodes) == 20
    assert {episode.object for episode in episodes} == {"ab_wheel", "zebra"}
    for episode in episodes:
        assert len(episode.references) == 2
        assert episode.targets[0].photo not in [reference.photo for reference in episode.references]
    assert np.array_equal(truth(episodes[0]), drawn(block(1, 1, 3, 3)))
    assert episodes == list(fss.episodes(tmp_path, shots=2))
    assert episodes != list(fss.episodes(tmp_path, shots=2, seed=1))


def test_fss_counts_grey_from_128_up_as_the_object(tmp_path):
    folders.written(tmp_path / "splits" / "test.txt", "cup\n")
    for number in range(1, 11):
        folders.photo(tmp_path / "data" / "cup" / f"{number}.jpg", size_hw=(1, 3))
        folders.labels(tmp_path / "data" / "cup" / f"{number}.png", ["123"], palette=False, times=64)  # 64, 128, 192
    assert truth(next(fss.episodes(tmp_path))).tolist() == [[False, True, True]]


def coco(root):
    listed = {category: [f"val2014/{category}_{number}.jpg" for number in range(3)] for category in range(1, 80, 4)}
    for category, photos in listed.items():
        for place, name in enumerate(photos):
            folders.photo(root / name)
            digit = "1" if place else "2"
            rows = block(1, 1, 3, 3, digit=digit)
            times = category + 1 if place else 1  # photo 0 shows only class 1 (label 2)
            folders.labels(root / "annotations" / name.replace(".jpg", ".png"), rows, palette=False, times=times)
    folders.pickled(root / "splits" / "val" / "fold1.pkl", listed)
    return root


def test_coco_20i_fold_1_holds_the_classes_1_5_9_and_so_on(tmp_path):
    episodes = list(coco20i.episodes(coco(tmp_path), fold=1))
    assert len(episodes) == 1000
    assert {episode.object for episode in episodes} == {f"class_{category:02d}" for category in range(1, 80, 4)}
    assert len({episode.name for episode in episodes}) == 1000
    for episode in episodes:
        assert episode.targets[0].photo != episode.references[0].photo
    shown = next(episode for episode in episodes if episode.name.startswith("class_77") and names(episode) == ["77_1"])
    assert np.array_equal(truth(shown), drawn(block(1, 1, 3, 3)))
    other = next(episode for episode in episodes if names(episode) == ["77_0"])  # its mask holds another class
    assert not truth(other).any()


def test_coco_20i_draws_as_published(tmp_path):
    # HSNet's loader, by hand: class, target, then references until one differs, from NumPy's legacy generator at 0.
    state = np.random.RandomState(0)
    classes, photos = list(range(1, 80, 4)), 3
    for episode, _ in zip(coco20i.episodes(coco(tmp_path), fold=1), range(20), strict=False):
        category = state.choice(classes, 1, replace=False)[0]
        target = reference = state.choice(photos, 1, replace=False)[0]
        while reference == target:
            reference = state.choice(photos, 1, replace=False)[0]
        assert names(episode) == [f"{category}_{target}"]
        assert episode.references[0].photo.path.name == f"{category}_{reference}.jpg"


def lvis(root, *, classes: int = 23):
    square, dot = [[1, 1, 3, 1, 3, 3, 1, 3]], {"size": [6, 8], "counts": [36, 1, 11]}
    listed = {}
    for category in range(classes):
        listed[category] = {}
        for number in range(2):
            name = f"val2017/{category}_{number}.jpg"
            folders.photo(root / "coco" / name)
            listed[category][name] = {"annotations": [{"segmentation": square}, {"segmentation": dot}]}
    listed[classes] = {"val2017/0_0.jpg": {"annotations": []}}  # one photo only: no class for one shot
    folders.pickled(root / "lvis_val.pkl", listed)
    return root


@pytest.mark.slow
def test_lvis_92i_takes_every_tenth_class_and_joins_all_annotations_of_a_photo(tmp_path):
    episodes = list(lvis92i.episodes(lvis(tmp_path), fold=3))
    assert len(episodes) == 2300
    # 23 classes: two for each of ten folds, the rest is in none
    assert [episode.name for episode in episodes[:3]] == ["class_0003/0000", "class_0013/0001", "class_0003/0002"]
    expected = drawn(block(1, 1, 3, 3))
    expected[0, 6] = True  # run 36: column 6, row 0
    assert np.array_equal(truth(episodes[0]), expected)
    assert episodes[0].targets[0].photo != episodes[0].references[0].photo


def pascal(root):
    voc = root / "VOCdevkit" / "VOC2010"
    photos = ["2008_1", "2008_2", "2008_3"]
    for photo in photos:
        folders.photo(voc / "JPEGImages" / f"{photo}.jpg")
        dot = {"size": [6, 8], "counts": [20, 2, 26]}  # column 3, rows 2 and 3
        box = {"xmin": "2", "ymin": "1", "xmax": "6", "ymax": "5"}
        cat = {"name": "cat", "bndbox": box, "parts": [{"name": "TAIL", "mask": [dot]}, {"name": "HEAD", "mask": []}]}
        dog = {"name": "dog", "bndbox": box, "parts": []}
        path = voc / "Annotations_Part_json_merged_part_classes" / f"{photo}.json"
        folders.written(path, {"object": [dog, cat]})
    listed = {"part": {"TAIL": {"train": ["x"], "val": photos}, "EAR": {"train": [], "val": photos}}}
    kinds = {kind: {"object": {}} for kind in parts.PASCAL_KINDS}
    kinds["animals"]["object"]["cat"] = listed
    folders.written(voc / "all_obj_part_to_image.json", kinds)
    return root


def test_pascal_part_cuts_photo_and_mask_to_the_object(tmp_path):
    episodes = list(parts.pascal_episodes(pascal(tmp_path), fold=0))
    assert len(episodes) == 6  # as many as the fold lists photos, those of parts that do not count included
    assert {episode.object for episode in episodes} == {"cat+TAIL"}  # EAR has no training photo
    episode = episodes[0]
    assert episode.targets[0].photo.read().shape == (4, 4, 3)
    expected = np.zeros((4, 4), dtype=bool)
    expected[1:3, 1] = True
    assert np.array_equal(truth(episode), expected)
    assert np.array_equal(episode.references[0].mask.read(), expected)
    assert list(parts.pascal_episodes(tmp_path, fold=1)) == []


def test_pascal_part_never_gives_the_same_photo_twice_in_an_episode(tmp_path):
    root = pascal(tmp_path)
    for episode in parts.pascal_episodes(root, fold=0, shots=2):
        photos = {reference.photo.path for reference in episode.references} | {episode.targets[0].photo.path}
        assert len(photos) == 3
    with pytest.raises(DataError, match=r"cat\+TAIL: none of its 3 photos can be drawn besides"):
        next(parts.pascal_episodes(root, fold=0, shots=3))


def paco(root):
    square = [[3, 2, 5, 2, 5, 4, 3, 4]]
    part = {"category_id": 4, "obj_ann_id": 70, "obj_bbox": [2.6, 1.2, 4.0, 4.0], "segmentation": square}
    listed = {"cid2img": {}, "img2anno": {}}
    for number in range(3):
        folders.photo(root / "coco" / "val2017" / f"{number}.jpg")
        listed["img2anno"][number] = [part, part | {"category_id": 5}]
    # photos are listed more than once, with the paths of whoever wrote the list
    listed["cid2img"][4] = [{number: f"elsewhere/coco/val2017/{number}.jpg"} for number in (0, 1, 1, 2)]
    listed["cid2img"][5] = [{0: "elsewhere/coco/val2017/0.jpg"}]
    folders.pickled(root / "paco" / "paco_part_val.pkl", listed)
    order = {category: [] for category in (9, 4, 5, 6, 7, 8, 10, 11)}
    folders.pickled(root / "paco" / "paco_part_train.pkl", {"cid2img": order, "img2anno": {}})
    return root


@pytest.mark.slow
def test_paco_part_takes_its_folds_from_the_training_list_and_cuts_to_the_object(tmp_path):
    episodes = list(parts.paco_episodes(paco(tmp_path), fold=1))  # 4 and 8 of the order, of which 8 has no photo
    assert len(episodes) == 2500
    assert {episode.object for episode in episodes} == {"part_0004"}
    episode = episodes[0]
    assert episode.targets[0].photo.crop_xyxy == (2, 1, 6, 5)
    expected = np.zeros((4, 4), dtype=bool)
    expected[1:3, 1:3] = True
    assert np.array_equal(truth(episode), expected)
    assert all(one.targets[0].photo.path != one.references[0].photo.path for one in episodes)
    with pytest.raises(DataError, match="fold 2 of PACO-Part is empty"):
        next(parts.paco_episodes(tmp_path, fold=2))


@pytest.mark.parametrize(
    ("load", "looked_for"),
    [
        (perseg.episodes, "no folder Images"),
        (davis.episodes_2016, "no folder JPEGImages/480p"),
        (davis.episodes_2017, "no folder JPEGImages/480p"),
        (album.episodes, "no folder JPEGImages/480p"),
        (absence.episodes, "no folder JPEGImages/480p"),
        (robustness.episodes, "is no folder of DAVIS-2016 .* or PerSeg"),
        (fss.episodes, r"no file splits/test\.txt"),
        (coco20i.episodes, "no folder annotations"),
        (lvis92i.episodes, "no folder coco"),
        (parts.pascal_episodes, "no folder VOCdevkit/VOC2010"),
        (parts.paco_episodes, "no folder coco"),
    ],
)
def test_a_folder_of_another_layout_says_what_was_looked_for(load, looked_for, tmp_path):
    with pytest.raises(DataError, match=looked_for):
        list(load(tmp_path))


def test_broken_layouts_name_the_file(tmp_path):
    root = folders.perseg(tmp_path / "perseg", {"cat": 2})
    (root / "Images" / "cat" / "01.jpg").unlink()
    with pytest.raises(DataError, match=r"cat: mask 01\.png has no photo 01\.jpg"):
        list(perseg.episodes(root))
    root = folders.perseg(tmp_path / "alone", {"cat": 1})
    with pytest.raises(DataError, match=r"cat: the reference 00\.png and one more mask"):
        list(perseg.episodes(root))
    root = folders.davis(tmp_path / "davis", {"dog": 3})
    (root / "Annotations" / "480p" / "dog" / "00002.png").unlink()
    with pytest.raises(DataError, match=r"no file dog/00002\.png"):
        list(davis.episodes_2016(root))
    with pytest.raises(DataError, match="dog: 4 frames do not give three different targets"):
        list(album.episodes(folders.davis(tmp_path / "short", {"dog": 4})))
    with pytest.raises(DataError, match=r"1 sequence in .*: absence needs"):
        list(absence.episodes(folders.davis(tmp_path / "single", {"dog": 5})))
    with pytest.raises(DataError, match=r"no two look-alikes in .*car-roundabout and car-shadow"):
        list(lookalikes.episodes(folders.davis(tmp_path / "unlike", {"car-shadow": 5, "bmx-trees": 5, "dog": 5})))
    (root / "Annotations" / "480p" / "dog" / "00000.png").write_bytes(b"no picture")
    folders.labels(root / "Annotations" / "480p" / "dog" / "00002.png", ["1"])
    with pytest.raises(DataError, match=r"00000\.png cannot be read as a mask"):
        list(davis.episodes_2017(root))


@pytest.mark.parametrize("load", [coco20i.episodes, lvis92i.episodes, parts.pascal_episodes, parts.paco_episodes])
def test_folds_and_shots_that_do_not_exist_are_errors(load, tmp_path):
    with pytest.raises(DataError, match=r"no fold 10: this benchmark has folds 0 to (3|9)"):
        next(load(tmp_path, fold=10))
    with pytest.raises(DataError, match="at least one reference, got shots = 0"):
        next(load(tmp_path, shots=0))
