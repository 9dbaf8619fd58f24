"""Results folders at the command line: nothing replaced by accident, and real processes killed at random moments."""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.cli.main import main
from tests.cli.typed import files_in, records
from tests.colour import VIEWS, colour_model, mask, photo
from tests.io.test_run import tree


@pytest.mark.usefixtures("no_model", "here")
@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("segment album/left.png masks/left.png album -o .", "masks/left.png"),
        ("segment ref.png mask.png album/left.png masks/left.png -o . --overwrite", "masks/left.png"),
        ("segment --concept red.safetensors album -o red --resume", "red.safetensors"),
        ("track album masks/left.png -o .", "masks/left.png"),
        ("track masks box:8,18,31,41 -o . --overwrite", "masks/left.png"),
        ("track album --labels masks/left.png -o .", "masks/left.png"),
    ],
)
def test_an_input_is_not_replaced_by_results(persam, line, name):
    Path("masks").mkdir()
    Image.fromarray(mask().astype(np.uint8) * 7).save("masks/left.png")
    colour_model().learn(photo(), mask(), name="red").save("red.safetensors")
    Path("red/masks").mkdir(parents=True)
    os.link("red.safetensors", "red/masks/left.png")
    before = tree(".")
    assert f"{name} is an input of this run, and its results in " in persam.refused(line)
    assert tree(".") == before


@pytest.mark.usefixtures("no_model", "here")
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("learn ref.png mask.png -o ref.png", "ref.png is an input of this command, and -o ref.png would replace it"),
        ("learn ref.png mask.png -o sub/../mask.png", "mask.png is an input of this command"),
        ("learn ref.png mask.png -o link.png", "ref.png is an input of this command"),
        (
            "learn ref.png mask.png -o album/left.png",
            "album/left.png is there and is no concept, which -o could replace",
        ),
        ("learn ref.png labels.png --each -o each", "each/object-1.safetensors is there and is no concept"),
    ],
)
def test_learn_replaces_nothing_but_a_concept(persam, line, says):
    Path("sub").mkdir()
    Path("link.png").symlink_to("ref.png")
    Image.fromarray(mask().astype(np.uint8)).save("labels.png")
    Path("each").mkdir()
    Path("each/object-1.safetensors").write_text("mine")
    before = tree(".")
    assert says in persam.refused(line)
    assert tree(".") == before


@pytest.mark.usefixtures("colours", "here")
def test_a_concept_is_learned_again(persam):
    for name in ("rex", "tom"):
        assert persam(f"learn ref.png mask.png -o rex.safetensors --name {name}")[0] == 0
    assert records(persam("learn ref.png mask.png -o rex.safetensors")[1])[0]["concept"] == "rex"


@pytest.mark.usefixtures("here")
def test_another_run_is_refused_resumed_or_overwritten(persam, colours):
    line = "segment ref.png mask.png album -o found"
    _, first, _ = persam(line)
    assert "found holds this run already, 2 of 2 done: go on with --resume, or" in persam.refused(line)
    other = "another run: recipe persam then, official_persam now. Choose another folder, or replace them with --overw"
    assert other in persam.refused(f"{line} --recipe official_persam")
    assert "resume the run in found: threshold 0.5 then, 0.7 now" in persam.refused(f"{line} --threshold .7 --resume")
    assert "learned " in persam.refused("segment ref.png box:8,18,31,41 album -o found --resume")
    assert "not allowed with argument" in persam.refused(f"{line} --resume --overwrite")
    encoded = colours.encoded
    code, out, err = persam(f"{line} --resume")
    assert (code, out) == (0, "")
    assert err == "persam: found 'ref' in 2 of 2 photos, 2 of them finished before; results are in found\n"
    assert colours.encoded == encoded + 1 + VIEWS  # the reference and a crop of it
    assert persam(f"{line} --overwrite")[1] == first
    _, out, _ = persam(f"{line} --overwrite --no-overlays")
    assert files_in("found") == {"masks", "results.jsonl", "manifest.json"}
    assert [record["overlay"] for record in records(out)] == [None, None]


@pytest.mark.usefixtures("colours", "here")
def test_other_weights_of_the_same_name_are_another_run(persam, monkeypatch):
    line = "segment ref.png mask.png album -o found --recipe official_persam"
    persam(line)
    from tests.colour import ColourBackbone

    monkeypatch.setattr("persam.api.load_backbone", lambda *_, **__: ColourBackbone("colours-2"))
    assert "weights colours-1 then, colours-2 now" in persam.refused(f"{line} --resume")


