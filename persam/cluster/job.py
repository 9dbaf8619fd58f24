"""An album on Ray Data: as a data set of rows, or written to Parquet block by block, so that it can be resumed.

Ray schedules, restarts what is lost and does its blocks again. Here is only what is given to it.
"""

import hashlib
import logging
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from persam import api, errors
from persam.cluster.addresses import photos_of
from persam.cluster.blocks import BLOCK, Block, blocks_of
from persam.cluster.store import COMMAND, MASKS, Store
from persam.cluster.worker import Search, SearchAndWrite, Task, block_of
from persam.errors import PerSAMError
from persam.io.lock import only_writer
from persam.io.manifest import Manifest
from persam.io.run import Existing
from persam.io.write import as_output_error
from persam.method.concept import Concept, owned
from persam.model import PerSAM
from persam.sam.backbone import SamBackbone
from persam.sam.checkpoint import whole_fingerprint

Dataset = Any  # ray.data.Dataset, of a package that is imported late

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Workers:
    """The actors that search.

    count: how many; None takes one a GPU of the cluster, or one a core where it has none.
    device: `cuda` gives each a GPU, `cpu` a core; `auto` takes GPUs where the cluster has some.
    block: photos that are searched, written and, where a worker is lost, repeated together.

    Raises:
        PerSAMError: a count or block below 1, or another device.
    """

    count: int | None = None
    device: str = "auto"
    block: int = BLOCK

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise PerSAMError(f"{self.count} workers do nothing: give 1 or more.")
        if self.block < 1:
            raise PerSAMError(f"a block of {self.block} photos holds nothing: give 1 or more.")
        if self.device not in DEVICES:
            raise PerSAMError(f"workers run on {', '.join(DEVICES)}, and {self.device!r} was given.")


def segment(
    photos: Any,
    concepts: Concept | Sequence[Concept],
    *,
    model: str | Path | PerSAM = "nano",
    max_instances: int = 1,
    workers: Workers = Workers(),
) -> Dataset:
    """A `ray.data.Dataset` with a row for everything that is found: lazy, and nothing is written.

    It runs on the cluster that this process is connected to (`ray.init`), else on the one that RAY_ADDRESS names, else
    on this machine. `persam.io.rows.schema` explains the columns.

    Args:
        photos: paths, folders, patterns and addresses that fsspec reads, such as "s3://bucket/album/*.jpg", which
            every worker reaches by the same name; one or many.
        concepts: as `PerSAM.learn` gives them for this model.
        model: a name or path as for `persam.load`, or a PerSAM on the CPU, with its threshold. Workers get it from
            here and need no weights of their own.
        max_instances: at most so many of each concept in a photo.
        workers: how many, on which device, and how many photos at a time.

    Raises:
        PerSAMError: Ray is not installed, the model is not on the CPU, or one of its children as for `PerSAM.segment`.
            A photo that cannot be read is a row with its error.

    Examples:
        >>> rows = persam.cluster.segment("s3://bucket/album/*.jpg", rex)  # doctest: +SKIP
        >>> rows.filter(expr="present").write_parquet("s3://bucket/found")  # doctest: +SKIP
    """
    task = _task(model, concepts, max_instances)
    return _mapped(Search, (), blocks_of(photos_of(photos), workers.block), task, workers)


def run(
    photos: Any,
    concepts: Concept | Sequence[Concept],
    output: str | os.PathLike[str],
    *,
    model: str | Path | PerSAM = "nano",
    max_instances: int = 1,
    workers: Workers = Workers(),
    mask_files: bool = False,
    existing: Existing = "refuse",
    settings: Mapping[str, Any] | None = None,
) -> Generator[Block, None, None]:
    """Each block of photos once its results are in the output: results/part-*.parquet, readable without persam.

    Nothing is searched before the first one is asked for, and after `close()` nothing more is.

    Args:
        photos: as for `segment`.
        concepts: as for `segment`.
        output: a folder that all machines share, or an address such as "s3://bucket/found".
        model: as for `segment`.
        max_instances: as for `segment`.
        workers: as for `segment`.
        mask_files: whether masks are written as PNG too, into masks/.
        existing: what to do where the output holds a run: refuse; resume, which searches what is not there yet and
            what had an error; or overwrite, which removes its results first.
        settings: what decides the results, plain values by name, for the manifest, in place of digests of model and
            concepts.

    Raises:
        OutputError: the output cannot be written, holds another run, or is not the same place on every machine.
        PerSAMError: as for `segment`, or the cluster gave up. Finished blocks are kept.
    """
    task, store = _task(model, concepts, max_instances), Store.of(output)
    album = _album(photos_of(photos), store)
    names = [one.name for one in task.concepts]
    now = manifest_of(_settings(task) if settings is None else settings, names, max_instances, mask_files)
    check(store.place, now, existing)
    return _written(album, task, store, now, existing, workers)


def manifest_of(settings: Mapping[str, Any], concepts: Sequence[str], max_instances: int, mask_files: bool) -> Manifest:
    """What a run of these settings and of concepts with these names is."""
    own = {"concept": list(concepts), "max_instances": max_instances, "mask_files": mask_files}
    return Manifest(COMMAND, {**settings, **own}, ())


