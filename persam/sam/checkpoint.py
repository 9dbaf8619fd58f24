"""From a weights file to a network that holds exactly that, and to a name for what it holds.

Nothing here unpickles code: PyTorch files are opened with `weights_only`, and files are told apart by their first
bytes, since fine-tuned models travel under any suffix.
"""

import hashlib
import pickle
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from persam.errors import WeightsError

Network = TypeVar("Network", bound=nn.Module)

WRAPPERS = ("model", "state_dict", "model_state_dict")  # under which training scripts save a state dict
DRAWING = (Tensor.normal_, Tensor.uniform_, nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_)
SHOWN = 4  # names that a message lists before it only counts
SAMPLED = 64  # values of every tensor that the fingerprint reads


def read(file: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, as they are stored, on the CPU; large files are mapped, not copied.

    Reads safetensors, and PyTorch files that hold tensors. A training checkpoint's state dict is unwrapped, and a
    prefix that all of SAM's parts share (`module.`, `sam.`) is taken off.

    Raises:
        WeightsError: no such file; damaged; cut short; not weights; or a pickle that holds more than tensors.
    """
    if not file.is_file():
        raise WeightsError(f"no weights file at {file}. Check the path; `persam weights list` shows the named models.")
    content = _open(file)
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        content = {}
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{file} holds no tensors under names: it is not the weights of a model. Check the path.")
    return _without_prefix(tensors)


def with_weights(build: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """The network of `build` holding exactly `tensors`: float32, in evaluation mode, on the CPU.

    Float32 tensors are taken over without a copy, and nothing is initialised in vain.

    Raises:
        WeightsError: a tensor is missing, unexpected, or of another shape; the message names them.
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
    exact = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    network.load_state_dict(exact, assign=True)
    return network.eval().requires_grad_(False)


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
    digest = hashlib.sha256()
    for value in (network.pixel_mean, network.pixel_std):
        digest.update(torch.as_tensor(value, dtype=torch.float32).flatten().cpu().numpy().tobytes())
    for name, tensor in sorted(part.state_dict().items()):
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


def _open(file: Path) -> Any:
    """What the file holds. Its first bytes tell the kind."""
    try:
        with file.open("rb") as stream:
            head = stream.read(9)
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error}. Check its permissions.") from error
    zipped = zipfile.is_zipfile(file)
    try:
        if head[8:] == b"{":  # safetensors: eight bytes of length, then JSON
            return load_file(file)
        if zipped or head.startswith(b"\x80"):  # torch since 1.6, or a bare pickle as before; only the former maps
            return torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{file} is damaged, or a pickle that holds more than tensors; persam never executes what is in a weights "
            "file. Save its state dict alone, torch.save(model.state_dict(), ...), or as safetensors."
        ) from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError and more, by where the damage lies
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(
            f"{file} is damaged, cut short, or no weights: {reason}. Download or copy it again."
        ) from error
    raise WeightsError(f"{file} is cut short, or no weights file at all. Download or copy it again.")


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefixes = {name.partition("image_encoder.")[0] for name in tensors if "image_encoder." in name}
    if len(prefixes) != 1:
        return tensors
    prefix = prefixes.pop()
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def _complaint(kind: str, names: Iterable[str]) -> str:
    """`3 missing (a, b, c)`, or nothing for no names."""
    listed = sorted(names)
    more = ", ..." if len(listed) > SHOWN else ""
    return f"{len(listed)} {kind} ({', '.join(listed[:SHOWN])}{more})" if listed else ""


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
