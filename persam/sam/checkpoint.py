"""From a weights file to a network that holds exactly that, and to a name for what it holds."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from persam.errors import WeightsError
from persam.sam.weights_file import contents

Network = TypeVar("Network", bound=nn.Module)

# Under which training scripts save a state dict. Of several the first is taken.
WRAPPERS = ("model", "state_dict", "model_state_dict", "net", "network", "params_ema", "params", "module", "weights")
LARGEST = 1e9  # no weight comes near it; of random bytes read as float32, a third lies above
DRAWING = (Tensor.normal_, Tensor.uniform_, nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_)
SHOWN = 4  # names that a message lists before it only counts
SAMPLED = 64  # values of every tensor that the fingerprint reads


def read(file: Path, *, is_checked: bool = False) -> dict[str, Tensor]:
    """The tensors of a weights file by name, as they are stored, on the CPU; large files are mapped, not copied.

    Reads safetensors, and PyTorch files that hold tensors. A training checkpoint's state dict is unwrapped, and a
    prefix that all of SAM's parts share (`module.`, `sam.`) is taken off.

    Args:
        file: of any suffix.
        is_checked: its checksum was compared with the published one.

    Raises:
        WeightsError: no such file; damaged; cut short; not weights; or a pickle that holds more than tensors.
    """
    if not file.is_file():
        raise WeightsError(f"no weights file at {file}. Check the path; `persam weights list` shows the named models.")
    content = contents(file, is_checked=is_checked)
    tensors = _tensors_in(content)
    if not tensors:
        raise WeightsError(
            f"{file} holds no tensors under names: {_described(content)}. It should hold the state dict of a model "
            f"(image_encoder.*, ...), alone or under {', '.join(WRAPPERS[:4])}. Check the path."
        )
    return _without_prefix(tensors)


def _tensors_in(content: Any) -> dict[str, Tensor]:
    """The tensors of a state dict, which may lie under one of WRAPPERS, or under the only key that holds some."""
    while isinstance(content, Mapping):
        inner = {key: value for key, value in content.items() if isinstance(value, Mapping)}
        known = next((key for key in WRAPPERS if key in inner), None)
        if known is None:
            tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
            with_tensors = [value for value in inner.values() if any(isinstance(one, Tensor) for one in value.values())]
            if any("." in name for name in tensors) or len(with_tensors) != 1:
                return tensors
            content = with_tensors[0]
        else:
            content = inner[known]
    return {}


def _described(content: Any) -> str:
    """`a dict of epoch (int), net (dict)`."""
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    held = [f"{key} ({type(value).__name__})" for key, value in content.items()]
    return f"a dict of {', '.join(held[:SHOWN])}{', ...' if len(held) > SHOWN else ''}" if held else "an empty dict"


def with_weights(build: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """The network of `build` holding exactly `tensors`: float32, in evaluation mode, on the CPU.

    Float32 tensors are taken over without a copy, and nothing is initialised in vain.

    Raises:
        WeightsError: a tensor is missing, unexpected, of another shape, or holds what no weight is; the message names
            them.
    """
    with torch.random.fork_rng(devices=[]), _WithoutDrawing():  # what is drawn all the same is not the caller's
        network = build()
    expected = network.state_dict()
    complaints = [
        _complaint("missing", expected.keys() - tensors.keys()),
        _complaint("unexpected", tensors.keys() - expected.keys()),
        _complaint(
            "of another shape",
            (
                f"{name} {_shape(tensors[name])} instead of {_shape(expected[name])}"
                for name in expected.keys() & tensors.keys()
                if tensors[name].shape != expected[name].shape
            ),
        ),
    ]
    if any(complaints):
        raise WeightsError(
            f"these weights do not fit: {'; '.join(filter(None, complaints))}. Give the whole state dict of one "
            "promptable SAM (image_encoder.*, prompt_encoder.*, mask_decoder.*), without other parts."
        )
    check_values(tensors)
    exact = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    network.load_state_dict(exact, assign=True)
    return network.eval().requires_grad_(False)


def check_values(tensors: Mapping[str, Tensor]) -> None:
    """Raises a WeightsError where a tensor holds what no weight is."""
    if damaged := [name for name, value in tensors.items() if not _is_plausible(value)]:
        told = _complaint("with NaN or huge values", damaged)
        raise WeightsError(f"these weights are damaged, or their training went astray: {told}. Copy the file again.")


def fingerprint(network: nn.Module) -> str:
    """Sixteen hexadecimal digits that stand for what a SAM-shaped network makes of a photo.

    SHA-256 over the encoder's names, shapes and an even sample of every tensor's float32 values, and over the pixel
    normalisation. The same for the same values whatever file they came from and whatever device they are on; a copy
    stored in half precision has rounded values, and is told apart. Samples, because reading all of ViT-H takes seconds.
    """
    assert isinstance(network.image_encoder, nn.Module)
    return _digest(network, network.image_encoder)


def whole_fingerprint(network: nn.Module) -> str:
    """The same for all of the network, its decoder too: it stands for what is found with it."""
    return _digest(network, network)


def _digest(network: nn.Module, part: nn.Module) -> str:
    pixels = (network.pixel_mean, network.pixel_std)
    start = b"".join(torch.as_tensor(one, dtype=torch.float32).flatten().cpu().numpy().tobytes() for one in pixels)
    return digest_of_tensors(part.state_dict(), start)


def digest_of_tensors(tensors: Mapping[str, Tensor], start: bytes = b"") -> str:
    """Sixteen hexadecimal digits of names, shapes and an even sample of the values, after `start`."""
    digest = hashlib.sha256(start)
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().reshape(-1)
        sample = values[:: max(1, len(values) // SAMPLED)]
        digest.update(f"{name} {_shape(tensor)} ".encode())
        digest.update(sample.to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class _WithoutDrawing(TorchFunctionMode):
    """Leaves new parameters as they were allocated: drawing ViT-H's takes seconds, and untouched memory costs nothing.

    Not the meta device, whose first use imports for a second (PyTorch 2.13): nano loads in 0.05 s.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        return (args[0] if args else given["tensor"]) if func in DRAWING else func(*args, **given)


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefixes = {name.partition("image_encoder.")[0] for name in tensors if "image_encoder." in name}
    if len(prefixes) != 1:
        return tensors
    prefix = prefixes.pop()
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def _is_plausible(tensor: Tensor) -> bool:
    """Whether all values are finite, and none is larger than any weight: without a copy of the tensor."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = torch.aminmax(tensor.detach())
    return bool(low > -LARGEST) and bool(high < LARGEST)  # false for NaN


def _complaint(kind: str, names: Iterable[str]) -> str:
    """`3 missing (a, b, c)`, or nothing for no names."""
    listed = sorted(names)
    more = ", ..." if len(listed) > SHOWN else ""
    return f"{len(listed)} {kind} ({', '.join(listed[:SHOWN])}{more})" if listed else ""


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
