"""The command line as a newcomer uses it: what goes wrong is said in one line, with what to do, and ends with 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.cli.main import main
from persam.method.calibration import CALIBRATIONS, Calibration
from persam.method.concept import Concept
from persam.model import PerSAM
from tests.colour import BLUE, GREEN, RED, ColourBackbone, mask, photo
from tests.eval.scenes import davis


@pytest.fixture
def colours(monkeypatch) -> ColourBackbone:
    """Every model is the colour stand-in, and needs no weights."""
    backbone = ColourBackbone()
    monkeypatch.setattr(
        "persam.model.load",
        lambda model, *, recipe, threshold=None, **_: PerSAM(backbone, recipe=recipe, threshold=threshold),
    )
    monkeypatch.setattr("persam.method.scales.STEPS", 20)  # the fit has tests of its own
    return backbone


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with a reference, its mask, and an album of two photos; the shell stands in it."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo()).save("ref.png")
    Image.fromarray(mask()).save("mask.png")
    (tmp_path / "album").mkdir()
    Image.fromarray(photo(at_xyxy=(40, 5, 55, 30))).save("album/left.png")
    Image.fromarray(photo(at_xyxy=(4, 8, 15, 16))).save("album/right.png")
    return tmp_path


class Shell:
    """Runs `persam` with words as a shell would pass them."""

    def __init__(self, capsys):
        self.capsys = capsys

    def __call__(self, line: str) -> tuple[int, str, str]:
        try:
            code = main(line.split())
        except SystemExit as exit:  # argparse
            code = exit.code
        out, err = self.capsys.readouterr()
        return code, out, err

    def refused(self, line: str) -> str:
        """The one line on stderr of a command that must end with 2."""
        code, out, err = self(line)
        assert code == 2
        assert out == ""
        assert err.startswith("persam")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err


@pytest.fixture
def persam(capsys) -> Shell:
    return Shell(capsys)


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


# ---- what works


@pytest.mark.usefixtures("colours", "here")
def test_segment_writes_masks_pictures_and_a_json_line_for_each_photo(persam):
    code, out, err = persam("segment ref.png mask.png album -o found")
    assert code == 0
    assert records(out) == records(Path("found/results.jsonl").read_text())
    left, right = records(out)
    assert left["image"] == "album/left.png"
    assert (left["box_xyxy"], left["area_px"]) == ([40, 5, 55, 30], 16 * 26)
    assert (right["box_xyxy"], right["area_px"]) == ([4, 8, 15, 16], 12 * 9)
    assert left["present"] is True
    assert left["score"] == 0.9
    assert left["labels"] == [1, 0, 1]
    with Image.open(left["mask"]) as saved:
        np.testing.assert_array_equal(np.array(saved), mask(at_xyxy=(40, 5, 55, 30)) * np.uint8(255))
    with Image.open(left["overlay"]) as picture:
        assert picture.size == (64, 64)
    assert sorted(path.name for path in Path("found").iterdir()) == ["masks", "overlays", "results.jsonl"]
    assert err == "persam: found 'ref' in 2 of 2 photos; results are in found\n"


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(
    "line",
    [
        "segment ref.png mask.png -o found album/left.png album/right.png",
        "segment -o found ref.png mask.png album/*.png",
        "segment ref.png box:8,18,31,41 album -o found",
        "segment ref.png points:15,25;20,30;-1,1 album -o found",
        "segment ref.png mask.png album -o found --no-overlays",
        "segment ref.png mask.png album -o found --recipe persam_f",
        "segment ref.png mask.png album -o new/folder/found",
    ],
)
def test_segment_as_people_write_it(persam, line):
    code, out, _ = persam(line)
    assert code == 0
    assert [record["box_xyxy"] for record in records(out)] == [[40, 5, 55, 30], [4, 8, 15, 16]]
    assert all(("overlay" in record) == ("--no-overlays" not in line) for record in records(out))


@pytest.mark.usefixtures("colours", "here")
def test_what_was_learned_is_found_again(persam):
    code, out, err = persam("learn ref.png mask.png album/left.png box:38,3,57,32 -o new/rex.safetensors")
    assert (code, err) == (0, "")
    (told,) = records(out)
    assert told == {"concept": "rex", "file": "new/rex.safetensors", "bytes": Path(told["file"]).stat().st_size}
    code, out, err = persam("segment --concept new/rex.safetensors album -o found")
    assert code == 0
    assert [record["box_xyxy"] for record in records(out)] == [[40, 5, 55, 30], [4, 8, 15, 16]]
    assert "found 'rex' in 2 of 2" in err


@pytest.mark.usefixtures("colours", "here")
def test_every_object_of_a_map_of_labels_is_learned(persam, colours):
    labels = mask().astype(np.uint8) * 3 + mask(at_xyxy=(40, 6, 53, 19)).astype(np.uint8) * 7
    Image.fromarray(labels).save("labels.png")
    code, out, _ = persam("learn ref.png labels.png --each -o each")
    assert code == 0
    assert [(one["concept"], one["file"]) for one in records(out)] == [
        ("object 3", "each/object-3.safetensors"),
        ("object 7", "each/object-7.safetensors"),
    ]
    assert colours.encoded == 3  # the photo, and each object close up
    assert Concept.load("each/object-7.safetensors").name == "object 7"
    assert "one REF, one map of labels and no --name" in persam.refused("learn ref.png labels.png --each --name x -o e")
    assert "holds 1 values" not in persam.refused("learn ref.png mask.png --each -o e")


@pytest.mark.usefixtures("here")
def test_learn_takes_a_name(persam):
    persam("learn ref.png mask.png -o rex.safetensors --name Rex --recipe persam_f")
    concept = Concept.load("rex.safetensors")
    assert (concept.name, concept.recipe.name) == ("Rex", "persam_f")
    assert concept.scale_weights is not None


@pytest.mark.usefixtures("here")
def test_a_concept_is_searched_with_the_model_it_was_learned_with(persam, monkeypatch):
    asked = []

    def load(model, *, device, recipe, threshold, base, pixels):
        asked.append((model, device))
        return PerSAM(ColourBackbone(), recipe=recipe)

    monkeypatch.setattr("persam.model.load", load)
    persam("learn ref.png mask.png -o rex.safetensors")
    persam("segment --concept rex.safetensors album -o found")
    persam("segment --concept rex.safetensors album -o found --model vit_b --device cpu")
    assert asked == [("nano", "auto"), ("colour", "auto"), ("vit_b", "cpu")]


@pytest.mark.usefixtures("here")
def test_a_checkpoints_base_and_pixels_reach_the_model(persam, monkeypatch):
    asked = []

    def load(model, *, device, recipe, threshold, base, pixels):
        asked.append((model, base, pixels))
        return PerSAM(ColourBackbone(), recipe=recipe)

    monkeypatch.setattr("persam.model.load", load)
    persam("segment ref.png mask.png album -o found --model lora.pth --base vit_b --pixels unit")
    persam("learn ref.png mask.png -o x.safetensors --model medsam.pth --pixels sam")
    assert asked == [("lora.pth", "vit_b", "unit"), ("medsam.pth", None, "sam")]


# ---- several in one photo


@pytest.fixture
def calibrated(monkeypatch) -> None:
    """The stand-in refuses what has not the object's colour."""
    monkeypatch.setitem(CALIBRATIONS, "colour", Calibration(threshold=0.8, spread=0.05))


