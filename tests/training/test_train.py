"""A run leaves its weights and its log, goes on where it stopped as if it had not, and stops when numbers are wrong."""

import pytest
import torch
from safetensors.torch import load_file

import persam
from persam.sam import nano
from tests.training.conftest import LEFT, PHOTOS, log_rows, picture, plane, run_training, write_archive
from training import train


@pytest.mark.slow
def test_a_run_leaves_its_weights_its_log_and_a_place_to_go_on_from(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        "last.pt",
        "log.csv",
        "nano.safetensors",
        "nano_2.safetensors",
        "nano_4.safetensors",
    ]
    assert (finished / "log.csv").read_text().splitlines()[0] == ",".join(train.FIELDS)
    log = log_rows(finished)
    assert [row["step"] for row in log] == ["2", "4"]
    for row in log:
        for name in ("loss", "identity", "strangers", "seconds"):
            assert float(row[name]) >= 0
        for name in ("train_iou", "train_peak", "point_iou", "box_iou", "peak"):
            assert 0 <= float(row[name]) <= 1


@pytest.mark.slow
def test_the_exported_weights_are_the_average_in_half_precision(finished):
    exported = load_file(finished / "nano.safetensors")
    saved = torch.load(finished / "last.pt", weights_only=True)
    assert exported.keys() == saved["average"].keys() == nano.build().state_dict().keys()
    for name, value in exported.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, saved["average"][name].half())


@pytest.mark.slow
def test_every_part_is_trained(finished):
    before = nano.build().state_dict()
    after = torch.load(finished / "last.pt", weights_only=True)["model"]
    for part in ("image_encoder.back", "image_encoder.neck", "prompt_encoder", "mask_decoder"):
        assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith(part))
    fixed = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert torch.equal(before[fixed], after[fixed])


@pytest.mark.slow
def test_the_library_loads_the_weights_and_segments(finished):
    model = persam.load(finished / "nano.safetensors", device="cpu", recipe="official_persam")
    photo = picture(PHOTOS[0])
    concept = model.learn(photo, plane(LEFT) > 0)
    (image,) = model.segment([photo], concept)
    assert image.mask.shape == photo.shape[:2]


@pytest.mark.slow
@pytest.mark.parametrize("done", [2, 3], ids=["after an evaluation", "between evaluations"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(archive, finished, tmp_path, monkeypatch, done):
    calls = 0
    step = train.train_step

    def interrupted(*args, **kwargs):
        nonlocal calls
        if calls == done:
            raise KeyboardInterrupt
        calls += 1
        return step(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(train, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_training(archive, tmp_path)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 2
    run_training(archive, tmp_path)
    whole, resumed = (torch.load(out / "last.pt", weights_only=True) for out in (finished, tmp_path))
    assert resumed["step"] == whole["step"] == 4
    for part in ("model", "average", "location"):
        assert all(torch.equal(value, resumed[part][name]) for name, value in whole[part].items())
    assert resumed["running"] == whole["running"]
    assert [{**row, "seconds": ""} for row in log_rows(tmp_path)] == [
        {**row, "seconds": ""} for row in log_rows(finished)
    ]


@pytest.mark.slow
def test_a_finished_run_started_again_is_left_as_it_is(archive, finished):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    run_training(archive, finished)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_a_run_without_held_out_photos_stops_before_it_starts(tmp_path):
    archive = write_archive(tmp_path / "few.zip", PHOTOS[:3])
    with pytest.raises(ValueError, match="no held-out photo"):
        run_training(archive, tmp_path / "run")
    assert not (tmp_path / "run" / "last.pt").exists()


@pytest.mark.slow
def test_the_second_course_starts_where_the_first_ended(archive, finished, tmp_path):
    run_training(archive, tmp_path, "--start", str(finished / "nano.safetensors"), "--course", "second")
    assert [row["step"] for row in log_rows(tmp_path)] == ["2", "4"]
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert saved["strangers"]["met"] > 0
    before, after = (load_file(out / "nano.safetensors") for out in (finished, tmp_path))
    moved = max((after[name].float() - value.float()).abs().max().item() for name, value in before.items())
    assert 0 < moved < 0.02  # four steps away, not a start from nothing


def test_the_learning_rate_warms_up_and_ends_at_a_hundredth():
    assert train.schedule(0, 2400) == pytest.approx(1 / 60, rel=1e-3)
    assert train.schedule(59, 2400) == pytest.approx(1, rel=2e-3)
    assert train.schedule(1200, 2400) == pytest.approx(0.01 + 0.99 / 2)
    assert train.schedule(2400, 2400) == pytest.approx(0.01)
    assert all(train.schedule(i, 2400) > train.schedule(i + 1, 2400) for i in range(60, 2400))


def test_rows_made_again_after_an_interruption_replace_the_old_ones(tmp_path):
    path = tmp_path / "log.csv"
    for step, loss in ((200, 3.0), (400, 2.0), (400, 1.23456)):
        train.log(path, {"step": step, "seconds": 10, "loss": loss})
    assert [(row["step"], row["loss"], row["peak"]) for row in log_rows(tmp_path)] == [
        ("200", "3.0", ""),
        ("400", "1.2346", ""),
    ]
    assert list(tmp_path.iterdir()) == [path]
