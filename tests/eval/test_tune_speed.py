"""The measurement of PerSAM-F's fit: the published procedure really calls the decoder, and both end at one place."""

import csv
from pathlib import Path

import numpy as np
import pytest

from persam import PerSAM
from persam.cli.main import main
from persam.errors import DataError
from persam.eval import tune_speed
from persam.eval.datasets import perseg
from persam.eval.shown import Shown, references
from persam.eval.tune_speed import published, speeds
from tests.golden.fill import image, mask
from tests.networks import small_backbone

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


@pytest.mark.usefixtures("quick_fit")
def test_both_fits_end_at_the_same_weights_and_the_published_one_calls_the_decoder_each_step(monkeypatch):
    backbone = small_backbone()
    calls = []
    decode = backbone.decode
    monkeypatch.setattr(backbone, "decode", lambda *given: calls.append(1) or decode(*given))
    monkeypatch.setattr(tune_speed, "LEARNING_RATE", 3e-2)  # as the quick fit
    [row] = speeds(PerSAM(backbone), [Shown("thing", image(1, 90, 120), mask(1, 90, 120))], steps=30)
    assert len(calls) == 30 + 3 + 2  # its steps, a call for each of three losses, and one for each of our two fits
    assert (row.reference, row.height, row.width, row.steps) == ("thing", 90, 120, 30)
    assert row.fit_part == pytest.approx(row.published_part, abs=2e-3)
    assert row.fit_subpart == pytest.approx(row.published_subpart, abs=2e-3)
    assert row.fit_loss == pytest.approx(row.published_loss, abs=1e-3)
    assert row.published_loss < row.first_loss
    assert row.times == pytest.approx(row.published_s / row.fit_s)


def test_references_are_the_examples_and_some_of_each_folder(tmp_path):
    shown = references(EXAMPLES, [], 5)
    assert [one.name for one in shown][:2] == ["cat", "cup"]
    assert all(one.mask.shape == one.rgb.shape[:2] and one.mask.any() for one in shown)
    with pytest.raises(DataError, match="Name such a folder"):
        references(EXAMPLES, [tmp_path], 5)


def test_of_a_folder_they_are_spread_evenly(shared):
    shown = references(EXAMPLES, [shared / "data" / "perseg"], 2)[-2:]
    names = [episode.object for episode in perseg.episodes(shared / "data" / "perseg")]
    assert [one.name for one in shown] == [names[0], names[-1]]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_fit")
def test_the_command_writes_a_row_a_reference(tmp_path, capsys, monkeypatch):
    table = tmp_path / "tune.csv"
    monkeypatch.setattr(tune_speed, "published", lambda backbone, concept, steps: published(backbone, concept, 2))
    assert main(["bench", "tune", "--device", "cpu", "--csv", str(table), "--examples", str(EXAMPLES)]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["backbone"] for row in rows] == ["nano"] * len(references(EXAMPLES, [], 1))
    assert all(np.isfinite(float(row["fit_loss"])) for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == len(rows)
    assert main(["bench", "tune", "--references", "0"]) == 2