@pytest.fixture
def crowd(here) -> Path:
    """The album with a third photo: two red squares and a blue one."""
    scene = photo(at_xyxy=(4, 4, 23, 23))
    scene[40:52, 20:32] = RED
    scene[6:20, 40:54] = BLUE
    Image.fromarray(scene).save("album/crowd.png")
    return here


@pytest.mark.usefixtures("colours", "crowd", "calibrated")
def test_every_instance_has_a_mask_and_an_entry_of_its_own(persam):
    Image.fromarray(photo(colour=GREEN)).save("album/none.png")
    code, out, err = persam("segment ref.png mask.png album -o found --instances 5")
    assert (code, err) == (0, "persam: found 'ref' in 3 of 4 photos; results are in found\n")
    assert records(out) == records(Path("found/results.jsonl").read_text())
    crowd, left, none, _ = records(out)
    assert crowd.keys() == {"image", "present", "instances", "overlay"}
    assert sorted(one["box_xyxy"] for one in crowd["instances"]) == [[4, 4, 23, 23], [20, 40, 31, 51]]
    assert [one["mask"] for one in crowd["instances"]] == ["found/masks/crowd_1.png", "found/masks/crowd_2.png"]
    for one in crowd["instances"]:
        assert {"score", "presence", "area_px"} < one.keys()
        with Image.open(one["mask"]) as saved:
            np.testing.assert_array_equal(np.array(saved) > 0, mask(at_xyxy=one["box_xyxy"]))
    assert [one["mask"] for one in left["instances"]] == ["found/masks/left_1.png"]
    assert (none["present"], none["instances"]) == (False, [])
    assert len(list(Path("found/overlays").iterdir())) == 4
    assert len(list(Path("found/masks").iterdir())) == 4


