"""Ctrl-C as a wish: the step that runs is finished, and what follows is up to the loop. A second one stops at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signal(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C or SIGTERM has come. Other handlers are back afterwards."""
    come: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if come:
            raise KeyboardInterrupt
        come.append(number)
        say("stopping after this step, with a checkpoint; once more stops at once, without")

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(come)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
