"""A training folder as a ZIP: the layout of its trainer, and no path of this machine in it."""

import json
import zipfile

import pytest

from persam.dreambooth.layouts import LAYOUTS
from persam.errors import DreamBoothError, LimitError
from persam.studio.limits import Limits
from persam.studio.training import HOME, prepared


def made(session, paths, folder, **more):
    return prepared(
        paths,
        session.shelf.concepts(["red"]),
        folder,
        model=session.model,
        limits=more.pop("limits", session.limits),
        **more,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_zip_has_the_layout_and_names_no_folder_of_the_server(taught, album, tmp_path, layout):
    folder = tmp_path / "made"
    folder.mkdir()
    done = made(taught, album, folder, layout=layout)
    with zipfile.ZipFile(done.archive) as file:
        names = set(file.namelist())
        contents = {name: file.read(name) for name in names}
    pairs = {pattern.format("left") for pattern in (LAYOUTS[layout].image, LAYOUTS[layout].mask)}
    assert pairs | {"report.jsonl", "sheet.jpg"} <= names
    assert not [name for name, data in contents.items() if str(tmp_path).encode() in data]
    settings = [data for name, data in contents.items() if name.endswith((".toml", ".yaml")) or "backend" in name]
    assert all(HOME.encode() in data for data in settings)
    assert done.about.count(HOME) >= 1
    report = [json.loads(line) for line in contents["report.jsonl"].splitlines()]
    assert [(one["image"], one["used"]) for one in report] == [("left", True), ("blue", False), ("right", True)]
    assert sorted(path.name for path in folder.iterdir()) == sorted([done.archive.name, done.sheet.name])


def test_a_caption_goes_beside_each_photo(taught, album, tmp_path):
    done = made(taught, album, tmp_path, caption="a sks {}")
    with zipfile.ZipFile(done.archive) as file:
        assert file.read("captions/left.txt") == b"a sks red\n"


def test_where_no_photo_can_be_used_the_sheet_says_why(taught, album, tmp_path):
    done = made(taught, album[1:2], tmp_path)
    assert done.archive is None
    assert done.sheet.is_file()
    assert done.outcomes[0].reason.startswith("not here")


def test_what_cannot_be_asked_for_is_said(taught, album, tmp_path):
    with pytest.raises(DreamBoothError, match="no layout for 'mine'"):
        made(taught, album, tmp_path, layout="mine")
    with pytest.raises(DreamBoothError, match="a caption is one line"):
        made(taught, album, tmp_path, caption="two\nlines")
    with pytest.raises(LimitError, match="3 photos are more than the 2"):
        made(taught, album, tmp_path, limits=Limits(files=2))


def test_when_the_time_is_over_nothing_is_left(taught, album, tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    times = iter([0.0, 20.0])
    with pytest.raises(LimitError, match="preparing the training folder takes longer"):
        made(taught, album, folder, limits=Limits(seconds=10, clock=lambda: next(times)))
    assert list(folder.iterdir()) == []
