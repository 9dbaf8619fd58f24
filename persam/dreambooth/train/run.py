"""A whole run in its order: everything that can be wrong is found before anything is spent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persam.dreambooth.train.options import TrainOptions
from persam.errors import DreamBoothError


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
    from persam.dreambooth.dataset import MaskedPhotos
    from persam.dreambooth.train import checkpoints, model
    from persam.dreambooth.train.class_images import class_files, draw_class_images
    from persam.dreambooth.train.latents import encode_class, encode_photos
    from persam.dreambooth.train.loop import Data, Hooks, fit
    from persam.dreambooth.train.pictures import Journal, need_tensorboard
    from persam.dreambooth.train.proof import find_pairs, prompts_of, prove
    from persam.dreambooth.train.stop import stop_on_signal

    kind = model.find_family(options)
    pairs = find_pairs(options)
    prompts = prompts_of(pairs, options)
    resolution = options.resolution or kind.resolution
    photos = MaskedPhotos(
        pairs,
        resolution=resolution,
        center_crop=options.center_crop,
        random_flip=options.random_flip,
        seed=options.seed,
    )
    checkpoints.make_writable(options.output_dir)
    model.need_diffusers()
    if hush:
        model.hush()
    accelerator = _accelerator(options)
    main = accelerator.is_main_process
    tell = say if main else lambda line: None
    if main:
        prove(photos, options, say=tell)
    resume = checkpoints.find(options)
    if options.report_to == "tensorboard":
        need_tensorboard()
    if options.dry_run:
        tell("dry run: nothing was trained")
        return Trained(None, None, 0, stopped=False)

    family = model.load_family(options)
    family.encode_prompts(
        [*prompts, *(one for one in (options.class_prompt, options.validation_prompt) if one)], accelerator.device
    )
    if options.with_prior_preservation:
        process, processes = accelerator.process_index, accelerator.num_processes
        draw_class_images(family, options, accelerator.device, process=process, processes=processes, say=tell)
        accelerator.wait_for_everyone()
    _seed(options.seed)
    trained = model.make_trainable(family)
    checkpoints.check_room(options.output_dir, trained, options)
    record = checkpoints.record_of(options, family, pairs)

    family.pipe.vae.to(accelerator.device)
    data = Data(
        encode_photos(family, photos, prompts, masked=options.masking != "off"),
        encode_class(family, class_files(options.class_dir), options.class_prompt or "", resolution)
        if options.with_prior_preservation
        else [],
    )
    family.pipe.vae.to("cpu")
    journal = Journal(options, family, accelerator.device)

    def done(step: int, loss: float) -> None:
        if main:
            journal.loss(step, loss)
            step_done(step, loss)

    def draw_pictures(step: int) -> None:
        if main:
            journal.draw(step)

    if main:
        journal.open(step=int(resume.name.removeprefix(checkpoints.PREFIX)) if resume else 0)
    try:
        with stop_on_signal(tell) as should_stop, _told_what_to_do():
            hooks = Hooks(tell, done, should_stop, draw_pictures)
            end = fit(family, data, options, accelerator, record=record, resume=resume, hooks=hooks)
    finally:
        journal.close()
    if end.stopped:
        tell(f"stopped after step {end.step}; go on with --resume_from_checkpoint latest ({end.checkpoint})")
        return Trained(None, end.checkpoint, end.step, stopped=True)
    weights = model.save_weights(family, options.output_dir) if main else None
    accelerator.wait_for_everyone()
    tell(f"trained {end.step} steps; weights are in {weights}")
    return Trained(weights, end.checkpoint, end.step, stopped=False)


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


def _seed(seed: int) -> None:
    """Random states as a new run has them: of a LoRA's first weights, and of what a network draws while it trains."""
    from accelerate.utils import set_seed

    set_seed(seed)


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
