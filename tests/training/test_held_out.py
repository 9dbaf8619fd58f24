"""The held-out numbers are of the mask that the model would keep, on photos that training never sees."""

import functools

import numpy as np
import torch
from safetensors.torch import save_file

from persam.sam import nano
from tests.training.conftest import LEFT, PHOTOS, picture, plane
from training import held_out as command
from training.archive import Photo, Photos
from training.held_out import best_iou, held_out, stack
from training.views import whole_view


def test_views_are_normalised_as_inference_normalises_photos(archive):
    rgb, mask = picture(PHOTOS[0]), plane(LEFT)
    inputs, cover, weight = stack([whole_view(rgb, mask[None], np.zeros_like(mask), size=96)])
    assert (inputs.shape, cover.shape, weight.shape) == ((1, 3, 96, 96), (1, 1, 24, 24), (1, 24, 24))
    assert torch.equal(inputs[0, :, 30, 20] * 127.5 + 127.5, torch.tensor([250.0, 250.0, 240.0]))
    assert inputs[0, :, -1].abs().max() < 0.01  # padding is zero, but for 128 in place of 127.5


def test_the_kept_mask_is_the_best_predicted_of_the_three():
    cover = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    shares = [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]]
    logits = torch.tensor(shares, dtype=torch.float32)[None, :, None] * 2 - 1
    for kept, expected in ((1, 0.5), (2, 0.5), (3, 0.0)):
        predicted = torch.tensor([[0.9, 0.1, 0.1, 0.1]])  # of the single mask: not asked
        predicted[0, kept] = 0.8
        assert best_iou(logits, predicted, cover, torch.ones(1, 1, 4)).tolist() == [expected]


def test_held_out_numbers_are_of_the_held_out_photos_and_the_same_each_time(archive, monkeypatch):
    asked = []
    read = Photos.rgb

    def spy(self: Photos, photo: Photo) -> np.ndarray:
        asked.append(photo.id)
        return read(self, photo)

    monkeypatch.setattr(Photos, "rgb", spy)
    model = nano.build()
    numbers = held_out(model, [archive], size=64)
    assert asked == ["voc_034", "ecssd_001"]
    assert numbers.keys() == {"point_iou", "box_iou", "peak"}
    assert held_out(model, [archive], size=64) == numbers


def test_the_command_gives_a_line_for_each_file_of_weights(archive, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "held_out", functools.partial(held_out, size=64))
    model = nano.build()
    save_file({name: value.half() for name, value in model.state_dict().items()}, tmp_path / "nano.safetensors")
    command.main([str(tmp_path / "nano.safetensors"), "--archive", str(archive)])
    header, line = capsys.readouterr().out.splitlines()
    assert header == "weights,point_iou,box_iou,peak"
    numbers = held_out(nano.from_tensors({k: v.half() for k, v in model.state_dict().items()}), [archive], size=64)
    assert line == ",".join(["nano.safetensors", *(str(numbers[name]) for name in header.split(",")[1:])])
