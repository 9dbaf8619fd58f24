"""What is said of packages: missing, of another version, broken, or crashing on import."""

from importlib import metadata
from pathlib import Path

import pytest

from persam.doctor import packages
from persam.doctor.packages import Requirement, check_extra, check_packages, fits, requirements


@pytest.mark.parametrize(
    ("version", "asks", "holds"),
    [
        ("15.0.1", ">=15,<19", True),
        ("19.0", ">=15,<19", False),
        ("14.9", ">=15,<19", False),
        ("2.13.0+cpu", ">=2.4", True),
        ("2.4", ">=2.4.0", True),
        ("0.42.1", ">0.42", True),
        ("0.42", ">0.42", False),
        ("1.4.2", "~=1.4", True),
        ("2.0", "~=1.4", False),
        ("1.0", "!=1.0", False),
        ("1.0", "<=1.0.0", True),
        ("7", "", True),
    ],
)
def test_versions_by_their_numbers(version: str, asks: str, holds: bool) -> None:
    assert fits(version, asks) is holds


def test_requirements_are_those_of_the_project() -> None:
    asked = {(one.name.lower(), one.extra): one for one in requirements()}
    assert asked["torch", ""].asks == ">=2.4"
    assert asked["av", "video"].asks in (">=15,<19", "<19,>=15")
    assert asked["opencv-python-headless", ""].module == "cv2"
    assert not any(name == "persam" for name, _ in asked)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of made-up distributions, here and in the process that imports them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def install(site: Path, name: str, version: str, code: str) -> Requirement:
    (site / f"{name}.py").write_text(code)
    (site / f"{name}-{version}.dist-info").mkdir()
    (site / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    return Requirement(name, ">=2,<3", "video")


def test_an_extra_that_works(site: Path) -> None:
    line = check_extra("video", [install(site, "made_up", "2.1", "print('noise')")])
    assert (line.check, line.state, line.detail, line.mend) == ("extra video", "ok", "made_up 2.1", "")
    assert not line.needed


def test_a_missing_package_is_named_with_the_extra_that_brings_it() -> None:
    line = check_extra("video", [Requirement("nobody-has-this", ">=1", "video")])
    assert (line.state, line.detail) == ("missing", "not installed: nobody-has-this")
    assert line.mend == "pip install 'persam[video]'"
    assert check_extra("", [Requirement("nobody-has-this", "", "")]).needed


def test_a_package_of_another_version_is_named_with_what_is_asked_for(site: Path) -> None:
    line = check_extra("video", [install(site, "made_up", "3.0", "")])
    assert (line.state, line.detail) == ("broken", "made_up is 3.0, and >=2,<3 is asked for")
    assert line.mend == "pip install 'made_up>=2,<3'"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise OSError('libx.so.7: cannot open shared object file')", "OSError: libx.so.7: cannot open shared object"),
        ("import os; os._exit(7)", "its process ended with 7"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_package_that_does_not_import_or_crashes(site: Path, code: str, why: str) -> None:
    whole = install(site, "whole", "2.0", "")
    line = check_extra("video", [whole, install(site, "made_up", "2.0", code)])
    assert line.state == "broken"
    assert f"does not import: made_up 2.0 ({why}" in line.detail
    assert line.mend == "pip install --force-reinstall --no-deps 'made_up==2.0'"


def test_a_package_that_fails_with_another_is_mended_together_with_it(site: Path) -> None:
    asked = [install(site, "upper", "2.0", "import lower"), install(site, "lower", "2.0", "raise OSError('torn')")]
    line = check_extra("", asked)
    assert line.needed
    assert line.detail == "does not import: upper 2.0 (OSError: torn); lower 2.0 (OSError: torn)"
    assert line.mend == "pip install --force-reinstall --no-deps 'upper==2.0' 'lower==2.0'"


def test_a_package_that_never_answers(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "PATIENCE_S", 1)
    line = check_extra("video", [install(site, "made_up", "2.0", "import time; time.sleep(60)")])
    assert line.detail == "does not import: made_up 2.0 (it takes longer than 1 s)"


def test_extras_for_development_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_imported", lambda modules: {})
    names = [line.check for line in check_packages()]
    assert names[0] == "packages"
    assert "extra video" in names
    assert not {"extra test", "extra dev"} & set(names)


def test_persam_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    [line] = check_packages()
    assert (line.state, line.needed, line.mend) == ("missing", True, "pip install -e .")
