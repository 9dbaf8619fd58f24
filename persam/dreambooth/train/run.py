"""A whole run in its order: everything that can be wrong is found before anything is spent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.dreambooth.train.options import TrainOptions
from persam.errors import DreamBoothError

if TYPE_CHECKING:
    from persam.dreambooth.dataset import MaskedPhotos
    from persam.dreambooth.train.families import Family
    from persam.dreambooth.train.loop import Data, End


@dataclass(frozen=True)
class Trained:
    """How a run ended.

    weights: the LoRA's file, or with --full the pipeline's folder; None where the run was stopped or dry.
    checkpoint: the last one; from there a stopped run goes on.
    """

    weights: Path | None
    checkpoint: Path | None
    step: int
    stopped: bool


def train(
    options: TrainOptions,
    *,
    say: Callable[[str], None] = lambda line: None,
    step_done: Callable[[int, float], None] = lambda step, loss: None,
    hush: bool = False,
) -> Trained:
    """Trains, and writes the weights to `output_dir`.

    Args:
        options: of the run.
        say: gets lines for a person: the proof that masking is on, warnings, where things are.
        step_done: gets each optimizer step's number, from 1, and its loss.
        hush: stop the bars and remarks of diffusers and transformers, in all of the process.

    Raises:
        PerSAMError: options, photos, masks, the model or the disk do not allow it; the message says what to do.
    """
    from persam.dreambooth.train import checkpoints, model
    from persam.dreambooth.train.pictures import need_tensorboard
    from persam.dreambooth.train.proof import prompts_of, prove

    kind = model.find_family(options)
    photos = _photos(options, kind.resolution)
    prompts = prompts_of(photos.pairs, options)
    checkpoints.make_writable(options.output_dir)
    model.need_diffusers()
    if hush:
        model.hush()
    accelerator = _accelerator(options)
    tell = say if accelerator.is_main_process else lambda line: None
    if accelerator.is_main_process:
        prove(photos, options, say=tell)
    resume = checkpoints.find(options)
    if options.report_to == "tensorboard":
        need_tensorboard()
    if options.dry_run:
        tell("dry run: nothing was trained")
        return Trained(None, None, 0, stopped=False)

    with _told_what_to_do():
        family = _family(options, prompts, accelerator, tell)
        record = checkpoints.record_of(options, family, photos.pairs)
        data = _data(family, photos, prompts, options, accelerator)
        end = _fit(family, data, options, accelerator, record, resume, tell, step_done)
    if end.stopped:
        tell(f"stopped after step {end.step}; go on with --resume_from_checkpoint latest ({end.checkpoint})")
        return Trained(None, end.checkpoint, end.step, stopped=True)
    weights = model.save_weights(family, options.output_dir) if accelerator.is_main_process else None
    accelerator.wait_for_everyone()
    tell(f"trained {end.step} steps; weights are in {weights}")
    return Trained(weights, end.checkpoint, end.step, stopped=False)


def _photos(options: TrainOptions, resolution: int) -> "MaskedPhotos":
    from persam.dreambooth.dataset import MaskedPhotos
    from persam.dreambooth.train.proof import find_pairs

    return MaskedPhotos(
        find_pairs(options),
        resolution=options.resolution or resolution,
        center_crop=options.center_crop,
        random_flip=options.random_flip,
        seed=options.seed,
    )


def _family(options: TrainOptions, prompts: list[str], accelerator: Any, tell: Callable[[str], None]) -> "Family":
    """The model with its prompts encoded, photos of the class drawn, and what is to be trained in it."""
    from accelerate.utils import set_seed

    from persam.dreambooth.train import checkpoints, model
    from persam.dreambooth.train.class_images import draw_class_images

    family = model.load_family(options)
    more = [one for one in (options.class_prompt, options.validation_prompt) if one]
    family.encode_prompts([*prompts, *more], accelerator.device)
    if options.with_prior_preservation:
        process, processes = accelerator.process_index, accelerator.num_processes
        draw_class_images(family, options, accelerator.device, process=process, processes=processes, say=tell)
        accelerator.wait_for_everyone()
    set_seed(options.seed)  # of a LoRA's first weights, and of what a network draws while it trains
    checkpoints.check_room(options.output_dir, model.make_trainable(family), options)
    return family


def _data(
    family: "Family", photos: "MaskedPhotos", prompts: list[str], options: TrainOptions, accelerator: Any
) -> "Data":
    """All photos as latents; the VAE is on the device for as long as that takes."""
    from persam.dreambooth.train.class_images import class_files
    from persam.dreambooth.train.latents import encode_class, encode_photos
    from persam.dreambooth.train.loop import Data

    family.pipe.vae.to(accelerator.device)
    instances = encode_photos(family, photos, prompts, masked=options.masking != "off")
    files = class_files(options.class_dir) if options.with_prior_preservation else []
    others = encode_class(family, files, options.class_prompt or "", photos.resolution)
    family.pipe.vae.to("cpu")
    return Data(instances, others)


def _fit(
    family: "Family",
    data: "Data",
    options: TrainOptions,
    accelerator: Any,
    record: dict[str, Any],
    resume: Path | None,
    tell: Callable[[str], None],
    step_done: Callable[[int, float], None],
) -> "End":
    """The loop, with Ctrl-C as a wish, and a journal of what the main process sees."""
    from persam.dreambooth.train.checkpoints import step_of
    from persam.dreambooth.train.loop import Hooks, fit
    from persam.dreambooth.train.pictures import Journal
    from persam.dreambooth.train.stop import stop_on_signal

    if not accelerator.is_main_process:
        with stop_on_signal(tell) as should_stop:
            hooks = Hooks(should_stop=should_stop)
            return fit(family, data, options, accelerator, record=record, resume=resume, hooks=hooks)

    after = step_of(resume)
    with Journal(options, family, accelerator.device, after=after) as journal, stop_on_signal(tell) as should_stop:

        def done(step: int, loss: float) -> None:
            journal.loss(step, loss)
            step_done(step, loss)

        hooks = Hooks(tell, done, should_stop, journal.draw)
        return fit(family, data, options, accelerator, record=record, resume=resume, hooks=hooks)


def _accelerator(options: TrainOptions) -> Any:
    from accelerate import Accelerator

    precision, parts = options.mixed_precision, options.gradient_accumulation_steps
    try:
        accelerator = Accelerator(mixed_precision=precision, gradient_accumulation_steps=parts)
        why = "this device is a CPU" if accelerator.device.type == "cpu" and precision == "fp16" else ""
    except ValueError as error:  # bf16 on a GPU that has none
        why = str(error)
    if why:
        raise DreamBoothError(f"--mixed_precision {precision} does not work here: {why}. Leave it out.")
    return accelerator


@contextmanager
def _told_what_to_do() -> Iterator[None]:
    """Says of a device's full memory what helps against it."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DreamBoothError(
            "the device's memory is full. Try --gradient_checkpointing, --mixed_precision fp16 or bf16, "
            "--train_batch_size 1, or a smaller --resolution."
        ) from error
