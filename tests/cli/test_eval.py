"""`persam eval NAME` and `persam eval calibrate`: what is measured and fitted, and where it lies."""

from pathlib import Path

import pytest
from PIL import Image

from persam.method.calibration import Calibration, Presence, own_file
from persam.model import PerSAM
from tests.colour import CALIBRATION, VIEWS, ColourBackbone
from tests.eval import scenes

pytestmark = pytest.mark.slow  # seconds in all, and the quick loop has a minute


@pytest.fixture
def data(here) -> Path:
    return scenes.davis(here / "data")


EVAL = "eval album --data data -o runs --csv rows.csv"


@pytest.mark.usefixtures("colours", "data")
def test_a_table_is_printed_and_it_is_said_where_everything_is(persam):
    code, out, err = persam(f"{EVAL} --recipe persam,official_persam --recipe oracle_box")
    assert code == 0
    title, head, *rows = out.splitlines()
    assert title == "album with colour, 2 objects, in percent:"
    assert head.split() == ["RECIPE", "OBJECT", "N", "IOU", "BIOU", "LOCATED", "ACCEPTED", "HOLES", "S/PHOTO"]
    assert [row.split()[:3] for row in rows] == [
        ["persam", "mean", "6"],
        ["official_persam", "mean", "6"],
        ["oracle_box", "mean", "6"],
    ]
    assert rows[0].split()[3] == "100.0"
    assert err.splitlines() == [
        "persam: look at runs/album/colour/sheet.jpg",
        "persam: predictions are in runs/album/colour, rows in rows.csv",
    ]
    with Image.open("runs/album/colour/sheet.jpg") as sheet:
        assert sheet.size[1] > 6 * 200
    assert len(Path("rows.csv").read_text().splitlines()) == 1 + 3 * 3


@pytest.mark.usefixtures("colours", "data")
def test_ablations_are_measured_among_others(persam):
    code, out, _ = persam(f"{EVAL} --recipe persam@crop_refine=False@verify=False,persam_f@tune=False --no-sheet")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines()[2:]]
    assert names == ["persam@crop_refine=False@verify=False", "persam_f@tune=False"]


@pytest.mark.usefixtures("data")
def test_it_goes_on_where_it_was_and_shows_objects_when_asked(persam, colours):
    persam(f"{EVAL} --no-sheet")
    assert not Path("runs/album/colour/sheet.jpg").exists()
    encoded = colours.encoded
    code, out, _ = persam(f"{EVAL} --no-sheet -v")
    assert code == 0
    assert colours.encoded == encoded
    assert [row.split()[:2] for row in out.splitlines()[2:]] == [
        ["persam", "ant"],
        ["persam", "bee"],
        ["persam", "mean"],
    ]


@pytest.mark.usefixtures("colours", "data")
def test_the_row_over_all_objects_is_shown(persam):
    _, out, _ = persam("eval absence --data data -o runs --csv rows.csv --no-sheet")
    assert [row.split()[1] for row in out.splitlines()[2:]] == ["mean", "each"]


@pytest.mark.usefixtures("data")
def test_changes_are_chosen_and_each_has_a_row_and_an_object_is_learned_once(persam, colours):
    line = "eval robustness --data data -o runs --csv rows.csv --no-sheet --only none,flip --only bgr"
    code, out, _ = persam(line)
    assert code == 0
    title, _, *rows = out.splitlines()
    assert title == "robustness with colour, 3 changes, in percent:"
    assert [row.split()[1:3] for row in rows] == [["none", "12"], ["flip", "12"], ["bgr", "12"], ["mean", "36"]]
    accepted, refused = ([float(row.split()[title]) for row in rows] for title in (7, 6))
    assert (accepted[:3], refused[:3]) == ([100, 100, 0], [100, 100, 0])  # red and blue change places
    # a reference and a crop of it in all views, and then no other one for three changes
    assert len(colours.batches) == 2 * (1 + VIEWS + 3 * 6 * 2)  # a photo, and a crop of what is found


