"""What a benchmark asks PerSAM, and what it gets: on an album whose answers can be seen."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from persam.eval import predict as predicting
from persam.eval.benchmark import BENCHMARKS, evaluate
from persam.eval.compare import compare
from persam.eval.metrics import iou
from persam.eval.predict import ORACLE, oracle_box, predictor, run_of, weights_digest
from persam.eval.table import source_digest
from persam.method.calibration import Presence
from persam.method.recipes import PERSAM
from persam.model import PerSAM
from tests.colour import CALIBRATION, RED, VIEWS, ColourBackbone, colour_model, mask
from tests.eval.scenes import PLACES, davis
from tests.networks import small_backbone

pytestmark = pytest.mark.slow  # seconds in all, and the quick loop has a minute


@pytest.fixture
def model() -> PerSAM:
    return colour_model()


@pytest.fixture
def root(tmp_path):
    return davis(tmp_path / "data")


def test_the_object_is_learned_in_the_reference_and_found_in_the_targets(model, root):
    ant, _ = BENCHMARKS["album"].episodes(root)
    found = [one for (one,) in predictor(model)([ant])]
    for prediction, place in zip(found, PLACES[2:], strict=True):
        np.testing.assert_array_equal(prediction.mask, mask(at_xyxy=place))
        assert prediction.present
        assert prediction.presence > 0.5
        assert prediction.score == pytest.approx(0.9)
        assert prediction.seconds > 0
        x, y = prediction.points_xy[0].round().astype(int)
        assert prediction.mask[y, x]


def test_episodes_that_go_together_encode_each_photo_once(model, root):
    episodes = BENCHMARKS["absence"].episodes(root)
    answers = list(predictor(model)(episodes))
    # each reference and a crop of it in all views, then each photo, and crops of each find: to refine and to verify
    assert model.backbone.batches == 2 * (1 + VIEWS) * [1] + 6 * [1, 2]
    assert [[one.present for one in both] for both in answers] == 3 * [[True, False]] + 3 * [[False, True]]


def test_what_is_not_there_has_a_mask_all_the_same_that_is_the_best_guess(model, root):
    ant, _ = BENCHMARKS["absence"].episodes(root)
    answers = [one for (one,) in predictor(model)([ant])]
    assert [one.present for one in answers] == 3 * [True] + 3 * [False]
    assert all(one.mask.any() for one in answers)


def test_where_presence_is_not_judged_it_is_whether_something_was_found(root):
    ant, _ = BENCHMARKS["absence"].episodes(root)
    answers = [one for (one,) in predictor(colour_model(recipe=replace(PERSAM, verify=False)))([ant])]
    assert [(one.present, one.presence) for one in answers] == 6 * [(True, 1.0)]


def test_episodes_of_one_object_that_go_together_are_told_apart(model, root):
    ant, bee = BENCHMARKS["absence"].episodes(root)
    draws = [replace(ant, object="insect", draw="1"), replace(bee, object="insect", draw="2")]
    answers = list(predictor(model)(draws))
    assert [[one.present for one in both] for both in answers] == 3 * [[True, False]] + 3 * [[False, True]]


def test_a_counter_example_keeps_the_look_alike_out(model, tmp_path):
    root = davis(tmp_path / "cars", (("car-roundabout", RED), ("car-shadow", (200, 60, 60))))
    present = {}
    for name in ("lookalikes", "counter_examples"):
        episode = BENCHMARKS[name].episodes(root)[0]
        answers = [one for (one,) in predictor(model)([episode])]
        shown = zip(episode.targets, answers, strict=True)
        present[name] = {kind: [] for kind in ("own", "other", "both")}
        for target, one in shown:
            present[name][target.name[2:]].append(one.present)
    assert present["lookalikes"] == {kind: 3 * [True] for kind in ("own", "other", "both")}
    assert present["counter_examples"] == {"own": 3 * [True], "other": 3 * [False], "both": 3 * [True]}


def test_a_reference_that_teaches_nothing_finds_nothing(model, root):
    for number in range(5):
        path = root / "Annotations" / "480p" / "ant" / f"{number:05d}.png"
        Image.fromarray(np.full((64, 64), 255, np.uint8)).save(path)
    both = BENCHMARKS["absence"].episodes(root)
    for ant, _ in predictor(model)(both):
        assert not ant.mask.any()
        assert (ant.present, ant.presence, ant.score, len(ant.points_xy)) == (False, 0.0, 0.0, 0)
    assert [bee.present for _, bee in predictor(model)(both)] == 3 * [False] + 3 * [True]
    assert [len(alone) for alone in predictor(model)(both[:1])] == 6 * [1]


def test_the_ceiling_is_the_mask_of_the_truths_own_box_refined_in_a_crop(model, root):
    ant, _ = BENCHMARKS["absence"].episodes(root)
    answers = [one for (one,) in oracle_box(model)([ant])]
    assert model.backbone.batches == [1, 1, 1, 1, 1, 1, 1, 1, 1]  # six photos, and crops of the three with the object
    for prediction, place in zip(answers, PLACES[2:], strict=False):
        assert iou(prediction.mask, mask(at_xyxy=place)) > 0.95  # a row more, as the crop's pixels lie
        assert prediction.present
        assert prediction.seconds > 0
        assert len(prediction.points_xy) == 0
    assert [one.present for one in answers] == 3 * [True] + 3 * [False]
    prompt = model.backbone.prompts[0]
    assert prompt.points_xy is None
    assert prompt.box_xyxy.tolist() == [[16, 0, 47, 31]]


def test_recipes_are_measured_beside_each_other(model, root, tmp_path):
    watched = []

    def watch(name, predict):
        watched.append(name)
        return predict

    recipes = ["persam", ORACLE, "official_persam", "persam@verify=False", "persam"]
    done = compare(model, "album", recipes, root, tmp_path / "out", tmp_path / "rows.csv", watch=watch)
    assert list(done) == watched == ["persam", ORACLE, "official_persam", "persam@verify=False"]
    for name, evaluation in done.items():
        assert evaluation.folder.parent == tmp_path / "out" / "album" / "colour" / name
        assert [row.object for row in evaluation.rows] == ["ant", "bee", "mean"]
        assert [episode.name for episode in evaluation.episodes] == ["ant", "bee"]
    assert done["persam"].rows[-1].metrics.iou == 1.0
    assert done["persam@verify=False"].rows[-1].metrics.accepted == 1.0
    assert done[ORACLE].rows[-1].metrics.located is None


OTHER = replace(CALIBRATION, presence=Presence(threshold=0.7, spread=0.3))


def test_the_fingerprint_follows_code_weights_recipe_and_calibration(model, root, monkeypatch):
    episodes = BENCHMARKS["album"].episodes(root)
    runs = [
        run_of("album", model),
        run_of("album", model, oracle=True),
        run_of("album", colour_model(recipe=replace(PERSAM, crop_refine=False))),
        run_of("album", PerSAM(ColourBackbone("colours-2"))),
        run_of("album", PerSAM(ColourBackbone(), calibration=OTHER)),
        run_of("album", colour_model(threshold=0.4)),
    ]
    assert runs[0] == run_of("album", colour_model())
    monkeypatch.setattr(predicting, "source_digest", lambda: "other code")
    runs.append(run_of("album", model))
    assert len({run.fingerprint(episodes, root) for run in runs}) == 7


def test_what_a_calibration_cannot_change_does_not_follow_it():
    usual, other = colour_model(recipe="official_persam"), PerSAM(ColourBackbone(), calibration=OTHER, threshold=0.4)
    assert run_of("album", usual) == run_of(
        "album", PerSAM(other.backbone, recipe="official_persam", calibration=OTHER)
    )
    assert run_of("album", usual, oracle=True) == run_of("album", other, oracle=True)


def test_recipes_are_measured_with_the_models_own_calibration_and_threshold(root, tmp_path):
    lax = replace(CALIBRATION, presence=Presence(threshold=0.0, spread=1.0))  # at which everything is present
    for calibration, threshold, judged in ((CALIBRATION, 0.5, (1, 1)), (lax, 0.5, (0, 1)), (CALIBRATION, 1.0, (1, 0))):
        model = PerSAM(ColourBackbone(), calibration=calibration, threshold=threshold)
        (done,) = compare(model, "absence", ["persam"], root, tmp_path / "out", tmp_path / "rows.csv").values()
        mean = next(row for row in done.rows if row.object == "mean")
        assert (mean.metrics.refused, mean.metrics.accepted) == judged


def test_predictions_of_other_code_are_not_taken_for_these(model, root, tmp_path, monkeypatch):
    places = root, tmp_path / "out", tmp_path / "rows.csv"
    first = evaluate(run_of("album", model), predictor(model), *places)
    assert evaluate(run_of("album", model), no_predictor, *places).folder == first.folder
    monkeypatch.setattr(predicting, "source_digest", lambda: "edited")
    assert evaluate(run_of("album", model), predictor(model), *places).folder != first.folder


def no_predictor(episodes):
    raise AssertionError("what is finished is not asked again")


def test_the_source_digest_is_of_what_the_files_hold(monkeypatch, tmp_path):
    package = tmp_path / "persam"
    (package / "eval").mkdir(parents=True)
    (package / "eval" / "benchmark.py").write_text("one")
    monkeypatch.setattr("persam.eval.table.__file__", str(package / "eval" / "table.py"))

    def digest() -> str:
        source_digest.cache_clear()
        return source_digest()

    try:
        first = digest()
        assert digest() == first
        (package / "notes.txt").write_text("no code")
        assert digest() == first
        (package / "eval" / "benchmark.py").write_text("two")
        edited = digest()
        (package / "eval" / "benchmark.py").rename(package / "benchmark.py")
        assert len({first, edited, digest()}) == 3
    finally:
        source_digest.cache_clear()


def test_the_weights_digest_sees_the_decoder_too():
    one, same, other = small_backbone(), small_backbone(), small_backbone()
    next(other.model.mask_decoder.parameters()).data.add_(1)
    assert one.fingerprint == other.fingerprint  # of the encoder alone
    assert weights_digest(one) == weights_digest(same)
    assert weights_digest(one) != weights_digest(other)