@pytest.mark.usefixtures("colours", "crowd", "calibrated")
def test_no_more_instances_than_asked_for_and_pictures_only_on_demand(persam):
    _, out, _ = persam("segment ref.png mask.png album/crowd.png -o found --instances 2 --no-overlays")
    (record,) = records(out)
    assert record.keys() == {"image", "present", "instances"}
    assert len(record["instances"]) == 2
    _, out, _ = persam("segment ref.png mask.png album/crowd.png -o found --instances 1")
    assert "instances" not in records(out)[0]


@pytest.fixture
def two(crowd, colours) -> None:
    """Concept files of a red and of a blue thing."""
    model = PerSAM(colours)
    model.learn(photo(), mask(), name="red").save("red.safetensors")
    model.learn(photo(colour=BLUE), mask(), name="my blue_one").save("blue.safetensors")


@pytest.mark.usefixtures("two", "calibrated")
def test_several_concepts_are_searched_in_one_pass(persam, colours):
    colours.encoded = 0
    code, out, err = persam("segment --concept red.safetensors --concept blue.safetensors album -o found")
    assert (code, err) == (0, "persam: found 'red' in 3, 'my blue_one' in 1 of 3 photos; results are in found\n")
    crowd, left, _ = records(out)
    assert crowd.keys() == {"image", "present", "concepts", "overlay"}
    assert [(one["concept"], one["present"]) for one in crowd["concepts"]] == [("red", True), ("my blue_one", True)]
    red, blue = crowd["concepts"]
    assert (red["mask"], blue["mask"]) == ("found/masks/crowd_red.png", "found/masks/crowd_my-blue-one.png")
    assert blue["box_xyxy"] == [40, 6, 53, 19]
    with Image.open(red["mask"]) as first, Image.open(blue["mask"]) as second:
        assert not (np.array(first) & np.array(second)).any()
    assert [one["present"] for one in left["concepts"]] == [True, False]
    assert "mask" not in left["concepts"][1]
    assert left["concepts"][1]["box_xyxy"] is None
    names = {"crowd_red.png", "crowd_my-blue-one.png", "left_red.png", "right_red.png"}
    assert {path.name for path in Path("found/masks").iterdir()} == names


