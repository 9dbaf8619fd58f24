"""Trackers on benchmarks of videos."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from persam.errors import DataError, PerSAMError
from persam.eval import benchmark
from persam.eval.compare import check, compare
from persam.eval.predict import ORACLE
from persam.eval.tracked import run_of_tracker, tracker_predictor
from persam.tracking.recipes import OFFICIAL_PERSAM_VIDEO, PERSAM_VIDEO, PERSAM_VIDEO_FAST
from tests.colour import RED, colour_model, mask, photo


def video(root, name="walk", frames=5):
    """A red square that goes two pixels a frame to the right."""
    for frame in range(frames):
        at = (4 + 2 * frame, 20, 23 + 2 * frame, 39)
        for kind, picture, suffix in (
            ("JPEGImages", photo(at_xyxy=at, colour=RED), "jpg"),
            ("Annotations", mask(at_xyxy=at).astype(np.uint8) * 255, "png"),
        ):
            folder = root / kind / "480p" / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f"{frame:05d}.{suffix}", quality=100)
    return root


@pytest.mark.parametrize("recipe", ["persam_video", "persam_video_fast", "official_persam_video"])
def test_a_tracker_is_scored_on_every_frame_after_the_first(tmp_path, recipe):
    root = video(tmp_path / "davis")
    done = compare(colour_model(), "davis2016", [recipe], root, tmp_path / "out", tmp_path / "rows.csv")
    own, mean = done[recipe].rows
    assert (own.object, own.n) == ("walk", 4)
    assert mean.metrics.j_mean > 0.8
    assert recipe in (tmp_path / "rows.csv").read_text()


def test_the_recipe_is_part_of_what_predictions_depend_on(tmp_path):
    model, root = colour_model(), video(tmp_path)
    episodes = benchmark.find("davis2016").episodes(root)
    prints = {
        run_of_tracker("davis2016", model, one).fingerprint(episodes, root)
        for one in (PERSAM_VIDEO, replace(PERSAM_VIDEO, crop_refine=False), PERSAM_VIDEO_FAST, OFFICIAL_PERSAM_VIDEO)
    }
    assert len(prints) == 4


def test_a_tracker_starts_from_one_frame(tmp_path):
    [episode] = benchmark.find("davis2016").episodes(video(tmp_path))
    twice = replace(episode, references=episode.references * 2)
    with pytest.raises(DataError, match="starts from one frame"):
        next(tracker_predictor(colour_model(), PERSAM_VIDEO)([twice]))


def test_a_name_that_cannot_be_measured_is_answered_with_those_that_can():
    for name in ("official_persam", "persam@tune=True", ORACLE):
        check(name, "album")
    check("persam_video", "davis2016")
    with pytest.raises(PerSAMError, match=r"no recipe named 'best'.*official_persam_f.*Or oracle_box.*persam_video"):
        check("best", "davis2016")
    with pytest.raises(PerSAMError, match=r"tracks through videos, and album has none\. Measure it on davis2016"):
        check("persam_video", "album")
