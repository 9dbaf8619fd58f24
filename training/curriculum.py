"""The five courses: what the steps of a run draw, and how the further losses weigh, from which share of it on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from training import prompts
from training.mix import ANY, CROWDS, EVERYDAY, RIDERS, SINGLES, Mix

# input size: (share of the steps, scenes a step); a scene is two views
SIZES = {256: (0.3, 6), 320: (0.35, 4), 384: (0.2, 3), 512: (0.15, 2)}
LAST_SIZES = {256: (0.1, 6), 320: (0.2, 4), 384: (0.3, 3), 512: (0.4, 2)}  # nearer to use
USE_SIZES = {320: (0.1, 4), 448: (0.3, 3), 576: (0.4, 2), 640: (0.2, 2)}  # of crops, and of whole photos
LARGE_SIZES = {384: (0.15, 3), 512: (0.35, 2), 640: (0.5, 2)}  # as in use


@dataclass(frozen=True)
class Stage:
    """What the steps from one share of a run to the next draw, and how the further losses weigh.

    identity: objects must differ from each other, not only from the ground. strangers: and from those of earlier steps.
    official: how often a concept's prompt goes on as in the official code, from the single mask, in three rounds.
    misplaced: how often guidance after the softmax is stretched as it does (ledger 3). inner: whether the peak of the
    similarity should lie well inside the object.
    """

    mix: Mix
    sizes: Mapping[int, tuple[float, int]]
    prompts: Mapping[str, float]
    identity: float = 0.0
    strangers: float = 0.0
    official: float = 0.0
    misplaced: float = 0.0
    inner: bool = False


_ANY = Stage(ANY, SIZES, prompts.FIRST_PROMPTS)
_SINGLES = Stage(SINGLES, SIZES, prompts.FIRST_PROMPTS, identity=0.3)
_CROWDS = Stage(
    CROWDS, LAST_SIZES, prompts.FIRST_PROMPTS_OF_CONCEPTS, identity=0.3, strangers=0.2, official=0.6, misplaced=0.5
)
_RIDERS = replace(_CROWDS, mix=RIDERS)
_INNER = replace(_RIDERS, prompts=prompts.FIRST_PROMPTS_OF_RIDERS, inner=True)
# from this share of the run on
COURSES = {
    "first": {
        0.0: _ANY,
        4 / 15: replace(_ANY, identity=0.3),
        1 / 3: _SINGLES,
        0.8: replace(_SINGLES, sizes=LAST_SIZES),
    },
    "second": {0.0: _CROWDS},
    "third": {0.0: _RIDERS, 0.5: _INNER},
    "fourth": {0.0: replace(_INNER, sizes=LARGE_SIZES)},
    "fifth": {0.0: replace(_INNER, mix=EVERYDAY, sizes=USE_SIZES, prompts=prompts.FIRST_PROMPTS_OF_CONCEPTS)},
}


def stage_at(course: str, progress: float) -> Stage:
    """The stage at a share of the run, 0 to 1."""
    return [stage for start, stage in COURSES[course].items() if start <= progress][-1]
