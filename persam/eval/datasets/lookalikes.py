"""Look-alikes: a car against another car. Does the other one pass for it, and does a counter-example prevent that?

The layout is DAVIS's (`davis`), the photos are those of `album`. There is no published protocol: this is ours.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

from persam.errors import DataError
from persam.eval.datasets.album import album_frames
from persam.eval.datasets.davis import Video, videos
from persam.eval.episodes import Episode, HalfMask, MaskFile, Photo, Reference, Target

# of DAVIS-2016's sequences
KINDS = (
    ("car-roundabout", "car-shadow", "drift-chicane", "drift-straight"),
    ("bmx-trees", "horsejump-high", "motocross-jump", "scooter-black"),  # riders
)


def episodes(root: Path) -> Iterator[Episode]:
    """An episode for each object and each other one of its kind; the first frame is the reference.

    Targets are three of its own later frames, three of the other's, which do not hold it, and the three pairs side by
    side.

    Raises:
        DataError: as `album.episodes`, or no two sequences of a kind are there.
    """
    known = {video.name: video for video in videos(root, lists=())}
    pairs = [pair for kind in KINDS for pair in permutations([name for name in kind if name in known], 2)]
    if not pairs:
        raise DataError(f"no two look-alikes in {root}: they need sequences such as {KINDS[0][0]} and {KINDS[0][1]}.")
    for own, other in pairs:
        yield _episode(known[own], known[other])


def episodes_with_counter_examples(root: Path) -> Iterator[Episode]:
    """The same, with the other one's first frame as a counter-example, which is none of the targets."""
    known = {video.name: video for video in videos(root, lists=())}
    for episode in episodes(root):
        yield replace(episode, not_this=(_first(known[episode.draw]),))


def _episode(own: Video, other: Video) -> Episode:
    targets = []
    for place, (mine, theirs) in enumerate(zip(album_frames(own), album_frames(other), strict=True)):
        photo, mask, stranger = own.photos[mine], MaskFile(own.masks[mine]), other.photos[theirs]
        left, right = (stranger, photo) if place % 2 else (photo, stranger)
        targets += [
            Target(f"{place}_own", Photo(photo), mask),
            Target(f"{place}_other", Photo(stranger), None),
            Target(f"{place}_both", Photo(left, beside=right), HalfMask(mask, stranger, on_right=bool(place % 2))),
        ]
    return Episode(own.name, (_first(own),), tuple(targets), draw=other.name)


def _first(video: Video) -> Reference:
    return Reference(Photo(video.photos[0]), MaskFile(video.masks[0]))
