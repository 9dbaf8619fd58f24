"""From which checkpoint a run goes on, and when there is no room for them. What they hold: test_resume.py."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from persam.dreambooth.train import checkpoints
from persam.dreambooth.train.options import TrainOptions
from persam.errors import DreamBoothError, OutputError


def options(output: Path, **more) -> TrainOptions:
    return TrainOptions(pretrained_model_name_or_path="m", instance_data_dir=Path("rex"), output_dir=output, **more)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for name in ("checkpoint-900", "checkpoint-1000", "checkpoint-old", ".checkpoint-1100.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").touch()
    return tmp_path


def test_the_latest_is_the_one_of_the_highest_step(output):
    assert checkpoints.find(options(output, resume_from_checkpoint="latest")) == output / "checkpoint-1000"


def test_a_checkpoint_is_named_by_its_path_or_by_its_name(output):
    for name in ("checkpoint-900", str(output / "checkpoint-900")):
        assert checkpoints.find(options(output, resume_from_checkpoint=name)) == output / "checkpoint-900"


def test_an_unknown_one_is_an_error_that_lists_those_that_are_there(output):
    with pytest.raises(DreamBoothError, match=r"no checkpoint checkpoint-5\. .*: checkpoint-900, checkpoint-1000\."):
        checkpoints.find(options(output, resume_from_checkpoint="checkpoint-5"))


def test_a_new_run_does_not_mix_with_an_earlier_one(output):
    with pytest.raises(DreamBoothError, match=r"holds checkpoint-1000 of an earlier run\. Go on from it with"):
        checkpoints.find(options(output))


def test_without_any_the_latest_is_the_beginning(tmp_path):
    assert checkpoints.find(options(tmp_path, resume_from_checkpoint="latest")) is None
    assert checkpoints.find(options(tmp_path)) is None


@pytest.mark.parametrize(
    ("more", "needed"),
    [
        ({"max_train_steps": 1000, "checkpointing_steps": 500}, "7.0"),  # 2 checkpoints of 3 GiB, a result of 1
        ({"max_train_steps": 1000, "checkpointing_steps": 100}, "31.0"),
        ({"max_train_steps": 1000, "checkpointing_steps": 100, "checkpoints_total_limit": 1}, "7.0"),
        ({"max_train_steps": 1000, "checkpointing_steps": 500, "full": True}, "8.0"),
    ],
)
def test_no_room_on_the_disk_is_said_with_what_is_needed(more: dict, needed: str, tmp_path, monkeypatch):
    free = float(needed) * 2**30
    trained = [torch.nn.Parameter(torch.empty(2**28, device="meta"))]  # 1 GiB in float32
    disk = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(2**50, 0, int(free)))
    with pytest.raises(OutputError, match=f"GiB free, and checkpoints and weights need {needed}"):
        checkpoints.check_room(tmp_path, trained, options(tmp_path, **more))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(2**50, 0, int(free) + 2**21))
    checkpoints.check_room(tmp_path, trained, options(tmp_path, **more))


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="where a folder should be"):
        checkpoints.make_writable(tmp_path / "file" / "out")
    checkpoints.make_writable(tmp_path / "new" / "out")
    assert os.listdir(tmp_path / "new" / "out") == []