@pytest.mark.usefixtures("two", "calibrated")
def test_one_bad_photo_does_not_stop_several(persam):
    Path("bad.jpg").write_text("no photo")
    for words in ("--concept red.safetensors --concept blue.safetensors", "--concept red.safetensors --instances 2"):
        code, out, err = persam(f"segment {words} bad.jpg album/left.png -o found")
        assert code == 2
        bad, left = records(out)
        assert bad.keys() == {"image", "error"}
        assert left["present"]
        assert "1 could not be used" in err


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "--concept red.safetensors --concept again.safetensors",
            "red.safetensors and again.safetensors would both write their masks as 'red': learn one of them again with",
        ),
        ("--concept red.safetensors --concept red.safetensors", "would both write their masks as 'red'"),
        ("--concept red.safetensors --concept blue.safetensors --instances 2", "--instances is for one concept"),
        ("--concept red.safetensors --instances 0", "--instances 0 finds nothing: give 1 or more"),
        ("--concept red.safetensors --instances many", "invalid int value: 'many'"),
        ("--concept red.safetensors --concept none.safetensors", "there is no concept file none.safetensors"),
        ("--concept red.safetensors --pixels rgb", "invalid choice: 'rgb'"),
    ],
)
def test_what_cannot_be_searched_together(persam, line, says):
    Path("again.safetensors").write_bytes(Path("red.safetensors").read_bytes())
    assert says in persam.refused(f"segment {line} album -o found")
    assert not Path("found/results.jsonl").exists()


@pytest.mark.usefixtures("two")
def test_concepts_of_two_models_are_not_searched_together(persam):
    PerSAM(ColourBackbone("colours-2")).learn(photo(), mask(), name="rex").save("rex.safetensors")
    error = persam.refused("segment --concept red.safetensors --concept rex.safetensors album -o found")
    assert "'rex' was learned with colour (weights colours-2)" in error


# ---- measuring


@pytest.fixture
def data(here) -> Path:
    return davis(here / "data")


EVAL = "eval album --data data -o runs --csv rows.csv"


@pytest.mark.usefixtures("colours", "data", "calibrated")
def test_eval_prints_a_table_and_says_where_everything_is(persam):
    code, out, err = persam(f"{EVAL} --recipe persam,official_persam --recipe oracle_box")
    assert code == 0
    title, head, *rows = out.splitlines()
    assert title == "album with colour, 2 objects, in percent:"
    assert head.split() == ["RECIPE", "OBJECT", "N", "IOU", "BIOU", "LOCATED", "ACCEPTED", "S/PHOTO"]
    assert [row.split()[:3] for row in rows] == [
        ["persam", "mean", "6"],
        ["official_persam", "mean", "6"],
        ["oracle_box", "mean", "6"],
    ]
    assert rows[0].split()[3] == "100.0"
    assert err.splitlines() == [
        "persam: look at runs/album/colour/sheet.jpg",
        "persam: predictions are in runs/album/colour, rows in rows.csv",
    ]
    with Image.open("runs/album/colour/sheet.jpg") as sheet:
        assert sheet.size[1] > 6 * 200
    assert len(Path("rows.csv").read_text().splitlines()) == 1 + 3 * 3


@pytest.mark.usefixtures("colours", "data", "calibrated")
def test_eval_takes_a_variation_with_several_boxes_among_others(persam):
    code, out, _ = persam(
        f"{EVAL} --recipe persam@boxes=(False,True)@parts=0,persam@boxes=(True,),oracle_box --no-sheet"
    )
    assert code == 0
    names = [line.split()[0] for line in out.splitlines()[2:]]
    assert names == ["persam@boxes=(False,True)@parts=0", "persam@boxes=(True,)", "oracle_box"]


@pytest.mark.usefixtures("data", "calibrated")
def test_eval_goes_on_where_it_was_and_shows_objects_when_asked(persam, colours):
    persam(f"{EVAL} --no-sheet")
    assert not Path("runs/album/colour/sheet.jpg").exists()
    encoded = colours.encoded
    code, out, _ = persam(f"{EVAL} --no-sheet -v")
    assert code == 0
    assert colours.encoded == encoded
    assert [row.split()[:2] for row in out.splitlines()[2:]] == [
        ["persam", "ant"],
        ["persam", "bee"],
        ["persam", "mean"],
    ]


