"""A video's two formats: read back by readers written here, after the standards' own descriptions; masks are signs."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from persam.errors import OutputError
from persam.io.formats import FORMATS, export
from persam.io.results import ImageResult
from tests.io.made import VIDEO, frame, image, mask_of, segmentation

OF_VIDEO = [name for name, form in FORMATS.items() if form.of_video]
PIXEL = mask_of("#")


def signs_of(counts: str, height: int, width: int) -> list[str]:
    """The mask that COCO's compressed RLE writes, by the letter of its description: six bits a sign, from 48 on."""
    lengths: list[int] = []
    signs = iter(counts)
    for sign in signs:
        digits = [ord(sign) - 48]
        while digits[-1] >= 32:
            digits.append(ord(next(signs)) - 48)
        value = sum((digit % 32) << (5 * place) for place, digit in enumerate(digits))
        if digits[-1] & 16:
            value -= 1 << (5 * len(digits))
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    column_after_column = "".join(".#"[run % 2] * length for run, length in enumerate(lengths))
    assert len(column_after_column) == height * width
    return [column_after_column[row::height] for row in range(height)]


class Line(NamedTuple):
    time_frame: int
    id: int
    class_id: int
    mask: list[str]


def read_mots(path: Path) -> list[Line]:
    """As mots_tools: six fields between spaces, and no pixel of a frame in two masks."""
    lines, taken = [], set()
    for text in path.read_text(encoding="ascii").splitlines():
        time_frame, number, class_id, height, width, counts = text.split(" ")
        mask = signs_of(counts, int(height), int(width))
        pixels = {(time_frame, y, x) for y, row in enumerate(mask) for x, sign in enumerate(row) if sign == "#"}
        assert pixels
        assert not pixels & taken
        taken |= pixels
        lines.append(Line(int(time_frame), int(number), int(class_id), mask))
    return lines


def read_coco_video(path: Path) -> dict[str, Any]:
    """As YouTube-VIS, with masks as signs; every list of an annotation is as long as the video."""
    written: dict[str, Any] = json.loads(path.read_text())
    for one in written["annotations"]:
        for key in ("segmentations", "bboxes", "areas"):
            assert len(one[key]) == one["length"]
        one["segmentations"] = [mask and signs_of(mask["counts"], *mask["size"]) for mask in one["segmentations"]]
    return written


# --- mots


def test_mots_by_hand(tmp_path: Path) -> None:
    path = export(iter(VIDEO), tmp_path / "walk.txt", format="mots")
    # Down the columns of 2: none outside, 4 in, 2 out. Then 4 out, 1 in, 1 out: the pixel of both is rex's.
    # Last 5 out, 1 in. The fourth number on would be less the one two before, and there is none.
    assert path.read_text() == "0 1001 1 2 3 042\n0 2002 2 2 3 411\n2 2002 2 2 3 51\n"
    assert read_mots(path) == [
        Line(0, 1001, 1, ["##.", "##."]),
        Line(0, 2002, 2, ["..#", "..."]),
        Line(2, 2002, 2, ["...", "..#"]),
    ]


def test_mots_has_no_line_for_an_object_that_lies_behind_the_others(tmp_path: Path) -> None:
    rex, tom = segmentation(mask_of("##."), track_id=1), segmentation(mask_of(".#."), "tom", track_id=2)
    assert read_mots(export(frame(0, rex, tom), tmp_path / "a.txt", format="mots")) == [Line(0, 1001, 1, ["##."])]


def test_mots_numbers_instances_through_the_video_and_classes_by_concept(tmp_path: Path) -> None:
    rex, third = segmentation(mask_of("#.."), track_id=1), segmentation(mask_of("..#"), "rex", 2, track_id=3)
    absent = segmentation(mask_of("..."), "tom", track_id=2)
    late = segmentation(mask_of(".#."), "cup", track_id=4)
    path = export([frame(0, rex, absent), frame(1, rex, third, absent, late)], tmp_path / "a.txt", format="mots")
    assert [line[:3] for line in read_mots(path)] == [(0, 1001, 1), (1, 1001, 1), (1, 1003, 1), (1, 3004, 3)]


def test_mots_leaves_out_the_class_of_ignored_regions(tmp_path: Path) -> None:
    absent = [segmentation(mask_of(".."), f"concept {number}", track_id=number) for number in range(1, 9)]
    ninth, tenth = segmentation(mask_of("#."), "ninth", track_id=9), segmentation(mask_of(".#"), "tenth", track_id=10)
    path = export(frame(0, *absent, ninth, tenth), tmp_path / "a.txt", format="mots")
    assert [line[:3] for line in read_mots(path)] == [(0, 9009, 9), (0, 11010, 11)]


