"""`persam propose`: a numbered sheet, and a number as a mask."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.cli.main import main
from tests.cli.typed import boxes, records


@pytest.mark.usefixtures("colours", "here")
def test_the_sheet_shows_every_proposal_and_a_number_is_a_mask(persam):
    code, out, err = persam("propose ref.png -o sheet.png")
    assert code == 0
    told = records(out)
    assert [one["mask"] for one in told] == [f"propose:{number}" for number in range(1, len(told) + 1)]
    assert "look at sheet.png" in err
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 64 * min(5, len(told))
    [red] = [one["mask"] for one in told if one["share"] == pytest.approx(400 / 4096, abs=1e-4)]
    code, out, _ = persam(f"segment ref.png {red} album -o found")
    assert code == 0
    assert boxes(out) == [[40, 5, 55, 30], [4, 8, 15, 16]]
    assert persam(f"learn ref.png {red} -o rex.safetensors")[0] == 0


@pytest.mark.usefixtures("no_model", "here")
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("propose ref.png -o sheet.tiff", "choose one of .png"),
        ("propose nobody.png -o sheet.png", "nobody.png"),
        ("propose ref.png -o ref.png", "ref.png is an input of this command"),
    ],
)
def test_what_cannot_be_is_said_before_a_model_is_loaded(persam, line, reason):
    assert reason in persam.refused(line)


@pytest.mark.usefixtures("colours", "here")
def test_a_photo_without_anything_leaves_the_photo(persam, monkeypatch):
    monkeypatch.setattr("persam.method.proposals.PREDICTED", 2.0)
    code, out, _ = persam("propose ref.png -o sheet.jpg")
    assert (code, out) == (0, "")
    assert np.asarray(Image.open("sheet.jpg")).std() > 0


@pytest.mark.slow
@pytest.mark.usefixtures("colours")
def test_the_bench_writes_a_row_a_reference(tmp_path, capsys):
    table, examples = tmp_path / "proposals.csv", Path(__file__).parents[2] / "data" / "examples"
    assert main(["bench", "propose", "--csv", str(table), "--examples", str(examples)]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(capsys.readouterr().out.splitlines()) == len(rows) >= 5
    for row in rows:
        assert (row["rank"] != "") == (float(row["best_iou"]) >= 0.75)
        assert row["among_20"] == str(row["rank"] != "" and int(row["rank"]) <= 20)