@pytest.mark.usefixtures("colours", "data", "calibrated")
def test_eval_shows_the_row_over_all_objects(persam):
    _, out, _ = persam("eval absence --data data -o runs --csv rows.csv --no-sheet")
    assert [row.split()[1] for row in out.splitlines()[2:]] == ["mean", "each"]


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("eval", "required: NAME, --data"),
        ("eval album", "required: --data"),
        ("eval albums --data data", "there is no benchmark 'albums'; there are perseg, davis2016"),
        ("eval album --data nowhere", "no folder JPEGImages/480p in nowhere"),
        ("eval perseg --data data", "no folder Images in data: give the folder that the benchmark unpacks to"),
        ("eval album --data data --fold 1", "no fold to choose"),
        ("eval album --data data --shots five", "invalid int value: 'five'"),
        ("eval album --data data --recipe persam,best", "no recipe named 'best'. Choose one of: persam"),
        ("eval album --data data --recipe best", "Or oracle_box"),
        ("eval album --data data -o ref.png", "cannot write into ref.png: it is a file"),
        ("eval album --data data -o runs --csv ref.png", "ref.png is no CSV. Name another file"),
        ("eval album --data data -o runs --csv album", "album cannot be written: Is a directory"),
        ("eval album --data data -o runs --csv other.csv", "other.csv has the columns date, latency"),
        ("eval album --data data -o runs --csv ref.png/rows.csv", "rows.csv cannot be written"),
    ],
)
def test_what_cannot_be_measured_is_said_before_a_model_is_loaded(persam, monkeypatch, line, says):
    Path("other.csv").write_text("date,latency\n")
    monkeypatch.setattr("persam.model.load", lambda *_, **__: pytest.fail("a model was loaded"))
    assert says in persam.refused(line)


@pytest.mark.usefixtures("colours", "data")
def test_a_damaged_photo_of_a_benchmark_is_named(persam):
    path = Path("data/JPEGImages/480p/bee/00003.jpg")
    path.write_bytes(b"no photo")
    assert f"{path} cannot be read as a photo" in persam.refused(EVAL)


@pytest.mark.parametrize(
    "line", ["", "weights", "--help", "segment --help", "learn -h", "demo -h", "eval -h", "weights fetch -h"]
)
def test_help_where_it_is_asked_for_or_nothing_is(persam, line):
    code, out, err = persam(line)
    assert (code, err) == (0, "")
    assert out.startswith("usage: persam")


def test_help_of_segment_says_how_to_write_a_mask(persam):
    _, out, _ = persam("segment --help")
    for word in ("REF MASK TARGET... -o OUT", "--concept FILE", "box:x0,y0,x1,y1", "results.jsonl", "example:"):
        assert word in out


def test_weights_are_listed_in_a_table(persam):
    code, out, _ = persam("weights list")
    assert code == 0
    head, *rows = out.splitlines()
    assert [row.split()[0] for row in rows] == ["nano", "vit_t", "vit_b", "vit_l", "vit_h"]
    start = head.index("ABOUT")
    assert all(row[start - 1] == " " and row[start] != " " for row in rows)
    (vit_h,) = [row for row in rows if row.startswith("vit_h")]
    assert "2565 MB" in vit_h


def test_weights_path_tells_where_they_belong(persam, tmp_path, monkeypatch):
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path))
    assert persam("weights path vit_b") == (0, f"{tmp_path / 'sam_vit_b_01ec64.pth'}\n", "")


# ---- wrong words


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("segmnt", "invalid choice: 'segmnt'"),
        ("segment", "required: REF MASK TARGET, -o/--output. `persam segment --help`"),
        ("segment ref.png mask.png album", "required: -o/--output. `persam segment --help`"),
        ("segment ref.png mask.png -o found", "there is no target"),
        ("segment ref.png -o found", "there is no target"),
        ("segment ref.png mask.png album -o found --recipi persam", "unknown arguments: --recipi persam"),
        ("learn ref.png -o x.safetensors", "a MASK for every REF, and got 1 names: ref.png"),
        ("weights fetch", "required: name"),
        ("weights list now", "unknown arguments: now"),
        ("weights path vit_x", "no model is called 'vit_x'. Did you mean"),
        ("segment ref.png mask.png album -o found --recipe best", "no recipe named 'best'. Choose one of: persam, "),
    ],
)
def test_wrong_words_are_answered_in_one_line(persam, line, says):
    assert says in persam.refused(line)
    assert not Path("found/results.jsonl").exists()


