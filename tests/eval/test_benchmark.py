import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import DataError, OutputError
from persam.eval.benchmark import BENCHMARKS, Run, answers, evaluate, export, score
from persam.eval.episodes import Episode, Prediction
from persam.eval.scores import FITTED
from persam.eval.table import COLUMNS, machine_name, source_state
from tests.eval import folders


class Oracle:
    """Answers with the truth, moved `off` columns to the right, and remembers what it was asked."""

    def __init__(self, off: int = 0, *, fail_at: int | None = None):
        self.off, self.fail_at, self.asked = off, fail_at, []

    def __call__(self, episodes: Sequence[Episode]) -> Iterator[tuple[Prediction, ...]]:
        if len(self.asked) == self.fail_at:
            raise KeyboardInterrupt
        self.asked.append([episode.name for episode in episodes])
        for targets in zip(*(episode.targets for episode in episodes), strict=True):
            yield tuple(self.answer(target) for target in targets)

    def answer(self, target) -> Prediction:
        height, width = target.photo.read().shape[:2]
        held = target.truth is not None
        mask = np.roll(target.truth.read(), self.off, axis=1) if held else np.zeros((height, width), dtype=bool)
        row, column = np.argwhere(mask)[0] if held else (0, 0)
        return Prediction(
            mask=mask,
            score=0.75,
            presence=0.9 if held else 0.2,
            present=held,
            points_xy=np.array([[column, row]], np.float32),
            labels=np.ones(1, np.float32),
            seconds=0.25,
        )


def started(predict, root: Path, tmp_path: Path, name: str = "perseg", **settings):
    return evaluate(Run(name, "tiny", "ours", settings), predict, root, tmp_path / "out", tmp_path / "rows.csv").rows


def table(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "rows.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_perseg_from_photos_to_rows(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 3, "mug": 2})
    rows = started(Oracle(off=1), root, tmp_path)
    assert [(row.object, row.n, row.seconds) for row in rows] == [("cat", 2, 0.5), ("mug", 1, 0.25), ("mean", 3, 0.75)]
    # 2 x 2 blocks one column off share 2 pixels of 6; the first pixel of the moved block is on the object
    assert [row.metrics.iou for row in rows] == [pytest.approx(1 / 3)] * 3
    assert [row.metrics.located for row in rows] == [1.0] * 3
    cat, _, mean = table(tmp_path)
    assert tuple(cat) == COLUMNS
    assert (cat["benchmark"], cat["model"], cat["recipe"], cat["object"]) == ("perseg", "tiny", "ours", "cat")
    assert (cat["iou"], cat["j_mean"], cat["n"], cat["seconds"]) == ("0.333333", "", "2", "0.5")
    assert (mean["object"], mean["iou"], mean["n"]) == ("mean", "0.333333", "3")
    assert cat["commit"]
    assert cat["dirty"] in ("True", "False")
    assert "cores" in cat["machine"]
    assert cat["date"].endswith("+00:00")
    assert cat["torch"]


def test_predictions_lie_in_files_of_their_own_before_they_are_scored(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 2})
    started(Oracle(), root, tmp_path)
    (folder,) = (tmp_path / "out" / "perseg" / "tiny" / "ours").iterdir()
    assert folder.name == table(tmp_path)[0]["fingerprint"]
    with Image.open(folder / "cat" / "01.png") as image:
        assert np.unique(np.asarray(image)).tolist() == [0, 255]
    (entry,) = json.loads((folder / "cat" / "predictions.json").read_text())
    assert entry == {
        "name": "01",
        "score": 0.75,
        "presence": 0.9,
        "present": True,
        "points_xy": [[1.0, 1.0]],
        "labels": [1.0],
        "seconds": 0.25,
    }