@pytest.mark.usefixtures("data", "no_model")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("eval", "required: NAME, --data"),
        ("eval album", "required: --data"),
        ("eval albums --data data", "there is no benchmark 'albums'; there are perseg, davis2016"),
        ("eval album --data nowhere", "no folder JPEGImages/480p in nowhere"),
        ("eval perseg --data data", "no folder Images in data: give the folder that the benchmark unpacks to"),
        ("eval album --data data --fold 1", "no fold to choose"),
        ("eval album --data data --only bar", "no only to choose"),
        ("eval robustness --data data --only none,dark", "no change 'dark'; there are none, x0.5, x0.35"),
        ("eval album --data data --shots five", "invalid int value: 'five'"),
        ("eval album --data data --recipe persam,best", "no recipe named 'best'. Choose one of: persam"),
        ("eval album --data data --recipe best", "Or oracle_box"),
        ("eval album --data data --recipe persam@zoom=False", "no setting 'zoom'. Change one of: tune, crop_refine"),
        ("eval album --data data -o ref.png", "cannot write into ref.png: it is a file"),
        ("eval album --data data -o runs --csv ref.png", "ref.png is no CSV. Name another file"),
        ("eval album --data data -o runs --csv album", "album cannot be written: Is a directory"),
        ("eval album --data data -o runs --csv other.csv", "other.csv has the columns date, latency"),
        ("eval album --data data -o runs --csv ref.png/rows.csv", "rows.csv cannot be written"),
        ("eval calibrate", "persam eval calibrate: the following arguments are required: --data"),
        ("eval calibrate --data album", "album is no folder of DAVIS-2016"),
        ("eval calibrate --data data --recipe persam", "unknown arguments: --recipe persam"),
    ],
)
def test_what_cannot_be_measured_is_said_before_a_model_is_loaded(persam, line, says):
    Path("other.csv").write_text("date,latency\n")
    assert says in persam.refused(line)


@pytest.mark.usefixtures("colours", "data")
def test_a_damaged_photo_of_a_benchmark_is_named(persam):
    path = Path("data/JPEGImages/480p/bee/00003.jpg")
    path.write_bytes(b"no photo")
    assert f"{path} cannot be read as a photo" in persam.refused(EVAL)


# ---- calibrate


@pytest.fixture
def fresh(monkeypatch) -> ColourBackbone:
    """Every model is a stand-in that nobody has calibrated."""
    backbone = ColourBackbone("fresh")
    monkeypatch.setattr("persam.api.load_backbone", lambda model, **_: backbone)
    monkeypatch.setattr("persam.eval.fit_verification.SAME_PART", (0.95,))
    monkeypatch.setattr("persam.eval.fit_verification.CHOICE", (0.03,))
    return backbone


@pytest.mark.usefixtures("data")
@pytest.mark.slow
def test_a_calibration_lies_where_the_model_finds_it(persam, fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("persam.eval.calibrate.CHANGED", ("flip", "x0.5"))  # the stand-in knows objects by colour
    scenes.perseg(tmp_path / "perseg")
    code, out, err = persam("eval calibrate --model vit_b --data data --data perseg")
    assert code == 0
    assert out.splitlines()[0] == "colour (fresh) on 3 objects in 16 photos:"
    assert "these photos  absent refused 100.0 %, present accepted 100.0 %" in out
    place = own_file("fresh")
    assert err == f"persam: the calibration of colour is in {place}; it is used from now on\n"
    assert PerSAM(fresh).calibration == Calibration.load(place)
    assert PerSAM(fresh).calibration.presence is not None


@pytest.mark.usefixtures("data", "colours")
def test_presence_alone_can_be_fitted_into_a_file_of_ones_own(persam):
    before = Calibration(CALIBRATION.fingerprint, slope=12, choice=0.04, presence=Presence(0.1, 0.1))
    before.save("before.json")
    line = "eval calibrate --data data --presence-only --calibration before.json -o new/after.json"
    code, out, err = persam(line)
    assert code == 0
    assert "slope 12; kept" in out
    assert err == "persam: the calibration of colour is in new/after.json; give it as --calibration new/after.json\n"
    after = Calibration.load("new/after.json")
    assert (after.slope, after.choice) == (12, 0.04)
    assert after.presence not in (None, before.presence)


@pytest.mark.usefixtures("data")
def test_a_place_that_cannot_be_written_is_noticed_before_anything_is_fitted(persam, colours):
    assert "cannot write album: it is a folder" in persam.refused("eval calibrate --data data -o album")
    assert "cannot write into ref.png: it is a file" in persam.refused("eval calibrate --data data -o ref.png/x.json")
    assert colours.encoded == 0
