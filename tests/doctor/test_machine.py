"""Each breakage of a machine, made up, and what the report says of it."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from persam.cli.main import main
from persam.doctor import examine as examination
from persam.doctor import machine
from persam.doctor.examine import examine, works
from persam.doctor.line import Line
from persam.sam import sources, weights


def test_codecs_write_and_read() -> None:
    film, web, _ = machine.check_codecs()
    assert (film.check, film.state, film.detail) == ("H.264 (.mp4)", "ok", "2 frames written and read")
    assert (web.check, web.state) == ("VP9 (.webm)", "ok")
    assert not film.needed


def test_a_codec_whose_package_is_missing_or_broken() -> None:
    missing = machine._tried("HEIC photos", lambda: "", missing=("nobody_has_this",), extra="heif")
    assert (missing.state, missing.mend) == ("missing", "pip install 'persam[heif]'")

    def broken() -> str:
        raise OSError("no encoder libx264")

    line = machine._tried("H.264", broken, missing=("av",), extra="video")
    assert (line.state, line.detail) == ("broken", "OSError: no encoder libx264")
    assert line.mend == "pip install --force-reinstall --no-deps av"


def test_pytorch_and_its_threads() -> None:
    lines = {line.check: line for line in machine.check_torch()}
    assert (lines["PyTorch"].state, lines["PyTorch"].needed) == ("ok", True)
    assert lines["PyTorch"].detail == f"{torch.__version__} on the CPU"
    assert "cores" in lines["threads"].detail


def test_a_pytorch_that_fails_is_what_keeps_photos_from_being_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("undefined symbol")

    monkeypatch.setattr(torch, "ones", fail)
    [line] = machine.check_torch()
    assert (line.state, line.needed, line.detail) == ("broken", True, "RuntimeError: undefined symbol")
    assert line.mend == "pip install --force-reinstall torch"


def test_a_gpu_that_fails_is_named_and_not_needed() -> None:
    fake = SimpleNamespace(ones=lambda *_, device: (_ for _ in ()).throw(RuntimeError("no kernel image")))
    line = machine._device(fake, "cuda:0")
    assert (line.check, line.state, line.needed) == ("cuda:0", "broken", False)
    assert "no kernel image" in line.detail


def test_a_driver_without_a_pytorch_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    line = list(machine.check_torch())[-1]
    assert (line.check, line.state) == ("CUDA", "missing")


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "version_info", (3, 9, 1))
    line = machine.check_python()
    assert (line.state, line.needed) == ("broken", True)
    assert line.detail == "3.9.1, and >=3.11 is asked for"


# --- weights


@pytest.fixture
def nano_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundled models."""
    shutil.copytree(weights.MODELS, tmp_path / "models")
    monkeypatch.setattr(weights, "MODELS", tmp_path / "models")
    return tmp_path / "models"


def test_the_bundled_model_is_whole_and_finds_a_square(nano_folder: Path) -> None:
    model, search = machine.check_model()
    assert (model.state, model.needed, search.state, search.needed) == ("ok", True, "ok", True)
    assert "the checksum is right" in model.detail
    assert search.detail.startswith("nano finds a red square, IoU 0.")


def test_a_damaged_bundled_model(nano_folder: Path) -> None:
    file = nano_folder / "nano.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    [line] = machine.check_model()
    assert (line.check, line.state, line.needed) == ("bundled model", "broken", True)
    assert "is not the published nano: sha256" in line.detail
    assert line.mend == machine.REINSTALL
    file.unlink()
    assert next(machine.check_model()).state == "missing"


def test_a_model_that_no_longer_finds_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise RuntimeError("a kernel is missing")

    monkeypatch.setattr(machine, "_search", fail)
    _, line = machine.check_model()
    assert (line.check, line.state, line.detail) == ("search", "broken", "RuntimeError: a kernel is missing")


