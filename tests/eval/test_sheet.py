"""The sheet and the table that a person looks at."""

import numpy as np
import pytest
from PIL import Image

from persam.eval import report, sheet
from persam.eval.benchmark import BENCHMARKS, Evaluation, export
from persam.eval.episodes import Answer, Prediction, Target
from persam.eval.scores import Metrics, Row
from persam.io import draw
from tests.colour import RED
from tests.eval.scenes import davis


def answered(episodes, folder, shift=lambda name: 0) -> None:
    """The truth as predictions, moved to the right by `shift` of each target's name; nothing where there is none."""

    def predict(together):
        for questions in zip(*(episode.targets for episode in together), strict=True):
            yield tuple(answer(question) for question in questions)

    def answer(question):
        held = question.truth is not None
        mask = np.roll(question.truth.read(), shift(question.name), axis=1) if held else np.zeros((64, 64), bool)
        points = np.array([[20, 20]], np.float32), np.ones(1, np.float32)
        return Prediction(mask, 0.8, 0.9 if held else 0.1, held, *points, 0.1)

    export(predict, episodes, folder)


@pytest.fixture
def captions(monkeypatch) -> list[str]:
    """What is written under the pictures of the sheets that are drawn."""
    written: list[str] = []
    real = draw.side_by_side

    def spied(pictures, *, captions, **how):
        written.extend(captions)
        return real(pictures, captions=captions, **how)

    monkeypatch.setattr(draw, "side_by_side", spied)
    return written


def test_a_row_is_reference_target_and_every_recipes_answer_the_worst_first(tmp_path, captions):
    episodes = BENCHMARKS["album"].episodes(davis(tmp_path / "data"))
    answered(episodes, tmp_path / "ours", lambda name: {"00002": 16, "00003": 0, "00004": 32}[name])
    answered(episodes, tmp_path / "theirs")
    picture = sheet.contact_sheet(episodes, {"ours": tmp_path / "ours", "theirs": tmp_path / "theirs"})
    assert picture.dtype == np.uint8
    rows = [captions[start : start + 4] for start in range(0, len(captions), 4)]
    assert rows[0] == [
        "reference: ant",
        "00004: truth",
        "ours: IoU 0.00, presence 0.90",
        "theirs: IoU 1.00, presence 0.90",
    ]
    # squares of 32 moved by 16 share a third
    assert [row[2][:15] for row in rows] == 2 * ["ours: IoU 0.00,"] + 2 * ["ours: IoU 0.33,"] + 2 * ["ours: IoU 1.00,"]


def test_the_rows_are_spread_from_the_worst_to_the_best(tmp_path, captions):
    episodes = BENCHMARKS["album"].episodes(davis(tmp_path / "data"))
    answered(episodes, tmp_path / "ours", lambda name: {"00002": 16, "00003": 0, "00004": 32}[name])
    sheet.contact_sheet(episodes, {"ours": tmp_path / "ours"}, rows=3)
    assert [caption.split(",")[0] for caption in captions[2::3]] == [
        "ours: IoU 0.00",
        "ours: IoU 0.33",
        "ours: IoU 1.00",
    ]


def test_an_object_that_is_not_there_is_judged_by_what_was_said(tmp_path, captions):
    episodes = BENCHMARKS["absence"].episodes(davis(tmp_path / "data"))
    answered(episodes, tmp_path / "ours")
    sheet.contact_sheet(episodes, {"ours": tmp_path / "ours"})
    assert captions[:3] == ["reference: ant", "bee_00002: it is not here", "ours: not here, presence 0.10"]
    nothing = Prediction(
        np.zeros((4, 4), bool), 0, 0.2, False, np.zeros((0, 2), np.float32), np.zeros(0, np.float32), 0
    )
    target = Target("00", episodes[0].targets[0].photo, None)
    assert sheet.quality(Answer(target, nothing)) == 0.8


def test_the_pictures_show_photo_truth_and_answer(tmp_path):
    episodes = BENCHMARKS["album"].episodes(davis(tmp_path / "data"))
    answered(episodes, tmp_path / "ours")
    evaluation = Evaluation((), episodes, tmp_path / "ours")
    path = sheet.write({"ours": evaluation}, tmp_path / "new" / "sheet.png")
    with Image.open(path) as image:
        pixels = np.asarray(image)

    def there(colour) -> bool:
        return bool((np.abs(pixels.astype(int) - colour).sum(2) < 30).any())

    assert there(draw.INSIDE)
    assert there(RED)
    assert there(0.65 * np.array(RED) + 0.35 * np.array(draw.AZURE))  # the answer lies over the object
    assert pixels.shape[0] > 6 * sheet.HEIGHT


def test_a_table_is_aligned_and_has_the_columns_that_were_measured():
    mean = Row("mean", 30, 6.0, Metrics(iou=0.72345, located=1.0))
    rows = {
        "persam": [Row("blackswan", 3, 0.6, Metrics(iou=0.5)), mean],
        "oracle_box": [Row("blackswan", 3, 0.3, Metrics(iou=1.0)), Row("mean", 30, 3.0, Metrics(iou=1.0))],
    }
    assert list(report.lines(rows)) == [
        "RECIPE      OBJECT      N    IOU  LOCATED  S/PHOTO",
        "persam      blackswan   3   50.0        -    0.200",
        "persam      mean       30   72.3    100.0    0.200",
        "oracle_box  blackswan   3  100.0        -    0.100",
        "oracle_box  mean       30  100.0        -    0.100",
    ]
    assert [line.split()[1] for line in report.lines(rows, without=1)] == ["OBJECT", "mean", "mean"]


def test_a_threshold_is_no_percentage():
    _, line = report.lines({"persam": [Row("mean", 6, 0.0, Metrics(refused=0.95, threshold=0.5512))]})
    assert line.split() == ["persam", "mean", "6", "95.0", "0.551", "0.000"]
