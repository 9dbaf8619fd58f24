"""Memory that does not suffice, wherever it was asked for, as an error that says what to do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from persam.errors import OutOfMemoryError

# PyTorch has a type of its own for accelerators alone; OpenCV has none.
SAID = ("out of memory", "can't allocate memory", "not enough memory", "insufficient memory", "cublas_status_alloc")


@contextmanager
def as_out_of_memory(what: str) -> Iterator[None]:
    """Raises an OutOfMemoryError instead of what NumPy, PyTorch or OpenCV say when there is too little memory.

    what: needed it, at the start of the message. What the accelerator holds for nothing is given back.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        message = f"{what} needs more memory than is free ({_reason(error)}). {_advice(error)}"
    else:
        return
    # Outside of the handler: the old error's frames hold the very tensors that were too large.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemoryError(message)


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    is_theirs = isinstance(error, RuntimeError) or type(error).__module__.split(".")[0] == "cv2"
    return is_theirs and any(words in str(error).lower() for words in SAID)


def _reason(error: BaseException) -> str:
    """The first sentence of what was said."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".") if lines else "out of memory"


def _advice(error: BaseException) -> str:
    said = str(error)
    if "CUDA" in said or "MPS" in said:
        return "Close what else uses the GPU, choose a smaller model, or the device cpu."
    return "Scale the photo down, close other programs, or choose a smaller model."
