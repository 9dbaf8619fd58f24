"""`persam segment`: masks, pictures and a JSON line for each photo, and an album that outlives what is wrong in it."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.typed import boxes, files_in, records, saved_mask
from tests.colour import RED, mask

BOTH = [[40, 5, 55, 30], [4, 8, 15, 16]]


@pytest.mark.usefixtures("colours", "here")
def test_masks_pictures_and_a_json_line_for_each_photo(persam):
    code, out, err = persam("segment ref.png mask.png album -o found")
    assert code == 0
    assert records(out) == records(Path("found/results.jsonl").read_text())
    left, right = records(out)
    assert left["image"] == "album/left.png"
    assert left["present"] is True
    (rex,) = left["objects"]
    assert (rex["concept"], rex["instance"], rex["present"]) == ("ref", 1, True)
    assert (rex["box_xyxy"], rex["area_px"]) == ([40, 5, 55, 30], 16 * 26)
    assert (rex["score"], rex["labels"]) == (0.9, [1, 0, 1])
    assert rex["presence"] > 0.9
    (other,) = right["objects"]
    assert (other["box_xyxy"], other["area_px"]) == ([4, 8, 15, 16], 12 * 9)
    with Image.open(rex["mask"]) as saved:
        np.testing.assert_array_equal(np.array(saved), mask(at_xyxy=(40, 5, 55, 30)) * np.uint8(255))
    with Image.open(left["overlay"]) as picture:
        assert picture.size == (64, 64)
    assert files_in("found") == {"masks", "overlays", "results.jsonl", "manifest.json"}
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
@pytest.mark.slow
def test_as_people_write_it(persam, line):
    code, out, _ = persam(line)
    assert code == 0
    assert boxes(out) == BOTH
    assert all((record["overlay"] is None) == ("--no-overlays" in line) for record in records(out))


@pytest.mark.usefixtures("colours", "here")
def test_a_threshold_of_ones_own_decides_what_counts_as_found(persam):
    command = "segment ref.png mask.png ref.png -o found --overwrite"
    assert [records(persam(f"{command} --threshold {value}")[1])[0]["present"] for value in (0, 1)] == [True, False]
    assert "must lie between 0 and 1, and 7.0 was given" in persam.refused(f"{command} --threshold 7")


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize("width_height", [(1, 1), (20_000, 10)])
def test_a_photo_of_an_odd_shape_is_searched(persam, width_height):
    Image.new("RGB", width_height, RED).save("odd.png")
    code, out, _ = persam("segment ref.png mask.png odd.png -o found --threshold 0")
    assert code == 0
    (record,) = records(out)
    assert "NaN" not in out
    assert saved_mask(record["objects"][0]["mask"]).all()
    with Image.open(record["overlay"]) as picture:
        assert picture.size == width_height


# ---- wrong words and places, noticed before any work


@pytest.mark.usefixtures("no_model", "here")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("segment", "required: REF MASK TARGET, -o/--output. `persam segment --help`"),
        ("segment ref.png mask.png album", "required: -o/--output. `persam segment --help`"),
        ("segment ref.png mask.png -o found", "there is no target"),
        ("segment ref.png -o found", "there is no target"),
        ("segment ref.png mask.png album -o found --recipi persam", "unknown arguments: --recipi persam"),
        ("segment ref.png mask.png album -o found --recipe best", "no recipe named 'best'. Choose one of: persam, "),
        ("segment ref.png mask.png album -o found --pixels rgb", "invalid choice: 'rgb'"),
        (
            "segment ref.png mask.png album -o found --max-instances 0",
            "--max-instances 0 finds nothing: give 1 or more",
        ),
        ("segment ref.png mask.png album -o found --max-instances many", "invalid int value: 'many'"),
        ("segment ref.png mask.png album -o ref.png", "cannot write into ref.png: it is a file. Choose another folder"),
        ("segment ref.png mask.png album -o ref.png/found", "cannot write into ref.png/found: not a directory. Choose"),
        ("segment ref.png mask.png album -o /proc/found", "cannot write into /proc/found: "),
        ("segment ref.png mask.png album empty -o found", "no images in the folder empty: looked for .jpg"),
        ("segment ref.png mask.png album album/*.tif -o found", "no image matches album/*.tif: 0 files or folders do."),
    ],
)
def test_wrong_words_and_places_are_answered_in_one_line(persam, line, says):
    Path("empty").mkdir()
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


@pytest.mark.usefixtures("no_model", "here")
@pytest.mark.parametrize(("kind", "says"), [*BAD.items(), ("folder", "it is a folder. Name one file in it")])
def test_a_reference_that_is_no_photo(persam, kind, says):
    damage(kind)
    error = persam.refused("segment bad.jpg mask.png album -o found")
    assert "cannot read the image bad.jpg" in error
    assert says in error


@pytest.mark.usefixtures("no_model", "here")
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
    assert [record["objects"][0]["box_xyxy"] for record in (left, right)] == BOTH
    assert bad.keys() == {"image", "error"}
    assert bad["image"] == "bad.jpg"
    assert says in bad["error"]
    assert records(Path("found/results.jsonl").read_text()) == [left, bad, right]
    assert files_in("found/masks") == {"left.png", "right.png"}
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


@pytest.mark.usefixtures("no_model", "here")
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


@pytest.mark.usefixtures("no_model", "here")
def test_a_photo_for_a_mask(persam):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save("mask.png")
    assert "the mask is no mask but a photo" in persam.refused("segment ref.png mask.png album -o found")


@pytest.mark.usefixtures("colours", "here")
def test_an_inverted_mask_is_warned_of_and_used(persam):
    save_mask("inverted")
    code, _, err = persam("segment ref.png mask.png album -o found")
    assert code == 0
    warning = "persam: warning: mask.png marks the border and corners of ref.png; is it inverted?"
    assert err.splitlines()[0].startswith(warning)


@pytest.mark.usefixtures("colours", "here")
@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("box:1,2,3", "4 finite numbers are needed, got '1,2,3'"),
        ("box:30,30,10,10", "its first corner must be above and left"),
        ("points:400,10", "(400, 10) lies outside the reference photo of 64x64 pixels"),
        ("polygon:1,1;5,5", "a polygon needs at least three corners, and 2 were given"),
    ],
)
def test_a_prompt_that_marks_no_object(persam, prompt, says):
    assert says in persam.refused(f"segment ref.png {prompt} album -o found")


@pytest.mark.usefixtures("no_model", "here")
def test_a_single_pixel_cannot_be_a_reference_but_is_answered(persam):
    Image.new("RGB", (1, 1)).save("ref.png")
    Image.new("L", (1, 1), 255).save("mask.png")
    assert "the mask is full" in persam.refused("segment ref.png mask.png album -o found")


# ---- what is finished stays


@pytest.mark.usefixtures("colours", "here")
def test_results_already_finished_stay_when_the_disk_fills_up(persam, monkeypatch):
    from persam.io import write

    def full(data, path):
        if "right" in str(path):
            raise OSError(28, "No space left on device")
        return write_bytes(data, path)

    write_bytes = write.write_bytes
    monkeypatch.setattr(write, "write_bytes", full)
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

    def interrupted(images, **how):
        if colours.encoded == 9:  # the reference, and a crop in five views; the first photo, to refine, to verify
            deadline = time.monotonic() + 10
            while not Path("found/results.jsonl").read_text() and time.monotonic() < deadline:
                time.sleep(0.01)  # the first photo is written while the second is searched
            assert len(records(Path("found/results.jsonl").read_text())) == 1  # it would outlive a power cut
            raise KeyboardInterrupt
        return encode(images, **how)

    monkeypatch.setattr(colours, "encode", interrupted)
    code, out, err = persam("segment ref.png mask.png album -o found")
    assert code == 130
    assert err == "persam: interrupted; what was finished is on disk\n"
    assert len(records(out)) == len(records(Path("found/results.jsonl").read_text())) == 1


@pytest.mark.usefixtures("colours", "here")
def test_every_object_of_a_mask_is_searched(persam):
    labels = mask().astype(np.uint8) * 3 + mask(at_xyxy=(40, 6, 53, 19)).astype(np.uint8) * 7
    Image.fromarray(labels).save("labels.png")
    code, out, _ = persam("segment ref.png labels.png album/left.png --each -o found")
    assert code == 0
    [record] = records(out)
    assert [one["concept"] for one in record["objects"]] == ["object 3", "object 7"]


@pytest.mark.usefixtures("colours", "here")
def test_what_a_folder_holds_besides_is_said_and_folders_within_are_searched_on_request(persam):
    Path("album/sub").mkdir()
    Path("album/left.png").rename("album/sub/left.png")
    code, out, err = persam("segment ref.png mask.png album -o found")
    assert (code, [record["image"] for record in records(out)]) == (0, ["album/right.png"])
    assert err.splitlines()[0] == "persam: warning: album: skipped 1: 1 subfolder (--recursive)."
    code, out, err = persam("segment ref.png mask.png album -o all --recursive")
    assert (code, [record["image"] for record in records(out)]) == (0, ["album/right.png", "album/sub/left.png"])
    assert "skipped" not in err