# ---- wrong files


def damage(kind: str) -> None:
    """Puts what a newcomer may have by accident where the good file was."""
    if kind == "text":
        Path("bad.jpg").write_text("my dog")
    elif kind == "truncated":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save("bad.jpg")
        Path("bad.jpg").write_bytes(Path("bad.jpg").read_bytes()[:900])
    elif kind == "empty file":
        Path("bad.jpg").touch()
    elif kind == "folder":
        Path("bad.jpg").mkdir()


BAD = {
    "missing": "there is no such file. Check the path",
    "text": "its content is no image of a known format. Convert it",
    "truncated": "the file is damaged",
    "empty file": "the file is empty (0 bytes)",
}


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(("kind", "says"), [*BAD.items(), ("folder", "it is a folder. Name one file in it")])
def test_a_reference_that_is_no_photo(persam, kind, says):
    damage(kind)
    error = persam.refused("segment bad.jpg mask.png album -o found")
    assert "cannot read the image bad.jpg" in error
    assert says in error


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(("kind", "says"), BAD.items())
def test_a_mask_that_is_no_picture(persam, kind, says):
    damage(kind)
    error = persam.refused("segment ref.png bad.jpg album -o found")
    assert "cannot read the mask bad.jpg" in error
    assert says in error


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(("kind", "says"), BAD.items())
def test_one_bad_photo_does_not_stop_the_others(persam, kind, says):
    damage(kind)
    code, out, err = persam("segment ref.png mask.png album/left.png bad.jpg album/right.png -o found")
    assert code == 2
    left, bad, right = records(out)
    assert (left["box_xyxy"], right["box_xyxy"]) == ([40, 5, 55, 30], [4, 8, 15, 16])
    assert bad.keys() == {"image", "error"}
    assert bad["image"] == "bad.jpg"
    assert says in bad["error"]
    assert records(Path("found/results.jsonl").read_text()) == [left, bad, right]
    assert sorted(path.name for path in Path("found/masks").iterdir()) == ["left.png", "right.png"]
    said, summary = err.splitlines()
    assert said == f"persam: {bad['error']}"
    assert summary == "persam: found 'ref' in 2 of 3 photos, 1 could not be used; results are in found"


def save_mask(kind: str) -> None:
    marked = mask()
    if kind == "empty":
        marked[:] = False
    elif kind == "full":
        marked[:] = True
    elif kind == "inverted":
        marked = ~marked
    elif kind == "other size":
        marked = np.zeros((48, 32), bool)
        marked[:9] = True
    Image.fromarray(marked).save("mask.png")


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("empty", "the mask is empty: no pixel above 0 in 64x64. Draw the object"),
        ("full", "the mask is full: every pixel of 64x64 is set"),
        ("other size", "the mask is 32x48 but ref.png is 64x64 (width x height). Draw it on this photo, or resize it"),
    ],
)
@pytest.mark.parametrize("line", ["segment ref.png mask.png album -o found", "learn ref.png mask.png -o x.safetensors"])
def test_a_mask_that_marks_no_object(persam, kind, says, line):
    save_mask(kind)
    assert says in persam.refused(line)


@pytest.mark.usefixtures("colours", "here")
def test_a_photo_for_a_mask(persam):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save("mask.png")
    assert "the mask is no mask but a photo" in persam.refused("segment ref.png mask.png album -o found")


