import csv
from pathlib import Path

import numpy as np
import pytest

from persam.cli.main import main
from persam.eval import album_cost
from persam.io.images import read_image
from tests.colour import ColourBackbone, colour_model

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


@pytest.fixture
def few(monkeypatch, tmp_path) -> Path:
    """Two of the example photos, so that a lap is short."""
    for name in ("photos", "truth"):
        (tmp_path / "examples" / name).mkdir(parents=True)
    for name in ("photos/picnic.jpg", "photos/coin.jpg", "truth/picnic_cat.png", "truth/picnic_cup.png"):
        (tmp_path / "examples" / name).symlink_to(EXAMPLES / name)
    monkeypatch.setattr(album_cost, "BARE", 1)
    return tmp_path / "examples"


def test_photos_come_again_and_again_and_no_two_are_the_same(few, tmp_path):
    marked = album_cost._marked(few, tmp_path / "album", 64)
    photos = [read_image(next(marked)) for _ in range(40)]
    assert {photo.shape for photo in photos} == {(59, 64, 3), (48, 64, 3)}
    assert len({photo.tobytes() for photo in photos}) == 40
    assert np.abs(photos[0][20:].astype(int) - photos[2][20:]).max() < 9  # the mark alone, and JPEG around it


@pytest.mark.parametrize("way", ["batches", "one_by_one"])
def test_a_row_after_some_photos_and_after_all(few, tmp_path, monkeypatch, way):
    monkeypatch.setattr(album_cost, "STOPS", (2, 100))
    rows = album_cost.album(colour_model(), few, tmp_path / "work", 3, way=way, side_px=64)
    assert [(row.way, row.photos, row.side_px, row.at_once) for row in rows] == [(way, 2, 64, 1), (way, 3, 64, 1)]
    for row in rows:
        assert row.photos_per_s > 0
        assert row.encodings > 1  # a photo takes more than encoding it
        assert row.peak_mb > 50  # torch alone takes more
        assert all(0 < share < 2 for share in (row.reading, row.encoding, row.method, row.writing, row.of_bare))


def test_a_warm_cache_encodes_crops_alone(few, tmp_path, monkeypatch):
    encoded = []
    encode = ColourBackbone.encode
    monkeypatch.setattr(
        ColourBackbone,
        "encode",
        lambda self, images, *, fills=None: (encoded.append(fills is None), encode(self, images, fills=fills))[1],
    )
    cold, warm = album_cost.album(colour_model(), few, tmp_path / "work", 3, way="cache", side_px=64)
    assert (cold.way, warm.way) == ("cold", "warm")
    assert cold.cache_mb == warm.cache_mb == pytest.approx(3 * 0.0497, rel=0.02)  # 64 x 64 x 3 floats a photo
    # by itself: encoded, and searched, before and after; in the album: each photo, the first time; and the references
    assert sum(encoded) == 2 * (2 + 2) + 3 + 2


@pytest.mark.usefixtures("few")
def test_the_command_writes_rows(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("persam.api.load_backbone", lambda *_, **__: ColourBackbone())
    table, line = tmp_path / "cost.csv", ["bench", "album", "--data", str(tmp_path / "examples"), "--side", "64"]
    assert main([*line, "--photos", "0"]) == 2
    assert "1 to 4096 photos" in capsys.readouterr().err
    assert main([*line, "--photos", "2", "--csv", str(table)]) == 0
    assert main([*line, "--photos", "2", "--csv", str(table), "--cache"]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["way"], row["photos"]) for row in rows] == [("batches", "2"), ("cold", "2"), ("warm", "2")]
    assert [bool(row["cache_mb"]) for row in rows] == [False, True, True]
    assert len(capsys.readouterr().out.splitlines()) == 3
