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
    assert [(row.what, row.count) for row in rows] == [("learn", 1), ("photo", 1), ("concepts", 1), ("concepts", 3)]
    assert all((row.ms, row.encodings) == (3000, 3) for row in rows)
    assert [row.each for row in rows] == [None, None, None, 0]


def test_a_further_instance_is_counted_from_the_first_and_from_the_count_before(monkeypatch):
    spent = iter((5.0, 9.0, 17.0))  # encodings of the photo with 1, 2 and 6

    def measured():
        for seconds in spent:
            yield from (0.0, seconds, seconds + 1.0)

    times = measured()
    monkeypatch.setattr(photo_cost, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    rows = list(photo_cost.instances(colour_model(), EXAMPLES, repeats=1, counts=(1, 2, 6)))
    assert [(row.what, row.count, row.encodings) for row in rows] == [
        ("instances", 1, 5),
        ("instances", 2, 9),
        ("instances", 6, 17),
    ]
    assert [(row.each, row.marginal) for row in rows] == [(None, None), (4, 4), (pytest.approx(12 / 5), 2)]


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
    assert main(["bench", "photo", "--instances", "--recipe", "official_persam"]) == 2
    assert "finds one" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_cost, "COUNTS", (1,))
    table = tmp_path / "cost.csv"
    command = ["bench", "photo", "--repeats", "1", "--csv", str(table), "--data", str(EXAMPLES)]
    assert main(command) == main([*command, "--instances"]) == 0
    rows = {row["what"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert rows.keys() == {"learn", "photo", "concepts", "instances"}
    assert all(float(row["encodings"]) > 1 for row in rows.values())
    assert [rows[what]["found"] for what in ("photo", "instances")] == ["1", "1"]
