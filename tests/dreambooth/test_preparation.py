"""A folder to train from: what is used, what is refused and why, and that every trainer finds the masks in it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.dreambooth import prepare, read_pairs
from persam.dreambooth.layouts import LAYOUTS
from persam.errors import DreamBoothError, ImageError, OutputError
from tests.colour import BLUE, colour_model, mask, photo
from tests.dreambooth.readers import READERS

LEFT, RIGHT = (40, 5, 55, 30), (4, 8, 15, 16)


@pytest.fixture
def model():
    return colour_model()


@pytest.fixture
def rex(model):
    return model.learn(photo(), mask(), name="rex")


@pytest.fixture
def album(tmp_path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    Image.fromarray(photo(at_xyxy=LEFT)).save(folder / "left.png")
    Image.fromarray(photo(at_xyxy=RIGHT)).save(folder / "right.png")
    return folder


def by_image(answers):
    return {Path(one.image).stem: one for one in answers}


def test_every_reader_has_a_layout_and_every_layout_a_reader():
    assert READERS.keys() == LAYOUTS.keys()


@pytest.mark.parametrize("trainer", LAYOUTS)
def test_each_trainer_finds_the_masks_and_captions(tmp_path, model, rex, album, trainer):
    turned = Image.Exif()
    turned[0x0112] = 6
    wide = photo(at_xyxy=(20, 10, 49, 29), hw=(50, 80))
    Image.fromarray(wide).transpose(Image.Transpose.ROTATE_90).save(album / "turned.png", exif=turned)
    prepare(album, rex, tmp_path / "out", model=model, layout=trainer, caption="a photo of sks {}")
    read = READERS[trainer](tmp_path / "out")
    assert set(read) == {"left", "right", "turned"}
    for name, expected, shown in (
        ("left", photo(at_xyxy=LEFT), mask(at_xyxy=LEFT)),
        ("right", photo(at_xyxy=RIGHT), mask(at_xyxy=RIGHT)),
        ("turned", wide, mask(at_xyxy=(20, 10, 49, 29), hw=(50, 80))),
    ):
        np.testing.assert_array_equal(read[name].rgb, expected)
        assert set(np.unique(read[name].weights)) == {0.0, 1.0}
        if name != "turned":  # scaled by the stand-in's 64 patches: exact for photos of 64 pixels
            np.testing.assert_array_equal(read[name].weights, shown)
        assert read[name].caption == "a photo of sks rex"


@pytest.mark.parametrize("trainer", LAYOUTS)
def test_config_files_name_the_folder_as_it_is_in_the_end(tmp_path, model, rex, album, trainer, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(album, rex, 'my "train" föld😀er', model=model, layout=trainer)
    assert set(READERS[trainer](tmp_path / 'my "train" föld😀er')) == {"left", "right"}
    assert {path.name for path in tmp_path.iterdir()} == {"album", 'my "train" föld😀er'}


def test_the_answers_say_what_was_used(tmp_path, model, rex, album):
    told = []
    answers = prepare(album, rex, tmp_path / "out", model=model, watch=told.append)
    assert told == answers
    left, right = answers
    assert (left.image, left.concept, left.name, left.reason) == (str(album / "left.png"), "rex", "left", None)
    assert left.area == 16 * 26 / 64**2
    assert left.presence > 0.9
    assert left.score == pytest.approx(0.9)
    report = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text().splitlines()]
    assert report == [left.to_record(), right.to_record()]
    assert report[0]["used"] is True
    assert [pair.image.stem for pair in read_pairs(tmp_path / "out")] == ["left", "right"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("images", "masks", "captions"),
        *("report.jsonl", "sheet.jpg"),
    }


def refused(album: Path, name: str, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(album / f"{name}.png")


def test_refused_photos_are_named_with_the_reason_and_never_used(tmp_path, model, rex, album):
    refused(album, "blue", photo(colour=BLUE))
    refused(album, "full", photo(at_xyxy=(0, 0, 63, 63)))
    speck = photo(at_xyxy=(8, 8, 8, 8))
    refused(album, "speck", speck)
    (album / "corrupt.jpg").write_bytes((album / "left.png").read_bytes()[:90])
    answers = by_image(prepare(album, rex, tmp_path / "out", model=model))
    for name, says in (
        ("blue", "not here (presence 0."),
        ("full", "the mask covers 100% of the photo: nothing would be masked"),
        ("speck", "the mask covers 0.02% of the photo: too little to learn from"),
        ("corrupt", "corrupt.jpg: the file is damaged"),
    ):
        assert says in answers[name].reason
        assert answers[name].name is None
        assert answers[name].to_record()["used"] is False
    assert set(READERS["diffusers"](tmp_path / "out")) == {"left", "right"}
    with Image.open(tmp_path / "out" / "sheet.jpg") as sheet:
        assert sheet.width > 5 * 200
        assert sheet.height > 2 * 220  # six photos, five in a row


def test_a_doubtful_mask_is_refused_and_the_bar_can_be_moved(tmp_path, model, rex, album):
    with pytest.raises(DreamBoothError, match="none of the 2 photos can be trained on"):
        prepare(album, rex, tmp_path / "out", model=model, min_score=0.95)
    report = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text().splitlines()]
    assert {one["reason"] for one in report} == {"the mask is doubtful (score 0.90; 0.95 is asked for)"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.jsonl", "sheet.jpg"}
    assert len(prepare(album, rex, tmp_path / "more", model=model, min_score=0.85)) == 2


def test_a_reference_among_the_photos_keeps_the_mask_that_was_given(tmp_path, model, album):
    drawn = mask(at_xyxy=(40, 5, 47, 30))  # the left half of the object, as somebody wished
    half = model.learn(album / "left.png", drawn, name="half")
    prepare(album, half, tmp_path / "out", model=model)
    np.testing.assert_array_equal(READERS["diffusers"](tmp_path / "out")["left"].weights, drawn)


def test_several_subjects_have_a_pair_each_in_the_photos_that_show_them(tmp_path, model, rex, album):
    scene = photo(at_xyxy=LEFT)
    scene[40:52, 8:20] = BLUE
    Image.fromarray(scene).save(album / "both.png")
    tom = model.learn(photo(colour=BLUE), mask(), name="my tom_cat")
    answers = prepare(album, [rex, tom], tmp_path / "out", model=model)
    read = READERS["diffusers"](tmp_path / "out")
    assert set(read) == {"left_rex", "right_rex", "both_rex", "both_my-tom-cat"}
    assert read["both_my-tom-cat"].caption == "a photo of my tom_cat"
    np.testing.assert_array_equal(read["both_rex"].weights, mask(at_xyxy=LEFT))
    np.testing.assert_array_equal(read["both_my-tom-cat"].weights, mask(at_xyxy=(8, 40, 19, 51)))
    assert [one.reason[:8] for one in answers if one.name is None] == ["not here"] * 2  # tom in left and right


def test_photos_of_one_name_and_mixed_sizes_are_kept_apart(tmp_path, model, rex, album):
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(photo(at_xyxy=(10, 10, 40, 60), hw=(100, 80))).save(other / "left.png")
    prepare([album, other], rex, tmp_path / "out", model=model)
    assert {name: one.rgb.shape[:2] for name, one in READERS["diffusers"](tmp_path / "out").items()} == {
        "left": (64, 64),
        "right": (64, 64),
        "left_2": (100, 80),
    }


# ---- nothing is ever written over


def test_a_folder_that_is_not_empty_is_refused_before_anything_is_asked(tmp_path, model, rex, album):
    before = sorted(path.read_bytes() for path in album.iterdir())
    with pytest.raises(OutputError, match=r"album is not empty: it holds .*Choose a new folder"):
        prepare(album, rex, album, model=model)
    assert sorted(path.read_bytes() for path in album.iterdir()) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*/file"):
        prepare(album, rex, tmp_path / "file", model=model)
    (tmp_path / "empty").mkdir()
    assert len(prepare(album, rex, tmp_path / "empty", model=model)) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_is_stopped_leaves_nothing(tmp_path, model, rex, album, error):
    def stop(answer):
        raise error

    with pytest.raises(error):
        prepare(album, rex, tmp_path / "out", model=model, watch=stop)
    assert {path.name for path in tmp_path.iterdir()} == {"album"}


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"layout": "dalle"}, "no layout for 'dalle': choose one of diffusers, kohya, onetrainer, simpletuner, ai-too"),
        ({"caption": " "}, "a caption is one line of text"),
        ({"caption": "a\nb"}, "a caption is one line of text"),
        ({"caption": "caf\udce9"}, "a caption is one line of text"),  # a byte of another encoding, from a shell
    ],
)
def test_wrong_choices_are_refused_before_anything_is_asked(tmp_path, model, rex, album, choices, says):
    with pytest.raises(DreamBoothError, match=says):
        prepare(album, rex, tmp_path / "out", model=model, **choices)
    assert not (tmp_path / "out").exists()


def test_no_photos_are_an_error_of_their_own(tmp_path, model, rex):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ImageError, match="no images in the folder"):
        prepare(tmp_path / "nothing", rex, tmp_path / "out", model=model)


def test_a_braced_caption_is_taken_as_it_is(tmp_path, model, rex, album):
    prepare(album, rex, tmp_path / "out", model=model, caption="{x} {} {red}")
    assert READERS["diffusers"](tmp_path / "out")["left"].caption == "{x} rex {red}"
