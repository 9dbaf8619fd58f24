"""What a track leaves on disk: masks by track id, videos that play, a line a frame, however the run ends."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from persam.errors import OutputError, VideoError
from persam.io import draw
from persam.io.results import ImageResult
from persam.io.track_folder import NO_PYAV, TrackFolder
from persam.io.video import Video, VideoFrame, open_video
from tests.io.clips import clip as video_file
from tests.io.clips import folder as frames_folder
from tests.io.made import segmentation

HW = (48, 64)
REX, TOM = np.zeros(HW, bool), np.zeros(HW, bool)
REX[20:36, 4:20] = True
TOM[20:36, 16:40] = True  # shares four columns with rex


def result(frame: VideoFrame, *, here: bool = True) -> ImageResult:
    rex = segmentation(REX, "rex", track_id=1, present=here, presence=0.75 if here else 0.1)
    tom = segmentation(TOM, "tom", track_id=2, present=here, presence=None)
    return ImageResult(frame.name, HW, (rex, tom), lambda: frame.rgb, time=frame.time)


def tracked(path: Path, clip: Video, places: range, *, absent: tuple[int, ...] = (), **options) -> list[dict]:
    """A folder of the frames at these places, nothing present in those that `absent` lists."""
    forward = places.step > 0
    frames = clip.frames(places[0], places[-1] + 1, places.step) if forward else clip.backward(places[0], places[-1])
    with TrackFolder(path, clip, places, **options) as folder:
        return [folder.write(result(frame, here=frame.index not in absent)) for frame in frames]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "results.jsonl").read_text().splitlines()]


def indices(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.array(image)


def times(path: Path) -> list[float]:
    return [round(frame.time, 3) for frame in open_video(path).frames()]


@pytest.fixture
def walk(tmp_path: Path) -> Video:
    return open_video(frames_folder(tmp_path / "walk", 4), rate=10)


def test_a_record_by_hand(tmp_path: Path, walk: Video) -> None:
    records = tracked(tmp_path / "out", walk, range(1, 4, 2), absent=(3,))
    mask = str(tmp_path / "out" / "masks" / "walk_2.png")
    assert records[0] == {
        "frame": "walk_2",
        "index": 1,
        "time": 0.1,
        "present": True,
        "objects": [
            {
                "id": 1,
                "concept": "rex",
                "present": True,
                "presence": 0.75,
                "score": 0.875,
                "box_xyxy": (4, 20, 19, 35),
                "area_px": 256,
                "mask": mask,
            },
            {
                "id": 2,
                "concept": "tom",
                "present": True,
                "presence": None,
                "score": 0.875,
                "box_xyxy": (16, 20, 39, 35),
                "area_px": 384,
                "mask": mask,
            },
        ],
    }
    absent = records[1]
    assert (absent["frame"], absent["index"], absent["present"]) == ("walk_4", 3, False)
    assert [(one["mask"], one["box_xyxy"], one["area_px"]) for one in absent["objects"]] == [(None, None, 0)] * 2
    assert lines(tmp_path / "out") == json.loads(json.dumps(records))


def test_masks_are_palette_files_by_track_id_and_a_pixel_is_one_objects(tmp_path: Path, walk: Video) -> None:
    tracked(tmp_path / "out", walk, range(2), absent=(1,))
    expected = np.zeros(HW, np.uint8)
    expected[20:36, 4:20], expected[20:36, 20:40] = 1, 2
    np.testing.assert_array_equal(indices(tmp_path / "out/masks/walk_1.png"), expected)
    np.testing.assert_array_equal(indices(tmp_path / "out/masks/walk_2.png"), np.zeros(HW, np.uint8))


def test_a_result_is_on_disk_when_its_record_is_returned(tmp_path: Path, walk: Video) -> None:
    with TrackFolder(tmp_path, walk, range(4)) as folder:
        folder.write(result(next(walk.frames())))
        assert len(lines(tmp_path)) == 1
        assert (tmp_path / "masks/walk_1.png").exists()


def test_objects_keep_their_colour_and_absent_ones_are_named(tmp_path: Path, walk: Video) -> None:
    tracked(tmp_path / "out", walk, range(3), absent=(1,))
    first, second, third = open_video(tmp_path / "out/overlay.mp4").frames()
    plain = next(walk.frames(1)).rgb
    for frame in (first, third):  # a fill of 0.35 over the grey of the frame
        grey = float(walk.reader.targets[frame.index].read()[30, 30, 0])
        for (y, x), colour in (((28, 12), draw.COLOURS[0]), ((28, 30), draw.COLOURS[1])):
            np.testing.assert_allclose(frame.rgb[y, x], 0.65 * grey + 0.35 * np.array(colour), atol=14)  # 4:2:0
    np.testing.assert_allclose(second.rgb[28, 12], plain[28, 12], atol=6)
    assert np.abs(second.rgb[4:12, 20:40].astype(int) - plain[4:12, 20:40]).mean() > 15  # "rex, tom: not here"
    assert times(tmp_path / "out/overlay.mp4") == [0.0, 0.1, 0.2]


def test_the_overlay_has_the_times_and_the_sound_of_the_span(tmp_path: Path) -> None:
    clip = open_video(video_file(tmp_path / "walk.mp4", 20, sound="aac"))
    tracked(tmp_path / "out", clip, range(4, 16, 2))
    assert times(tmp_path / "out/overlay.mp4") == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    with av.open(str(tmp_path / "out/overlay.mp4")) as container:
        (sound,) = container.streams.audio
        wave = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(sound)])
    assert len(wave) / 48000 == pytest.approx(1.2, abs=0.06)
    assert np.abs(wave[: 48000 // 2]).max() < 0.05  # the tone begins at 1.0 s of the clip, 0.6 s of the span
    assert np.abs(wave[48000 * 3 // 4 : 48000 * 9 // 10]).max() > 0.3


def test_the_cutout_is_transparent_but_for_the_objects(tmp_path: Path, walk: Video) -> None:
    tracked(tmp_path / "out", walk, range(2), absent=(1,), overlay=False, cutout=True)
    assert not (tmp_path / "out/overlay.mp4").exists()
    with av.open(str(tmp_path / "out/cutout.webm")) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        alpha = [
            frame.to_ndarray(format="rgba")[..., 3]
            for packet in container.demux(video=0)
            for frame in decoder.decode(packet)
        ]
    assert len(alpha) == 2
    np.testing.assert_array_equal(alpha[0] > 127, REX | TOM)
    assert alpha[1].max() < 20


def test_a_backward_run_is_shown_forward_in_the_same_pictures(tmp_path: Path) -> None:
    clip = open_video(video_file(tmp_path / "walk.mp4", 8))
    forward = tracked(tmp_path / "forward", clip, range(2, 7), absent=(3,))
    backward = tracked(tmp_path / "backward", clip, range(6, 1, -1), absent=(3,))
    assert [one["index"] for one in backward] == [6, 5, 4, 3, 2]
    assert [one["time"] for one in forward] == [one["time"] for one in backward][::-1]
    films = [open_video(tmp_path / way / "overlay.mp4").frames() for way in ("forward", "backward")]
    for one, other in zip(*films, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)


@pytest.mark.parametrize("error", [KeyboardInterrupt, VideoError])
@pytest.mark.parametrize("places", [range(8), range(7, -1, -1)])
def test_what_was_finished_is_complete_and_plays(tmp_path: Path, places: range, error: type[BaseException]) -> None:
    clip = open_video(video_file(tmp_path / "walk.mp4", 8))
    frames = clip.frames() if places.step > 0 else clip.backward()

    def run() -> None:
        with TrackFolder(tmp_path / "out", clip, places, cutout=True, export_as="mots") as folder:
            for number, frame in enumerate(frames):
                if number == 3:
                    raise error
                folder.write(result(frame))

    with pytest.raises(error):
        run()
    assert len(lines(tmp_path / "out")) == 3
    assert len(times(tmp_path / "out/overlay.mp4")) == len(times(tmp_path / "out/cutout.webm")) == 3
    rows = (tmp_path / "out/mots.txt").read_text().splitlines()
    assert [row.split()[0] for row in rows] == ["0", "0", "1", "1", "2", "2"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "masks",
        "overlay.mp4",
        "cutout.webm",
        "results.jsonl",
        "mots.txt",
        "manifest.json",
    }


def test_nothing_tracked_leaves_no_videos(tmp_path: Path, walk: Video) -> None:
    with TrackFolder(tmp_path / "out", walk, range(3, -1, -1), cutout=True, export_as="coco_video"):
        pass
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.jsonl", "manifest.json"}


@pytest.mark.parametrize("places", [range(3), range(2, -1, -1)])
def test_the_export_is_in_the_clips_order(tmp_path: Path, walk: Video, places: range) -> None:
    tracked(tmp_path / "out", walk, places, absent=(0,), overlay=False, export_as="coco_video")
    written = json.loads((tmp_path / "out/coco_video.json").read_text())
    assert written["videos"][0]["file_names"] == ["walk_1.png", "walk_2.png", "walk_3.png"]
    assert [(one["id"], one["areas"]) for one in written["annotations"]] == [
        (1, [None, 256, 256]),
        (2, [None, 320, 320]),  # without what it shares with rex
    ]


def test_without_pyav_masks_and_results_are_written(tmp_path: Path, walk: Video, monkeypatch) -> None:
    def missing() -> None:
        raise VideoError("video files need PyAV")

    monkeypatch.setattr("persam.io.track_folder.import_av", missing)
    assert TrackFolder(tmp_path, walk, range(4)).overlay_missing
    assert not TrackFolder(tmp_path, walk, range(4), overlay=False).overlay_missing
    assert "persam[video]" in NO_PYAV
    assert len(tracked(tmp_path / "out", walk, range(4))) == 4
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"masks", "results.jsonl", "manifest.json"}
    with pytest.raises(VideoError, match="need PyAV"):
        TrackFolder(tmp_path, walk, range(4), cutout=True)


def test_what_cannot_be_written_says_so(tmp_path: Path, walk: Video) -> None:
    with pytest.raises(OutputError, match="cannot be exported as 'coco': choose one of coco_video, mots"):
        TrackFolder(tmp_path, walk, range(4), export_as="coco")
    (tmp_path / "taken").touch()
    with pytest.raises(OutputError, match="where a folder should be"), TrackFolder(tmp_path / "taken", walk, range(4)):
        pass
    far = ImageResult("far", HW, (segmentation(REX, track_id=255),), lambda: np.zeros((*HW, 3), np.uint8), time=0.0)
    with (
        TrackFolder(tmp_path / "out", walk, range(4)) as folder,
        pytest.raises(OutputError, match="track id 255, and a palette PNG holds 1 to 254"),
    ):
        folder.write(far)
