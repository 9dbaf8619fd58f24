"""`persam segment --engine ray`: the same words as for one process, and what makes no sense there is refused."""

import json
from pathlib import Path

import pyarrow.dataset
import pytest
from PIL import Image

from persam.cli.main import main
from tests.colour import ColourBackbone, mask, photo


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The shell stands in a folder with a reference, its mask and three photos, one of them torn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("persam.api.load_backbone", lambda model, **_: ColourBackbone())
    monkeypatch.setattr("persam.sam.malloc.keep_large_blocks", lambda: None)
    Image.fromarray(photo()).save("ref.png")
    Image.fromarray(mask()).save("mask.png")
    Path("album").mkdir()
    Image.fromarray(photo(at_xyxy=(40, 5, 55, 30))).save("album/left.png")
    Image.fromarray(photo(at_xyxy=(4, 8, 15, 16))).save("album/right.png")
    Path("album/torn.png").write_text("no photo")
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("two_cores")
def test_an_album_is_searched_and_gone_on_with(here, capsys):
    command = [
        "segment",
        "ref.png",
        "mask.png",
        "album",
        "-o",
        "found",
        "--engine",
        "ray",
        "--workers",
        "1",
        "--block",
        "2",
    ]
    assert main(command) == 2
    out, err = capsys.readouterr()
    blocks = [json.loads(line) for line in out.splitlines()]
    assert sorted(block["photos"] for block in blocks) == [1, 2]
    assert "torn.png: its content is no image" in err
    assert err.splitlines()[-1] == ("persam: found 'ref' in 2 of 3 photos, 1 could not be used; results are in found")
    rows = pyarrow.dataset.dataset("found/results").to_table().sort_by("photo").to_pylist()
    assert [row["box_xyxy"] for row in rows] == [[40, 5, 55, 30], [4, 8, 15, 16], None]
    assert main(command) == 2
    assert "holds this run already: go on with --resume" in capsys.readouterr().err
    Image.fromarray(photo()).save("album/torn.png")
    assert main([*command, "--resume"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["photos"] for line in out.splitlines()] == [1]
    assert err == "persam: found 'ref' in 3 of 3 photos, 2 of them finished before; results are in found\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--engine ray --no-overlays", "--engine ray draws no overlays: leave --no-overlays away"),
        ("--engine ray --cache kept", "--engine ray keeps no embeddings: leave --cache away"),
        ("--engine ray --device mps", "--engine ray knows the devices auto, cpu, cuda, and 'mps' was given"),
        ("--engine ray --workers 0", "0 workers do nothing: give 1 or more"),
        ("--engine ray --block 0", "a block of 0 photos holds nothing: give 1 or more"),
        ("--engine ray --max-instances 0", "--max-instances 0 finds nothing"),
        ("--engine slurm", "invalid choice: 'slurm'"),
        ("--workers 2", "--workers belongs to --engine ray: leave it away, or say that"),
        ("--mask-files", "--mask-files belongs to --engine ray"),
        ("-o s3://bucket/found", "only --engine ray writes to an address such as s3://bucket/found"),
    ],
)
def test_words_that_make_no_sense_are_answered_in_one_line(here, capsys, monkeypatch, words, says):
    monkeypatch.setattr("persam.cluster.job.connect", lambda **_: pytest.fail("Ray was started"))
    try:
        code = main(f"segment ref.png mask.png album -o found {words}".split())
    except SystemExit as exit:
        code = int(exit.code)
    _, err = capsys.readouterr()
    assert code == 2
    assert says in err
    assert err.count("\n") == 1
    assert not Path("found").exists()


def test_wrong_photos_and_places_are_noticed_before_ray_is_started(here, capsys, monkeypatch):
    monkeypatch.setattr("persam.cluster.job.connect", lambda **_: pytest.fail("Ray was started"))
    Path("found/results").mkdir(parents=True)
    Path("found/results/part-1.parquet").write_text("of others")
    for targets, says in (("empty/*.png", "no image matches empty/*.png"), ("album", "found/results holds Parquet")):
        assert main(f"segment ref.png mask.png {targets} -o found --engine ray".split()) == 2
        assert says in capsys.readouterr().err
