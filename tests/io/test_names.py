"""Names of results: no photo's mask is called by another photo, whatever an album mixes."""

import pytest

from persam.io.names import Endings, file_part, photo_names, shortened

TWO = Endings(("rex", "tom"))
FIVE = Endings(most=5)
BOTH = Endings(("rex", "tom"), 5)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["park.jpg", "beach.png"], ["park", "beach"]),
        (["a.jpg", "a.png", "a_2.jpg"], ["a.jpg", "a.png", "a_2"]),
        (["a_2.jpg", "a.png", "A.JPG"], ["a_2", "a.png", "A.JPG"]),
        (["a.jpg", "a.jpg", "a_2.jpg"], ["a", "a_3", "a_2"]),  # of two folders
        (["a.jpg", "A.jpg", "a.jpg"], ["a", "A_2", "a_3"]),
        (["a.jpg", "a.png", "a.png.jpg"], ["a.jpg", "a_2", "a.png"]),
        (["\u00e9.jpg", "e\u0301.png"], ["\u00e9.jpg", "e\u0301.png"]),  # the same letter, stored in two ways
        (["rex"], ["rex"]),
    ],
)
def test_a_photo_is_called_by_its_stem_or_its_whole_name(files: list[str], names: list[str]) -> None:
    assert photo_names(files) == names


@pytest.mark.parametrize(
    ("files", "endings", "names"),
    [
        (["rex.jpg", "rex_1.jpg"], Endings(), ["rex", "rex_1"]),
        (["rex.jpg", "rex_1.jpg"], FIVE, ["rex.jpg", "rex_1"]),  # rex_1.png is not the first one of rex.jpg
        (["rex_1.jpg", "REX.jpg"], FIVE, ["rex_1", "REX.jpg"]),
        (["rex.jpg", "rex_6.jpg", "rex_01.jpg"], FIVE, ["rex", "rex_6", "rex_01"]),
        (["rex.jpg", "rex.jpg_1.png"], FIVE, ["rex", "rex.jpg_1"]),
        (["rex.jpg", "rex_1.jpg", "rex.jpg_1.png"], FIVE, ["rex_2", "rex_1", "rex.jpg_1"]),
        (["park.jpg", "park_tom.jpg"], TWO, ["park.jpg", "park_tom"]),
        (["park.jpg", "park_Tom.jpg"], TWO, ["park.jpg", "park_Tom"]),
        (["park.jpg", "park_max.jpg"], TWO, ["park", "park_max"]),
        (["park.jpg", "park_tom.jpg", "park_tom_1.jpg"], BOTH, ["park.jpg", "park_tom", "park_tom_1"]),
    ],
)
def test_a_mask_is_not_called_by_another_photo(files: list[str], endings: Endings, names: list[str]) -> None:
    assert photo_names(files, endings) == names


def test_every_mask_of_a_mixed_album_has_a_name_of_its_own() -> None:
    stems = ["a", "A", "a_1", "a_1_1", "a_2", "a_rex", "a_rex_1", "a.jpg", "a.jpg_1"]
    files = [f"{stem}.{suffix}" for stem in stems for suffix in ("jpg", "png", "JPG")] + ["a.jpg"] * 3
    for endings in (Endings(), FIVE, TWO, BOTH):
        photos = photo_names(files, endings)
        ends = [f"_{concept}" for concept in endings.concepts] or [""]
        ends = [f"{end}_{number}" for end in ends for number in range(1, 6)] if endings.most > 1 else ends
        masks = [f"{photo}{end}".casefold() for photo in photos for end in ends]
        assert len(set(masks)) == len(masks)
        plain = {file.rpartition(".")[0].casefold(): file for file in files}
        for photo, file in zip(photos, files, strict=True):
            for end in ends:
                called = plain.get(f"{photo}{end}".casefold())
                assert called is None or called.rpartition(".")[0].casefold() == file.rpartition(".")[0].casefold()


def test_long_names_are_cut_and_stay_apart() -> None:
    long = ["x" * 251 + ".jpg", "x" * 251 + ".png", "x" * 250 + ".jpg", "\u732b" * 83 + ".jpg"]
    names = photo_names(long, BOTH)
    assert len(set(names)) == 4
    for name in names:
        assert len(f"{name}_rex_5.png".encode()) <= 255
    assert photo_names(["x" * 251 + ".jpg"]) == ["x" * 251]  # with .png, just short enough
    assert shortened("\u732b" * 10, 19).startswith("\u732b\u732b\u732b~")


@pytest.mark.parametrize(
    ("concept", "part"),
    [
        ("rex", "rex"),
        ("my blue one", "my-blue-one"),
        ("a_b/c:d", "a-b-c-d"),
        ("../up", "..-up"),
        ("v1.2-\u00e9", "v1.2-\u00e9"),
    ],
)
def test_a_concepts_part_of_a_file_name(concept: str, part: str) -> None:
    assert file_part(concept) == part
    assert len(file_part("y" * 300)) == 100
