"""What a run leaves in its place, on disk and at an address: what is finished, what is done again, what is spared."""

from collections.abc import Iterator

import fsspec
import pytest

from persam.cluster.blocks import mask_stem, part_name
from persam.cluster.store import COMMAND, Store, Summary, summary
from persam.errors import OutputError
from persam.io.manifest import Manifest
from persam.io.rows import from_parquet, table_of, to_parquet

NOW = Manifest(COMMAND, {"threshold": 0.5}, ())
ROW = {"concept": "red", "instance": 1, "present": True, "score": 0.9, "presence": 0.8}


@pytest.fixture(params=["disk", "address"])
def store(request, tmp_path) -> Iterator[Store]:
    if request.param == "disk":
        yield Store.of(tmp_path / "found")
    else:
        yield Store.of("memory://found/here/")
        fsspec.filesystem("memory").rm("/found", recursive=True)


def put(store: Store, *photos: str, failed: tuple[str, ...] = (), mask: str | None = None) -> str:
    """A part with these photos, as a worker writes it; its name."""
    rows = [{"photo": photo, **ROW, "mask": mask} for photo in photos]
    rows += [{"photo": photo, "present": False, "error": "torn"} for photo in failed]
    part = part_name([*photos, *failed])
    store.write(part, to_parquet(table_of(rows)))
    return part


def test_what_is_finished_is_kept_and_what_failed_is_done_again(store):
    assert store.begin(NOW, "refuse") == set()
    whole, mixed, failed = put(store, "a", "b"), put(store, "c", failed=("d",)), put(store, failed=("e", "f"))
    before = store.read(whole)
    store.write("results/_begun-1.json", b"[]")
    assert summary(store.place) == Summary(photos=6, failed=3, found={"red": 3})
    assert store.begin(NOW, "resume") == {"a", "b", "c"}
    assert store.parts() == sorted([whole, mixed])
    assert store.read(whole) == before
    assert store.read(failed) is None
    assert store.read("results/_begun-1.json") is None
    assert summary(store.place) == Summary(photos=3, failed=0, found={"red": 3})


def test_a_part_that_is_damaged_is_done_again(store):
    store.begin(NOW, "refuse")
    put(store, "a")
    torn = put(store, "b")
    store.write(torn, (store.read(torn) or b"")[:50])
    with pytest.raises(OutputError, match=f"{torn} is damaged"):
        summary(store.place)
    assert store.begin(NOW, "resume") == {"a"}
    assert torn not in store.parts()


def test_overwriting_removes_what_the_run_made_and_nothing_else(store):
    store.begin(NOW, "refuse")
    put(store, "a", mask="masks/a.png")
    for name in ("masks/a.png", "masks/mine.png", "results/mine.parquet", "mine.txt"):
        store.write(name, b"here")
    put(store, "b", mask="masks/../mine.txt")
    other = Manifest(COMMAND, {"threshold": 0.7}, ())
    assert store.begin(other, "overwrite") == set()
    assert store.parts() == []
    assert store.read("masks/a.png") is None
    assert all(store.read(name) for name in ("masks/mine.png", "results/mine.parquet", "mine.txt"))
    assert store.manifest() == other


@pytest.mark.parametrize(
    ("now", "existing", "says"),
    [
        (NOW, "refuse", "holds this run already: go on with --resume, begin again with --overwrite"),
        (
            Manifest(COMMAND, {"threshold": 0.7}, ()),
            "resume",
            "another run: threshold 0.5 then, 0.7 now. Choose",
        ),
        (Manifest(COMMAND, {"threshold": 0.7}, ()), "refuse", "begin again with --overwrite"),
    ],
)
def test_a_run_that_is_there_is_not_mixed_with_another(store, now, existing, says):
    store.begin(NOW, "refuse")
    put(store, "a")
    with pytest.raises(OutputError, match=says):
        store.begin(now, existing)
    assert store.parts() == [part_name(["a"])]


def test_a_run_of_one_process_is_not_replaced(store):
    store.write("manifest.json", Manifest("segment", {}, ()).as_bytes())
    with pytest.raises(OutputError, match=r"it is a run of `persam segment`. Choose another folder"):
        store.begin(NOW, "overwrite")


def test_parquet_files_of_others_are_not_taken_for_results(store):
    put(store, "a")
    with pytest.raises(OutputError, match="no manifest says that a run of persam left them there"):
        store.begin(NOW, "overwrite")


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        Store.of(tmp_path / "file").begin(NOW, "refuse")


def test_names_belong_to_one_photo_and_stay_when_an_album_grows():
    assert part_name(["a", "b"]) != part_name(["ab"])
    assert mask_stem("/one/rex.jpg") != mask_stem("/two/rex.jpg")
    assert mask_stem("s3://bucket/rex.jpg").startswith("rex-")
    assert len(mask_stem(f"/one/{'é' * 200}.jpg").encode()) < 130


def test_the_file_is_plain_parquet():
    rows = [{"photo": "a", **ROW, "box_xyxy": (1, 2, 3, 4), "height": 9, "width": 8, "rle": "0H"}]
    data = to_parquet(table_of(rows))
    assert data[:4] == b"PAR1"
    assert from_parquet(data, ["photo", "box_xyxy"]).to_pylist() == [{"photo": "a", "box_xyxy": [1, 2, 3, 4]}]
