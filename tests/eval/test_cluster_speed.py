from pathlib import Path
from types import SimpleNamespace

import pytest

from persam.cli.main import main
from persam.cluster.blocks import Block, part_name
from persam.cluster.store import Store
from persam.errors import DataError
from persam.eval import cluster_speed
from persam.io.rows import rows_of, table_of, to_parquet
from tests.colour import colour_model

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


def test_the_album_repeats_the_examples_as_files_of_their_own(tmp_path):
    photos = len(list((EXAMPLES / "photos").glob("*.jpg")))
    places = cluster_speed.album_of(EXAMPLES, tmp_path / "album", photos + 1)
    assert len(set(places)) == photos + 1
    assert Path(places[0]).read_bytes() == Path(places[-1]).read_bytes() != Path(places[1]).read_bytes()
    with pytest.raises(DataError, match="holds no photos"):
        cluster_speed.album_of(tmp_path, tmp_path / "none", 1)


def test_a_rate_is_counted_from_the_first_block_to_the_last(tmp_path, monkeypatch):
    """Two workers with two photos each take 4 s and begin 3 s late; one photo is found to differ."""
    seconds = iter((100.0, 110.0, 200.0))  # one process takes ten
    monkeypatch.setattr(cluster_speed, "time", SimpleNamespace(time=lambda: next(seconds)))

    def run(photos, concept, place, *, model, workers):
        store = Store.of(place)
        for began, mine in ((203.0, photos[:2]), (204.0, photos[2:])):
            results = model.segment(mine, concept)
            rows = [row for name, one in zip(mine, results, strict=True) for row in rows_of(name, one)]
            rows[0]["score"] = 0.1 if mine[0] == photos[0] else rows[0]["score"]
            store.write(part_name(mine), to_parquet(table_of(rows)))
            yield Block(part_name(mine), 2, {}, (), "here:1", began, began + 3)

    monkeypatch.setattr(cluster_speed.job, "run", run)
    monkeypatch.setattr(cluster_speed.job, "connect", lambda *, quiet: None)
    alone, two = cluster_speed.measure(colour_model(), EXAMPLES, tmp_path, photos=4, workers=(2,), block=2)
    assert (alone.engine, alone.workers, alone.search_s, alone.photos_per_s, alone.differing) == (
        "process",
        1,
        10,
        0.4,
        0,
    )
    assert (two.engine, two.workers, two.start_s, two.search_s, two.differing) == ("ray", 2, 3, 4, 1)
    assert (two.photos_per_s, two.photos_per_s_worker) == (1, 0.5)
    assert two.worker_hours == pytest.approx(1e6 / 0.5 / 3600)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--workers two", "--workers two is no list of numbers such as 1,2"),
        ("--photos 7 --block 4", "--photos 7 leaves a worker without a block: give 8 or more"),
    ],
)
def test_a_measurement_that_says_nothing_is_refused(capsys, words, says):
    assert main(["bench", "cluster", *words.split()]) == 2
    assert says in capsys.readouterr().err
