"""The model in and the weights out: which family a folder is, its parts, the LoRA in its network, the saved result."""

import json
from pathlib import Path
from typing import Any

import torch

from persam.dreambooth.train.families import FAMILIES, Family
from persam.dreambooth.train.options import TrainOptions
from persam.errors import DreamBoothError
from persam.io.write import as_output_error

LORA = "pytorch_lora_weights.safetensors"  # where load_lora_weights looks for it


def need_diffusers() -> None:
    """Raises DreamBoothError where a package that training needs is not installed."""
    try:
        import accelerate  # noqa: F401
        import diffusers  # noqa: F401
        import peft  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise DreamBoothError(
            f"training needs diffusers, transformers, accelerate and peft ({error}). "
            f"Install them: pip install 'persam[dreambooth]'."
        ) from error


def hush() -> None:
    """Stops the bars and remarks of diffusers and transformers, for a program that has its own to show."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()


def find_family(options: TrainOptions) -> type[Family]:
    """The family of the model, by its model_index.json; nothing else of it is read.

    Raises:
        DreamBoothError: there is no such model, or it is of another kind.
    """
    name = options.pretrained_model_name_or_path
    kind = str(_index(name, options.revision).get("_class_name"))
    for family in FAMILIES:
        if family.pipeline == kind:
            family.check(options)
            return family
    known = ", ".join(f"{family.title} ({family.pipeline})" for family in FAMILIES)
    raise DreamBoothError(f"{name} is a {kind}, which cannot be trained here. Give one of: {known}.")


def load_family(options: TrainOptions) -> Family:
    """The model with all its parts, on the CPU. What is frozen has the run's precision; the VAE has float32.

    Raises:
        DreamBoothError: it is of another kind, not complete, or does not fit the options.
    """
    import diffusers

    kind = find_family(options)
    half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(options.mixed_precision, torch.float32)
    precision = {"default": half, "vae": torch.float32} | ({kind.part: torch.float32} if options.full else {})
    try:
        pipe = getattr(diffusers, kind.pipeline).from_pretrained(
            options.pretrained_model_name_or_path,
            revision=options.revision,
            variant=options.variant,
            dtype=precision,
            **(_absent(options) | kind.left_out),
        )
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        raise DreamBoothError(
            f"cannot load the model {options.pretrained_model_name_or_path}: {error}. Fetch it again, complete."
        ) from error
    pipe.vae.requires_grad_(False).eval()
    family = kind(pipe, options)
    family.network.requires_grad_(False)
    resolution = options.resolution or family.resolution
    if resolution % (2 * family.scale):
        raise DreamBoothError(f"--resolution {resolution} does not fit: give a multiple of {2 * family.scale}.")
    return family


def make_trainable(family: Family) -> list[torch.nn.Parameter]:
    """What is trained, in float32: a new LoRA in the network's attention, or with --full the whole network."""
    network = family.network
    if family.options.full:
        network.requires_grad_(True)
    else:
        from peft import LoraConfig

        network.add_adapter(
            LoraConfig(
                r=family.options.rank,
                lora_alpha=family.options.rank,
                init_lora_weights="gaussian",
                target_modules=list(family.targets),
            )
        )
    trained = [one for one in network.parameters() if one.requires_grad]
    for one in trained:
        one.data = one.data.float()
    if family.options.gradient_checkpointing:
        network.enable_gradient_checkpointing()
    network.train()
    return trained


def save_weights(family: Family, folder: Path) -> Path:
    """What was learned: OUTPUT_DIR/pytorch_lora_weights.safetensors, or with --full a whole pipeline in OUTPUT_DIR."""
    with as_output_error(folder / LORA):
        return _save_pipeline(family, folder) if family.options.full else _save_lora(family, folder)


def _save_lora(family: Family, folder: Path) -> Path:
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    layers = get_peft_model_state_dict(family.network)
    if family.part == "unet":  # the older names of layers, which other programs read too; transformers never had them
        layers = convert_state_dict_to_diffusers(layers)
    part = f"part.{LORA}"
    type(family.pipe).save_lora_weights(
        folder,
        weight_name=part,
        **{
            f"{family.part}_lora_layers": layers,
            f"{family.part}_lora_adapter_metadata": family.network.peft_config["default"].to_dict(),
        },
    )
    return (folder / part).replace(folder / LORA)


def _save_pipeline(family: Family, folder: Path) -> Path:
    """The pipeline as it came, with the trained UNet: text encoders have left the one at hand."""
    options = family.options
    pipe = type(family.pipe).from_pretrained(
        options.pretrained_model_name_or_path,
        revision=options.revision,
        variant=options.variant,
        **(_absent(options) | {family.part: family.network}),
    )
    pipe.save_pretrained(folder)
    return folder


def _absent(options: TrainOptions) -> dict[str, None]:
    """Parts that the model was saved without, such as SD 3's large text encoder: diffusers wants to be told."""
    index = _index(options.pretrained_model_name_or_path, options.revision)
    return {name: None for name, entry in index.items() if entry == [None, None]}


def _index(name: str, revision: str | None) -> dict[str, Any]:
    folder = Path(name).expanduser()
    file = folder / "model_index.json"
    if file.is_file():
        try:
            index = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DreamBoothError(f"{file} is damaged ({error}). Fetch the model again.") from error
        return index if isinstance(index, dict) else {}
    if folder.is_dir():
        raise DreamBoothError(
            f"{folder} is no model for diffusers: it holds no model_index.json. Give the folder that does."
        )
    if folder.is_file():
        raise DreamBoothError(
            f"{folder} is a single file. Convert it once: diffusers' from_single_file, then save_pretrained."
        )
    if name.count("/") != 1 or name[0] in "/.~":  # the hub's names are owner/name
        raise DreamBoothError(f"there is no folder {name}. Check the path of the model.")
    need_diffusers()
    from diffusers import DiffusionPipeline

    try:
        return dict(DiffusionPipeline.load_config(name, revision=revision))
    except (OSError, ValueError) as error:
        raise DreamBoothError(
            f"there is no folder {name}, and the hub gives no model of that name ({error}). Check the path."
        ) from error
