"""Several searches at a time, whose images and crops go through the encoder as one batch.

The method searches one image: it asks its backbone to encode something, and goes on with the answer. Here every search
has a thread of its own, which stops where it asks. When all have stopped, what they ask for is encoded as one batch,
and each goes on. One thread runs at any moment, in the order of the searches, so that nothing depends on chance.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import UInt8

from persam.sam.backbone import Backbone
from persam.sam.wrapped import WrappedBackbone
from persam.types import ImageEmbedding

Array = np.ndarray[Any, Any]
Found = TypeVar("Found")
_here = threading.local()  # the search that a thread belongs to


@dataclass(frozen=True)
class Failed:
    """What a search or an encoding ended with instead of an answer."""

    error: BaseException


@dataclass(frozen=True)
class _Asked:
    """What a search wants encoded, and by which backbone."""

    backbone: Backbone
    images: Sequence[Any]
    fills: Sequence[float] | None

    @property
    def kind(self) -> tuple[int, bool]:
        """What goes together is of one input, and either crops or whole images."""
        return self.backbone.input_size, self.fills is None


class _Stopped(BaseException):
    """Ends a search whose answer nobody waits for any more."""


class LockstepBackbone(WrappedBackbone):
    """The inner backbone, to which what is asked in a search of `together` is put as one batch; else itself."""

    def encode(
        self, images: Sequence[UInt8[Array, "_ _ 3"]], *, fills: Sequence[float] | None = None
    ) -> ImageEmbedding:
        search = getattr(_here, "search", None)
        if search is None:
            return self.inner.encode(images, fills=fills)
        return search.ask(_Asked(self.inner, images, fills))


class _Search(Generic[Found]):
    """One search in its thread. After `go`, it has either asked for something or ended."""

    def __init__(self, call: Callable[[], Found]):
        self.asked: _Asked | None = None
        self.outcome: Found | Failed | None = None
        self._call = call
        self._answers: SimpleQueue[ImageEmbedding | Failed] = SimpleQueue()
        self._pauses: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="persam-search", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.asked = self._pauses.get()

    def go(self, answer: ImageEmbedding | Failed) -> None:
        self._answers.put(answer)
        self.asked = self._pauses.get()

    def ask(self, asked: _Asked) -> ImageEmbedding:
        """In its own thread: stops until there is an answer."""
        self._pauses.put(asked)
        answer = self._answers.get()
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    def _run(self) -> None:
        _here.search = self
        try:
            self.outcome = self._call()
        except BaseException as error:
            self.outcome = Failed(error)
        self._pauses.put(None)


def together(calls: Sequence[Callable[[], Found]]) -> list[Found | Failed]:
    """What each call gives, or how it failed. They search with a `LockstepBackbone` each, or with one for all."""
    searches = [_Search(call) for call in calls]
    try:
        for search in searches:
            search.start()
        while waiting := [search for search in searches if search.asked]:
            first = waiting[0].asked
            same = [search for search in waiting if search.asked and first and search.asked.kind == first.kind]
            answers = _encoded([search.asked for search in same if search.asked])
            for search, answer in zip(same, answers, strict=True):
                search.go(answer)
    finally:
        for search in searches:
            while search.asked:
                search.go(Failed(_Stopped()))
    outcomes = [search.outcome for search in searches]
    return [one for one in outcomes if one is not None]


def _encoded(asked: Sequence[_Asked]) -> list[ImageEmbedding | Failed]:
    """An answer to each. Where a batch fails, as for want of memory, each is encoded alone and fails alone."""
    images = [image for one in asked for image in one.images]
    fills = None if asked[0].fills is None else [fill for one in asked for fill in one.fills or ()]
    try:
        batch = asked[0].backbone.encode(images, fills=fills)
    except Exception as error:
        if len(asked) == 1:
            return [Failed(error)]
        return [answer for one in asked for answer in _encoded([one])]
    ends = np.cumsum([len(one.images) for one in asked]).tolist()
    starts = [0, *ends]
    return [
        ImageEmbedding.joined([batch[place] for place in range(start, end)])
        for start, end in zip(starts, ends, strict=False)
    ]