@pytest.mark.usefixtures("colours", "here")
def test_results_within_the_album_are_not_searched(persam):
    assert persam("segment ref.png mask.png album/*.png -o album/found")[0] == 0
    code, out, err = persam("segment ref.png mask.png album/**/*.* -o album/found --resume")
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == "persam: left out 4 pictures that a run has written into album/found"
    _, _, err = persam("segment ref.png mask.png album/found/masks -o album/found")
    assert "all that was given are results in album/found" in err


@pytest.mark.usefixtures("colours", "here")
def test_a_track_is_overwritten_and_not_resumed(persam):
    Image.fromarray(mask(at_xyxy=(40, 5, 55, 30))).save("start.png")
    line = "track album start.png -o out --no-overlay"
    assert persam(line)[0] == 0
    error = persam.refused(line)
    assert "out holds this run already, 2 done: begin again with --overwrite, or choose another folder" in error
    assert "unknown arguments: --resume" in persam.refused(f"{line} --resume")
    assert "it is a run of `persam track`. Choose" in persam.refused("segment ref.png mask.png album -o out")
    assert persam(f"{line} --overwrite --backward --from 0")[0] == 0
    assert files_in("out/masks") == {"left.png"}


# ---- real processes, killed


@pytest.fixture
def many(here: Path) -> Path:
    """The reference and an album of twelve."""
    for number in range(10):
        Image.fromarray(photo(at_xyxy=(3 * number, 10, 3 * number + 19, 29))).save(f"album/{number}.png")
    return here


def forked(line: str) -> int:
    """The id of a process that runs the command as this one would; it inherits the stand-in for every model."""
    child = os.fork()
    if child:
        return child
    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives)
        os._exit(main(line.split()))
    finally:
        os._exit(70)


def started(line: str) -> int:
    """The id of a process that runs the command from its beginning."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    command = [sys.executable, "-m", "persam.cli.main", *line.split()]
    return os.posix_spawn(sys.executable, command, environment, file_actions=quiet)


def finished(path: str) -> dict[str, tuple]:
    """The record of every photo that has a whole line, and when its masks were written."""
    lines = Path(path, "results.jsonl")
    whole = (
        [line for line in lines.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        if lines.exists()
        else []
    )
    made = [json.loads(line) for line in whole]
    return {
        one["image"]: (one, [os.stat(each["mask"]).st_mtime_ns for each in one["objects"] if each["mask"]])
        for one in made
    }


def kill_and_resume(line: str, start: Callable[[str], int], kills: int, wait: Callable[[], None]) -> None:
    """Kills the command again and again and ends it at last; it loses and repeats nothing that was finished."""
    killed: int = 0
    done: dict[str, tuple] = {}
    while killed < kills:
        at_end = len(done) == len(finished("calm"))
        process = start(f"{line} -o found {'--overwrite' if at_end else '--resume'}")
        wait()
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        killed += os.WIFSIGNALED(status)
        before, done = done, finished("found")
        assert at_end or before.items() <= done.items()
    _, status = os.waitpid(start(f"{line} -o found --resume"), 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert done.items() <= finished("found").items()
    calm, found = tree("calm"), tree("found")
    assert found["results.jsonl"] == calm["results.jsonl"].replace(b"calm/", b"found/")
    assert found.keys() == calm.keys()
    assert all(found[name] == calm[name] for name in calm if name.startswith(("masks", "overlays")))


@pytest.mark.usefixtures("colours", "many")
@pytest.mark.slow
def test_twenty_kills_lose_no_finished_photo(persam):
    line = "segment ref.png mask.png album --max-instances 2"
    began = time.monotonic()
    assert persam(f"{line} -o calm")[0] == 0
    whole_s, rng = time.monotonic() - began, random.Random(1)
    kill_and_resume(line, forked, 20, lambda: time.sleep(rng.uniform(0, 0.4 * whole_s)))


@pytest.mark.usefixtures("here")
@pytest.mark.slow
def test_the_installed_command_outlives_kills(monkeypatch):
    line = "segment ref.png mask.png album --device cpu"
    os.waitpid(started(f"{line} -o calm"), 0)
    places = iter(["manifest.json", "masks/left.png", "results.jsonl"])

    def wait() -> None:
        place, end = Path("found", next(places)), time.monotonic() + 60
        while not place.exists():
            assert time.monotonic() < end
            time.sleep(0.001)

    kill_and_resume(line, started, 3, wait)
