"""An album on two workers: lost ones are replaced, stopped jobs go on, and the results are those of one process."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pytest
import torch
from PIL import Image

from persam import cluster
from persam.cluster.job import _album, _in_our_words
from persam.cluster.store import Store
from persam.errors import ConceptError, OutputError, PerSAMError
from persam.io import rle
from persam.io.rows import rows_of, table_of
from tests.cluster.gated import gated_model
from tests.colour import colour_model, mask, photo

TWO = cluster.Workers(count=2, block=2)


def rows_in(folder: Path) -> list[dict]:
    table = pyarrow.dataset.dataset(folder / "results").to_table()
    return sorted(table.to_pylist(), key=lambda row: (row["photo"], row["concept"] or ""))


def in_one_process(model, concept, album: Path) -> list[dict]:
    """What one process finds, as rows."""
    results = model.segment(album, concept, on_error="skip")
    return table_of([row for one in results for row in rows_of(str(one.source), one)]).to_pylist()


@pytest.mark.slow
@pytest.mark.usefixtures("two_cores")
def test_a_worker_that_is_killed_changes_nothing(album, tmp_path):
    gate, model = tmp_path / "gate", colour_model()
    red = model.learn(photo(), mask(), name="red")
    gated = gated_model(gate, first=0)
    killed: list[int] = []

    def kill_one_of_two() -> None:
        """Once both are in the middle of their first photo."""
        while len(waiting := list(gate.iterdir())) < 2:
            time.sleep(0.05)
        killed.append(int(waiting[0].name))
        os.kill(killed[0], signal.SIGKILL)
        (gate / "open").touch()

    killer = threading.Thread(target=kill_one_of_two, daemon=True)
    killer.start()
    blocks = list(cluster.run(album, red, tmp_path / "found", model=gated, workers=TWO, mask_files=True))
    killer.join()
    assert sum(block.photos for block in blocks) == 15
    workers = {int(block.worker.split(":")[1]) for block in blocks}
    assert len(workers) == 2  # the other, and one in the place of the lost one
    assert not workers & set(killed)
    got, expected = rows_in(tmp_path / "found"), in_one_process(model, red, album)
    assert len(got) == 15
    for row in got:
        saved = row.pop("mask")
        assert (saved is not None) == row["present"]
        if saved:
            with Image.open(tmp_path / "found" / saved) as picture:
                size = (row["height"], row["width"])
                [run_lengths] = rle.segments({"size": size, "counts": row["rle"]})
                assert np.array_equal(np.array(picture) > 0, rle.draw([run_lengths], size))
    assert got == [{name: row[name] for name in row if name != "mask"} for row in expected]
    assert [row["present"] for row in got] == [True] * 12 + [False] * 3
    assert "bad.png" in got[-1]["error"]
    assert cluster.summary(tmp_path / "found") == cluster.Summary(photos=15, failed=1, found={"red": 12})


@pytest.mark.slow
@pytest.mark.usefixtures("two_cores")
def test_a_job_that_was_stopped_goes_on_where_it_was(album, tmp_path):
    gate, found, model = tmp_path / "gate", tmp_path / "found", colour_model()
    red = model.learn(photo(), mask(), name="red")
    blocks = cluster.run(album, red, found, model=gated_model(gate, first=5), workers=TWO)
    next(blocks)
    blocks.close()
    before = {path.name: path.stat().st_mtime_ns for path in (found / "results").glob("part-*")}
    done = {row["photo"] for row in rows_in(found)}
    assert 2 <= len(done) < 15
    with pytest.raises(OutputError, match="holds this run already: go on with --resume"):
        cluster.run(album, red, found, model=model, workers=TWO)
    Image.fromarray(photo()).save(album / "bad.png")  # meanwhile it was mended
    three = cluster.Workers(count=1, block=3)
    rest = cluster.run(album, red, found, model=model, workers=three, existing="resume")
    assert sum(block.photos for block in rest) == 15 - len(done)
    assert all((found / "results" / name).stat().st_mtime_ns == then for name, then in before.items())
    assert [row["photo"] for row in rows_in(found)] == sorted(map(str, album.iterdir()))
    assert cluster.summary(found) == cluster.Summary(photos=15, failed=0, found={"red": 13})
    assert list(cluster.run(album, red, found, model=model, workers=TWO, existing="resume")) == []


@pytest.mark.slow
@pytest.mark.usefixtures("two_cores")
def test_the_rows_are_a_data_set_of_rays_that_writes_nothing(album, tmp_path):
    model = colour_model()
    concepts = [model.learn(photo(), mask(), name=name) for name in ("red", "other")]
    before = set(tmp_path.rglob("*"))
    rows = cluster.segment([album / "00.png", f"file://{album}/bad.png"], concepts, model=model)
    assert set(rows.schema().names) == {*table_of([]).column_names}
    got = sorted(rows.take_all(), key=lambda row: (row["photo"], row["concept"] or ""))
    assert [row["concept"] for row in got] == ["other", "red", None]
    assert got[2]["photo"] == f"file://{album}/bad.png"
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.usefixtures("two_cores")
def test_what_stops_a_worker_is_said_in_our_words(album, tmp_path):
    model = colour_model()
    one = cluster.Workers(count=1, block=2)
    blocks = cluster.run(album, model.learn(photo(), mask()), tmp_path / "found", model=model, workers=one)
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "results").write_text("in the way")
    with pytest.raises(OutputError, match=r"^cannot read .*found/results/.*Check the place and its rights\.$"):
        list(blocks)


def test_masks_of_an_earlier_run_are_no_photos(tmp_path):
    store = Store.of(tmp_path / "found")
    album = [str(tmp_path / name) for name in ("found/masks/a-1.png", "found/a.png", "a.png")]
    assert _album(album, store) == album[1:]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "ray::Worker.submit()\nOSError: [Errno 17] File exists\n\npersam.errors.OutputError: cannot write /found.\n"
            "ray.exceptions.UserCodeException: a function failed.",
            "cannot write /found.",
        ),
        (
            "ray::Worker.submit()\nValueError: 7 is too much\n\nray.exceptions.UserCodeException: a function failed.",
            "the cluster gave up (ValueError: 7 is too much). What was finished is kept, and a resumed run goes on",
        ),
        ("The node is lost.\nMore.", "the cluster gave up (The node is lost). What was finished is kept"),
        ("", "the cluster gave up (no reason is known)."),
    ],
)
def test_rays_text_is_said_in_our_words(text, says):
    error = _in_our_words(text)
    assert str(error).startswith(says)
    assert isinstance(error, OutputError) == (says == "cannot write /found.")


@pytest.mark.parametrize(
    ("count", "device", "block", "says"),
    [
        (0, "auto", 1, "0 workers do nothing: give 1 or more"),
        (1, "auto", 0, "a block of 0 photos holds nothing: give 1 or more"),
        (1, "mps", 1, "workers run on auto, cpu, cuda, and 'mps' was given"),
    ],
)
def test_workers_that_cannot_work_are_refused(count, device, block, says):
    with pytest.raises(PerSAMError, match=says):
        cluster.Workers(count, device, block)


def test_what_cannot_be_asked_is_said_before_ray_is_started(album, tmp_path):
    model = colour_model()
    with pytest.raises(ConceptError, match="give at least one concept"):
        cluster.run(album, [], tmp_path / "found", model=model)
    model.backbone.device = torch.device("meta")
    with pytest.raises(PerSAMError, match="workers get the model from the CPU, and this one is on meta"):
        cluster.segment(album, [], model=model)
