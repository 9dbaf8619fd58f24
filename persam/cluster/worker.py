"""What an actor of the cluster does: it holds the model and the concepts, and searches the blocks that Ray gives it."""

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from persam.cluster.addresses import read_photo
from persam.cluster.blocks import Block, begun_name, mask_stem, part_name
from persam.cluster.store import MASKS, Store
from persam.errors import ImageError, OutputError
from persam.io import manifest, write
from persam.io.background import in_background
from persam.io.names import file_part
from persam.io.results import ImageResult
from persam.io.rows import Row, rows_of, table_of, to_parquet
from persam.io.segmentation import Segmentation
from persam.sam import malloc

if TYPE_CHECKING:
    import pyarrow as pa

    from persam.method.concept import Concept
    from persam.model import PerSAM

Array = np.ndarray[Any, Any]
READ_AHEAD = 3  # photos that are fetched while one is searched


@dataclass(frozen=True)
class Task:
    """What is looked for, and how.

    device: `cpu` or `cuda`. threads: of PyTorch on the CPU; None leaves it to PyTorch.
    """

    model: "PerSAM"
    concepts: "tuple[Concept, ...]"
    max_instances: int = 1
    device: str = "cpu"
    threads: int | None = None


class Search:
    """Photos in, rows out. An error of a photo is a row too.

    Args:
        task: a reference of Ray's to a `Task`, in a list: so it is fetched here, again where an actor begins anew.
    """

    def __init__(self, task: list[Any]) -> None:
        import ray
        import torch

        self.task: Task = ray.get(task[0])
        if self.task.device == "cpu":
            malloc.keep_large_blocks()
            if self.task.threads is not None:
                torch.set_num_threads(self.task.threads)
        elif isinstance(getattr(self.task.model.backbone, "model", None), torch.nn.Module):
            self.task.model.backbone.model.to(self.task.device)

    def __call__(self, batch: "pa.Table") -> "pa.Table":
        return table_of([row for photo, result in self._results(_photos(batch)) for row in rows_of(photo, result)])

    def _results(self, photos: Sequence[str]) -> "Iterator[tuple[str, ImageResult]]":
        for photo, rgb in zip(photos, _read_ahead(photos), strict=True):
            yield photo, self._result(photo, rgb)

    def _result(self, photo: str, rgb: UInt8[Array, "h w 3"] | ImageError) -> ImageResult:
        if isinstance(rgb, ImageError):
            return ImageResult.of_error(photo, rgb)
        task = self.task
        return next(task.model.segment(rgb, task.concepts, max_instances=task.max_instances, on_error="skip"))


class SearchAndWrite(Search):
    """Photos in, a row a block out, once the block's Parquet file is written.

    A photo that kills its worker would be tried for ever: a block whose worker died is searched photo by photo, each
    noted before it is begun, and one at which the worker dies again is a row with an error.

    Args:
        store: where to; it holds the manifest of this run.
        mask_files: whether masks become files too.

    Raises:
        OutputError: the store is another one here.
    """

    def __init__(self, task: list[Any], store: Store, mask_files: bool) -> None:
        super().__init__(task)
        self.store, self.mask_files = store, mask_files
        if store.read(manifest.NAME) is None:
            raise OutputError(
                f"{store.place} is not the same place on {socket.gethostname()}: the manifest of the run is not there. "
                "Give a folder that every machine shares, or an address such as s3://bucket/found."
            )

    def __call__(self, batch: "pa.Table") -> "pa.Table":
        import pyarrow as pa

        photos, began = _photos(batch), time.time()
        part, begun = part_name(photos), begun_name(photos)
        rows: list[Row] = []
        for photo, result in self._survivors(photos, begun):
            save = partial(self._save, mask_stem(photo)) if self.mask_files else None
            rows += rows_of(photo, result, save)
        self.store.write(part, to_parquet(table_of(rows)))
        self.store.remove([begun])
        block = {
            "part": part,
            "photos": len(photos),
            "found": [len({row["photo"] for row in rows if _is(row, one.name)}) for one in self.task.concepts],
            "errors": [row["error"] for row in rows if row.get("error")],
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "began": began,
            "ended": time.time(),
        }
        types = {"found": pa.list_(pa.int64()), "errors": pa.list_(pa.string())}
        return pa.table({name: pa.array([value], types.get(name)) for name, value in block.items()})

    def _survivors(self, photos: Sequence[str], begun: str) -> "Iterator[tuple[str, ImageResult]]":
        """The results; those of photos at which a worker died are errors. begun: the file that tells of them."""
        noted = self.store.read(begun)
        if noted is None:
            self.store.write(begun, b"[]")
            yield from self._results(photos)
            return
        deadly: list[str] = json.loads(noted)  # all but the first death were at the photo that was noted last
        for photo in photos:
            if photo in deadly:
                error = ImageError(f"a worker died while it searched {photo}: it may need more memory than there is.")
                yield photo, ImageResult.of_error(photo, error)
            else:
                self.store.write(begun, json.dumps([*deadly, photo]).encode())
                yield photo, self._result(photo, _read(photo))
        self.store.write(begun, noted)

    def _save(self, stem: str, found: Segmentation) -> str:
        concept = [file_part(found.concept)] if len(self.task.concepts) > 1 else []
        instance = [str(found.instance)] if self.task.max_instances > 1 else []
        name = f"{MASKS}/{'_'.join([stem, *concept, *instance])}.png"
        self.store.write(name, write.encode(Image.fromarray(found.mask * np.uint8(255)), "PNG"))
        return name


def block_of(row: dict[str, Any], concepts: "Sequence[Concept]") -> Block:
    """The block that a row of `SearchAndWrite` tells of."""
    found = dict(zip((one.name for one in concepts), map(int, row["found"]), strict=True))
    return Block(**{**row, "found": found, "errors": tuple(map(str, row["errors"]))})


def _is(row: Row, concept: str) -> bool:
    return bool(row["present"]) and row["concept"] == concept


def _photos(batch: "pa.Table") -> list[str]:
    photos: list[str] = batch.column("photo").to_pylist()
    return photos


def _read_ahead(photos: Iterable[str]) -> Iterator[UInt8[Array, "h w 3"] | ImageError]:
    """The pixels of each, or why they cannot be read; the next few are on their way meanwhile."""
    reads = (partial(_read, photo) for photo in photos)
    for read in in_background(reads, ahead=READ_AHEAD, threads=READ_AHEAD):
        yield read.result()


def _read(photo: str) -> UInt8[Array, "h w 3"] | ImageError:
    try:
        return read_photo(photo)
    except ImageError as error:
        return error
