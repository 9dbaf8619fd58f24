"""What chance decides for the n-th sample of a run: a function of the seed and n, of nothing else.

So a resumed run needs to know its step alone, and batch size, accumulation and the number of devices change neither
the samples nor their noise: 2 devices with a batch of 1 see what 1 device with a batch of 2 sees.
"""

from dataclasses import dataclass

import numpy as np
import torch

INSTANCES, CLASS, PICTURES = 1, 2, 3  # streams that are independent of each other
_ORDER = 4


@dataclass(frozen=True)
class Draw:
    """Which photo comes, the how manieth time, and by which chance it is noised."""

    photo: int
    epoch: int
    chance: torch.Generator


def draw(number: int, *, count: int, seed: int, stream: int = INSTANCES) -> Draw:
    """The n-th sample of a run over `count` photos: every photo once an epoch, in another order each time."""
    epoch, place = divmod(number, count)
    order = np.random.default_rng((seed, stream, _ORDER, epoch)).permutation(count)
    return Draw(int(order[place]), epoch, chance(seed, stream, number))


def chance(seed: int, stream: int, number: int) -> torch.Generator:
    """A generator on the CPU, which draws the same on every machine."""
    state = np.random.SeedSequence((seed, stream, number)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


def numbers(step: int, part: int, *, parts: int, process: int, processes: int, batch: int) -> range:
    """The samples that one process takes in one part of an optimizer step; together all follow each other."""
    first = ((step * parts + part) * processes + process) * batch
    return range(first, first + batch)
