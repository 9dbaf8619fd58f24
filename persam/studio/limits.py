"""What the page takes, checked before anything is decoded or searched."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from PIL import Image

from persam.errors import LimitError

CONCEPT_BYTES = 16 << 20  # of a concept's file, which takes 150 kilobytes a reference
MB, MEGAPIXEL = 1_000_000, 1_000_000


@dataclass(frozen=True)
class Deadline:
    """A moment after which a piece of work ends."""

    what: str
    seconds: float
    clock: Callable[[], float]
    end: float

    def check(self) -> None:
        """Raises LimitError when it has passed."""
        if self.clock() > self.end:
            raise LimitError(
                f"{self.what} takes longer than {self.seconds:g} s, and ends here; what was finished is kept. Take "
                "less at a time, or start `persam serve` with a larger --max-seconds."
            )


@dataclass(frozen=True)
class Limits:
    """The most that one request may bring.

    file_mb: of one file, in millions of bytes. megapixels: of a photo or of a clip's frames, in millions.
    files: photos at a time. seconds: that an album, a clip or a training folder may take.

    Raises:
        LimitError: one of them is not above 0.
    """

    file_mb: float = 200
    megapixels: float = 64
    files: int = 200
    seconds: float = 1800
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != "clock" and not value > 0:
                option = "photos" if one.name == "files" else one.name.replace("_", "-")
                raise LimitError(f"a limit lies above 0, and --max-{option} {value:g} was given.")

    def check_count(self, count: int) -> None:
        """Raises LimitError for more photos than are taken at a time, and for none."""
        if count < 1:
            raise LimitError("there are no photos yet: drop some first.")
        if count > self.files:
            raise LimitError(
                f"{count} photos are more than the {self.files} that are taken at a time. Drop fewer, or start "
                "`persam serve` with a larger --max-photos."
            )

    def check_file(self, path: Path, *, most_bytes: float | None = None) -> None:
        """Raises LimitError for a file that is larger, or is none."""
        if not path.is_file():
            raise LimitError(f"{path.name} is not here any more. Load it again.")
        most = self.file_mb * MB if most_bytes is None else most_bytes
        size = path.stat().st_size
        if size > most:
            raise LimitError(
                f"{path.name} has {size / MB:.1f} MB, and {most / MB:g} MB are the most. Save it smaller"
                f"{', or start `persam serve` with a larger --max-file-mb' if most_bytes is None else ''}."
            )

    def check_photo(self, path: Path) -> None:
        """Raises LimitError for a photo whose file or pixels are too many, by its header: nothing is decoded."""
        self.check_file(path)
        try:
            with Image.open(path) as image:
                hw = image.height, image.width
        except Exception:  # what is wrong with it is said when it is read
            return
        self.check_pixels(path.name, hw)

    def check_pixels(self, name: str, hw: tuple[int, int]) -> None:
        """Raises LimitError for a picture of more pixels."""
        if hw[0] * hw[1] > self.megapixels * MEGAPIXEL:
            raise LimitError(
                f"{name} has {hw[1]}x{hw[0]} pixels, and {self.megapixels:g} million are the most. Scale it down, or "
                "start `persam serve` with a larger --max-megapixels."
            )

    def deadline(self, what: str) -> Deadline:
        """The moment by which `what` must be done, from now on."""
        return Deadline(what, self.seconds, self.clock, self.clock() + self.seconds)
