"""A command among others: pipes whose reader leaves, closed streams, a disk that is full, and a terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from persam.cli.shell import say
from persam.cli.streams import open_streams, printable
from tests.cli.typed import files_in, records
from tests.colour import GREEN, photo

ROOT = Path(__file__).parents[2]


FULL = "persam: [Errno 28] No space left on device. Check that the disk has room and that the folder can be written.\n"


def in_shell(line: str) -> tuple[int, str, str]:
    """What bash says of a line in which `persam` is this command."""
    persam = f"{sys.executable} -W error -m persam.cli.main"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line.replace('persam', persam)}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("persam weights list | true", 141, "", ""),
        ("persam weights path nano >&-", 0, "", ""),
        ("persam weights path nope 2>&-", 2, "", ""),
        ("persam weights path nope >&- 2>&- <&-", 2, "", ""),
        ("persam weights path nope 2>&1 | true", 141, "", ""),
        (
            "persam weights list > /dev/full",
            2,
            "",
            FULL,
        ),
    ],
)
def test_streams_as_unix_tools_take_them(line: str, code: int, out: str, err: str) -> None:
    assert in_shell(line) == (code, out, err)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_an_album_is_finished_without_anybody_to_tell_and_stops_for_a_reader_that_left() -> None:
    line = "persam segment ref.png mask.png album --device cpu --no-overlays -o"
    assert in_shell(f"{line} closed >&- 2>&-") == (0, "", "")
    assert files_in("closed/masks") <= {"left.png", "right.png"}
    told = Path("closed/results.jsonl").read_text()
    assert [Path(record["image"]).name for record in records(told)] == ["left.png", "right.png"]
    assert in_shell(f"{line} piped | true") == (141, "", "")
    code, _, _ = in_shell(f"{line} piped --resume")
    assert code == 0
    assert Path("piped/results.jsonl").read_text() == told.replace("closed/", "piped/")


def test_streams_that_are_closed_are_not_given_to_files(tmp_path: Path) -> None:
    program = (
        "from persam.cli.streams import open_streams; open_streams(); f = open('f', 'w'); print(9); f.write('mine')"
    )
    line = f'PYTHONPATH={ROOT} {sys.executable} -c "{program}" <&- >&- 2>&-'
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    assert (tmp_path / "f").read_text() == "mine"
    before = (sys.stdout, sys.stderr)
    open_streams()  # with all of them open, nothing changes
    assert (sys.stdout, sys.stderr) == before


# ---- an album goes on


@pytest.mark.usefixtures("here")
def test_a_photo_that_needs_too_much_memory_does_not_end_the_album(persam, colours, monkeypatch):
    encode = colours.encode

    def greedy(images, **how):
        if (images[0] == GREEN).all(-1).any():
            raise RuntimeError("CUDA out of memory. Tried to allocate 9.00 GiB.")
        return encode(images, **how)

    monkeypatch.setattr(colours, "encode", greedy)
    Image.fromarray(photo(colour=GREEN)).save("album/m.png")
    code, out, err = persam("segment ref.png mask.png album -o found")
    assert code == 2
    left, large, right = records(out)
    assert (left["present"], right["present"]) == (True, True)
    says = "the search in album/m.png needs more memory than is free (CUDA out of memory). Close what else uses the GPU"
    assert large["error"].startswith(says)
    assert err.splitlines()[0] == f"persam: {large['error']}"
    assert "found 'ref' in 2 of 3 photos, 1 could not be used" in err
    Image.fromarray(photo(colour=GREEN)).save("ref.png")
    assert "learning a concept needs more memory" in persam.refused("learn ref.png mask.png -o x.safetensors")


@pytest.mark.usefixtures("colours", "here")
def test_long_names_and_one_that_is_a_folder(persam):
    long = "x" * 251 + ".png"
    Image.fromarray(photo()).save(f"album/{long}")
    assert persam("segment ref.png mask.png album -o found --max-instances 3")[0] == 0
    (name,) = files_in("found/masks") - {"left_1.png", "right_1.png"}
    assert (len(name), name[:9], name[-6:]) == (255, "x" * 9, "_1.png")
    Path("other/overlays/left.jpg").mkdir(parents=True)
    assert "in the place of results" in persam.refused("segment ref.png mask.png album -o other")


@pytest.mark.usefixtures("here")
def test_memory_that_ends_elsewhere_is_one_line(persam, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("persam.api.load_backbone", fail)
    assert "this command needs more memory than is free" in persam.refused("segment ref.png mask.png album -o found")


# ---- a terminal


@pytest.mark.usefixtures("colours", "crowd")
def test_a_person_sees_a_table(persam, monkeypatch):
    Image.fromarray(photo(colour=GREEN)).save("album/none.png")
    Path("album/bad.png").write_text("no photo")
    words = "segment ref.png mask.png album -o found --max-instances 2"
    _, piped, _ = persam(words)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, out, err = persam(f"{words} --overwrite")
    assert code == 2
    assert out.splitlines() == [
        "image            found                     sure  where x0,y0 to x1,y1    mask",
        "album/bad.png    error",
        "album/crowd.png  ref                       1.00  4,4 to 23,23            found/masks/crowd_1.png",
        "                 ref 2                     1.00  20,40 to 31,51          found/masks/crowd_2.png",
        "album/left.png   ref                       1.00  40,5 to 55,30           found/masks/left_1.png",
        "album/none.png   ref: not here             0.01",
        "album/right.png  ref                       1.00  4,8 to 15,16            found/masks/right_1.png",
    ]
    assert err.splitlines()[-1].startswith("persam: found 'ref' in 3 of 5 photos, 1 could not be used; results are in")
    _, out, _ = persam(f"{words} --overwrite --json")
    assert out == piped


@pytest.mark.usefixtures("colours", "here")
def test_a_person_sees_what_was_learned_and_tracked(persam, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert persam("learn ref.png mask.png -o rex.safetensors")[1].startswith("rex: rex.safetensors (")
    assert json.loads(persam("learn ref.png mask.png -o rex.safetensors --json")[1])["concept"] == "rex"
    _, out, _ = persam("track album --concept rex.safetensors -o tracked --no-overlay")
    assert out.splitlines()[:2] == [
        "frame  found                     sure  where x0,y0 to x1,y1    mask",
        "left   rex                       1.00  40,5 to 55,30           tracked/masks/left.png",
    ]


def test_what_a_terminal_cannot_show_is_written_as_a_code() -> None:
    class Ascii:
        encoding = "ascii"

    assert printable("caf\u00e9 \udcff", Ascii()) == "caf\\xe9 \\udcff"
    assert printable("caf\u00e9", sys.stdout) == "caf\u00e9"


def test_a_file_name_gives_a_terminal_no_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("\x1b[2J\x9b31m\r\x7f caf\u00e9", sys.stdout) == "\\x1b[2J\\x9b31m\\x0d\\x7f caf\u00e9"
    say("cannot read \x1b]0;title\x07.png\nor so")
    assert capsys.readouterr().err == "persam: cannot read \\x1b]0;title\\x07.png or so\n"