@pytest.mark.usefixtures("colours", "here")
def test_an_inverted_mask_is_warned_of_and_used(persam):
    save_mask("inverted")
    code, _, err = persam("segment ref.png mask.png album -o found")
    assert code == 0
    warning = "persam: warning: mask.png marks the border and most of ref.png; is it inverted?"
    assert err.splitlines()[0].startswith(warning)


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(
    ("hint", "says"),
    [
        ("box:1,2,3", "4 finite numbers are needed, got '1,2,3'"),
        ("box:30,30,10,10", "its first corner must be above and left"),
        ("points:400,10", "(400, 10) lies outside the reference photo of 64x64 pixels"),
        ("polygon:1,1;5,5", "a polygon needs at least three corners, and 2 were given"),
    ],
)
def test_a_hint_that_marks_no_object(persam, hint, says):
    assert says in persam.refused(f"segment ref.png {hint} album -o found")


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize("width_height", [(1, 1), (20_000, 10)])
def test_a_photo_of_an_odd_shape_is_searched(persam, width_height):
    Image.new("RGB", width_height, GREEN).save("odd.png")
    code, out, _ = persam("segment ref.png mask.png odd.png -o found")
    assert code == 0
    (record,) = records(out)
    assert "NaN" not in out
    with Image.open(record["mask"]) as saved, Image.open(record["overlay"]) as picture:
        assert saved.size == picture.size == width_height


@pytest.mark.usefixtures("colours", "here")
def test_a_single_pixel_cannot_be_a_reference_but_is_answered(persam):
    Image.new("RGB", (1, 1)).save("ref.png")
    Image.new("L", (1, 1), 255).save("mask.png")
    assert "the mask is full" in persam.refused("segment ref.png mask.png album -o found")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("empty", "no images in the folder empty: looked for .jpg"),
        ("album/*.tif", "no image matches album/*.tif: 0 files or folders do. Check the pattern"),
    ],
)
def test_a_folder_or_pattern_without_images_is_noticed_before_any_work(persam, colours, target, says):
    Path("empty").mkdir()
    assert says in persam.refused(f"segment ref.png mask.png album {target} -o found")
    assert colours.encoded == 0
    assert not Path("found").exists()


# ---- wrong places


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("segment ref.png mask.png album -o ref.png", "cannot write into ref.png: it is a file"),
        ("segment ref.png mask.png album -o ref.png/found", "cannot write into ref.png/found: not a directory"),
        ("segment ref.png mask.png album -o /proc/found", "cannot write into /proc/found: "),
    ],
)
def test_an_output_that_cannot_be_written_is_noticed_before_any_work(persam, colours, line, says):
    error = persam.refused(line)
    assert says in error
    assert "Choose another folder with -o." in error
    assert colours.encoded == 0


@pytest.mark.usefixtures("colours", "here")
def test_a_concept_that_cannot_be_written(persam):
    assert "cannot write ref.png/x.safetensors" in persam.refused("learn ref.png mask.png -o ref.png/x.safetensors")
    assert "it is a folder" in persam.refused("learn ref.png mask.png -o album")


@pytest.mark.usefixtures("colours", "here")
def test_results_already_finished_stay_when_the_disk_fills_up(persam, monkeypatch):
    from persam.io import formats

    def full(data, path):
        if "right" in str(path):
            raise OSError(28, "No space left on device")
        return write(data, path)

    write = formats.write_bytes
    monkeypatch.setattr(formats, "write_bytes", full)
    code, out, err = persam("segment ref.png mask.png album -o found")
    assert code == 2
    assert "No space left on device. Check that the disk has room" in err
    assert "Traceback" not in err
    assert [record["image"] for record in records(out)] == ["album/left.png"]
    assert records(out) == records(Path("found/results.jsonl").read_text())
    assert Path("found/masks/left.png").exists()


@pytest.mark.usefixtures("here")
def test_results_already_finished_stay_when_a_person_interrupts(persam, colours, monkeypatch):
    encode = colours.encode

    def interrupted(rgb, **how):
        if colours.encoded == 5:  # the reference whole and close up, the first photo also at the second look
            assert len(records(Path("found/results.jsonl").read_text())) == 1  # it would outlive a power cut
            raise KeyboardInterrupt
        return encode(rgb, **how)

    monkeypatch.setattr(colours, "encode", interrupted)
    code, out, err = persam("segment ref.png mask.png album -o found")
    assert code == 130
    assert err == "persam: interrupted; what was finished is on disk\n"
    assert len(records(out)) == len(records(Path("found/results.jsonl").read_text())) == 1


