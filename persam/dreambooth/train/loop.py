"""The steps: noise, prediction, masked loss, one value a sample; then everything that weighs samples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from persam.dreambooth.loss import MASKED_LOSSES, MaskedLoss
from persam.dreambooth.train import checkpoints
from persam.dreambooth.train.draws import CLASS, draw, numbers
from persam.dreambooth.train.families import Family, Text
from persam.dreambooth.train.latents import Batch, Latent, batch_of, joined
from persam.dreambooth.train.options import TrainOptions


@dataclass(frozen=True)
class Data:
    """What is trained on: the versions of each photo, and of each photo of the class, where there are any."""

    photos: list[list[Latent]]
    class_photos: list[list[Latent]]


@dataclass(frozen=True)
class Hooks:
    """What a run calls: lines to say, each step with its loss, whether to stop after it, pictures to draw."""

    say: Callable[[str], None] = lambda line: None
    step_done: Callable[[int, float], None] = lambda step, loss: None
    should_stop: Callable[[], bool] = lambda: False
    draw_pictures: Callable[[int], None] = lambda step: None


@dataclass(frozen=True)
class End:
    """After which step a run ended, its last checkpoint, and whether it was stopped before its end."""

    step: int
    checkpoint: Path | None
    stopped: bool


def loss_of(options: TrainOptions) -> MaskedLoss:
    """The run's masked loss. Masks of ones, as with masking off, make it a plain one, whatever its settings."""
    return replace(
        MASKED_LOSSES["paper" if options.masking == "off" else options.masking], dilate=options.mask_dilation
    )


def sample_losses(
    family: Family, network: Any, batch: Batch, loss: MaskedLoss, device: torch.device
) -> Float[Tensor, "b"]:
    """The loss of each sample, masked first and weighted by its noise level then."""
    noised = family.noised(batch.latents.to(device), batch.noise.to(device), batch.chances)
    text = Text.stack([family.texts[prompt] for prompt in batch.prompts]).to(device)
    said = family.predict(network, noised, text, batch.sizes.to(device))
    return loss(said.float(), noised.target, batch.mask.to(device)) * noised.weight


def batches(
    options: TrainOptions, data: Data, step: int, *, process: int, processes: int
) -> Iterator[tuple[Batch, int]]:
    """The batches of one optimizer step, and how many samples of each show the object: the rest shows the class."""
    unmasked = 0.0 if options.masking == "off" else MASKED_LOSSES[options.masking].unmasked
    parts, batch = options.gradient_accumulation_steps, options.train_batch_size
    for part in range(parts):
        which = numbers(step, part, parts=parts, process=process, processes=processes, batch=batch)
        drawn = [draw(number, count=len(data.photos), seed=options.seed) for number in which]
        instances = batch_of(data.photos, drawn, unmasked=unmasked)
        if not data.class_photos:
            yield instances, batch
            continue
        drawn = [draw(one, count=len(data.class_photos), seed=options.seed, stream=CLASS) for one in which]
        yield joined([instances, batch_of(data.class_photos, drawn)]), batch


def fit(
    family: Family,
    data: Data,
    options: TrainOptions,
    accelerator: Any,
    *,
    record: dict[str, Any],
    resume: Path | None,
    hooks: Hooks,
) -> End:
    """Trains what requires gradients in the family's network, up to `max_train_steps` or until told to stop."""
    from diffusers.optimization import get_scheduler

    trained = [one for one in family.network.parameters() if one.requires_grad]
    adam = torch.optim.AdamW(
        trained,
        lr=options.rate,
        betas=(options.adam_beta1, options.adam_beta2),
        weight_decay=options.adam_weight_decay,
        eps=options.adam_epsilon,
    )
    schedule = get_scheduler(
        options.lr_scheduler,
        optimizer=adam,
        num_warmup_steps=options.lr_warmup_steps,
        num_training_steps=options.max_train_steps,
        num_cycles=options.lr_num_cycles,
        power=options.lr_power,
    )
    # The schedule is not prepared: accelerate would step it once for every process.
    network, optimizer = accelerator.prepare(family.network, adam)
    checkpoints.register(accelerator, schedule)
    first = checkpoints.load(accelerator, resume, record) if resume else 0
    if resume:
        hooks.say(f"going on from {resume} after {first} steps")
    checkpoint, step = resume, first
    for step in range(first + 1, options.max_train_steps + 1):
        loss = _step(family, network, optimizer, trained, data, options, accelerator, step - 1)
        if not accelerator.optimizer_step_was_skipped:
            schedule.step()
        hooks.step_done(step, loss)
        stops = _anyone(accelerator, hooks.should_stop()) and step < options.max_train_steps
        if stops or step % options.checkpointing_steps == 0:
            checkpoint = checkpoints.save(accelerator, options, record, step)
        if stops:
            return End(step, checkpoint, stopped=True)
        if step % options.validation_steps == 0 or step == options.max_train_steps:
            hooks.draw_pictures(step)
    return End(step, checkpoint, stopped=False)


def _step(
    family: Family,
    network: Any,
    optimizer: Any,
    trained: list[torch.nn.Parameter],
    data: Data,
    options: TrainOptions,
    accelerator: Any,
    step: int,
) -> float:
    """One optimizer step over all its batches. Returns their mean loss on this process."""
    loss, total = replace(loss_of(options), unmasked=0.0), 0.0  # which samples go unmasked is drawn with the samples
    shares = batches(options, data, step, process=accelerator.process_index, processes=accelerator.num_processes)
    for batch, instances in shares:
        with accelerator.accumulate(network):
            losses = sample_losses(family, network, batch, loss, accelerator.device)
            mean = losses[:instances].mean()
            if len(losses) > instances:
                mean = mean + options.prior_loss_weight * losses[instances:].mean()
            accelerator.backward(mean)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(trained, options.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
        total += mean.item()
    return total / options.gradient_accumulation_steps


def _anyone(accelerator: Any, told: bool) -> bool:
    """Whether any process was told: all have to stop after the same step."""
    if accelerator.num_processes == 1:
        return told
    return bool(accelerator.reduce(torch.tensor(float(told), device=accelerator.device)).item())
