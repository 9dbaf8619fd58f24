"""Embeddings on disk, in a folder that several processes share and that never grows beyond its bound.

An entry is a safetensors file of one image's maps as they were encoded, to the bit. It appears whole or not at all, and
carries a digest of itself: one that does not fit its digest, or is another image's, is removed and counts as missing.
The entries that were used longest ago go first; the time of last use is the file's own.
"""

import hashlib
import json
import os
import re
import time
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from persam.errors import CacheWarning, OutputError
from persam.geometry import Frame
from persam.io.write import as_output_error, is_part, write_bytes
from persam.types import ImageEmbedding

FORMAT = "persam-embedding-1"
SUFFIX = ".embedding.safetensors"
UNSEALED = "-" * 64  # stands for the digest while it is taken
SLACK = 20  # when there is no room, a twentieth of it is made, so that the folder is not listed for every entry
PART_S = 3600  # after which a part is one that its process left behind


class EmbeddingStore:
    """Entries under their keys, in a folder.

    Several processes may together hold a twentieth of the bound too much for each beside the first, until one of them
    makes room again.

    Args:
        folder: is made when it is not there yet; what else lies in it is left alone.
        size_bytes: how much all entries may take.

    Raises:
        OutputError: the folder cannot be made or written, or it is to hold nothing.
    """

    def __init__(self, folder: Path, size_bytes: int):
        if size_bytes < 1:
            raise OutputError(f"a cache of {size_bytes} bytes holds nothing. Give it more, or use none.")
        self.folder, self.size_bytes = folder.expanduser(), size_bytes
        self._free = 0  # how much may be written before the folder is listed again
        self._is_full = False  # the disk, whatever the bound
        with as_output_error(self.folder / f"*{SUFFIX}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".{os.getpid()}.persam-can-write"
            probe.touch()
            probe.unlink()

    def load(self, key: str) -> ImageEmbedding | None:
        """The embedding under this key, a batch of one on the CPU; None where there is none, or a damaged one."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        found = _unpacked(data, key)
        with suppress(OSError):  # another process may have removed it
            if found is None:
                path.unlink()
            else:
                os.utime(path)
        return found

    def save(self, key: str, embedding: ImageEmbedding) -> None:
        """Keeps a batch of one. Where the disk has no room, it warns once and keeps nothing more."""
        if self._is_full:
            return
        data = _packed(key, embedding)
        if len(data) > self.size_bytes:
            return
        try:
            if len(data) > self._free:
                self._make_room(len(data))
            write_bytes(data, self._path(key))
            self._free -= len(data)
        except (OutputError, OSError) as error:
            self._is_full = True
            warnings.warn(f"embeddings are no longer kept: {error}", CacheWarning, stacklevel=2)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"

    def _make_room(self, size: int) -> None:
        """Removes what was used longest ago until so many bytes fit in, and some more."""
        files = []
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):
                state = entry.stat()
                if is_part(entry.name) and time.time() - state.st_mtime > PART_S:
                    os.unlink(entry.path)
                elif re.fullmatch(rf"[0-9a-f]+{re.escape(SUFFIX)}", entry.name):
                    files.append((state.st_mtime_ns, state.st_size, entry.path))
        held, some = sum(size for _, size, _ in files), self.size_bytes // SLACK
        wanted = max(size, some)
        for _, freed, path in sorted(files):
            if held + wanted <= self.size_bytes:
                break
            with suppress(FileNotFoundError):
                os.unlink(path)
            held -= freed
        self._free = min(self.size_bytes - held, wanted)


def _packed(key: str, embedding: ImageEmbedding) -> bytes:
    from safetensors.torch import save

    [image_key] = embedding.keys
    orders = {name: _order(maps) for name, maps in embedding.maps.items()}
    words = {"format": FORMAT, "entry": key, "frame": asdict(embedding.frame), "key": image_key, "orders": orders}
    tensors = {name: maps.cpu().permute(orders[name]).contiguous() for name, maps in embedding.maps.items()}
    data = save(tensors, {"persam": json.dumps(words | {"sha256": UNSEALED})})
    return data.replace(UNSEALED.encode(), _digest(data, UNSEALED).encode(), 1)


def _unpacked(data: bytes, key: str) -> ImageEmbedding | None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        words = json.loads(json.loads(data[8 : _start(data)])["__metadata__"]["persam"])
        if (words["format"], words["entry"], words["sha256"]) != (FORMAT, key, _digest(data, words["sha256"])):
            return None
        frame = Frame(**words["frame"] | {"original_hw": tuple(words["frame"]["original_hw"])})
        maps = {name: stored.permute(_inverse(words["orders"][name])) for name, stored in load(data).items()}
        return ImageEmbedding.of_maps(maps, (frame,), (words["key"],))
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _order(maps: Tensor) -> list[int]:
    """The dimensions as they lie in memory. Kernels depend on it, and the last bits of what they give with them."""
    return sorted(range(maps.ndim), key=lambda place: -maps.stride()[place])


def _inverse(order: list[int]) -> list[int]:
    return [order.index(place) for place in range(len(order))]


def _start(data: bytes) -> int:
    """Where the header of a safetensors file ends."""
    return 8 + int.from_bytes(data[:8], "little")


def _digest(data: bytes, seal: Any) -> str:
    """Of all the file, with its own digest left out."""
    start = _start(data)
    digest = hashlib.sha256(data[:start].replace(str(seal).encode(), UNSEALED.encode(), 1))
    digest.update(memoryview(data)[start:])
    return digest.hexdigest()
