"""Results as rows of a Parquet file: one an object found, one a concept that is not in a photo, one a photo's error."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.errors import DataError, PerSAMError
from persam.io import rle, write
from persam.io.results import ImageResult
from persam.io.segmentation import Segmentation

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]


def import_pyarrow() -> Any:
    """PyArrow. Raises PerSAMError where it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        raise PerSAMError('Parquet needs PyArrow, which is not installed: pip install "persam[parquet]".') from error
    return pyarrow


def schema() -> "pa.Schema":
    """The columns.

    photo: its path or address, the key of the results. concept, instance, present, score, presence, box_xyxy, area_px:
    as in `Segmentation`; of what is not present, no box and no area. track_id, time: of a video's frame, time in
    seconds. height, width: of the photo, in pixels.
    rle: the mask as COCO's compressed run lengths (`counts`), None for what is not present. mask: the mask's file
    within the folder of results, where files were asked for. error: why the photo could not be searched; then
    everything but `photo` and `present` is None.
    """
    pa = import_pyarrow()
    return pa.schema(
        {
            "photo": pa.string(),
            "concept": pa.string(),
            "instance": pa.int32(),
            "present": pa.bool_(),
            "score": pa.float64(),
            "presence": pa.float64(),
            "box_xyxy": pa.list_(pa.int32()),
            "area_px": pa.int64(),
            "track_id": pa.int32(),
            "time": pa.float64(),
            "height": pa.int32(),
            "width": pa.int32(),
            "rle": pa.string(),
            "mask": pa.string(),
            "error": pa.string(),
        }
    )


def rows_of(photo: str, result: ImageResult, save: Callable[[Segmentation], str] | None = None) -> Iterator[Row]:
    """The rows of one photo. save: writes the mask of what is present to a file, and says which."""
    if result.error is not None:
        yield {"photo": photo, "present": False, "error": str(result.error)}
    for one in result.segmentations:
        row: Row = {
            "photo": photo,
            "concept": one.concept,
            "instance": one.instance,
            "present": one.present,
            "score": one.score,
            "presence": one.presence,
            "track_id": one.track_id,
            "time": result.time,
            "height": result.size_hw[0],
            "width": result.size_hw[1],
        }
        if one.present:
            row |= {"box_xyxy": one.box_xyxy, "area_px": one.area_px, "rle": rle.compress(rle.run_lengths(one.mask))}
            row["mask"] = None if save is None else save(one)
        yield row


def table_of(rows: Sequence[Row]) -> "pa.Table":
    pa = import_pyarrow()
    return pa.Table.from_pylist(list(rows), schema())


def parquet(results: Iterable[ImageResult], path: Path) -> None:
    """A file of all the rows; a photo is called by its path, or by its name where it has none."""
    import_pyarrow()  # before anything is searched
    rows: list[Row] = []
    for result in results:
        rows += rows_of(result.name if result.source is None else str(result.source), result)
        del result  # before the next one is computed: one in memory at a time
    write.write_bytes(to_parquet(table_of(rows)), path)


def to_parquet(table: "pa.Table") -> bytes:
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def from_parquet(data: bytes, columns: Sequence[str] | None = None) -> "pa.Table":
    """The table in a file's bytes. columns: those that are read; None for all.

    Raises:
        DataError: it is no Parquet file of these columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(io.BytesIO(data)).read(columns=None if columns is None else list(columns))
        return table.select(schema().names if columns is None else list(columns))
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(f"this is no Parquet file of results ({error}).") from error
