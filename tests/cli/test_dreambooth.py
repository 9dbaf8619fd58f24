"""`persam dreambooth prepare` and `score`: pairs and answers, a line for each photo, and one line for what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.dreambooth.layouts import LAYOUTS
from tests.cli.typed import files_in, records
from tests.colour import BLUE, photo
from tests.dreambooth.readers import READERS
from tests.dreambooth.test_features import tiny

PREPARE = "dreambooth prepare ref.png mask.png album -o out"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dreambooth", ("prepare", "score")),
        ("dreambooth --help", ("prepare", "score")),
        ("dreambooth prepare -h", ("REF MASK PHOTO... -o DIR", "box:x0,y0,x1,y1", "--for", "sheet.jpg", "example:")),
        ("dreambooth score -h", ("SAMPLE... --concept FILE", "--features-model DIR", "fidelity", "example:")),
    ],
)
def test_help(persam, line, words):
    code, out, err = persam(line)
    assert (code, err) == (0, "")
    for word in words:
        assert word in out


# ---- prepare


@pytest.mark.usefixtures("colours", "here")
def test_pairs_a_report_and_a_sheet(persam):
    code, out, err = persam(PREPARE)
    assert code == 0
    assert records(out) == records(Path("out/report.jsonl").read_text())
    assert [(one["image"], one["used"]) for one in records(out)] == [
        ("album/left.png", True),
        ("album/right.png", True),
    ]
    assert files_in("out") == {"images", "masks", "captions", "report.jsonl", "sheet.jpg"}
    assert READERS["diffusers"](Path("out"))["left"].caption == "a photo of ref"
    first, few, look, train = err.splitlines()
    assert first == "persam: 2 of 2 photos have masks, mean area 6%"  # (16 * 26 + 12 * 9) / 2 of 64 * 64
    assert few == (
        "persam: warning: 2 is few: from three photos on, the object is told from its pose and light. Add some."
    )
    assert look == "persam: look at out/sheet.jpg before you train"
    assert "persam dreambooth train --instance_data_dir out" in train


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize("trainer", LAYOUTS)
def test_for_each_trainer(persam, trainer):
    code, _, err = persam(f"{PREPARE} --for {trainer} --caption sks")
    assert code == 0
    assert {one.caption for one in READERS[trainer](Path("out")).values()} == {"sks"}
    assert err.splitlines()[-1].startswith("persam: to train with it: ")
    assert "DIR" not in err.splitlines()[-1]


@pytest.mark.usefixtures("colours", "crowd", "two")
def test_of_several_concepts(persam):
    code, out, _ = persam("dreambooth prepare --concept red.safetensors --concept blue.safetensors album -o out")
    assert code == 0
    used = [(one["concept"], one["name"]) for one in records(out) if one["used"]]
    assert used == [
        ("red", "crowd_red"),
        ("my blue_one", "crowd_my-blue-one"),
        ("red", "left_red"),
        ("red", "right_red"),
    ]
    assert set(READERS["diffusers"](Path("out"))) == {"crowd_red", "crowd_my-blue-one", "left_red", "right_red"}


@pytest.mark.usefixtures("colours", "here")
def test_what_is_refused_is_said_and_the_rest_is_prepared(persam):
    Image.fromarray(photo(colour=BLUE)).save("album/blue.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save("album/bad.jpg")
    Path("album/bad.jpg").write_bytes(Path("album/bad.jpg").read_bytes()[:900])
    code, out, err = persam(PREPARE)
    assert code == 0
    reasons = {one["image"]: one["reason"] for one in records(out)}
    assert "the file is damaged" in reasons["album/bad.jpg"]
    assert reasons["album/blue.png"].startswith("not here (presence 0.0")
    assert (reasons["album/left.png"], reasons["album/right.png"]) == (None, None)
    assert "persam: 2 of 4 photos have masks, mean area 6%; 2 refused: the lines above say why" in err
    assert set(READERS["diffusers"](Path("out"))) == {"left", "right"}


@pytest.mark.usefixtures("colours", "here")
def test_one_photo_is_prepared_with_a_warning(persam):
    code, _, err = persam("dreambooth prepare ref.png mask.png ref.png -o out")
    assert code == 0
    assert "warning: 1 is few" in err


@pytest.mark.usefixtures("colours", "here")
def test_no_usable_photo_ends_with_2_and_says_where_to_look(persam):
    code, out, err = persam("dreambooth prepare ref.png mask.png album -o out --min-score 1")
    assert code == 2
    assert [one["used"] for one in records(out)] == [False, False]
    assert "none of the 2 photos can be trained on; " in err
    assert files_in("out") == {"report.jsonl", "sheet.jpg"}


@pytest.mark.usefixtures("colours", "here")
def test_interrupted_it_leaves_no_half_folder(persam, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("persam.dreambooth.preparation.write_mask", interrupt)
    code, _, err = persam(PREPARE)
    assert (code, err) == (130, "persam: interrupted; out is as it was before\n")
    assert files_in(".") == {"ref.png", "mask.png", "album"}


@pytest.mark.usefixtures("no_model", "here")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dreambooth prepare ref.png mask.png -o out", "there is no photo to train on"),
        ("dreambooth prepare ref.png mask.png album", "required: -o/--output"),
        ("dreambooth prepare ref.png mask.png album -o album", "album is not empty: it holds"),
        ("dreambooth prepare ref.png mask.png album -o ref.png", "cannot write ref.png"),
        (f"{PREPARE} --for dalle", "there is no layout for 'dalle': choose one of diffusers, kohya, "),
        ("dreambooth prepare ref.png none.png album -o out", "none.png: there is no such file"),
        ("dreambooth prepare ref.png mask.png nothing/*.jpg -o out", "no image matches nothing/*.jpg"),
        ("dreambooth prepare --concept none.safetensors album -o out", "there is no concept file none.safetensors"),
        ("dreambooth prepare --concept a.safetensors album -o out --recipe persam", "a concept keeps the recipe"),
        ("dreambooth score ref.png mask.png", "there is no picture to score"),
        ("dreambooth score album --concept a.safetensors --features clip", "needs the reference photo"),
        ("dreambooth score ref.png mask.png album --features clip", "needs the folder of its model: give --features-m"),
        ("dreambooth score ref.png mask.png album --features-model album", "say --features dinov2 or clip"),
        (
            "dreambooth score ref.png mask.png album --features dinov2 --features-model album",
            "cannot read a dinov2 ",
        ),
        ("dreambooth score ref.png mask.png album --features vgg", "invalid choice: 'vgg'"),
    ],
)
def test_wrong_words_and_places_are_answered_before_a_model_is_loaded(persam, line, says):
    assert says in persam.refused(line)
    assert not Path("out").exists()


# ---- score


@pytest.mark.usefixtures("colours", "crowd")
def test_a_line_for_each_picture_and_one_for_all(persam):
    Image.fromarray(photo(colour=BLUE)).save("album/blue.png")
    code, out, err = persam("dreambooth score ref.png mask.png album/left.png album/blue.png")
    assert code == 0
    left, blue = records(out)
    assert (left["image"], left["concept"], left["present"]) == ("album/left.png", "ref", True)
    assert left["fidelity"] > 0.9
    assert (blue["present"], blue["fidelity"], blue["area"]) == (False, None, None)
    assert err == f"persam: 'ref' is in 1 of 2 pictures, mean fidelity {left['fidelity']:.3f} where it is\n"


@pytest.mark.usefixtures("colours", "crowd", "two")
def test_scores_of_concepts_and_a_picture_that_cannot_be_read(persam):
    Path("album/bad.png").write_text("my dog")
    code, out, err = persam(
        "dreambooth score album --concept red.safetensors --concept blue.safetensors --threshold 0.5"
    )
    assert code == 2
    assert [one["concept"] for one in records(out)] == ["red", "my blue_one"] * 4
    assert sum("error" in one for one in records(out)) == 2
    assert "persam: 'red' is in 3 of 3 pictures" in err
    assert "persam: 'my blue_one' is in 1 of 3 pictures" in err


@pytest.mark.slow
@pytest.mark.usefixtures("colours", "here")
def test_scores_by_a_model_of_ones_own(persam):
    tiny("clip", Path("tiny"))
    code, out, err = persam("dreambooth score ref.png mask.png ref.png --features clip --features-model tiny")
    assert code == 0
    [one] = records(out)
    assert one["fidelity"] == pytest.approx(1, abs=1e-3)  # the mask that is found is the one that was given
    assert err.endswith("persam: 'ref' is in 1 of 1 pictures, mean fidelity 1.000 where it is\n")