def test_mots_ends_at_the_999th_track(tmp_path: Path) -> None:
    last, over = (frame(0, segmentation(PIXEL, track_id=number)) for number in (999, 1000))
    assert read_mots(export(last, tmp_path / "a.txt", format="mots")) == [Line(0, 1999, 1, ["#"])]
    with pytest.raises(OutputError, match=r"'walk_0' has a track 1000, .* end at 999\. Export as coco_video\."):
        export(over, tmp_path / "b.txt", format="mots")


# --- coco_video


def test_coco_video_by_hand(tmp_path: Path) -> None:
    written = read_coco_video(export(iter(VIDEO), tmp_path / "walk.json", format="coco_video"))
    shape = {"width": 3, "height": 2, "length": 3}
    names = ["walk_0.png", "walk_1.png", "walk_2.png"]
    assert written["videos"] == [{"id": 1, "file_names": names, **shape}]
    assert written["categories"] == [{"id": 1, "name": "rex"}, {"id": 2, "name": "tom"}]
    rex, tom = written["annotations"]
    assert rex == {
        "id": 1,
        "video_id": 1,
        "category_id": 1,
        "segmentations": [["##.", "##."], None, None],
        "bboxes": [[0, 0, 2, 2], None, None],
        "areas": [4, None, None],
        "iscrowd": 0,
        **shape,
    }
    assert tom == {
        "id": 2,
        "video_id": 1,
        "category_id": 2,
        "segmentations": [[".##", "..."], None, ["...", "..#"]],  # masks may overlap
        "bboxes": [[1, 0, 2, 1], None, [2, 1, 1, 1]],
        "areas": [2, None, 1],
        "iscrowd": 0,
        **shape,
    }


def test_coco_video_annotates_what_is_ever_present_under_its_track_id(tmp_path: Path) -> None:
    never = segmentation(mask_of("#.."), "tom", track_id=1, present=False)
    late = segmentation(mask_of("..#"), "rex", track_id=7)
    written = read_coco_video(
        export([frame(0, never), frame(1, never, late)], tmp_path / "a.json", format="coco_video")
    )
    assert [(one["id"], one["category_id"], one["areas"]) for one in written["annotations"]] == [(7, 2, [None, 1])]
    assert written["categories"] == [{"id": 1, "name": "tom"}, {"id": 2, "name": "rex"}]


def test_coco_video_refers_to_the_files_of_the_frames(tmp_path: Path) -> None:
    one = image("00000", segmentation(PIXEL, track_id=1), source=Path("walk/00000.jpg"))
    written = read_coco_video(export(one, tmp_path / "a.json", format="coco_video"))
    assert written["videos"][0]["file_names"] == ["00000.jpg"]


def test_coco_video_of_no_frame(tmp_path: Path) -> None:
    written = read_coco_video(export([], tmp_path / "a.json", format="coco_video"))
    assert (written["videos"], written["annotations"], written["categories"]) == ([], [], [])


# --- what both refuse


REX = segmentation(PIXEL, "rex", track_id=1)
REFUSED = {
    "photos": (
        [image("park", segmentation(PIXEL))],
        r"formats of videos, and 'rex' in 'park' has no track id\. Export the frames that persam\.track gives, or",
    ),
    "an absent object without a track id": (
        [frame(0, REX, segmentation(PIXEL, "tom", present=False))],
        r"'tom' in 'walk_0' has no track id",
    ),
    "frames of two sizes": (
        [frame(0, REX), frame(1, segmentation(mask_of("#.", "..", ".."), track_id=1))],
        r"'walk_1' is \(3, 2\) \(height, width\), and the frames before it are \(1, 1\)\. Export each video to",
    ),
    "a track that changes its concept": (
        [frame(0, REX), frame(1, size_hw=(1, 1)), frame(2, segmentation(PIXEL, "tom", track_id=1))],
        r"track 1 is 'tom' in 'walk_2', and 'rex' in the frames before it\. Export each video to a file of its own",
    ),
    "a track that is twice in a frame": (
        [frame(0, REX, segmentation(PIXEL, "rex", 2, track_id=1))],
        r"track 1 is twice in 'walk_0'\. Give each object a number of its own",
    ),
}


@pytest.mark.parametrize("name", OF_VIDEO)
@pytest.mark.parametrize(("results", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_video_is_refused(tmp_path: Path, name: str, results: list[ImageResult], message: str) -> None:
    with pytest.raises(OutputError, match=message):
        export(results, tmp_path / "set", format=name)
    assert list(tmp_path.iterdir()) == []
