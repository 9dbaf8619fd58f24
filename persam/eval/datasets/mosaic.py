"""Mosaics: two videos side by side as one, an object in either half. Does a tracker keep the two apart?

The layout is DAVIS's (`davis`); what is annotated is the one object. There is no published protocol: this is ours. In
the order of their names most neighbours differ; of DAVIS-2016, car-roundabout and car-shadow are look-alikes.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from persam.errors import DataError
from persam.eval.datasets.davis import Video, videos
from persam.eval.episodes import Episode, HalfMask, MaskFile, Photo, Reference, Target


def episodes(root: Path) -> Iterator[Episode]:
    """Two episodes, asked together, for each pair of neighbours in the order of names; as long as the shorter one.

    Every sequence that is there counts, listed or not. The first frame is the reference, as in DAVIS.

    Raises:
        DataError: a folder is missing, a frame has no mask, or there is only one sequence.
    """
    known = sorted(videos(root, lists=()), key=lambda video: video.name)
    if len(known) < 2:
        raise DataError(f"{len(known)} sequence in {root}: a mosaic needs two.")
    for left, right in pairwise(known):
        for video, other, on_right in ((left, right, False), (right, left, True)):
            yield _episode(left, right, video, other, on_right=on_right)


def _episode(left: Video, right: Video, video: Video, other: Video, *, on_right: bool) -> Episode:
    photos = [Photo(one, beside=two) for one, two in zip(left.photos, right.photos, strict=False)]
    masks = [HalfMask(MaskFile(mask), photo, on_right) for mask, photo in zip(video.masks, other.photos, strict=False)]
    return Episode(
        object=f"{left.name}+{right.name}_{2 if on_right else 1}",
        references=(Reference(photos[0], masks[0]),),
        targets=tuple(
            Target(f"{number:05d}", photo, mask)
            for number, (photo, mask) in enumerate(zip(photos[1:], masks[1:], strict=True), 1)
        ),
        together=f"{left.name}+{right.name}",
    )
