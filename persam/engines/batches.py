"""An album on one machine: photos are read ahead by threads, and searched several at a time where that pays.

On a CPU an encoder is no faster for a batch than for its images one by one, so photos are searched one at a time there,
while the next is read. An accelerator is given as many as its encoder takes at once.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import UInt8

from persam.engines.lockstep import Failed, LockstepBackbone, together
from persam.errors import PerSAMError
from persam.io.album import Target
from persam.io.background import in_background
from persam.io.results import ImageResult
from persam.method.concept import Concept
from persam.model import PerSAM
from persam.sam.backbone import Backbone
from persam.sam.wrapped import innermost

Array = np.ndarray[Any, Any]
READERS = 4  # at most: a photo of 12 megapixels takes longer to read than an accelerator takes to search it


def photos_at_once(backbone: Backbone) -> int:
    """How many photos are searched together with this backbone."""
    return 1 if backbone.device.type == "cpu" else getattr(innermost(backbone), "batch_size", 1)


def search(
    model: PerSAM,
    targets: Iterable[Target],
    concepts: Concept | Sequence[Concept],
    *,
    max_instances: int = 1,
    at_once: int | None = None,
    hold: bool = False,
) -> Iterator[ImageResult]:
    """What `PerSAM.segment` gives for each target, in the same order; one that fails raises when its turn comes.

    After an error the next one can still be asked for. However long the album, no more photos are in memory than two
    groups: the one that is searched, and the one that is read.

    Args:
        model: what searches.
        targets: drawn from while the search goes on.
        concepts: as for `PerSAM.segment`.
        max_instances: likewise.
        at_once: how many photos are searched together; by default what suits the backbone.
        hold: whether a result keeps its photo in memory, for who draws it at once, instead of reading it again.

    Raises:
        PerSAMError: at_once is below 1; else as `PerSAM.segment`.
    """
    count = photos_at_once(model.backbone) if at_once is None else at_once
    if count < 1:
        raise PerSAMError(f"{count} photos at once find nothing: give 1 or more.")
    shared = model.with_backbone(LockstepBackbone(model.backbone))
    shared.segment((), concepts, max_instances=max_instances)  # what cannot be searched is said at once

    def ask(target: Target) -> ImageResult:
        found = next(shared.segment([target], concepts, max_instances=max_instances))
        return replace(found, read=target.read) if hold else found

    return map(_unwrapped, _outcomes(_read_ahead(targets, count), ask, count))


def _read_ahead(targets: Iterable[Target], count: int) -> Iterator[Target]:
    """The targets, of which the next ones are being read; each gives the pixels, or raises, as if it were read now."""
    given: list[Target] = []

    def calls() -> Iterator[Callable[[], UInt8[Array, "h w 3"]]]:
        for target in targets:
            given.append(target)
            yield target.read

    threads = min(count, READERS, os.cpu_count() or 1)
    for future in in_background(calls(), ahead=count, threads=threads):
        yield _with(given.pop(0), future)


def _with(target: Target, future: "Future[UInt8[Array, 'h w 3']]") -> Target:
    return replace(target, read=future.result)


def _outcomes(
    targets: Iterator[Target], ask: Callable[[Target], ImageResult], count: int
) -> Iterator[ImageResult | Failed]:
    while group := list(islice(targets, count)):
        if len(group) == 1:
            yield _tried(partial(ask, group.pop()))
        else:
            found = together([partial(ask, target) for target in group])
            group.clear()
            found.reverse()
            while found:  # each is forgotten as it is handed out
                yield found.pop()


def _tried(call: Callable[[], ImageResult]) -> ImageResult | Failed:
    try:
        return call()
    except PerSAMError as error:
        return Failed(error)


def _unwrapped(outcome: ImageResult | Failed) -> ImageResult:
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome
