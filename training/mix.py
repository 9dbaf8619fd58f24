"""What training scenes are drawn from, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

# how often a source is drawn: things before regions, however many photos a source has
SOURCE_SHARES = {"voc": 0.45, "ecssd": 0.14, "ccp": 0.1, "bsds": 0.09, "horse": 0.07, "human": 0.07, "coco": 0.08}
THING_SHARES = {"voc": 0.52, "ecssd": 0.18, "ccp": 0.06, "bsds": 0.02, "horse": 0.07, "human": 0.06, "coco": 0.09}
EVERYDAY_SHARES = {
    **{"voc": 0.32, "ecssd": 0.14, "ccp": 0.04, "bsds": 0.02, "horse": 0.05, "human": 0.05, "coco": 0.08},
    **{"render": 0.16, "feralcat": 0.06, "pet": 0.02, "carparts": 0.01, "sam3d": 0.02, "fruitsnuts": 0.01},
    **{"ners": 0.01, "nerd": 0.005, "bigbird": 0.004, "lemur": 0.001},
}
SOURCES = tuple(EVERYDAY_SHARES)
# sources whose masks are whole things, not clothes or regions, and of which no two photos show the same thing
THINGS = ("voc", "ecssd", "horse", "human", "coco", "feralcat", "pet", "sam3d")
RENDERED = "render"  # to train with, not to measure on


@dataclass(frozen=True)
class Mix:
    """The probabilities by which scenes are drawn.

    sources: of each source. views: of each kind of view. single: a mask is one thing, not all the dogs of a photo.
    look_alikes: that the scene's other objects are look-alikes of the first, where the photo has some.
    joined: that two things, one upon the other, are one object beside its two parts: a rider and the horse.
    composed: that those two come from two photos. motion: that a view has motion blur.
    another_photo: that the two views are two photos of the same things. light: that a view is in quite another light.
    turned: that a view is turned by a quarter or a half. barred: that something lies across the first object of a view.
    """

    sources: Mapping[str, float]
    views: Mapping[str, float]
    single: bool = True
    look_alikes: float = 0.0
    joined: float = 0.0
    composed: float = 0.0
    motion: float = 0.0
    another_photo: float = 0.0
    light: float = 0.0
    turned: float = 0.0
    barred: float = 0.0


ANY = Mix(SOURCE_SHARES, {"whole": 0.3, "window": 0.45, "pasted": 0.25}, single=False)
SINGLES = Mix(SOURCE_SHARES, {"whole": 0.3, "window": 0.35, "pasted": 0.2, "twin": 0.15})
CROWDS = Mix(
    THING_SHARES, {"whole": 0.34, "window": 0.22, "pasted": 0.16, "mosaic": 0.16, "twin": 0.12}, look_alikes=0.5
)
RIDERS = replace(CROWDS, joined=0.25, composed=0.2, motion=0.15)
EVERYDAY = Mix(
    EVERYDAY_SHARES,
    {"whole": 0.3, "window": 0.2, "fill": 0.16, "pasted": 0.12, "mosaic": 0.12, "twin": 0.1},
    look_alikes=0.5,
    joined=0.1,
    composed=0.12,
    motion=0.1,
    another_photo=0.12,
    light=0.25,
    turned=0.1,
    barred=0.06,
)
