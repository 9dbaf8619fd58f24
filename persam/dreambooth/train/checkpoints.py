"""Checkpoints from which a run goes on to the same weights: what is trained, optimizer, schedule, random states, step.

Accelerate writes and reads the state; the position in the data is the step alone (`draws.py`). A checkpoint appears
whole or not at all: it is made beside its place and then renamed.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from persam.dreambooth.pairs import Pair
from persam.dreambooth.train.class_images import class_files
from persam.dreambooth.train.families import Family
from persam.dreambooth.train.options import TrainOptions, course
from persam.errors import DreamBoothError, OutputError
from persam.io.write import as_output_error

PREFIX, RECORD, TRAINED = "checkpoint-", "run.json", "trained.safetensors"
LATEST = "latest"
_ADAM = 3  # a trained number is kept with its two moments


def check_room(folder: Path, trained: Sequence[torch.nn.Parameter], options: TrainOptions) -> None:
    """Raises OutputError where the disk has no room for the checkpoints and the result."""
    bytes_each = sum(one.numel() * 4 for one in trained)
    count = -(-options.max_train_steps // options.checkpointing_steps)
    count = min(count, (options.checkpoints_total_limit or count) + 1)  # one more while it is written
    needed = bytes_each * (_ADAM * count + (2 if options.full else 1)) + 2**20
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder} has {free / 2**30:.1f} GiB free, and checkpoints and weights need {needed / 2**30:.1f}. Make "
            f"room, choose another --output_dir, or keep fewer with --checkpoints_total_limit."
        )


def make_writable(folder: Path) -> None:
    """Makes the folder and tries it with a file. Raises OutputError where that fails."""
    probe = folder / ".persam-can-write"
    with as_output_error(probe):
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"1")
        probe.unlink(missing_ok=True)  # several processes may try at once


def record_of(options: TrainOptions, family: Family, pairs: Sequence[Pair]) -> dict[str, Any]:
    """What decides the course of a run: options, photos and masks, photos of the class, the model it begins with."""
    photos = hashlib.sha256()
    for pair in pairs:
        photos.update(pair.image.read_bytes() + pair.mask.read_bytes() + (pair.caption or "").encode())
    for file in class_files(options.class_dir) if options.with_prior_preservation else []:
        photos.update(file.read_bytes())
    model = hashlib.sha256()
    for name, parameter in family.network.named_parameters():
        if "lora" not in name:
            part = parameter.detach().flatten()[:64].float().cpu().numpy()
            model.update(name.replace("base_layer.", "").encode() + part.tobytes())
    options_said = {name: str(value) for name, value in course(options).items()}
    return {"options": options_said, "photos": photos.hexdigest(), "model": model.hexdigest()}


def register(accelerator: Any, schedule: Any) -> None:
    """Checkpoints of the accelerator hold of the network what is trained, and the schedule."""
    from safetensors.torch import load_file, save_file

    def save(models: list[Any], weights: list[Any], folder: str) -> None:
        weights.clear()
        if accelerator.is_main_process:
            trained = _trained(accelerator.unwrap_model(models[0]))
            save_file({name: one.detach() for name, one in trained.items()}, Path(folder) / TRAINED)

    def load(models: list[Any], folder: str) -> None:
        into = _trained(accelerator.unwrap_model(models.pop()))
        saved = load_file(Path(folder) / TRAINED)
        with torch.no_grad():
            for name, parameter in into.items():
                parameter.copy_(saved[name])

    accelerator.register_save_state_pre_hook(save)
    accelerator.register_load_state_pre_hook(load)
    accelerator.register_for_checkpointing(schedule)


def save(accelerator: Any, options: TrainOptions, record: dict[str, Any], step: int) -> Path:
    """The folder of the checkpoint that now holds the state after `step` optimizer steps."""
    folder = options.output_dir / f"{PREFIX}{step}"
    part = options.output_dir / f".{PREFIX}{step}.part"
    with as_output_error(folder):
        try:
            if accelerator.is_main_process:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
            accelerator.wait_for_everyone()
            accelerator.save_state(str(part))
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                (part / RECORD).write_text(json.dumps({"step": step} | record, indent=1), encoding="utf-8")
                shutil.rmtree(folder, ignore_errors=True)
                part.rename(folder)
                _prune(options)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        except RuntimeError as error:  # torch and safetensors say so when the disk is full
            shutil.rmtree(part, ignore_errors=True)
            raise OSError(str(error).splitlines()[0]) from error
    accelerator.wait_for_everyone()
    return folder


def checkpoints(folder: Path) -> list[Path]:
    """Those in the folder, by step."""
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))


def find(options: TrainOptions) -> Path | None:
    """The checkpoint to go on from; None to begin anew.

    Raises:
        DreamBoothError: there is none where one is named, or some are there and none is asked for.
    """
    there = checkpoints(options.output_dir)
    asked = options.resume_from_checkpoint
    if asked is None:
        if there:
            raise DreamBoothError(
                f"{options.output_dir} holds {there[-1].name} of an earlier run. Go on from it with "
                f"--resume_from_checkpoint latest, or choose another --output_dir."
            )
        return None
    if asked == LATEST:
        return there[-1] if there else None
    for folder in (Path(asked).expanduser(), options.output_dir / asked):
        if (folder / RECORD).is_file():
            return folder
    names = ", ".join(path.name for path in there) or "none"
    raise DreamBoothError(f"there is no checkpoint {asked}. In {options.output_dir}: {names}.")


def step_of(folder: Path | None) -> int:
    """How many steps the checkpoint had done; 0 without one. Raises DreamBoothError where its record is damaged."""
    return 0 if folder is None else int(_record_in(folder)["step"])


def load(accelerator: Any, folder: Path, record: dict[str, Any]) -> int:
    """Brings back the state of the checkpoint, and returns how many steps it had done.

    Raises:
        DreamBoothError: it is damaged, or was made by a run that differs in what decides the course.
    """
    saved = _record_in(folder)
    differing = [
        f"--{name} was {saved['options'][name]}, now {value}"
        for name, value in record["options"].items()
        if saved["options"].get(name, value) != value
    ]
    differing += [f"other {name}" for name in ("photos", "model") if saved.get(name) != record[name]]
    if differing:
        raise DreamBoothError(
            f"{folder} belongs to another run: {'; '.join(differing)}. Give the same, or begin anew in another "
            f"--output_dir."
        )
    try:
        accelerator.load_state(str(folder))
    except Exception as error:  # whatever torch's, pickle's and safetensors' readers raise
        raise _damaged(folder, error) from error
    return step_of(folder)


def _record_in(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record["step"], record["options"]  # are there
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error
    return record


def _damaged(folder: Path, error: Exception) -> DreamBoothError:
    return DreamBoothError(f"{folder} is damaged ({error}). Go on from an earlier checkpoint.")


def _prune(options: TrainOptions) -> None:
    there = checkpoints(options.output_dir)
    for folder in there[: max(0, len(there) - (options.checkpoints_total_limit or len(there)))]:
        shutil.rmtree(folder, ignore_errors=True)


def _trained(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: one for name, one in network.named_parameters() if one.requires_grad}
