"""The picture of growth holds the last row of each count, and says which command makes the rows that are missing."""

import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from persam.cli.main import main
from persam.errors import PerSAMError
from persam.eval.growth import picture

SVG = "{http://www.w3.org/2000/svg}"
COST = {"recipe": "persam", "encodings": "2", "peak_mb": "500"}


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def folder(tmp_path):
    """Tables with two counts of everything; of two instances there is an older row, which is far off."""
    costs = [{"what": "instances", "count": "2", **COST, "encodings": "9999"}]
    costs += [{"what": "instances", "count": "1", **COST, "recipe": "persam_f", "encodings": "7777"}]
    for what in ("instances", "concepts", "megapixels"):
        costs += [{"what": what, "count": "1", **COST}, {"what": what, "count": "2", **COST, "encodings": "4"}]
    album = {"way": "batches", "side_px": "768", "recipe": "persam", "encodings": "2.5", "peak_mb": "500"}
    table(tmp_path / "photo_cost.csv", costs)
    table(tmp_path / "album_speed.csv", [{"photos": n, **album} for n in ("10", "1000")])
    return tmp_path


def test_time_in_proportion_to_the_work_lies_on_the_dashed_line(folder):
    root = ET.fromstring(picture(folder / "photo_cost.csv", folder / "album_speed.csv"))
    panels = list(root.iter(f"{SVG}g"))
    titles = [next(panel.iter(f"{SVG}text")).text for panel in panels]
    things = ["photos", "instances", "concepts", "megapixels"]
    assert titles == [f"{what} over {thing}" for what in ("Time", "Memory") for thing in things]
    for panel in panels[:4]:  # of an album a row's encodings are those of one photo
        guide, line = (one.get("points") for one in panel.iter(f"{SVG}polyline"))
        assert guide == line
    limits = [len(list(panel.iter(f"{SVG}polyline"))) - 1 for panel in panels[4:]]
    assert limits == [0, 0, 0, 1]  # of megapixels


@pytest.mark.parametrize("what", ["instances", "concepts", "megapixels"])
def test_rows_that_are_missing_are_said_with_the_command_that_makes_them(folder, what):
    with (folder / "photo_cost.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["what"] != what]
    table(folder / "photo_cost.csv", rows)
    with pytest.raises(PerSAMError, match=rf"no rows of {what} to draw. Run `persam bench photo"):
        picture(folder / "photo_cost.csv", folder / "album_speed.csv")


def test_the_command_writes_the_picture(folder, capsys):
    drawn = folder / "growth.svg"
    assert main(["bench", "growth", "--rows", str(folder), "-o", str(drawn)]) == 0
    assert drawn.read_text() == picture(folder / "photo_cost.csv", folder / "album_speed.csv")
    assert main(["bench", "growth", "--rows", str(folder / "nowhere"), "-o", str(drawn)]) == 2
    assert "Check the path" in capsys.readouterr().err
