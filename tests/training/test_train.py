"""The program trains from end to end, goes on where it stopped as if it had not, and stops when numbers are wrong."""

import csv
import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import persam
from persam.sam.load import nano
from tests.training.conftest import LEFT, PHOTOS, picture, plane, write_archive
from training import average, held_out, train
from training.objectives import LocationLoss, Strangers
from training.scenes import Photos

STEPS, EVAL_EVERY = 4, 2
COURSES = train.COURSES  # before `tiny` replaces them


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """Inputs of 64 pixels, one scene a step."""
    small = {
        course: {start: replace(lesson, sizes={64: (1.0, 1 + (start > 0.5))}) for start, lesson in lessons.items()}
        for course, lessons in COURSES.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "COURSES", small)
        patch.setattr(train, "held_out", functools.partial(held_out.held_out, size=64))
        yield


def start(archive: Path, out: Path, *more: str) -> None:
    """The command line, as the README has it."""
    arguments = ["--archive", str(archive), "--out", str(out), "--steps", str(STEPS), "--threads", "1", *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train", *arguments, "--eval-every", str(EVAL_EVERY)])
        train.main()


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(archive, tmp_path_factory) -> Path:
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("run")
    start(archive, out)
    return out


def test_a_run_leaves_its_weights_its_log_and_a_place_to_go_on_from(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        "last.pt",
        "log.csv",
        "nano.safetensors",
        "nano_2.safetensors",
        "nano_4.safetensors",
    ]
    assert (finished / "log.csv").read_text().splitlines()[0] == ",".join(train.FIELDS)
    log = rows(finished)
    assert [row["step"] for row in log] == ["2", "4"]
    for row in log:
        for name in ("loss", "identity", "strangers", "seconds"):
            assert float(row[name]) >= 0
        for name in ("train_iou", "train_peak", "point_iou", "box_iou", "peak"):
            assert 0 <= float(row[name]) <= 1


def test_the_exported_weights_are_the_average_in_half_precision(finished):
    exported = load_file(finished / "nano.safetensors")
    saved = torch.load(finished / "last.pt", weights_only=True)
    assert exported.keys() == saved["average"].keys() == nano.build().state_dict().keys()
    for name, value in exported.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, saved["average"][name].half())


def test_every_part_is_trained(finished):
    before = nano.build().state_dict()
    after = torch.load(finished / "last.pt", weights_only=True)["model"]
    for part in ("image_encoder.back", "image_encoder.neck", "prompt_encoder", "mask_decoder"):
        assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith(part))
    fixed = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert torch.equal(before[fixed], after[fixed])


def test_the_library_loads_the_weights_and_segments(finished):
    model = persam.load(finished / "nano.safetensors", device="cpu")
    photo = picture(PHOTOS[0])
    concept = model.learn(photo, plane(LEFT) > 0)
    (found,) = model.segment([photo], concept)
    assert found.mask.shape == photo.shape[:2]


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
            start(archive, tmp_path)
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 2
    start(archive, tmp_path)
    whole, resumed = (torch.load(out / "last.pt", weights_only=True) for out in (finished, tmp_path))
    assert resumed["step"] == whole["step"] == STEPS
    for part in ("model", "average", "location"):
        assert all(torch.equal(value, resumed[part][name]) for name, value in whole[part].items())
    assert resumed["running"] == whole["running"]
    assert [{**row, "seconds": ""} for row in rows(tmp_path)] == [{**row, "seconds": ""} for row in rows(finished)]


def test_a_finished_run_started_again_is_left_as_it_is(archive, finished):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    start(archive, finished)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_a_run_without_held_out_photos_stops_before_it_starts(tmp_path):
    archive = write_archive(tmp_path / "few.zip", PHOTOS[:3])
    with pytest.raises(ValueError, match="no held-out photo"):
        start(archive, tmp_path / "run")
    assert not (tmp_path / "run" / "last.pt").exists()


# --- one step


@pytest.fixture
def parts(archive):
    model, location, strangers = nano.build().train(), LocationLoss(), Strangers(nano.WIDTH)
    groups = [{"params": [*model.parameters(), *location.parameters()]}]
    return model, location, strangers, torch.optim.AdamW(groups, lr=1e-3), Photos(archive, held_out=False)