def test_scores_come_from_the_files_alone(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 2})
    benchmark = BENCHMARKS["perseg"]
    episodes = benchmark.episodes(root)
    export(Oracle(), episodes, tmp_path / "out")
    assert score(benchmark, episodes, tmp_path / "out")[0].metrics.iou == 1.0
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(tmp_path / "out" / "cat" / "01.png")
    assert score(benchmark, episodes, tmp_path / "out")[0].metrics.iou == 0.0


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path):
    root = folders.perseg(tmp_path / "data", {"ant": 2, "bee": 2, "cat": 2})
    stopped = Oracle(fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        started(stopped, root, tmp_path)
    assert stopped.asked == [["ant"], ["bee"]]
    assert not (tmp_path / "rows.csv").exists()
    resumed = Oracle()
    started(resumed, root, tmp_path)
    assert resumed.asked == [["cat"]]
    again = Oracle()
    rows = started(again, root, tmp_path)
    assert again.asked == []
    assert rows[-1].n == 3
    assert len(table(tmp_path)) == 8  # two finished runs of three objects and their mean, one header


def test_an_episode_stopped_half_way_is_predicted_again(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 3})

    def halfway(episodes):
        yield from [next(Oracle()(episodes))]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        started(halfway, root, tmp_path)
    resumed = Oracle()
    started(resumed, root, tmp_path)
    assert resumed.asked == [["cat"]]


def test_other_settings_or_other_episodes_never_meet_the_same_files(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 2})
    for predict, settings in ((Oracle(), {"commit": "a"}), (Oracle(off=1), {"commit": "b"})):
        started(predict, root, tmp_path, **settings)
        assert predict.asked == [["cat"]]
    folders.perseg(tmp_path / "data", {"mug": 2})
    more = Oracle()
    started(more, root, tmp_path, commit="a")
    assert more.asked == [["cat"], ["mug"]]
    assert len({row["fingerprint"] for row in table(tmp_path)}) == 3


def test_the_fingerprint_does_not_depend_on_where_the_data_lies(tmp_path):
    run = Run("perseg", "tiny", "ours", {"alpha": 1.0})
    prints = set()
    for place in ("here", "there"):
        root = folders.perseg(tmp_path / place, {"cat": 2})
        prints.add(run.fingerprint(BENCHMARKS["perseg"].episodes(root), root))
    assert len(prints) == 1


def test_the_objects_of_a_video_are_asked_together_and_scored_apart(tmp_path):
    rows = ["00000000", "01100220", "01100220", "00000000", "00000000", "00000000"]
    root = folders.davis(tmp_path / "data", {"dogs": 4, "cats": 4}, rows=rows, year=2017)
    oracle = Oracle()
    result = started(oracle, root, tmp_path, "davis2017")
    assert oracle.asked == [["cats_1", "cats_2"], ["dogs_1", "dogs_2"]]
    assert [(row.object, row.n, row.metrics.jf) for row in result] == [
        ("cats_1", 3, 1.0),
        ("cats_2", 3, 1.0),
        ("dogs_1", 3, 1.0),
        ("dogs_2", 3, 1.0),
        ("mean", 12, 1.0),
    ]


def test_what_goes_together_is_asked_again_together(tmp_path):
    rows = ["00000000", "01100220", "01100220", "00000000", "00000000", "00000000"]
    root = folders.davis(tmp_path / "data", {"cats": 4}, rows=rows, year=2017)
    started(Oracle(), root, tmp_path, "davis2017")
    next((tmp_path / "out").rglob("cats_2/predictions.json")).unlink()
    resumed = Oracle()
    started(resumed, root, tmp_path, "davis2017")
    assert resumed.asked == [["cats_1", "cats_2"]]


def test_absence_has_a_row_with_a_threshold_of_its_own(tmp_path):
    root = folders.davis(tmp_path / "data", {"ant": 5, "bee": 5})
    oracle = Oracle()
    *_, mean, overall = started(oracle, root, tmp_path, "absence")
    assert oracle.asked == [["ant", "bee"]]
    assert (mean.metrics.refused, mean.metrics.accepted, mean.metrics.auroc) == (1.0, 1.0, 1.0)
    assert (overall.object, overall.n) == (FITTED, 12)
    assert overall.metrics.threshold == pytest.approx(0.6, abs=0.05)  # about midway between 0.9 and 0.2 on the logits
    assert float(table(tmp_path)[-1]["threshold"]) == pytest.approx(overall.metrics.threshold, abs=1e-5)


