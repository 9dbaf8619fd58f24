"""The n-th sample of a run is the same whatever the batch, the accumulation, the devices or a stop in between."""

import pytest
import torch

from persam.dreambooth.train.draws import CLASS, draw, numbers


def test_each_photo_comes_once_an_epoch_and_not_always_in_the_same_order():
    epochs = [[draw(number, count=5, seed=0).photo for number in range(5 * e, 5 * e + 5)] for e in range(4)]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3, 4]] * 4
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert [draw(number, count=5, seed=0).epoch for number in (0, 4, 5, 14)] == [0, 0, 1, 2]


def noise(number: int, *, seed: int = 0, stream: int = 1) -> torch.Tensor:
    return torch.randn(4, generator=draw(number, count=5, seed=seed, stream=stream).chance)


def test_a_sample_has_its_own_noise_and_has_it_again():
    assert torch.equal(noise(7), noise(7))
    assert not torch.equal(noise(7), noise(8))
    assert not torch.equal(noise(7), noise(7, seed=1))
    assert not torch.equal(noise(7), noise(7, stream=CLASS))


@pytest.mark.parametrize(
    ("parts", "processes", "batch"), [(1, 1, 4), (4, 1, 1), (1, 4, 1), (2, 2, 1), (1, 2, 2), (2, 1, 2)]
)
def test_an_optimizer_step_over_four_samples_takes_the_same_four(parts: int, processes: int, batch: int):
    taken = [
        number
        for part in range(parts)
        for process in range(processes)
        for number in numbers(3, part, parts=parts, process=process, processes=processes, batch=batch)
    ]
    assert taken == [12, 13, 14, 15]
