"""What a release says of itself agrees."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import persam
from tests.release import contents, licences

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_version_is_that_of_the_changelog_and_of_the_citation():
    [newest, *_] = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert persam.__version__ == newest == CITATION["version"]


def test_the_citation_is_the_readmes():
    paper = CITATION["preferred-citation"]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    authors = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    for field, value in (("title", paper["title"]), ("author", authors), ("year", paper["year"])):
        assert f" {field} = {{{value}}}" in readme, field
    assert CITATION["license"] == PROJECT["license"]


# --- licences

NAMED = [
    Requirement(line)
    for line in (
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    )
]
PAGE = licences.PAGE.read_text(encoding="utf-8")
WRITE = "write the page anew: python -m tests.release.licences"


def test_every_dependency_and_extra_is_on_the_page_of_licences():
    named = {canonicalize_name(need.name) for need in NAMED} - {"persam"}
    assert named - licences.listed(PAGE).keys() == set(), WRITE
    assert set(licences.EXTRAS) == PROJECT["optional-dependencies"].keys()


def test_the_page_of_licences_is_of_the_versions_that_are_tested():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    pins: dict[str, str] = {canonicalize_name(name): version for name, version in pairs}
    assert licences.listed(PAGE) == {name: pins.get(name) for name in licences.listed(PAGE)}, WRITE


def test_the_page_of_licences_says_that_pyavs_wheel_is_under_the_gpl():
    [line] = [line for line in PAGE.splitlines() if line.startswith("- **av**")]
    assert "libx264" in line
    assert "GPL-2.0" in line
    assert "not said" not in PAGE


def test_what_is_installed_is_on_the_page():
    parts = licences.installed(("video",))
    assert {"torch", "av", "numpy"} <= {part.name for part in parts}
    assert {part.name for part in parts} <= licences.listed(PAGE).keys()
    assert all(f"| {part.licence} |" in PAGE for part in parts if part.version == licences.listed(PAGE)[part.name])


# --- contents of the archives


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["persam/model.py", "persam/models/nano.safetensors", "persam/py.typed"], []),
        (["persam/secret.env"], ["persam/secret.env is not allowed"]),
        (["tests/test_api.py"], ["tests/test_api.py is not allowed"]),
        (["persam/__pycache__/model.cpython-311.pyc"], ["persam/__pycache__/model.cpython-311.pyc is not allowed"]),
    ],
)
def test_what_does_not_belong_in_the_wheel_is_named(names: list[str], complaint: list[str]):
    assert contents.stray(names, contents.WHEEL) == complaint


def test_what_is_missing_from_an_archive_is_named():
    assert contents.missing(["persam/model.py"], contents.NEEDED)[:1] == ["persam/__init__.py is missing"]
    assert contents.missing(contents.NEEDED, contents.NEEDED) == []


def test_every_file_of_the_package_may_be_in_the_wheel():
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "persam").rglob("*") if path.is_file()]
    files = [name for name in files if "__pycache__" not in name]
    assert contents.stray(files, contents.WHEEL) == []
    assert contents.missing(files, contents.NEEDED) == []