def test_fetched_weights_whole_damaged_and_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path))
    source = sources.TABLE["vit_t"]
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"
    small = type(source)("vit_t", source.file_name, source.url, digest, 3, "", "")
    monkeypatch.setitem(weights.TABLE, "vit_t", small)
    (tmp_path / small.file_name).write_bytes(b"abc")
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"damaged")
    (tmp_path / "sam_vit_l_0b3195.pth.part").write_bytes(b"half")
    lines = {line.check: line for line in machine.check_weights()}
    assert "weights nano" not in lines
    assert (lines["weights vit_t"].state, lines["weights vit_t"].mend) == ("ok", "")
    damaged = lines["weights vit_b"]
    assert damaged.state == "broken"
    assert "7 bytes instead of 375042383" in damaged.detail
    assert damaged.mend == f"delete {tmp_path / 'sam_vit_b_01ec64.pth'}, then: persam weights fetch vit_b"
    assert "broke off" in lines["weights vit_l"].detail
    assert (lines["weights vit_h"].state, lines["weights vit_h"].mend) == ("missing", "persam weights fetch vit_h")
    assert not any(line.needed for line in lines.values())


# --- places


def test_places_that_can_be_written_are_left_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "not" / "there"))
    monkeypatch.chdir(tmp_path)
    cache, here = machine.check_places()
    assert (cache.check, cache.state, here.check, here.state) == ("cache", "ok", "this folder", "ok")
    assert "GB free" in cache.detail
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "file" / "cache"))
    cache, _ = machine.check_places()
    assert cache.state == "broken"
    assert "is a file, where a folder should be" in cache.detail
    assert cache.mend == "set PERSAM_CACHE to a folder that you may write to"


@pytest.mark.parametrize(
    ("number", "detail", "mend"),
    [
        (errno.EACCES, "cannot be written: PermissionError", "set PERSAM_CACHE"),
        (errno.EROFS, "cannot be written: OSError", "set PERSAM_CACHE"),
        (errno.ENOSPC, "the disk is full", "make room there"),
    ],
)
def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, number: int, detail: str, mend: str) -> None:
    def fail(**_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    cache, _ = machine.check_places()
    assert cache.state == "broken"
    assert detail in cache.detail
    assert cache.mend.startswith(mend)


def test_a_disk_with_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=12_000_000))
    cache, here = machine.check_places()
    assert (cache.state, here.state) == ("broken", "broken")
    assert cache.detail.endswith("12 MB are free")


# --- the whole report


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages, codecs and the search are taken as they are, and not tried."""
    monkeypatch.setattr(machine, "_search", lambda: "found")
    for name in ("check_packages", "check_codecs", "check_weights"):
        monkeypatch.setattr(examination, name, lambda: iter(()))


@pytest.mark.usefixtures("quick")
def test_where_the_main_job_works_the_exit_code_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "persam works here."
    assert out.startswith("ok       Python")


@pytest.mark.usefixtures("quick")
def test_where_it_does_not_the_exit_code_is_1_and_the_mend_stands_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Line("packages", "missing", "not installed: safetensors", "pip install persam", needed=True)
    monkeypatch.setattr(examination, "check_packages", lambda: iter([gone]))
    monkeypatch.setattr(examination, "check_model", lambda: pytest.fail("the model is tried without its packages"))
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("missing  packages         not installed: safetensors")
    assert lines[place + 1].strip() == "pip install persam"
    assert lines[-1] == "persam does not work here: mend what is needed first."


@pytest.mark.usefixtures("quick")
def test_json_has_every_line_and_the_verdict(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def packages() -> Iterator[Line]:
        yield Line("extra video", "missing", "not installed: av", "pip install 'persam[video]'")

    monkeypatch.setattr(examination, "check_packages", packages)
    assert main(["doctor", "--json"]) == 0  # an extra is not needed
    told = json.loads(capsys.readouterr().out)
    assert told["works"] is True
    [video] = (one for one in told["checks"] if one["check"] == "extra video")
    assert video == {
        "check": "extra video",
        "state": "missing",
        "detail": "not installed: av",
        "mend": "pip install 'persam[video]'",
        "needed": False,
    }


def test_a_report_works_by_what_is_needed() -> None:
    fine, optional = Line("a", "ok", "", needed=True), Line("b", "broken", "")
    assert works([fine, optional])
    assert not works([fine, Line("c", "missing", "", needed=True)])
    assert next(examine()).check == "Python"
