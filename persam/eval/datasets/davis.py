"""DAVIS-2016 and DAVIS-2017, semi-supervised: the first frame's mask is given, every later frame is asked.

JPEGImages/480p/<sequence>/00000.jpg, …
Annotations/480p/<sequence>/00000.png, …    2016: above 0 is the object; 2017: the palette index is its number
ImageSets/2017/val.txt                      the sequences that count, for 2016 ImageSets/480p/val.txt or 2016/val.txt
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from persam.errors import DataError
from persam.eval.episodes import Episode, MaskFile, Photo, Reference, Target, file_in, folder_in, read_labels

VOID = 255  # DAVIS-2017's label for pixels that nobody could tell; its evaluation counts them as background


@dataclass(frozen=True)
class Video:
    """A video's frames and their masks, paired by name, in order."""

    name: str
    photos: tuple[Path, ...]
    masks: tuple[Path, ...]

    def episode(self, name: str, *, label: int | None, frames: tuple[int, ...], together: str) -> Episode:
        """Frame 0 is the reference; `frames` are the targets."""
        masks = [MaskFile(path, label) for path in self.masks]
        return Episode(
            object=name,
            references=(Reference(Photo(self.photos[0]), masks[0]),),
            targets=tuple(Target(self.photos[frame].stem, Photo(self.photos[frame]), masks[frame]) for frame in frames),
            together=together,
        )


def episodes_2016(root: Path) -> Iterator[Episode]:
    """An episode a sequence; whatever is annotated is the one object.

    The frames that count are those between the first and the last, as in DAVIS-2017 (`metrics.video_statistics`).

    Raises:
        DataError: a folder or a listed sequence is missing, or a frame has no mask.
    """
    for video in videos(root, lists=("ImageSets/480p/val.txt", "ImageSets/2016/val.txt")):
        yield video.episode(video.name, label=None, frames=_asked(video), together="")


def episodes_2017(root: Path) -> Iterator[Episode]:
    """An episode an object, the objects of a sequence together: as many as the first frame's highest label.

    Raises:
        DataError: a folder or a listed sequence is missing, or a frame has no mask.
    """
    for video in videos(root, lists=("ImageSets/2017/val.txt",)):
        labels = read_labels(video.masks[0])
        for label in range(1, int(labels[labels != VOID].max(initial=0)) + 1):
            name = f"{video.name}_{label}"
            yield video.episode(name, label=label, frames=_asked(video), together=video.name)


def videos(root: Path, *, lists: tuple[str, ...]) -> Iterator[Video]:
    """The videos of the first list that is there; without a list, all of them."""
    photos, masks = folder_in(root, "JPEGImages", "480p"), folder_in(root, "Annotations", "480p")
    listed = next((_listed(root / path) for path in lists if (root / path).is_file()), None)
    for name in listed if listed is not None else sorted(folder.name for folder in masks.iterdir() if folder.is_dir()):
        frames = tuple(sorted(folder_in(photos, name).glob("*.jpg")))
        if len(frames) < 3:
            raise DataError(f"{name}: {len(frames)} frames in JPEGImages/480p/{name}; a video has three at least.")
        yield Video(name, frames, tuple(file_in(masks, name, f"{frame.stem}.png") for frame in frames))


def _listed(path: Path) -> list[str]:
    """Sequence names of a list of names, or (DAVIS-2016) of a list of photo and mask paths, each once, in order."""
    lines = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    return list(dict.fromkeys(Path(line).parent.name if "/" in line else line for line in lines))


def _asked(video: Video) -> tuple[int, ...]:
    return tuple(range(1, len(video.photos)))
