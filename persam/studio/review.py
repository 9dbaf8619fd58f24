"""What a person should look at first: finds by uncertainty, which are accepted, rejected or put right."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from persam.errors import MaskError, PerSAMError
from persam.model import PerSAM
from persam.studio.album import Album, Found
from persam.studio.marking import Marks, put_right
from persam.studio.shelf import Shelf

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Item:
    """One find of one photo: the photo's name, and which of its finds."""

    photo: str
    place: int


class Review:
    """The queue over an album. What is accepted teaches its concept; what is rejected becomes a counter-example."""

    def __init__(self, model: PerSAM, shelf: Shelf, album: Album):
        self.model, self.shelf, self.album = model, shelf, album
        self.decided: set[Item] = set()
        self.marks = Marks()
        self._embedding: tuple[str, Any] | None = None

    @property
    def queue(self) -> list[Item]:
        """What is undecided, the most uncertain first."""
        items = (
            (Item(photo.name, place), one)
            for photo in self.album.searched.values()
            for place, one in enumerate(photo.found)
        )
        return [item for item, _ in _by_uncertainty(items, self.model.threshold) if item not in self.decided]

    @property
    def current(self) -> Item | None:
        return next(iter(self.queue), None)

    def mask(self) -> Bool[Array, "h w"]:
        """That of the current item, with its corrections."""
        item = self._needed()
        mask = self.album[item.photo].found[item.place].mask
        if not self.marks.clicks:
            return mask
        if self._embedding is None or self._embedding[0] != item.photo:
            self._embedding = item.photo, self.model.backbone.encode([self.album[item.photo].read()])
        return put_right(mask, self.marks, self.model.backbone, self._embedding[1])

    def accept(self) -> str:
        """What was done: the find counts as present, and its concept has learned from it.

        Raises:
            MaskError: the mask is empty.
        """
        item, mask = self._needed(), self.mask()
        if not mask.any():
            raise MaskError("nothing is marked in this photo. Click on the object first, or reject.")
        photo = self.album.change(item.photo, item.place, mask=mask, present=True)
        return self._decide(item, photo.read(), mask, is_it=True)

    def reject(self) -> str:
        """What was done: the find counts as not present, and is a counter-example of its concept."""
        item = self._needed()
        mask = self.album[item.photo].found[item.place].mask
        photo = self.album.change(item.photo, item.place, present=False)
        if not mask.any():
            self._next(item)
            return f"{item.photo}: not here"
        return self._decide(item, photo.read(), mask, is_it=False)

    def skip(self) -> None:
        """Leaves the find as it is."""
        self._next(self._needed())

    def _decide(self, item: Item, rgb: Any, mask: Bool[Array, "h w"], *, is_it: bool) -> str:
        concept = self.album[item.photo].found[item.place].concept
        self._next(item)
        try:
            kept = self.shelf.teach(concept, rgb, mask, is_it=is_it)
        except PerSAMError as error:  # the decision stands, also where nothing can be learned from it
            return f"{item.photo}: {'it is' if is_it else 'it is not'} {concept}. Nothing was learned from it: {error}"
        return f"{item.photo}: {'it is' if is_it else 'it is not'} {concept}. Learned from it: {kept}"

    def _next(self, item: Item) -> None:
        self.decided.add(item)
        self.marks = Marks()

    def _needed(self) -> Item:
        if self.current is None:
            raise PerSAMError("there is nothing to review. Search an album first; its finds come here.")
        return self.current


def _by_uncertainty(items: Iterable[tuple[Item, Found]], threshold: float) -> list[tuple[Item, Found]]:
    """Those whose presence is nearest to the threshold first; where it was not judged, the lowest scores."""

    def certainty(pair: tuple[Item, Found]) -> float:
        one = pair[1]
        return one.score if one.presence is None else abs(one.presence - threshold)

    return sorted(items, key=certainty)
