"""Clips: damaged video files and folders of frames, read forward and backward, in part, and tracked."""

from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import persam
from persam.io.video import Video, open_video
from tests.colour import colour_model, mask, photo
from tests.fuzz.mutate import mutated
from tests.io import clips

FRAMES = 8
PACKED = {"deadline": "realtime", "cpu-used": "8", "g": "4"}


def read_clip(rng: Random, folder: Path) -> None:
    """A clip is read in one of the ways there are; its frames are frames."""
    source = _frames(rng, folder) if rng.random() < 0.3 else _file(rng, folder)
    if rng.random() < 0.1:
        _track(source)
        return
    video = open_video(source, max_side=rng.choice([None, None, None, 20, 1000]))
    assert video.count is None or video.count > 0
    assert 0 < video.rate < float("inf"), video.rate
    _check(video, rng)


def _track(source: Path | str) -> None:
    for result in persam.track(source, mask(hw=(48, 64)), model=colour_model()):
        assert result.mask.shape == result.size_hw, result.size_hw


def _check(video: Video, rng: Random) -> None:
    count = video.count or FRAMES
    way = rng.randrange(4)
    start, step = (rng.randrange(min(count, FRAMES)), rng.choice([1, 1, 2, 3])) if way else (0, 1)
    frames = video.backward(start, step=step) if way == 1 else video.frames(start, rng.choice([None, 5]), step)
    last = None
    for frame in frames:
        assert frame.rgb.dtype == np.uint8, frame.rgb.dtype
        assert frame.rgb.shape == (*video.size_hw, 3), frame.rgb.shape
        assert (frame.index - start) % step == 0, frame.index
        assert np.isfinite(frame.time), frame.time
        if last is not None:
            assert (frame.index < last.index) == (way == 1), (last.index, frame.index)
            assert (frame.time < last.time) == (way == 1), (last.time, frame.time)
        last = frame


def _file(rng: Random, folder: Path) -> Path:
    suffix, data = rng.choice(_clips())
    path = folder / f"a{suffix if rng.random() < 0.9 else rng.choice(['.mp4', '.webm', '.gif', '.bin'])}"
    path.write_bytes(mutated(rng, data) if rng.random() < 0.97 else data)
    return path


def _frames(rng: Random, folder: Path) -> Path | str:
    """A folder of pictures, or a pattern of them, with something wrong."""
    kind, places = rng.choice([".png", ".jpg", ".gif"]), folder / "walk"
    places.mkdir()
    for number in range(rng.randint(1, 4)):
        Image.fromarray(clips.numbered(number)).save(places / f"{number}{kind}")
    victim = rng.choice(sorted(places.iterdir()))
    change = rng.randrange(6)
    if change < 3:
        victim.write_bytes(mutated(rng, victim.read_bytes()))
    elif change == 3:
        Image.fromarray(photo(hw=(rng.randint(1, 90), rng.randint(1, 90)))).save(victim)
    elif change == 4:
        victim.unlink()
        victim.symlink_to(rng.choice([victim, folder, folder / "nowhere.png"]))
    else:
        victim.rename(places / rng.choice(["x.txt", ".png", "a\nb.png", "é.png", "00000000000000000000.png"]))
    return str(places / rng.choice(["*.png", "?.jpg", "[", "**"])) if rng.random() < 0.2 else places


@cache
def _clips() -> list[tuple[str, bytes]]:
    with TemporaryDirectory() as made:
        home = Path(made)
        files = [
            clips.clip(home / "a.mp4", FRAMES, sound="aac"),
            clips.clip(home / "b.mp4", FRAMES, times=[0, 0.1, 0.15, 0.5, 0.6, 0.7, 0.8, 2], index_first=False),
            clips.turned(clips.clip(home / "c.mp4", FRAMES), (0, 1, -1, 0)),
            clips.clip(home / "a.mov", FRAMES, "mpeg4", options=clips.MPEG4),
            clips.clip(home / "a.webm", FRAMES, "libvpx-vp9", options=PACKED),
            clips.clip(home / "b.webm", FRAMES, "libvpx", options=PACKED),
            clips.clip(home / "a.mkv", FRAMES),
            clips.clip(home / "a.avi", FRAMES, "mpeg4", options=clips.MPEG4),
            clips.clip(home / "a.ts", FRAMES),
            clips.clip(home / "a.gif", FRAMES, "gif", options={}, pix_fmt="rgb8"),
            clips.tone_only(home / "d.mp4", cover=True),
        ]
        return [(path.suffix, path.read_bytes()) for path in files]
