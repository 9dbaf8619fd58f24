"""PyTorch as the networks expect it, whatever the caller's program has set for itself."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

DEVICES = ("cpu", "cuda", "mps")


@contextmanager
def plain_torch() -> Iterator[None]:
    """Without autocast, and with float32 for new tensors; both are again as they were afterwards.

    Masks and similarities are float32 throughout: half precision would change what is found, and float64 fits no
    weights.
    """
    default = torch.get_default_dtype()
    with ExitStack() as stack:
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if default != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, default)
        yield
