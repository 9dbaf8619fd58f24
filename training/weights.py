"""Weights in and out of a run: what it starts from, and the files that it leaves."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from persam.sam.nano import NanoSam


def load_start(model: NanoSam, path: Path) -> None:
    """A nano's weights; or, from a folder, MobileNetV2 from DeepLab and the feasibility run's neck and decoder."""
    if path.is_file():
        model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        return
    neck = model.image_encoder.neck
    model.image_encoder.back.load_state_dict(load_file(path / "mobilenetv2_deeplab.safetensors"))
    head = {name: value.float() for name, value in load_file(path / "spike_head.safetensors").items()}
    for prefix, module in (("neck.", neck), ("pe.", model.prompt_encoder), ("dec.", model.mask_decoder)):
        part = {name.removeprefix(prefix): value for name, value in head.items() if name.startswith(prefix)}
        missing, unexpected = module.load_state_dict(part, strict=False)
        assert not unexpected, unexpected
        assert all(name.startswith("stride") for name in missing), missing
    for parameter in (*neck.stride8.parameters(), *neck.stride4.parameters()):
        nn.init.zeros_(parameter)


def save(weights: Mapping[str, Tensor], path: Path) -> None:
    """Writes them in half precision, in one go."""
    save_file({name: value.half().contiguous() for name, value in weights.items()}, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)
