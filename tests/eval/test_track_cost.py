import csv
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from persam.cli.main import main
from persam.errors import OutputError
from persam.eval import cost_rows, track_cost
from persam.eval.track_cost import Cost
from persam.tracking.recipes import TRACKING_RECIPES
from tests.colour import ColourBackbone, colour_model

EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


def test_the_window_sways_and_its_masks_are_those_of_the_first_frame():
    clip, masks = track_cost.swaying(EXAMPLES)
    frames = list(itertools.islice(clip, 17))
    assert all(frame.shape == frames[0].shape for frame in frames)
    assert all(mask.shape == frames[0].shape[:2] for mask in masks)
    shift = track_cost.SWAY_PX
    assert np.array_equal(frames[8][:, :-shift], frames[0][:, shift:])  # half a turn later it is at the other end
    assert np.array_equal(frames[16], frames[0])


def test_a_frame_is_counted_in_encodings_of_itself(monkeypatch):
    seconds = itertools.cycle((0.0, 3.0, 4.0))  # a frame takes three, an encoding of it one
    clock = SimpleNamespace(perf_counter=lambda: next(seconds))
    monkeypatch.setattr(track_cost, "time", clock)
    cost = track_cost.speed(colour_model(), EXAMPLES, "persam_video", 1, frames=3)
    assert (cost.objects, cost.frames, cost.frame_ms, cost.encodings) == (1, 3, 3000, 3)


def test_memory_is_read_after_some_frames_and_at_the_end(monkeypatch):
    monkeypatch.setattr(track_cost, "STOPS", (2, 5, 100))
    costs = list(track_cost.memory(colour_model(), EXAMPLES, "persam_video", 6))
    assert [cost.frames for cost in costs] == [2, 5, 6]
    assert all(cost.peak_mb > 50 for cost in costs)  # torch alone takes more


@pytest.mark.slow
def test_memory_stays_constant_however_long_the_clip(monkeypatch):
    monkeypatch.setattr(track_cost, "STOPS", (40,))
    monkeypatch.setattr(ColourBackbone, "encode", forgetful(ColourBackbone.encode))
    early, late = track_cost.memory(colour_model(), EXAMPLES, "persam_video", 160)
    assert late.peak_mb - early.peak_mb < 40  # 120 frames of this size alone are 130 MB


def forgetful(encode):
    """Without the double's own list of what it was asked."""

    def encode_and_forget(self, *images, **more):
        self.prompts.clear()
        return encode(self, *images, **more)

    return encode_and_forget


def test_rows_say_where_they_come_from(tmp_path):
    table = tmp_path / "new" / "cost.csv"
    for frames in (1, 2):
        cost_rows.append(table, Cost("persam_video", 1, 640, frames, 12.3456, encodings=2.0))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["frames"] for row in rows] == ["1", "2"]
    assert rows[0]["frame_ms"] == "12.35"
    assert rows[0]["peak_mb"] == ""
    assert all(rows[0][name] for name in ("date", "commit", "machine", "torch", "threads"))
    with pytest.raises(OutputError, match="Name another file"):
        cost_rows.append(tmp_path, Cost("persam_video", 1, 640, 1, 1.0))


def test_bench_refuses_what_says_nothing(capsys):
    assert main(["bench", "track", "--memory", "--frames", "5"]) == 2
    assert "give 100 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_a_row_a_recipe_and_number_of_objects(tmp_path, capsys, monkeypatch):
    table = tmp_path / "cost.csv"
    monkeypatch.setattr(track_cost, "WARM", 0)
    monkeypatch.delitem(TRACKING_RECIPES, "persam_video")
    assert main(["bench", "track", "--frames", "1", "--csv", str(table), "--data", str(EXAMPLES)]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["recipe"], row["objects"]) for row in rows] == [
        (recipe, objects) for recipe in ("persam_video_fast", "official_persam_video") for objects in ("1", "2")
    ]
    assert all(float(row["encodings"]) > 1 for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == len(rows)
