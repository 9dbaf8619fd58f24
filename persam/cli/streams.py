"""stdout and stderr as a Unix tool treats them: closed ones, readers that leave early, terminals that lack letters."""

import contextlib
import os
import sys
from typing import Any

BROKEN_PIPE = 141  # what a shell says of a tool that the signal SIGPIPE ended
CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def open_streams() -> None:
    """Gives streams that were closed (`>&-`) a place that keeps nothing.

    Otherwise the next file that is opened gets their number, and what a library prints lands in it.
    """
    try:
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
    except OSError:
        return
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 (for the life of the process)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def drop_output() -> None:
    """Sends what is still to be printed nowhere: nobody reads it, or it cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):  # ValueError: no file of the system
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def printable(text: str, stream: Any) -> str:
    """The text with what the stream cannot encode written as codes, such as a file name that is not UTF-8.

    Control characters too: in the name of a photo that somebody sent they would be commands to the terminal.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.translate(CONTROL).encode(encoding, "backslashreplace").decode(encoding)
