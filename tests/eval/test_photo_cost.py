import csv
import itertools
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from persam.cli.main import main
from persam.eval import photo_cost
from tests.colour import colour_model

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


def test_a_photo_is_counted_in_encodings_of_itself_and_each_further_concept_beside_it(monkeypatch):
    seconds = itertools.cycle((0.0, 3.0, 4.0))  # whatever is measured takes three, an encoding one
    monkeypatch.setattr(photo_cost, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    rows = list(photo_cost.costs(colour_model(), EXAMPLES, repeats=1, counts=(1, 3)))
    assert [(row.what, row.count) for row in rows] == [
        ("learn", 1),
        ("photo", 1),
        ("concepts", 1),
        ("concepts", 3),
        ("instances", 1),
        ("instances", 3),
    ]
    assert all((row.ms, row.encodings) == (3000, 3) for row in rows)
    assert [row.each for row in rows] == [None, None, None, 0, None, 0]


def test_the_published_recipe_is_not_asked_for_several_instances():
    rows = list(photo_cost.costs(colour_model(recipe="official_persam"), EXAMPLES, repeats=1, counts=(1,)))
    assert [row.what for row in rows] == ["learn", "photo", "concepts"]


def test_coins_lie_in_rows_apart():
    thing, mask = np.full((20, 30, 3), 200, np.uint8), np.zeros((20, 30), bool)
    mask[5:15, 5:25] = True
    photo = photo_cost.coins(thing, mask, 50)
    assert photo.shape == (*photo_cost.MANY_HW, 3)
    ground_and_coins, _ = cv2.connectedComponents((photo == 200).all(2).astype(np.uint8))
    assert ground_and_coins == 1 + 50


def test_photos_of_several_sizes_are_read_from_files(tmp_path):
    small, large = photo_cost.sizes(colour_model(), EXAMPLES, tmp_path, repeats=1, megapixels=(0.05, 0.2))
    assert (small.what, small.count, large.count) == ("megapixels", 0.05, 0.2)
    with Image.open(tmp_path / "0.2.jpg") as image:
        assert image.width * image.height == pytest.approx(0.2e6, rel=0.01)
    assert 0 < small.peak_mb <= large.peak_mb


def test_bench_refuses_what_measures_nothing(capsys):
    assert main(["bench", "photo", "--repeats", "0"]) == 2
    assert "give 1 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_cost, "COUNTS", (1,))
    table = tmp_path / "cost.csv"
    assert main(["bench", "photo", "--repeats", "1", "--csv", str(table), "--data", str(EXAMPLES)]) == 0
    rows = {row["what"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert rows.keys() == {"learn", "photo", "concepts", "instances"}
    assert all(float(row["encodings"]) > 1 for row in rows.values())
    assert [rows[what]["found"] for what in ("photo", "instances")] == ["1", "1"]