def lesson(course: str, progress: float) -> train.Lesson:
    """Two scenes a step: objects to tell apart."""
    return replace(train.lesson_at(course, progress), sizes={64: (1.0, 2)})


def test_a_loss_that_is_not_finite_stops_the_run_before_it_spoils_the_weights(parts):
    model, location, *_ = parts
    location.log_scale.data.fill_(float("inf"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) at input size 64"):
        train.train_step(*parts, np.random.default_rng(0), lesson("first", 0.0))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_identity_enters_after_its_share_of_the_first_course(parts):
    early = train.train_step(*parts, np.random.default_rng(1), lesson("first", 0.2))
    late = train.train_step(*parts, np.random.default_rng(1), lesson("first", 0.9))
    assert early["identity"] == early["strangers"] == 0
    assert late["identity"] > 0
    assert late["strangers"] == 0


def test_the_second_course_meets_the_objects_of_earlier_steps(parts):
    strangers = parts[2]
    first = train.train_step(*parts, np.random.default_rng(1), lesson("second", 0.0))
    met = int(strangers.met)
    later = [train.train_step(*parts, np.random.default_rng(seed), lesson("second", 0.0)) for seed in range(2, 6)]
    assert first["strangers"] == 0  # nobody was met before
    assert met > 0
    assert max(numbers["strangers"] for numbers in later) > 0


def test_the_official_flow_goes_on_from_the_single_mask_in_three_rounds(parts, monkeypatch):
    rounds = []
    ask = train.prompts.next_prompt

    def spy(kind, *args, from_single):
        rounds.append((kind, from_single))
        return ask(kind, *args, from_single=from_single)

    monkeypatch.setattr(train.prompts, "next_prompt", spy)
    asked = replace(lesson("second", 0.0), prompts={"concept": 1.0}, official=1.0)
    train.train_step(*parts, np.random.default_rng(0), asked)
    assert rounds == [("same", True), ("predicted_box", False)] * 2  # two groups of views
    rounds.clear()
    train.train_step(*parts, np.random.default_rng(0), replace(asked, official=0.0))
    assert len(rounds) == 2
    assert not any(single for _, single in rounds)


def test_the_model_learns_a_step_it_sees_again_and_again(parts):
    steps = [train.train_step(*parts, np.random.default_rng(3), lesson("first", 0.0)) for _ in range(8)]
    losses = [step["loss"] for step in steps]
    assert min(losses[-3:]) < 0.8 * losses[0]


@pytest.mark.parametrize("course", COURSES)
def test_a_lesson_holds_from_its_share_on(course):
    starts = list(COURSES[course])
    assert starts[0] == 0
    assert starts == sorted(starts)
    for start in starts:
        assert train.lesson_at(course, start) is train.COURSES[course][start]
    assert train.lesson_at(course, 0.999) is train.COURSES[course][starts[-1]]


def test_the_second_course_starts_where_the_first_ended(archive, finished, tmp_path):
    start(archive, tmp_path, "--start", str(finished / "nano.safetensors"), "--course", "second")
    assert [row["step"] for row in rows(tmp_path)] == ["2", "4"]
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert saved["strangers"]["met"] > 0
    before, after = (load_file(out / "nano.safetensors") for out in (finished, tmp_path))
    moved = max((after[name].float() - value.float()).abs().max().item() for name, value in before.items())
    assert 0 < moved < 0.02  # four steps away, not a start from nothing


# --- around the steps


def test_the_learning_rate_warms_up_and_ends_at_a_hundredth():
    assert train.schedule(0, 2400) == pytest.approx(1 / 60, rel=1e-3)
    assert train.schedule(59, 2400) == pytest.approx(1, rel=2e-3)
    assert train.schedule(1200, 2400) == pytest.approx(0.01 + 0.99 / 2)
    assert train.schedule(2400, 2400) == pytest.approx(0.01)
    assert all(train.schedule(i, 2400) > train.schedule(i + 1, 2400) for i in range(60, 2400))


def test_input_sizes_and_prompts_are_drawn_with_shares_that_sum_to_one():
    for lesson in (lesson for lessons in COURSES.values() for lesson in lessons.values()):
        assert sum(share for share, _ in lesson.sizes.values()) == pytest.approx(1)
        assert sum(lesson.prompts.values()) == pytest.approx(1)
        assert all(size % 64 == 0 for size in lesson.sizes)  # whole cells, and a mask prompt that is halved twice


def test_the_start_is_the_encoder_and_the_head_with_fine_maps_at_zero(tmp_path):
    given = nano.build()
    with torch.no_grad():
        for parameter in given.parameters():
            parameter.add_(0.5)
    save_file(given.image_encoder.back.state_dict(), tmp_path / "mobilenetv2_deeplab.safetensors")
    head = {}
    for prefix, module in (
        ("neck", given.image_encoder.neck),
        ("pe", given.prompt_encoder),
        ("dec", given.mask_decoder),
    ):
        head |= {f"{prefix}.{name}": value.half() for name, value in module.state_dict().items()}
    head = {name: value for name, value in head.items() if "stride" not in name}
    save_file(head, tmp_path / "spike_head.safetensors")
    model = nano.build()
    train.load_start(model, tmp_path)
    for name, value in model.state_dict().items():
        if "neck.stride" in name:
            assert not value.any()
        elif "back" in name:
            assert torch.equal(value, given.state_dict()[name])
        elif "identity" in name:  # fitted when the courses are over
            assert torch.equal(value, nano.build().state_dict()[name])
        else:
            assert torch.equal(value, given.state_dict()[name].half().float())


def test_a_run_starts_from_the_weights_of_another(tmp_path):
    given = nano.build()
    with torch.no_grad():
        for parameter in given.parameters():
            parameter.add_(0.5)
    train.save(given.state_dict(), tmp_path / "nano.safetensors")
    model = nano.build()
    train.load_start(model, tmp_path / "nano.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(value, given.state_dict()[name].half().float())


def test_the_mean_of_two_courses(tmp_path, capsys):
    ones, threes = ({"a": torch.full((2,), value), "b": torch.full((3,), 2 * value)} for value in (1.0, 3.0))
    train.save(ones, tmp_path / "one.safetensors")
    train.save(threes, tmp_path / "three.safetensors")
    train.save({"a": torch.ones(5)}, tmp_path / "other.safetensors")
    files = [str(tmp_path / "one.safetensors"), str(tmp_path / "three.safetensors")]
    average.main([*files, "--out", str(tmp_path / "mean.safetensors")])
    mean = load_file(tmp_path / "mean.safetensors")
    assert (mean["a"].tolist(), mean["b"].tolist()) == ([2, 2], [4, 4, 4])
    assert mean["a"].dtype == torch.float16
    average.main([*files, files[0], files[0], "--out", str(tmp_path / "near.safetensors")])
    assert load_file(tmp_path / "near.safetensors")["a"].tolist() == [1.5, 1.5]
    weights = dict.fromkeys(["image_encoder.back.w", "image_encoder.neck.w"], torch.ones(1))
    train.save(weights, tmp_path / "before.safetensors")
    train.save({name: 5 * value for name, value in weights.items()}, tmp_path / "after.safetensors")
    before, after, out = (str(tmp_path / f"{name}.safetensors") for name in ("before", "after", "taken"))
    average.main([before, "--mobilenet", after, "--out", out])
    taken = load_file(out)
    assert {name: value.item() for name, value in taken.items()} == {
        "image_encoder.back.w": 3,
        "image_encoder.neck.w": 1,
    }
    with pytest.raises(SystemExit):
        average.main([files[0], str(tmp_path / "other.safetensors"), "--out", str(tmp_path / "no.safetensors")])
    assert "same model" in capsys.readouterr().err
    assert not (tmp_path / "no.safetensors").exists()


def test_rows_made_again_after_an_interruption_replace_the_old_ones(tmp_path):
    path = tmp_path / "log.csv"
    for step, loss in ((200, 3.0), (400, 2.0), (400, 1.23456)):
        train.log(path, {"step": step, "seconds": 10, "loss": loss})
    assert [(row["step"], row["loss"], row["peak"]) for row in rows(tmp_path)] == [
        ("200", "3.0", ""),
        ("400", "1.2346", ""),
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_weights_are_replaced_in_one_go(tmp_path, monkeypatch):
    path = tmp_path / "nano.safetensors"
    path.write_bytes(b"the last good ones")

    def full_disk(weights, file):
        Path(file).write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(train, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        train.save(nano.build().state_dict(), path)
    assert path.read_bytes() == b"the last good ones"