def check(output: str | os.PathLike[str], now: Manifest, existing: Existing) -> None:
    """Tries the output before anything expensive is done; touches nothing.

    Raises:
        OutputError: as for `run`.
    """
    Store.of(output).check(now, existing)


def _album(photos: list[str], store: Store) -> list[str]:
    """Without the masks of an earlier run, where the output lies within the album."""
    return [photo for photo in photos if not photo.startswith(f"{store.place}/{MASKS}/")]


def _written(
    album: list[str], task: Task, store: Store, now: Manifest, existing: Existing, workers: Workers
) -> Generator[Block, None, None]:
    connect()
    with ExitStack() as held:
        if not store.is_remote:
            with as_output_error(Path(store.place)):
                Path(store.place).mkdir(parents=True, exist_ok=True)
                held.enter_context(only_writer(Path(store.place)))
        done = store.begin(now, existing)
        left = [photo for photo in album if photo not in done]
        if left:
            more = (store, bool(now.settings["mask_files"]))
            yield from _run(_mapped(SearchAndWrite, more, blocks_of(left, workers.block), task, workers), task)


def connect(*, quiet: bool = False) -> None:
    """Connects to the cluster of RAY_ADDRESS, or starts one on this machine; nothing where that is done.

    quiet: without Ray's own reports, for a program with some of its own.

    Raises:
        PerSAMError: Ray is not installed, or the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError as error:
        raise PerSAMError("a cluster needs Ray: pip install 'persam[ray]'.") from error
    if quiet:
        import ray.data

        for handler in logging.getLogger("ray.data").handlers:
            if str(handler.name).startswith("console"):  # its files keep all
                handler.setLevel(logging.CRITICAL)
    if ray.is_initialized():
        return
    try:
        if quiet:
            ray.init(logging_level=logging.WARNING, log_to_driver=False)
        else:
            ray.init()
    except (ConnectionError, RuntimeError, ValueError) as error:
        told = os.environ.get("RAY_ADDRESS", "this machine")
        raise PerSAMError(f"cannot reach a Ray cluster at {told} ({error}). `ray status` tells more.") from error


def _task(model: str | Path | PerSAM, concepts: Concept | Sequence[Concept], max_instances: int) -> Task:
    ready = model if isinstance(model, PerSAM) else api.load(model, device="cpu")
    if ready.backbone.device.type != "cpu":
        raise PerSAMError(
            f"workers get the model from the CPU, and this one is on {ready.backbone.device}: load it with "
            "device='cpu'. Workers put it on their own GPU."
        )
    known = owned(concepts, ready.backbone, max_instances)
    return Task(ready, tuple(replace(one, references=()) for one in known), max_instances)


def _mapped(
    kind: type[Search], more: tuple[Any, ...], blocks: list[list[str]], task: Task, workers: Workers
) -> Dataset:
    connect()
    import pyarrow as pa
    import ray
    import ray.data

    here = ray.cluster_resources()
    on_gpu = workers.device == "cuda" or (workers.device == "auto" and here.get("GPU", 0) >= 1)
    sent = replace(task, device="cuda" if on_gpu else "cpu", threads=None if on_gpu else 1)
    count = workers.count or max(1, int(here.get("GPU" if on_gpu else "CPU", 1)))
    photos = ray.data.from_arrow([pa.table({"photo": pa.array(block, pa.string())}) for block in blocks])
    asked = photos.map_batches(
        kind,
        fn_constructor_args=([ray.put(sent)], *more),  # in a list, it is not bound to the actor's first start
        batch_size=workers.block,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(count, len(blocks))),
        **({"num_gpus": 1} if on_gpu else {"num_cpus": 1}),
    )
    asked.context.execution_no_progress_timeout_s = -1  # a block of a large model on a core may take longer
    return asked


def _run(dataset: Dataset, task: Task) -> Iterator[Block]:
    from ray.exceptions import RayError

    dataset.context.enable_progress_bars = False  # the caller sees the blocks
    try:
        for row in dataset.iter_rows():
            yield block_of(row, task.concepts)
    except RayError as error:
        raise _in_our_words(str(error)) from error


def _in_our_words(text: str) -> PerSAMError:
    """What stopped a worker, out of Ray's text, which keeps nothing else of it."""
    raised = re.findall(r"^([\w.]*(?:Error|Exception)): (.+)$", text, re.MULTILINE)
    for name, message in raised:
        kind = getattr(errors, name.rpartition(".")[2], None)
        if name.startswith(f"{errors.__name__}.") and isinstance(kind, type) and issubclass(kind, PerSAMError):
            return kind(message)
    others = [f"{name}: {message}" for name, message in raised if not name.startswith("ray.")]
    told = (others[-1] if others else next(iter(text.strip().splitlines()), "no reason is known")).rstrip(".")
    return PerSAMError(f"the cluster gave up ({told}). What was finished is kept, and a resumed run goes on with it.")


def _settings(task: Task) -> dict[str, Any]:
    model, backbone = task.model, task.model.backbone
    return {
        "model": backbone.name,
        "weights": whole_fingerprint(backbone.model) if isinstance(backbone, SamBackbone) else backbone.fingerprint,
        "calibration": hashlib.sha256(repr(model.calibration).encode()).hexdigest()[:16],
        "threshold": model.threshold,
        "learned": [hashlib.sha256(one.as_bytes()).hexdigest()[:16] for one in task.concepts],
    }
