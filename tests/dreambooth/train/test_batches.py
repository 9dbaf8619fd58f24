"""A sample counts the same in whatever batch, accumulation or process it comes, and the class counts beside it."""

import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from persam.dreambooth.train.draws import CLASS, draw
from persam.dreambooth.train.latents import batch_of, encode_photos, joined
from persam.dreambooth.train.loop import loss_of, sample_losses
from persam.dreambooth.train.model import load_family, make_trainable
from persam.dreambooth.train.run import train

pytestmark = pytest.mark.slow

ONE = {"train_batch_size": 2, "max_train_steps": 3}
# AdamW divides by the root of the mean square: sums of another order show where gradients are nearly 0.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def close(one: Path, other: Path) -> None:
    left, right = load_file(one), load_file(other)
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], **CLOSE)


@pytest.mark.parametrize("model", ["sd15", "sd3"])
def test_two_batches_of_one_are_one_batch_of_two(model: str, options, tmp_path):
    together = train(options(model, output_dir=tmp_path / "1", **ONE))
    split = options(model, output_dir=tmp_path / "2", max_train_steps=3, gradient_accumulation_steps=2)
    close(together.weights, train(split).weights)


def _one_of_two(rank: int, port: int, given) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"}
    train(given)
    torch.distributed.destroy_process_group()


# Python 3.12 warns of every fork beside threads; torch's and tqdm's take no part in what the children do.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_processes_with_a_batch_of_one_are_one_with_a_batch_of_two(options, tmp_path):
    together = train(options("sd15", output_dir=tmp_path / "1", **ONE))
    apart = options("sd15", output_dir=tmp_path / "2", max_train_steps=3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    torch.multiprocessing.start_processes(_one_of_two, args=(port, apart), nprocs=2, start_method="fork")
    close(together.weights, apart.output_dir / "pytorch_lora_weights.safetensors")


def test_each_sample_has_its_own_loss_and_the_class_has_no_mask(options, photos):
    """Photos of the class after those of the object, each with its own noise level (diffusers #5791 mixes them)."""
    from persam.dreambooth.dataset import MaskedPhotos
    from persam.dreambooth.pairs import read_pairs

    given = options("sd15", snr_gamma=5.0)
    family = load_family(given)
    family.encode_prompts(["a photo of sks dog"], torch.device("cpu"))
    make_trainable(family)
    pairs = read_pairs(photos)
    masked, whole = (
        encode_photos(
            family,
            MaskedPhotos(pairs, resolution=64, center_crop=True),
            ["a photo of sks dog"] * 3,
            masked=is_masked,
        )
        for is_masked in (True, False)
    )

    def object_samples():
        return batch_of(masked, [draw(number, count=3, seed=0) for number in range(2)])

    def class_samples():
        return batch_of(whole, [draw(number, count=3, seed=0, stream=CLASS) for number in range(2)])

    def losses(batch):
        return sample_losses(family, family.network, batch, loss_of(given), torch.device("cpu")).detach()

    alone = torch.cat([losses(object_samples()), losses(class_samples())])
    torch.testing.assert_close(losses(joined([object_samples(), class_samples()])), alone)

    text = family.texts["a photo of sks dog"].embeds.expand(2, -1, -1)
    batch = class_samples()
    made = family.noised(batch.latents, batch.noise, batch.chances)
    said = family.network(made.latents, made.timesteps, text).sample
    plain = torch.nn.functional.mse_loss(said, batch.noise, reduction="none").mean((1, 2, 3)) * made.weight
    torch.testing.assert_close(alone[2:], plain.detach())
