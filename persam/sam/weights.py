"""Model weights: where they come from, where they lie, and that they are what they claim to be.

`fetch` downloads a model of `sources.TABLE` once into the cache (`PERSAM_CACHE`, else the platform's), resumes what
broke off, and lets nothing pass whose SHA-256 differs.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Literal

from persam.errors import WeightsError
from persam.sam.sources import TABLE, Source

BLOCK_BYTES = 1 << 16  # what is lost when the connection breaks off
ATTEMPTS = 4  # a dropped connection is taken up again this often before the caller hears of it
TIMEOUT_S = (10, 60)  # to connect, to wait for the next block
MODELS = Path(__file__).parent.parent / "models"  # what is part of the package


@dataclass(frozen=True)
class Row:
    """A line of `persam weights list`. state: `partial` is a download that broke off and can be taken up again."""

    source: Source
    path: Path
    state: Literal["bundled", "here", "partial", "missing"]

    def __str__(self) -> str:
        source = self.source
        size = _megabytes(source.size_bytes) if source.size_bytes else ""
        return f"{source.name:<6} {size:>8}  {self.state:<8} {source.licence:<10}  {source.about:<24} {self.path}"


def rows() -> list[Row]:
    """Every named model and whether its file is on this machine. Reads no file, touches no network."""
    return [Row(source, path(name), _state(source)) for name, source in TABLE.items()]


def path(name: str) -> Path:
    """Where the file of this model lies, or will lie once fetched.

    Raises:
        WeightsError: no model has that name.
    """
    source = find(name)
    if source.url is None:
        return MODELS / source.file_name
    return cache_folder() / source.file_name


def find(name: str) -> Source:
    """The table's line of this name.

    Raises:
        WeightsError: no model has that name; the message lists the known ones and the closest.
    """
    if name in TABLE:
        return TABLE[name]
    close = get_close_matches(name.lower().replace("-", "_"), TABLE, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise WeightsError(f"no model is called {name!r}.{hint} Known: {', '.join(TABLE)}; or give the path of a SAM file.")


def cache_folder() -> Path:
    """The folder of downloaded weights: `PERSAM_CACHE`, or `persam` in the platform's cache folder."""
    if own := os.environ.get("PERSAM_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "persam"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "persam"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "persam" / "Cache"
    return Path.home() / ".cache" / "persam"


def fetch(name: str) -> Path:
    """The model's file, downloaded on first use and checked; afterwards it costs a look at the folder.

    A download that broke off goes on where it stopped. Processes that ask for the same file at the same time wait for
    one download. A file put there by hand is checked once.

    Raises:
        WeightsError: unknown name, no connection, no room, or a file whose SHA-256 is not the published one. Without a
            connection the message says which file to put where.
    """
    source, target = find(name), path(name)
    if source.url is None:
        return verify(name)
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with _locked(target.with_name(target.name + ".lock")):
                if not target.exists():  # else another process has fetched it meanwhile
                    _download(source, target)
    except OSError as error:
        raise WeightsError(
            f"cannot write the weights of {name} to {target.parent}: {error}. "
            "Set PERSAM_CACHE to a folder with room that you may write to."
        ) from error
    return target if _was_checked(source, target) else verify(name)


def verify(name: str) -> Path:
    """The model's file, after reading all of it and comparing size and SHA-256 with the table.

    Raises:
        WeightsError: the file is missing, or is not the published one.
    """
    source, file = find(name), path(name)
    if not file.is_file():
        repair = "Reinstall persam." if source.url is None else f"`persam weights fetch {name}` downloads it."
        raise WeightsError(f"the weights of {name} are not at {file}. {repair}")
    if mismatch := _mismatch(source, file):
        repair = "Reinstall persam." if source.url is None else f"Delete it and run `persam weights fetch {name}`."
        raise WeightsError(f"{file} is not the published {name}: {mismatch}. {repair}")
    if source.url is not None:
        _mark_checked(source, file)
    return file


def _state(source: Source) -> Literal["bundled", "here", "partial", "missing"]:
    file = path(source.name)
    if file.is_file():
        return "bundled" if source.url is None else "here"
    return "partial" if _part(file).is_file() else "missing"


# ---- downloading


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _download(source: Source, target: Path) -> None:
    """The whole file to `target`, which appears only when it is complete and checked."""
    import requests

    assert source.url is not None
    assert source.size_bytes is not None
    part, reason = _part(target), "the connection broke off"
    for _ in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue_download(source.url, part, source.size_bytes)
        except requests.RequestException as error:  # an OSError of the disk goes on to `fetch`
            reason = _short(error)
        now = part.stat().st_size if part.exists() else 0
        if now >= source.size_bytes:
            break
        if now <= before:  # no progress: trying again at once will not help
            raise WeightsError(_unreachable(source, target, reason))
    else:
        raise WeightsError(_unreachable(source, target, reason))
    if mismatch := _mismatch(source, part):
        part.unlink()
        raise WeightsError(
            f"what {source.url} sent is not the published {source.name}: {mismatch}. It was deleted. "
            f"Run it again; if it stays so, something on the way changes the file: fetch it elsewhere, to {target}."
        )
    os.replace(part, target)
    _mark_checked(source, target)


def _continue_download(url: str, part: Path, size_bytes: int) -> None:
    """What `part` still lacks of the file, or all of it where the server knows no ranges."""
    import requests
    from tqdm import tqdm

    start = part.stat().st_size if part.exists() else 0
    if start >= size_bytes:
        return
    free_bytes = shutil.disk_usage(part.parent).free
    if free_bytes < size_bytes - start:
        raise OSError(f"{_megabytes(size_bytes - start)} are still to come and {_megabytes(free_bytes)} are free")
    # identity: a compressed reply would break both the range and the count
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as reply:
        reply.raise_for_status()
        if start and not reply.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # the server sends the whole file
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(total=size_bytes, initial=start, unit="B", unit_scale=True, desc=part.stem, file=sys.stderr) as bar,
        ):
            written = start
            for block in reply.iter_content(BLOCK_BYTES):
                file.write(block)
                written += len(block)
                bar.update(len(block))
                if written > size_bytes:  # not our file; the checksum will say so
                    return


