"""What a batch is made of: drawn latents, noise, and masks on the same grid."""

import torch

from persam.dreambooth.train.draws import draw
from persam.dreambooth.train.latents import Latent, batch_of, joined


def version(value: float, prompt: str = "sks dog") -> Latent:
    """A constant one without spread, its mask a quarter of the grid."""
    mask = torch.zeros(1, 4, 4)
    mask[:, :2, :2] = 1
    return Latent(
        torch.full((2, 4, 4), float(value)), torch.zeros(2, 4, 4), mask, torch.full((6,), float(value)), prompt
    )


def test_the_versions_of_a_photo_come_in_turn_an_epoch_each():
    photos = [[version(0), version(1), version(2)]]
    draws = [draw(number, count=1, seed=0) for number in range(5)]
    assert batch_of(photos, draws).latents[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1]
    assert batch_of(photos, draws).sizes[:, 0].tolist() == [0, 1, 2, 0, 1]


def test_latents_are_drawn_from_their_distribution():
    wide = Latent(torch.full((4, 32, 32), 3.0), torch.full((4, 32, 32), 0.5), torch.ones(1, 32, 32), torch.ones(6), "")
    batch = batch_of([[wide]], [draw(number, count=1, seed=0) for number in range(4)])
    assert abs(batch.latents.mean() - 3.0) < 0.02
    assert abs(batch.latents.std() - 0.5) < 0.02
    assert abs(batch.noise.std() - 1.0) < 0.02
    # the spread and the noise are two draws: else the network could read its answer from the latents
    assert abs(((batch.latents - 3) * batch.noise).mean()) < 0.02


def test_a_sample_is_the_same_alone_and_in_a_batch():
    photos = [[version(0)], [version(1)], [version(2)]]
    together = batch_of(photos, [draw(number, count=3, seed=0) for number in range(3)], unmasked=0.5)
    for number in range(3):
        alone = batch_of(photos, [draw(number, count=3, seed=0)], unmasked=0.5)
        for part in ("latents", "noise", "mask"):
            assert torch.equal(getattr(alone, part)[0], getattr(together, part)[number])


def test_a_share_of_the_samples_goes_unmasked():
    draws = [draw(number, count=1, seed=0) for number in range(1000)]
    whole = batch_of([[version(0)]], draws, unmasked=0.1).mask.amin((1, 2, 3)) == 1
    assert 70 < whole.sum() < 130  # 100 expected, deviation 9.5
    assert not (batch_of([[version(0)]], draws).mask.amin((1, 2, 3)) == 1).any()


def test_photos_of_the_class_come_after_those_of_the_object():
    draws = [draw(number, count=1, seed=0) for number in range(2)]
    both = joined([batch_of([[version(5)]], draws), batch_of([[version(7, "dog")]], draws)])
    assert both.latents[:, 0, 0, 0].tolist() == [5, 5, 7, 7]
    assert both.prompts == ["sks dog", "sks dog", "dog", "dog"]
    assert len(both.chances) == 4
