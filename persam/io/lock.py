"""One writer at a time: a lock that the system takes back when its process ends, however that ends."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from persam.errors import OutputError


@contextmanager
def only_writer(folder: Path, name: str = ".persam.lock") -> Iterator[None]:
    """Holds the folder for this process alone; the lock's file is there for as long.

    Raises:
        OutputError: another process holds it.
    """
    path = folder / name
    while True:
        file = path.open("a+b")
        if not _is_locked(file):
            file.close()
            raise OutputError(
                f"another run of persam is writing into {folder}. Wait until it has ended, or choose another folder."
            )
        if _is_there(file, path):
            break
        file.close()  # its last holder has removed it meanwhile: the next one would lock another file
    try:
        yield
    finally:
        if sys.platform != "win32":  # there, an open file stays
            path.unlink(missing_ok=True)
        file.close()
        if sys.platform == "win32":
            with suppress(OSError):  # the next writer has it already
                path.unlink(missing_ok=True)


def _is_locked(file: BinaryIO) -> bool:
    """Whether the lock is ours now. On a file system that has none, it is."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _is_there(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
