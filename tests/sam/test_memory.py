"""Too little memory is an error of our own that says what to do, whoever noticed it; everything else passes through."""

import gc
import weakref

import cv2
import numpy as np
import pytest
import torch

from persam.errors import ImageError, OutOfMemoryError
from persam.sam.memory import as_out_of_memory

CUDA = "CUDA out of memory. Tried to allocate 9.00 GiB. GPU 0 has a total capacity of 79 GiB"
CPU = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (
            torch.OutOfMemoryError(CUDA),
            r"\(CUDA out of memory\)\. Close what else uses the GPU, choose a smaller model",
        ),
        (RuntimeError(CPU), r"\(\[enforce fail .*\)\. Scale the photo down, close other programs, or choose a smaller"),
        (MemoryError("Unable to allocate 8.00 TiB for an array"), r"\(Unable to allocate 8\.00 TiB for an array\)"),
        (MemoryError(), r"\(out of memory\)"),
    ],
)
def test_too_little_memory(raised: Exception, says: str) -> None:
    with (
        pytest.raises(OutOfMemoryError, match=rf"^a\.jpg needs more memory than is free {says}"),
        as_out_of_memory("a.jpg"),
    ):
        raise raised


def test_what_numpy_pytorch_and_opencv_really_say() -> None:
    tiny = np.zeros((1, 1), np.uint8)
    for allocate in (
        lambda: np.empty(1 << 58, np.uint8),
        lambda: torch.empty(1 << 58, dtype=torch.uint8),
        lambda: cv2.resize(tiny, (1 << 30, 1 << 30)),
    ):
        with pytest.raises(OutOfMemoryError, match="needs more memory than is free"), as_out_of_memory("a.jpg"):
            allocate()


@pytest.mark.parametrize("raised", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ImageError("no memory")])
def test_other_errors_stay_as_they_are(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, as_out_of_memory("a.jpg"):
        raise raised
    assert caught.value is raised


def test_the_error_holds_nothing_that_was_too_large() -> None:
    held = []

    @as_out_of_memory("a.jpg")
    def fail() -> None:
        large = np.zeros(9)
        held.append(weakref.ref(large))
        raise MemoryError

    try:
        fail()
    except OutOfMemoryError as error:
        kept = error.with_traceback(None)
        kept.__context__ = None
    gc.collect()
    assert held[0]() is None
    assert isinstance(kept, OutOfMemoryError)
