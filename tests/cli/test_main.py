"""The command line as a newcomer uses it: help where it is asked for, and wrong words answered in one line."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from persam.cli.main import main
from persam.cli.shell import own_warnings_as_lines


@pytest.mark.parametrize(
    "line",
    [
        "",
        "weights",
        "--help",
        "segment --help",
        "learn -h",
        "demo -h",
        "eval -h",
        "eval calibrate -h",
        "weights fetch -h",
    ],
)
def test_help_where_it_is_asked_for_or_nothing_is(persam, line):
    code, out, err = persam(line)
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: persam {line.partition('-')[0]}".strip())


def test_help_of_segment_says_how_to_write_a_mask(persam):
    _, out, _ = persam("segment --help")
    for word in ("REF MASK TARGET... -o OUT", "--concept FILE", "box:x0,y0,x1,y1", "results.jsonl", "example:"):
        assert word in out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("segmnt", "invalid choice: 'segmnt'"),
        ("weights fetch", "required: name"),
        ("weights list now", "unknown arguments: now"),
        ("weights path vit_x", "no model is called 'vit_x'. Did you mean"),
    ],
)
def test_wrong_words_are_answered_in_one_line(persam, line, says):
    assert says in persam.refused(line)


def test_warnings_of_others_are_left_to_them():
    with pytest.warns(UserWarning, match="something else"), own_warnings_as_lines():
        warnings.warn("something else", UserWarning, stacklevel=1)


# ---- as a process of its own


def process(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "persam.cli.main", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_help_comes_at_once_in_a_process(here):
    done = process("segment", "--help", cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: persam segment REF MASK TARGET... -o OUT")


@pytest.mark.slow
def test_an_error_in_a_process_is_one_line_and_ends_with_2(here):
    done = process("segment", "none.jpg", "mask.png", "album", "-o", "found", cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "persam: cannot read the image none.jpg: there is no such file. Check the path.\n"


@pytest.mark.usefixtures("no_model", "here")
def test_a_null_character_is_in_no_name(capsys):
    with pytest.raises(SystemExit):
        main(["segment", "ref.png", "mask.png", "album", "-o", "a\0b"])
    assert "a word holds a null character, which no file's name can" in capsys.readouterr().err
