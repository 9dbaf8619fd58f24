"""What one person has on the page: a reference and its marks, a shelf, an album under review, a clip; in one folder."""

import shutil
import tempfile
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from persam.errors import ImageError, MaskError, PerSAMError
from persam.io import draw
from persam.model import PerSAM
from persam.studio.album import Album
from persam.studio.clip import Clip
from persam.studio.limits import Limits
from persam.studio.marking import Marks, mask_of, refined
from persam.studio.photo import Photo, painted_mask, read_photo, view
from persam.studio.review import Review
from persam.studio.shelf import Kept, Shelf

Array = np.ndarray[Any, Any]
MOST_SESSIONS = 8  # that are remembered; the one that was idle for longest makes room
MOST_OUTPUTS = 24  # folders of files that were handed out, of a session; the oldest make room
WAYS = ("object", "background", "box")


class Session:
    """The state behind one browser tab. Its files are gone when it is closed.

    Args:
        model: learns and finds.
        folder: where its own folder is made.
        limits: what it takes.
    """

    def __init__(self, model: PerSAM, folder: Path, limits: Limits):
        self.model, self.limits = model, limits
        self.folder = Path(tempfile.mkdtemp(prefix="session-", dir=folder))
        self.shelf = Shelf(model)
        self.photo: Photo | None = None
        self.marks = Marks()
        self.mask: Bool[Array, "h w"] | None = None
        self._embedding: Any = None
        self.clip: Clip | None = None
        self._outputs: deque[Path] = deque()
        self._new_album()

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def output_folder(self) -> Path:
        """A new folder for files that are handed out; those of long ago are gone."""
        self._outputs.append(self._subfolder("out"))
        while len(self._outputs) > MOST_OUTPUTS:
            shutil.rmtree(self._outputs.popleft(), ignore_errors=True)
        return self._outputs[-1]

    # --- the reference

    def load_reference(self, path: Path) -> Photo:
        """The reference photo, encoded once: marks are answered at once.

        Raises:
            LimitError, ImageError: it is too large, or cannot be read.
        """
        photo = read_photo(path, self.limits)
        self._embedding = self.model.backbone.encode([photo.rgb])
        self.photo, self.marks, self.mask = photo, Marks(), None
        return photo

    def click(self, view_xy: tuple[float, float], way: str) -> None:
        """Marks a pixel of the photo's view: a place on the `object`, on the `background`, or a corner of a `box`.

        Raises:
            MaskError: nothing fits the marks; they stay as they were before.
        """
        place = self._reference().place(view_xy)
        if way not in WAYS:
            raise PerSAMError(f"a click marks one of {', '.join(WAYS)}, and {way!r} was given.")
        if way == "box":
            self._mark(self.marks.cornered(place))
        else:
            self._mark(self.marks.clicked(place, inside=way == "object"))

    def paint(self, layer: Shaped[Array, "lh lw *c"]) -> None:
        """Takes what was painted over the view as the mask, in the photo's own pixels. Raises as `painted_mask`."""
        self._mark(self.marks.painted_over(painted_mask(layer, self._reference().hw)))

    def undo(self) -> None:
        """Takes the last mark back."""
        if self.marks.before is not None:
            self._mark(self.marks.before)

    def clear(self) -> None:
        self.marks, self.mask = Marks(), None

    def keep(self, name: str) -> Kept:
        """The concept of what is marked, on the shelf.

        Raises:
            MaskError: nothing is marked yet.
            ConceptError, LimitError: as for `Shelf.learn`.
        """
        photo = self._reference()
        if self.mask is None:
            raise MaskError("nothing is marked yet: click on the object, draw a box around it, or paint it.")
        return self.shelf.learn(name, photo.rgb, self.mask)

    def picture(self) -> UInt8[Array, "_ _ 3"]:
        """The view of the reference with its mask and marks."""
        photo = self._reference()
        points, labels = self.marks.drawn
        box = self.marks.box
        return view(
            draw.overlay(
                photo.rgb,
                np.zeros(photo.hw, bool) if self.mask is None else self.mask,
                points_xy=points,
                labels=labels,
                box=None if box is None else (round(box.x0), round(box.y0), round(box.x1), round(box.y1)),
            )
        )

    # --- album and clip

    def new_album(self) -> Album:
        """An empty album, whose review begins anew. The files of the one before are gone."""
        shutil.rmtree(self.album.folder, ignore_errors=True)
        self._new_album()
        return self.album

    def open_clip(self, path: Path) -> Clip:
        """Raises as `Clip.open`."""
        clip = Clip.open(path, self._subfolder("clip"), self.limits)
        if self.clip is not None:
            shutil.rmtree(self.clip.home, ignore_errors=True)
        self.clip = clip
        return clip

    def opened_clip(self) -> Clip:
        if self.clip is None:
            raise PerSAMError("there is no clip yet: drop one first.")
        return self.clip

    def _new_album(self) -> None:
        self.album = Album(self._subfolder("album"))
        self.review = Review(self.model, self.shelf, self.album)

    def _subfolder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def _reference(self) -> Photo:
        if self.photo is None:
            raise ImageError("there is no photo yet: load one first.")
        return self.photo

    def _mark(self, marks: Marks) -> None:
        backbone, mask = self.model.backbone, mask_of(marks, self.model.backbone, self._embedding)
        self.mask = None if mask is None else refined(mask, marks, backbone, self._reference().rgb)
        self.marks = marks


class Sessions:
    """The sessions by the key of their browser tab, in a folder that is gone when they are closed."""

    def __init__(self, model: PerSAM, folder: Path, limits: Limits):
        self.model, self.folder, self.limits = model, folder, limits
        self._open: OrderedDict[str, Session] = OrderedDict()

    def __getitem__(self, key: str) -> Session:
        """The session of this key; a new one where there is none."""
        if key not in self._open:
            while len(self._open) >= MOST_SESSIONS:
                self._open.popitem(last=False)[1].close()
            self._open[key] = Session(self.model, self.folder, self.limits)
        self._open.move_to_end(key)
        return self._open[key]

    def __len__(self) -> int:
        return len(self._open)

    def end(self, key: str) -> None:
        """Closes the session of a tab that was left, if there is one."""
        session = self._open.pop(key, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()
