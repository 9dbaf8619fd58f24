"""Album: a video as a handful of photos. DAVIS's first frame is the reference, three later ones are the targets.

The layout is DAVIS's (`davis`); what is annotated is the one object. There is no published protocol: this is ours.
"""

from collections.abc import Iterator
from pathlib import Path

from persam.errors import DataError
from persam.eval.datasets.davis import Video, videos
from persam.eval.episodes import Episode


def episodes(root: Path) -> Iterator[Episode]:
    """An episode a sequence: of its n frames, 0 is the reference, round(n/3), round(2n/3) and n - 1 are the targets.

    Every sequence that is there counts, listed or not.

    Raises:
        DataError: a folder is missing, a frame has no mask, or a sequence has fewer than five frames.
    """
    for video in videos(root, lists=()):
        yield video.episode(video.name, label=None, frames=album_frames(video), together="")


def album_frames(video: Video) -> tuple[int, int, int]:
    """The targets' places in the video, counted from 0."""
    count = len(video.photos)
    if count < 5:
        raise DataError(f"{video.name}: {count} frames do not give three different targets; five are needed.")
    return round(count / 3), round(2 * count / 3), count - 1