def _unreachable(source: Source, target: Path, reason: str) -> str:
    return (
        f"cannot download the weights of {source.name}: {reason}. Run it again to go on where it stopped, "
        f"or fetch {source.url} ({source.size_bytes} bytes, sha256 {source.sha256}) on another machine "
        f"and put it at {target}. The bundled model 'nano' needs no download."
    )


def _short(error: Exception) -> str:
    """The innermost reason in one line: requests wraps a refused connection five layers deep."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return "the connection broke off"


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Held by one process (and thread) at a time; the system lets go of it when the holder dies."""
    with lock.open("a+b") as file:
        _lock(file)
        yield


def _lock(file: BinaryIO) -> None:
    """Waits for the lock on an open file; closing the file releases it."""
    if sys.platform == "win32":
        import msvcrt
        import time

        while True:
            try:
                file.seek(0)
                return msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            except OSError:  # msvcrt gives up after ten seconds; a download takes longer
                time.sleep(1)
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX)


# ---- checking


def _mismatch(source: Source, file: Path) -> str:
    """What tells the file from the published one; empty if nothing does."""
    size_bytes = file.stat().st_size
    if source.size_bytes is not None and size_bytes != source.size_bytes:
        return f"{size_bytes} bytes instead of {source.size_bytes}"
    if source.sha256 is not None and (sha256 := _sha256(file)) != source.sha256:
        return f"sha256 {sha256} instead of {source.sha256}"
    return ""


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _was_checked(source: Source, file: Path) -> bool:
    """Whether this very file (size, time) has passed the check before: 2.5 GB are not read again at every start."""
    mark = _mark(file)
    return file.is_file() and mark.is_file() and mark.read_text() == _stamp(source, file)


def _mark_checked(source: Source, file: Path) -> None:
    with suppress(OSError):  # a cache that is read-only is checked every time
        _mark(file).write_text(_stamp(source, file))


def _mark(file: Path) -> Path:
    return file.with_name(file.name + ".checked")


def _stamp(source: Source, file: Path) -> str:
    state = file.stat()
    return f"{source.sha256} {state.st_size} {state.st_mtime_ns}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB"
