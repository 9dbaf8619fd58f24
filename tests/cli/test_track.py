"""`persam track`: words to objects and frames, what is left in the folder, and runs that end early."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from persam.method.prompts import Box, Points, Polygon, Scribble
from persam.tracking.recipes import TRACKING_RECIPES
from tests.cli.typed import files_in, records
from tests.colour import BLUE, colour_model, mask, photo
from tests.io.clips import cut
from tests.io.clips import write as video_file
from tests.io.made import image, segmentation
from tests.sam.video_models import KINDS, save

START = (6, 20, 25, 39)


@pytest.fixture
def walk(here: Path) -> Path:
    """Six frames in which the red square goes two pixels to the right, and its mask in the first one."""
    (here / "walk").mkdir()
    for n in range(6):
        Image.fromarray(photo(at_xyxy=(6 + 2 * n, 20, 25 + 2 * n, 39))).save(f"walk/{n}.png")
    Image.fromarray(mask(at_xyxy=START)).save("rex.png")
    return here


@pytest.fixture
def asked(monkeypatch, colours) -> dict[str, Any]:
    """What `persam.track` was called with; it answers with the first object in the first frame."""
    calls: dict[str, Any] = {}

    def track(clip, objects, **how) -> Iterator:
        calls.update(how, clip=clip, objects=objects)
        name = (how["names"] or [getattr(objects[0], "name", "")])[0]
        found = segmentation(np.eye(*clip.size_hw, dtype=bool), name, track_id=1)
        return iter([image("first", found, time=0.0)])

    monkeypatch.setattr("persam.track", track, raising=False)
    return calls


@pytest.mark.usefixtures("colours", "walk")
def test_masks_a_video_and_a_json_line_for_each_frame(persam):
    code, out, err = persam("track walk rex.png -o out")
    assert code == 0
    assert records(out) == records(Path("out/results.jsonl").read_text())
    assert [record["frame"] for record in records(out)] == list("012345")
    boxes = [record["objects"][0]["box_xyxy"][0] for record in records(out)]
    assert boxes == pytest.approx([6, 8, 10, 12, 14, 16], abs=2)
    assert {one["id"] for record in records(out) for one in record["objects"]} == {1}
    assert files_in("out") == {"masks", "overlay.mp4", "results.jsonl", "manifest.json"}
    assert files_in("out/masks") == {f"{n}.png" for n in range(6)}
    with Image.open("out/masks/0.png") as saved:
        np.testing.assert_array_equal(np.array(saved), mask(at_xyxy=START))
    assert err == "persam: tracked 'rex' in 6 of 6 frames; results are in out\n"


@pytest.mark.usefixtures("colours", "walk")
def test_backward_with_everything_asked_for(persam):
    Image.fromarray(mask(at_xyxy=(16, 20, 35, 39))).save("rex.png")
    line = "track walk -o out --backward --every 2 --to 1 --cutout --export mots --no-overlay --fast rex.png --name it"
    code, out, err = persam(line)
    assert code == 0
    assert [record["index"] for record in records(out)] == [5, 3, 1]
    assert files_in("out") == {"masks", "cutout.webm", "results.jsonl", "mots.txt", "manifest.json"}
    assert err == "persam: tracked 'it' in 3 of 3 frames; results are in out\n"


@pytest.mark.usefixtures("colours", "walk")
def test_a_concept_is_tracked_without_a_mask(persam):
    colour_model().learn(photo(), mask(), name="red").save("red.safetensors")
    code, _, err = persam("track walk --concept red.safetensors -o out --no-overlay")
    assert (code, err) == (0, "persam: tracked 'red' in 6 of 6 frames; results are in out\n")


# ---- from words to what `persam.track` is asked


@pytest.mark.usefixtures("walk")
@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("rex.png", ["rex"]),
        ("rex.png mask.png", ["rex", "mask"]),
        ("rex.png rex.png", ["object 1", "object 2"]),
        ("box:6,20,25,39", ["object 1"]),
        ("rex.png points:15,25", ["object 1", "object 2"]),
        ("rex.png points:15,25 --name rex --name tom", ["rex", "tom"]),
    ],
)
def test_what_objects_are_called(persam, asked, words, names):
    code, _, _ = persam(f"track walk {words} -o out")
    assert code == 0
    assert asked["names"] == names
    assert len(asked["objects"]) == len(names)


@pytest.mark.usefixtures("walk")
def test_a_map_of_labels_is_several_objects(persam, asked):
    labels = np.zeros((64, 64), np.uint8)
    labels[:8], labels[8:16], labels[16:] = 1, 3, 255
    Image.fromarray(labels).save("labels.png")
    assert persam("track walk --labels labels.png -o out")[0] == 0
    assert persam("track walk labels.png --each -o each")[0] == 0
    assert Path("each/results.jsonl").read_text() == Path("out/results.jsonl").read_text().replace("out/", "each/")
    assert asked["names"] == ["object 1", "object 3"]
    np.testing.assert_array_equal(asked["objects"], [labels == 1, labels == 3])


@pytest.mark.usefixtures("walk")
@pytest.mark.parametrize(
    ("words", "start", "stop", "step"),
    [
        ("", 0, 6, 1),
        ("--from 2 --to 4", 2, 5, 1),
        ("--to 99", 0, 6, 1),
        ("--every 4", 0, 5, 4),
        ("--backward", 5, 0, 1),
        ("--backward --from 4 --every 3", 4, 1, 3),
        ("--backward --from 4 --to 2", 4, 2, 1),
    ],
)
def test_which_frames_are_read(persam, asked, words, start, stop, step):
    assert persam(f"track walk rex.png -o out {words}")[0] == 0
    assert (asked["start"], asked["stop"], asked["step"]) == (start, stop, step)
    assert asked["backward"] == ("--backward" in words)


@pytest.mark.usefixtures("walk")
@pytest.mark.parametrize(
    ("words", "recipe"),
    [
        ("", "persam_video"),
        ("--fast", "persam_video_fast"),
        ("--recipe official_persam_video", "official_persam_video"),
    ],
)
def test_the_recipe(persam, asked, words, recipe):
    assert persam(f"track walk rex.png -o out {words}")[0] == 0
    assert asked["recipe"] is TRACKING_RECIPES[recipe]


@pytest.mark.usefixtures("here")
def test_masks_and_places_are_in_the_clips_own_size(persam, asked):
    Path("wide").mkdir()
    Image.fromarray(photo(hw=(64, 96))).save("wide/0.png")
    Image.fromarray(mask(at_xyxy=(6, 20, 25, 39), hw=(64, 96))).save("rex.png")
    words = "rex.png box:6,20,25,39 points:16,32;-1,2 polygon:0,0;90,0;90,60 scribble:4,6;8,2"
    assert persam(f"track wide {words} -o out --max-side 48")[0] == 0
    assert asked["clip"].size_hw == (32, 48)
    rex, *prompts = asked["objects"]
    np.testing.assert_array_equal(rex, mask(at_xyxy=(3, 10, 12, 19), hw=(32, 48)))
    assert prompts == [
        Box(3, 10, 12.5, 19.5),
        Points(((8, 16),), ((0.5, 1),)),
        Polygon(((0, 0), (45, 0), (45, 30))),
        Scribble(((2, 3), (4, 1))),
    ]


# ---- wrong words, noticed before any work

ONE_WAY = "say what to track in one way: CLIP MASK..., CLIP --labels FILE, or CLIP --concept FILE."


@pytest.mark.usefixtures("no_model", "walk")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("track", "required: CLIP MASK, -o/--output. `persam track --help`"),
        ("track walk -o out", ONE_WAY),
        ("track walk rex.png --labels rex.png -o out", ONE_WAY),
        ("track walk --concept a.safetensors --labels rex.png -o out", ONE_WAY),
        ("track none.mp4 rex.png -o out", "cannot read the clip none.mp4: there is no such file"),
        ("track walk none.png -o out", "cannot read the mask none.png: there is no such file"),
        ("track walk box:1,2 -o out", "4 finite numbers are needed"),
        ("track walk --concept none.safetensors -o out", "none.safetensors"),
        ("track walk rex.png --name a --name b -o out", "--name is given once for each MASK: 2 names, 1 masks"),
        ("track walk rex.png --every 0 -o out", "--every 0 leads nowhere"),
        ("track walk rex.png --from 6 -o out", "there is no frame 6: the clip has the frames 0 to 5"),
        ("track walk rex.png --from -1 -o out", "there is no frame -1"),
        ("track walk rex.png --from 3 --to 2 -o out", "there is no frame from 3 to --to 2"),
        ("track walk rex.png --backward --from 3 --to 4 -o out", "there is no frame from 3 to --to 4"),
        ("track walk rex.png --max-side 0 -o out", "max_side at least 1"),
        ("track walk rex.png --recipe persam -o out", "no recipe named 'persam' for videos. Choose one of"),
        ("track walk rex.png --recipe persam_video --fast -o out", "not allowed with argument"),
        ("track walk rex.png --export coco -o out", "invalid choice: 'coco'"),
        ("track walk rex.png -o rex.png", "cannot write into rex.png: it is a file"),
    ],
)
def test_wrong_words_are_answered_in_one_line(persam, line, says):
    assert says in persam.refused(line)
    assert not Path("out/results.jsonl").exists()


@pytest.mark.usefixtures("no_model", "walk")
def test_a_mask_that_vanishes_in_small_frames(persam):
    dot = np.zeros((64, 64), bool)
    dot[2, 2] = True
    Image.fromarray(dot).save("dot.png")
    assert "no pixel left in frames of 4x4. Give a larger --max-side" in persam.refused(
        "track walk dot.png -o out --max-side 4"
    )


@pytest.mark.usefixtures("asked", "walk")
def test_an_inverted_mask_is_warned_of(persam):
    Image.fromarray(~mask(at_xyxy=START)).save("rex.png")
    _, _, err = persam("track walk rex.png -o out")
    assert err.startswith("persam: warning: rex.png marks the border and corners of walk; is it inverted?")


# ---- runs that end early, and what is missing


@pytest.mark.usefixtures("colours", "here")
def test_a_damaged_clip_leaves_everything_before_the_damage(persam):
    cut(video_file(Path("walk.mp4"), 20), 0.6).rename("cut.mp4")
    code, out, err = persam("track cut.mp4 box:0,0,15,15 -o out --export coco_video")
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("persam: the clip cut.mp4 ends after frame ")
    done = len(records(out))
    assert 0 < done < 20
    assert len(files_in("out/masks")) == len(records(Path("out/results.jsonl").read_text())) == done
    assert {"overlay.mp4", "coco_video.json"} < files_in("out")


@pytest.mark.usefixtures("walk")
def test_a_person_interrupts(persam, colours, monkeypatch):
    encode = colours.encode

    def interrupted(images, **how):
        if Path("out/masks/2.png").exists():
            raise KeyboardInterrupt
        return encode(images, **how)

    monkeypatch.setattr(colours, "encode", interrupted)
    code, out, err = persam("track walk rex.png -o out")
    assert (code, err) == (130, "persam: interrupted; what was finished is on disk\n")
    assert len(records(out)) == 3
    assert files_in("out") == {"masks", "overlay.mp4", "results.jsonl", "manifest.json"}


@pytest.mark.usefixtures("asked", "walk")
def test_without_pyav_a_line_says_what_is_missing(persam, monkeypatch):
    monkeypatch.setattr("persam.io.track_folder._has_av", lambda: False)
    code, _, err = persam("track walk rex.png -o out")
    assert code == 0
    assert err.startswith("persam: overlay.mp4 needs PyAV")
    assert files_in("out") == {"masks", "results.jsonl", "manifest.json"}
    assert "PyAV" not in persam("track walk rex.png -o plain --no-overlay")[2]


def test_help_says_how(persam):
    code, out, _ = persam("track --help")
    assert code == 0
    for word in ("CLIP MASK [MASK]... -o OUT", "--labels FILE", "the frame --from:", "box:x0,y0,x1,y1", "example:"):
        assert word in out


# ---- the demo


@pytest.mark.slow
def test_the_demo_leaves_a_video_and_masks(tmp_path):
    (tmp_path / "walk").mkdir()
    for n in range(3):
        scene = photo(at_xyxy=(20 + 4 * n, 30, 59 + 4 * n, 69), colour=BLUE, hw=(96, 128))
        Image.fromarray(scene).save(tmp_path / f"walk/{n}.png")
    Image.fromarray(mask(at_xyxy=(20, 30, 59, 69), hw=(96, 128))).save(tmp_path / "it.png")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(root / "demos/track_video.py"), "walk", "it.png", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [f"ImageResult({str(n)!r}" for n in range(3)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "masks",
        "overlay.mp4",
        "results.jsonl",
        "manifest.json",
    }
    assert {path.name for path in (tmp_path / "out/masks").iterdir()} == {"0.png", "1.png", "2.png"}


@pytest.mark.usefixtures("walk", "no_model")
def test_a_video_model_that_is_none_is_said_before_a_model_is_loaded(persam):
    code, out, err = persam("track walk rex.png -o out --propagate-with walk")
    assert (code, out) == (2, "")
    assert "walk is no model in transformers' layout" in err
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("colours", "walk")
@pytest.mark.parametrize("kind", KINDS)
def test_a_video_model_carries_the_masks(persam, kind):
    save(kind, Path("tiny"))
    code, out, err = persam("track walk rex.png -o out --propagate-with tiny --no-overlay")
    assert code == 0, err
    assert [record["frame"] for record in records(out)] == list("012345")
    assert {one["id"] for record in records(out) for one in record["objects"]} == {1}
    assert files_in("out/masks") == {f"{n}.png" for n in range(6)}
    settings = json.loads(Path("out/manifest.json").read_text())["settings"]
    assert (settings["recipe"], settings["video_model"]) == ("propagation", "tiny")
    assert len(settings["video_weights"]) == 16
