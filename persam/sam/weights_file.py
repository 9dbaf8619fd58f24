"""What a weights file holds, read without executing anything in it, and noticed where it is damaged.

PyTorch files are opened with `weights_only`, and files are told apart by their first bytes, since fine-tuned models
travel under any suffix.
"""

import argparse
import pickle
import re
import zipfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from persam.errors import WeightsError

BLOCK_BYTES = 1 << 20


def contents(file: Path, *, is_checked: bool = False) -> Any:
    """What the file holds: tensors by name, or what a training script saved around them. Large files are mapped.

    Numbers of NumPy and Namespaces, such as a script's best score and its options, may lie beside the tensors.

    Args:
        file: of any suffix.
        is_checked: its checksum was compared with the published one; else those within it are, where it has some.

    Raises:
        WeightsError: damaged; cut short; not weights; or a pickle that holds more than tensors and numbers.
    """
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
            if zipped and not is_checked:
                _check_sums(file)
            with _harmless():
                return torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{file} is damaged, or a pickle that holds more than tensors{_named_in(error)}; persam never executes "
            "what is in a weights file. Save its state dict alone, torch.save(model.state_dict(), ...), or as "
            "safetensors."
        ) from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError and more, by where the damage lies
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(
            f"{file} is damaged, cut short, or no weights: {reason}. Download or copy it again."
        ) from error
    raise WeightsError(f"{file} is cut short, or no weights file at all. Download or copy it again.")


def _check_sums(file: Path) -> None:
    """Reads every record of a PyTorch file once, as PyTorch does not look at their checksums."""
    with zipfile.ZipFile(file) as archive:
        for record in archive.infolist():
            if record.CRC:  # torch.serialization.set_crc32_options(False) writes none
                with archive.open(record) as stream:
                    while stream.read(BLOCK_BYTES):
                        pass


def _harmless() -> AbstractContextManager[Any]:
    """Lets PyTorch read NumPy's numbers and arrays and argparse's Namespaces, which execute nothing."""
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < (2, 6):  # earlier ones know no names for what moved within NumPy
        return nullcontext()
    makers: list[Any] = [np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]]
    moved: list[Any] = [
        (one, f"numpy.{core}.multiarray.{one.__name__}") for one in makers for core in ("core", "_core")
    ]
    kinds = [type(np.dtype(code)) for code in "?bhilqBHILQefdFD"]
    return torch.serialization.safe_globals([*moved, *kinds, np.dtype, np.ndarray, argparse.Namespace])


def _named_in(error: Exception) -> str:
    """The class or function that PyTorch refuses, where it names one."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f" ({found[1]})" if found else ""
