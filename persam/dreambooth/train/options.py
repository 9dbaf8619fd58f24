"""What a run is told, under the names of diffusers' DreamBooth examples; theirs mean here what they mean there.

Our own: `mask_data_dir`, `masking`, `mask_dilation`, `full`, `dry_run`.
"""

# ruff: noqa: RUF009  # _option makes a field, with the help that belongs to it
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persam.errors import DreamBoothError

MASKING = ("paper", "onetrainer", "off")
PRECISIONS = ("no", "fp16", "bf16")
SCHEDULES = ("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial")
WEIGHTINGS = ("logit_normal", "mode", "cosmap", "sigma_sqrt", "none")


def _option(default: Any, text: str, choices: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


def _needed(text: str) -> Any:
    return field(metadata={"help": text, "choices": None})


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of one run; the help of each is what the shell shows.

    Raises:
        DreamBoothError: a value is out of range, or two of them contradict each other.
    """

    pretrained_model_name_or_path: str = _needed("folder (or name on the hub) of SD 1.5, SDXL or SD 3 for diffusers")
    instance_data_dir: Path = _needed("what `persam dreambooth prepare` wrote; with --mask_data_dir a folder of photos")
    instance_prompt: str | None = _option(
        None, "what every photo shows, with a rare word: 'a photo of sks dog' (default: the folder's captions)"
    )
    output_dir: Path = _option(Path("dreambooth-model"), "folder for the weights, checkpoints and pictures")
    mask_data_dir: Path | None = _option(None, "a mask for each photo, of the same name")
    masking: str = _option("paper", "paper: only the object counts; onetrainer: almost only; off: all does", MASKING)
    mask_dilation: int = _option(0, "masks grow by so many latents (8 pixels each)")
    full: bool = _option(False, "train the whole UNet instead of a LoRA; SD 1.5 only")
    dry_run: bool = _option(False, "check everything, write the sheet of masks and stop")
    revision: str | None = _option(None, "of the model on the hub")
    variant: str | None = _option(None, "of the model's files, such as fp16")

    class_data_dir: Path | None = _option(None, "photos of the class (default: OUTPUT_DIR/class)")
    class_prompt: str | None = _option(None, "what they show: 'a photo of a dog'")
    with_prior_preservation: bool = _option(False, "train on photos of the class too, unmasked")
    prior_loss_weight: float = _option(1.0, "how much they count")
    num_class_images: int = _option(100, "the model draws those that are missing")
    sample_batch_size: int = _option(4, "so many at once")

    resolution: int | None = _option(None, "side of the crops in pixels (default: 512, SDXL and SD 3 1024)")
    center_crop: bool = _option(False, "always the crop nearest to the middle")
    random_flip: bool = _option(False, "mirror every second photo, by chance; not for an object with writing on it")
    train_batch_size: int = _option(1, "photos at once on each device")
    max_train_steps: int = _option(500, "optimizer steps")
    gradient_accumulation_steps: int = _option(1, "batches in an optimizer step")
    gradient_checkpointing: bool = _option(False, "less memory, slower")
    mixed_precision: str = _option("no", "fp16 or bf16 on a GPU", PRECISIONS)
    rank: int = _option(4, "of the LoRA")
    seed: int = _option(0, "of all that is drawn")

    learning_rate: float | None = _option(None, "(default: 1e-4, with --full 5e-6)")
    lr_scheduler: str = _option("constant", "how the rate changes", SCHEDULES)
    lr_warmup_steps: int = _option(0, "optimizer steps in which it rises from 0")
    lr_num_cycles: int = _option(1, "of cosine_with_restarts")
    lr_power: float = _option(1.0, "of polynomial")
    adam_beta1: float = _option(0.9, "of AdamW")
    adam_beta2: float = _option(0.999, "of AdamW")
    adam_weight_decay: float = _option(1e-2, "of AdamW")
    adam_epsilon: float = _option(1e-8, "of AdamW")
    max_grad_norm: float = _option(1.0, "gradients are clipped to it")
    snr_gamma: float | None = _option(None, "min-SNR weighting, 5.0 in its paper; not for SD 3")
    weighting_scheme: str = _option("logit_normal", "which noise levels SD 3 sees most", WEIGHTINGS)
    logit_mean: float = _option(0.0, "of logit_normal")
    logit_std: float = _option(1.0, "of logit_normal")
    mode_scale: float = _option(1.29, "of mode")

    checkpointing_steps: int = _option(500, "a checkpoint after so many steps")
    checkpoints_total_limit: int | None = _option(None, "so many are kept (default: all)")
    resume_from_checkpoint: str | None = _option(None, "a checkpoint's folder, or latest")
    validation_prompt: str | None = _option(None, "draw pictures of it along the way")
    num_validation_images: int = _option(4, "so many")
    validation_steps: int = _option(100, "after so many steps, and at the end")
    report_to: str = _option("none", "log losses and pictures", ("tensorboard", "none"))
    logging_dir: str = _option("logs", "where, in OUTPUT_DIR")

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value, choices = getattr(self, one.name), one.metadata["choices"]
            if choices and value not in choices:
                raise DreamBoothError(f"--{one.name} {value!r} is unknown: choose one of {', '.join(choices)}.")
            if one.name in _AT_LEAST and value is not None and not value >= _AT_LEAST[one.name]:
                raise DreamBoothError(f"--{one.name} {value} is too small: give {_AT_LEAST[one.name]} or more.")
        for name in ("instance_prompt", "validation_prompt", "class_prompt"):
            if getattr(self, name) is not None and not getattr(self, name).strip():
                raise DreamBoothError(f"--{name} is empty: say what the photos show, such as 'a photo of sks dog'.")
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise DreamBoothError(f"--learning_rate {self.learning_rate} teaches nothing: give more than 0.")
        if self.resolution is not None and (self.resolution < 16 or self.resolution % 16):
            raise DreamBoothError(f"--resolution {self.resolution} does not fit: give a multiple of 16, such as 512.")
        if self.with_prior_preservation and not self.class_prompt:
            raise DreamBoothError("--with_prior_preservation needs --class_prompt, such as 'a photo of a dog'.")
        if self.class_data_dir and not self.with_prior_preservation:
            raise DreamBoothError(
                "--class_data_dir is used with --with_prior_preservation alone: add it, or leave both."
            )

    @property
    def class_dir(self) -> Path:
        return self.class_data_dir or self.output_dir / "class"

    @property
    def rate(self) -> float:
        """The learning rate, the one given or the default of what is trained."""
        return self.learning_rate or (5e-6 if self.full else 1e-4)


_AT_LEAST = {
    "mask_dilation": 0,
    "prior_loss_weight": 0,
    "num_class_images": 1,
    "sample_batch_size": 1,
    "train_batch_size": 1,
    "max_train_steps": 1,
    "gradient_accumulation_steps": 1,
    "rank": 1,
    "seed": 0,
    "lr_warmup_steps": 0,
    "lr_num_cycles": 1,
    "max_grad_norm": 0,
    "checkpointing_steps": 1,
    "checkpoints_total_limit": 1,
    "num_validation_images": 1,
    "validation_steps": 1,
}
# What may differ between a run and the one it resumes; anything else would make it another one.
MAY_CHANGE = {
    "pretrained_model_name_or_path",  # may have moved; what it holds is compared
    "instance_data_dir",  # likewise
    "mask_data_dir",
    "class_data_dir",
    "output_dir",
    "dry_run",
    "sample_batch_size",
    "max_train_steps",  # a run may go on for longer, unless its learning rate follows a curve to the end
    "gradient_checkpointing",
    "checkpointing_steps",
    "checkpoints_total_limit",
    "resume_from_checkpoint",
    "validation_prompt",
    "num_validation_images",
    "validation_steps",
    "report_to",
    "logging_dir",
}


def course(options: TrainOptions) -> dict[str, Any]:
    """The options that decide what is learned, as a checkpoint records them."""
    values = dataclasses.asdict(options)
    fixed = MAY_CHANGE - (set() if options.lr_scheduler.startswith("constant") else {"max_train_steps"})
    return {name: value for name, value in values.items() if name not in fixed}