def test_episodes_of_one_class_share_its_row(tmp_path):
    for number in range(1, 11):
        folders.photo(tmp_path / "data" / "data" / "cup" / f"{number}.jpg")
        path = tmp_path / "data" / "data" / "cup" / f"{number}.png"
        folders.labels(path, folders.block(1, 1, 3, 3), palette=False, times=255)
    folders.written(tmp_path / "data" / "splits" / "test.txt", "cup\n")
    rows = started(Oracle(), tmp_path / "data", tmp_path, "fss1000")
    assert [(row.object, row.n, row.metrics.iou) for row in rows] == [("cup", 10, 1.0), ("mean", 10, 1.0)]


def test_every_benchmark_has_its_options_and_refuses_the_others(tmp_path):
    root = folders.perseg(tmp_path, {"cat": 2})
    with pytest.raises(DataError, match="no fold to choose; it has no options"):
        BENCHMARKS["perseg"].episodes(root, fold=1)
    with pytest.raises(DataError, match="no fold to choose; it has shots, seed"):
        BENCHMARKS["fss1000"].episodes(root, fold=1)
    with pytest.raises(DataError, match="there is no benchmark 'pers'; there are perseg, davis2016"):
        started(Oracle(), root, tmp_path, "pers")


def test_nothing_to_measure_on_is_an_error(tmp_path):
    (tmp_path / "Images").mkdir()
    (tmp_path / "Annotations").mkdir()
    with pytest.raises(DataError, match="nothing to measure on"):
        BENCHMARKS["perseg"].episodes(tmp_path)


def test_missing_predictions_are_named(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 3})
    (episode,) = BENCHMARKS["perseg"].episodes(root)
    with pytest.raises(DataError, match="cat has no predictions"):
        list(answers(episode, tmp_path))
    export(Oracle(), [episode], tmp_path / "out")
    record = tmp_path / "out" / "cat" / "predictions.json"
    record.write_text(json.dumps(json.loads(record.read_text())[:1]))
    with pytest.raises(DataError, match="lacks 02"):
        list(answers(episode, tmp_path / "out"))


def test_a_mask_of_the_wrong_size_names_the_object(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 2})
    benchmark = BENCHMARKS["perseg"]
    episodes = benchmark.episodes(root)
    export(Oracle(), episodes, tmp_path / "out")
    Image.fromarray(np.zeros((5, 8), np.uint8)).save(tmp_path / "out" / "cat" / "01.png")
    with pytest.raises(Exception, match="cat: the mask is 5x8 and the truth 6x8"):
        score(benchmark, episodes, tmp_path / "out")


def test_a_predictor_that_answers_too_little_is_not_taken_for_finished(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 3})
    with pytest.raises(ValueError, match="zip"):
        started(lambda episodes: iter([next(Oracle()(episodes))]), root, tmp_path)
    assert not list(tmp_path.rglob("predictions.json"))


def test_rows_are_not_added_to_another_kind_of_table(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 2})
    (tmp_path / "rows.csv").write_text("date,latency\n2024-01-01,3\n")
    with pytest.raises(OutputError, match=r"rows\.csv has the columns date, latency"):
        started(Oracle(), root, tmp_path)
    assert (tmp_path / "rows.csv").read_text() == "date,latency\n2024-01-01,3\n"


def test_predictions_that_cannot_be_written_say_where(tmp_path):
    root = folders.perseg(tmp_path / "data", {"cat": 2})
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"cannot write .*settings\.json: .* choose another folder"):
        started(Oracle(), root, tmp_path)


def test_where_a_row_comes_from_is_known(tmp_path):
    commit, dirty = source_state()
    assert commit
    assert isinstance(dirty, bool)
    assert machine_name().endswith("cores")


def test_measuring_does_not_load_torch():
    code = "import sys, persam.eval.benchmark; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
