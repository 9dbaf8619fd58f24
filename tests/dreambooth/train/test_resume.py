"""A run that was stopped goes on to the same weights, bit for bit; what cannot go on says why."""

import errno
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from persam.dreambooth.train.run import Trained, train
from persam.errors import DreamBoothError, OutputError

pytestmark = pytest.mark.slow

FULL = {"full": True, "learning_rate": 1e-3, "snr_gamma": 5.0, "random_flip": True}
LORA = {
    "with_prior_preservation": True,
    "class_prompt": "a dog",
    "num_class_images": 2,
    "lr_scheduler": "cosine",
    "gradient_accumulation_steps": 2,
    "masking": "onetrainer",
}


def interrupt_after(wanted: int):
    """Presses Ctrl-C while step `wanted` is reported."""

    def done(step: int, loss: float) -> None:
        if step == wanted:
            os.kill(os.getpid(), signal.SIGINT)

    return done


def interrupted(given) -> list[str]:
    """The lines of a run that was stopped after its second step."""
    lines: list[str] = []
    end = train(given, say=lines.append, step_done=interrupt_after(2))
    assert end == Trained(None, given.output_dir / "checkpoint-2", 2, stopped=True)
    torch.rand(7)  # what else happens in between
    return lines


@pytest.mark.parametrize(("model", "more"), [("sd15", FULL), ("sdxl", LORA), ("sd3", {})])
def test_a_stopped_run_goes_on_to_the_weights_of_an_unstopped_one(model: str, more: dict, options, tmp_path):
    length = {"max_train_steps": 5, "checkpointing_steps": 5}
    whole = train(options(model, output_dir=tmp_path / "whole", **length, **more))
    given = options(model, output_dir=tmp_path / "parts", **length, **more)
    interrupted(given)
    lines: list[str] = []
    steps: list[int] = []
    again = options(model, output_dir=tmp_path / "parts", resume_from_checkpoint="latest", **length, **more)
    end = train(again, say=lines.append, step_done=lambda step, loss: steps.append(step))
    assert steps == [3, 4, 5]
    assert f"going on from {given.output_dir / 'checkpoint-2'} after 2 steps" in lines
    one, other = (load_file(run.checkpoint / "trained.safetensors") for run in (whole, end))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    before = load_file(given.output_dir / "checkpoint-2" / "trained.safetensors")
    assert any(not torch.equal(before[name], other[name]) for name in other)


def test_ctrl_c_says_in_one_line_how_to_go_on(options):
    given = options("sd15", max_train_steps=5)
    lines = interrupted(given)
    assert lines[-2:] == [
        "stopping after this step, with a checkpoint; once more stops at once, without",
        f"stopped after step 2; go on with --resume_from_checkpoint latest ({given.output_dir / 'checkpoint-2'})",
    ]
    assert not (given.output_dir / "pytorch_lora_weights.safetensors").exists()


def test_a_checkpoint_of_another_run_is_refused_with_what_differs(options, photos, tmp_path):
    import shutil

    interrupted(options("sd15", max_train_steps=3))
    for more, complaint in (
        ({"rank": 8}, "--rank was 4, now 8"),
        ({"masking": "off"}, "--masking was paper, now off"),
        ({"lr_scheduler": "linear"}, "--lr_scheduler was constant, now linear"),
    ):
        with pytest.raises(DreamBoothError, match=f"belongs to another run: {complaint}"):
            train(options("sd15", max_train_steps=3, resume_from_checkpoint="latest", **more))
    fewer = tmp_path / "fewer"
    shutil.copytree(photos, fewer)
    for part in ("images", "masks"):
        (fewer / part / "rex2.png").unlink()
    with pytest.raises(DreamBoothError, match="belongs to another run: other photos"):
        train(options("sd15", max_train_steps=3, resume_from_checkpoint="latest", instance_data_dir=fewer))


def test_a_damaged_checkpoint_is_an_error(options):
    given = options("sd15", max_train_steps=3)
    interrupted(given)
    state = given.output_dir / "checkpoint-2" / "optimizer.bin"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(DreamBoothError, match=r"checkpoint-2 is damaged .*Go on from an earlier checkpoint"):
        train(options("sd15", max_train_steps=3, resume_from_checkpoint="latest"))
    (given.output_dir / "checkpoint-2" / "run.json").write_text('{"step": 2}')
    with pytest.raises(DreamBoothError, match=r"checkpoint-2 is damaged \('options'\)"):
        train(options("sd15", max_train_steps=3, resume_from_checkpoint="latest"))


def test_losses_logged_beyond_the_checkpoint_are_dropped_by_the_run_that_goes_on(options):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    class Crash(Exception):
        pass

    def crash_after_three(step: int, loss: float) -> None:
        if step == 3:
            raise Crash

    more = {"max_train_steps": 4, "checkpointing_steps": 2, "report_to": "tensorboard"}
    given = options("sd15", **more)
    with pytest.raises(Crash):
        train(given, step_done=crash_after_three)
    train(options("sd15", resume_from_checkpoint="checkpoint-2", **more))
    log = EventAccumulator(str(given.output_dir / "logs"))
    log.Reload()
    assert [event.step for event in log.Scalars("loss")] == [1, 2, 3, 4]


def test_old_checkpoints_go_when_their_number_is_limited(options):
    given = options("sd15", max_train_steps=4, checkpointing_steps=1, checkpoints_total_limit=2)
    train(given)
    assert sorted(path.name for path in given.output_dir.glob("*check*")) == ["checkpoint-3", "checkpoint-4"]


def test_a_disk_that_fills_up_is_an_error_and_leaves_the_last_checkpoint_whole(options, monkeypatch):
    from accelerate import Accelerator

    given = options("sd15", max_train_steps=3, checkpointing_steps=1)
    save = Accelerator.save_state

    def full(self, folder: str) -> None:
        if ".checkpoint-2" in folder:
            Path(folder, "optimizer.bin").write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, folder)

    monkeypatch.setattr(Accelerator, "save_state", full)
    with pytest.raises(OutputError, match=r"cannot write .*checkpoint-2: No space left on device\. Make room there"):
        train(given)
    assert sorted(path.name for path in given.output_dir.glob("*check*")) == ["checkpoint-1"]