# ---- wrong models


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--model vit_x", "no model is called 'vit_x'. Did you mean 'vit_t'? Known: nano, vit_t, vit_b, vit_l, vit_h"),
        ("--model weights/none.pth", "none.pth"),
        ("--model mask.png", "mask.png"),
        ("--device gpu", "no device is called 'gpu'. Give auto"),
    ],
)
def test_a_model_or_device_that_is_not_there(persam, options, says):
    assert says in persam.refused(f"segment ref.png mask.png album -o found {options}")


@pytest.mark.usefixtures("here")
def test_weights_that_are_not_here_without_a_network(persam, monkeypatch, tmp_path):
    import requests

    def offline(*arguments, **options):
        raise requests.ConnectionError

    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(requests, "get", offline)
    for line in ("segment ref.png mask.png album -o found --model vit_b", "weights fetch vit_b"):
        error = persam.refused(line)
        assert "cannot download the weights of vit_b: no connection to the server" in error
        assert f"put it at {tmp_path / 'cache' / 'sam_vit_b_01ec64.pth'}" in error
    assert "`persam weights fetch vit_b` downloads it" in persam.refused("weights verify vit_b")


@pytest.mark.usefixtures("colours", "here")
def test_a_concept_of_another_model_is_refused(persam):
    other = PerSAM(ColourBackbone("colours-2"))
    other.learn(photo(), mask(), name="rex").save("rex.safetensors")
    error = persam.refused("segment --concept rex.safetensors album -o found")
    assert "'rex' was learned with colour (weights colours-2) and means nothing to colour (weights colours-1)" in error


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("segment --concept none.safetensors album -o found", "there is no concept file none.safetensors. Make one"),
        ("segment --concept ref.png album -o found", "ref.png is not a concept file"),
        ("segment --concept ref.png album -o found --recipe persam", "a concept keeps the recipe"),
    ],
)
def test_a_concept_that_is_none(persam, line, says):
    assert says in persam.refused(line)


@pytest.mark.usefixtures("colours", "here")
def test_the_demo_without_its_photos_says_where_they_are(persam):
    error = persam.refused("demo -o pictures")
    assert "no example photos in data/examples" in error
    assert "in a clone of the repository, or name its data/examples with --data" in error
    assert not Path("pictures").exists()


@pytest.mark.usefixtures("colours")
def test_the_demo_prints_a_line_for_each_photo(persam, tmp_path):
    examples = Path(__file__).parents[2] / "data" / "examples"
    code, out, err = persam(f"demo --data {examples} -o {tmp_path / 'pictures'}")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith(f"Now look at {tmp_path / 'pictures' / 'all.png'}")
    assert (tmp_path / "pictures" / "all.png").exists()


# ---- as a process of its own


def process(*words: str, cwd: Path, stdout=subprocess.PIPE) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "persam.cli.main", *words]
    return subprocess.run(
        command, cwd=cwd, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


def test_help_comes_at_once_in_a_process(here):
    done = process("segment", "--help", cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: persam segment REF MASK TARGET... -o OUT")


def test_an_error_in_a_process_is_one_line_and_ends_with_2(here):
    done = process("segment", "none.jpg", "mask.png", "album", "-o", "found", cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "persam: cannot read the image none.jpg: there is no such file. Check the path.\n"


@pytest.mark.usefixtures("colours", "here", "calibrated")
def test_a_threshold_of_ones_own_decides_what_counts_as_found(persam):
    command = "segment ref.png mask.png ref.png -o found"
    assert records(persam(f"{command} --threshold 0")[1])[0]["present"] is True
    assert records(persam(f"{command} --threshold 1")[1])[0]["present"] is False
    code, _, err = persam(f"{command} --threshold 7")
    assert code == 2
    assert "the presence threshold must lie between 0 and 1, and 7.0 was given" in err
