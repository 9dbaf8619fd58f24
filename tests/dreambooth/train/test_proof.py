"""What a run says of its masks before anything is spent, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.dreambooth.dataset import MaskedPhotos
from persam.dreambooth.train.options import TrainOptions
from persam.dreambooth.train.proof import find_pairs, prompts_of, prove
from persam.errors import DreamBoothError
from tests.dreambooth.folders import write_pair

WHOLE = {"at_xyxy": (0, 0, 63, 63), "hw": (64, 80)}  # all of a crop of 64 x 64, not all of the photo


def run(folder: Path, output: Path, **more) -> list[str]:
    options = TrainOptions(pretrained_model_name_or_path="m", instance_data_dir=folder, output_dir=output, **more)
    lines: list[str] = []
    prove(MaskedPhotos(find_pairs(options), resolution=64, center_crop=True), options, say=lines.append)
    return lines


def test_the_line_says_how_many_photos_are_masked_and_how_much_of_them_counts(tmp_path):
    for name in ("a", "b"):
        write_pair(tmp_path / "in", name, at_xyxy=(0, 0, 31, 31))  # a quarter of 64 x 64
    sheet = tmp_path / "out" / "masks.jpg"
    assert run(tmp_path / "in", tmp_path / "out") == [f"masking on: 2 of 2 photos, mean area 25 %; look at {sheet}"]
    assert sheet.stat().st_size > 1000


def test_the_sheet_tints_what_counts(tmp_path):
    for name in ("a", "b"):
        write_pair(tmp_path / "in", name, at_xyxy=(0, 0, 31, 63))  # the left half, red on grey
    run(tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out" / "masks.jpg") as sheet:
        first = np.array(sheet)[8 : 8 + 240, 8 : 8 + 240].astype(int)
    red, grey = first[120, 40], first[120, 200]
    assert red[2] > red[1] > 20  # azure over red
    assert np.ptp(grey) < 12


def test_masking_off_is_said(tmp_path):
    for name in ("a", "b"):
        write_pair(tmp_path / "in", name)
    [line] = run(tmp_path / "in", tmp_path / "out", masking="off")
    assert line.startswith("masking off: all of each of 2 photos counts, the background too; look at ")


def test_a_mask_that_covers_its_whole_crop_does_not_count_as_masked_and_is_named(tmp_path):
    write_pair(tmp_path / "in", "a", at_xyxy=(0, 0, 31, 31))
    write_pair(tmp_path / "in", "b", **WHOLE)
    line, warning = run(tmp_path / "in", tmp_path / "out", masking="onetrainer")
    assert line.startswith("masking on (onetrainer): 1 of 2 photos, mean area 62 %; ")
    assert warning.startswith("warning: the mask of b.png covers all of its crop")


def test_masks_that_leave_nothing_out_are_an_error_unless_masking_is_off(tmp_path):
    write_pair(tmp_path / "in", "a", **WHOLE)
    with pytest.raises(DreamBoothError, match="no mask leaves anything out: each covers its whole crop"):
        run(tmp_path / "in", tmp_path / "out")
    assert len(run(tmp_path / "in", tmp_path / "out", masking="off")) == 2  # the other: one photo is little


def test_one_photo_is_said_to_be_little(tmp_path):
    write_pair(tmp_path / "in", "a")
    assert run(tmp_path / "in", tmp_path / "out")[1].startswith("warning: one photo is little")


def test_masks_may_lie_in_a_folder_of_their_own(tmp_path):
    pair = write_pair(tmp_path, "a")
    options = TrainOptions(
        pretrained_model_name_or_path="m", instance_data_dir=tmp_path / "images", mask_data_dir=tmp_path / "masks"
    )
    assert find_pairs(options) == [pair]
    pair.mask.rename(tmp_path / "masks" / "b.png")
    with pytest.raises(DreamBoothError, match="do not match: a, b without a partner"):
        find_pairs(options)


def test_a_broken_photo_is_named(tmp_path):
    pair = write_pair(tmp_path, "a")
    pair.image.write_bytes(pair.image.read_bytes()[:50])
    options = TrainOptions(
        pretrained_model_name_or_path="m", instance_data_dir=tmp_path / "images", mask_data_dir=tmp_path / "masks"
    )
    with pytest.raises(DreamBoothError, match=r"images/a\.png and .*masks/a\.png cannot be used"):
        find_pairs(options)


def test_the_prompt_given_is_everyones_and_else_each_photo_has_its_caption(tmp_path):
    for name in ("a", "b"):
        write_pair(tmp_path, name)
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "a.txt").write_text("a photo of rex\n")
    said = TrainOptions(pretrained_model_name_or_path="m", instance_data_dir=tmp_path, instance_prompt="sks dog")
    silent = TrainOptions(pretrained_model_name_or_path="m", instance_data_dir=tmp_path)
    pairs = find_pairs(said)
    assert prompts_of(pairs, said) == ["sks dog", "sks dog"]
    assert prompts_of(pairs[:1], silent) == ["a photo of rex"]
    with pytest.raises(DreamBoothError, match=r"nothing says what b\.png shows: give --instance_prompt"):
        prompts_of(pairs, silent)
