"""A results folder as a contract: what is refused, what is removed, and a run that goes on where it stopped."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.errors import DiskFullError, ImageError, OutOfMemoryError, OutputError
from persam.io import write
from persam.io.album import Target, iter_targets
from persam.io.folder import Folder
from persam.io.lock import only_writer
from persam.io.manifest import Manifest, Output, Plan
from persam.io.results import ImageResult
from persam.io.run import LINES, Run, read_lines
from tests.io.made import image, segmentation

MASK = np.zeros((4, 6), bool)
MASK[1:3, 2:4] = True
OTHER = MASK[::-1]


@pytest.fixture
def d(tmp_path: Path, monkeypatch) -> Path:
    """A data set as many have it: images, and masks of the same names beside them. The test stands above it."""
    monkeypatch.chdir(tmp_path)
    for part, suffix in (("images", "jpg"), ("masks", "png")):
        Path(f"d/{part}").mkdir(parents=True)
        for name in "abc":
            Image.new("RGB", (6, 4), (90, 90, 90)).save(f"d/{part}/{name}.{suffix}")
    return tmp_path


def ask(target: Target) -> ImageResult:
    target.read()
    return image("whatever", segmentation(MASK), read=target.read)


def never(target: Target) -> ImageResult:
    pytest.fail(f"{target.name} was searched")


def folder(path: str = "out", **changes) -> Folder:
    return replace(Folder(Path(path), ("rex",), settings={"threshold": 0.5, "model": "nano"}), **changes)


def album(path: str = "d/images") -> list[Target]:
    return list(iter_targets(path))


def run(one: Folder, ask: Callable[[Target], ImageResult] = ask, photos: str = "d/images") -> list[str]:
    """The names of the photos that were searched."""
    return [Path(record["image"]).stem for record in one.search(album(photos), ask)]


def stop_after(count: int) -> Callable[[Target], ImageResult]:
    left = [None] * count

    def stopping(target: Target) -> ImageResult:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return ask(target)

    return stopping


def tree(path: str) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(Path(path).rglob("*")) if file.is_file()}


# ---- inputs are never replaced


@pytest.mark.parametrize("link", ["plain", "symlink", "hard link", "folder link", "case", "..", "parent"])
def test_an_input_is_never_replaced(d: Path, link: str) -> None:
    out, mask = "d", Path("d/masks/a.png")
    if link == "symlink":
        out = "out"
        Path("out/masks").mkdir(parents=True)
        Path("out/masks/a.png").symlink_to(d / mask)
    elif link == "hard link":
        out = "out"
        Path("out/masks").mkdir(parents=True)
        os.link(mask, "out/masks/a.png")
    elif link == "folder link":
        out = "out"
        Path("out").mkdir()
        Path("out/masks").symlink_to(d / "d/masks")
    elif link == "case":
        mask = mask.rename("d/masks/A.PNG")
    elif link == "..":
        out = "d/images/../../d"
    elif link == "parent":
        Path("e").symlink_to(d / "d")
        out = "e"
    before = tree(".")
    one = folder(out, inputs=(mask,))
    for existing in ("refuse", "resume", "overwrite"):
        with pytest.raises(
            OutputError, match=rf"{mask} is an input of this run, and its results in {out} would replace"
        ):
            run(replace(one, existing=existing), never)
    assert tree(".") == before


@pytest.mark.parametrize("name", ["overlays/b.jpg", "results.jsonl", "manifest.json"])
def test_a_photo_and_a_concept_are_inputs_too(d: Path, name: str) -> None:
    Path("out").mkdir()
    Path("out/overlays").mkdir()
    Path("d/images/a.jpg").rename(Path("out") / name)
    one = folder(inputs=(Path("out") / name,))
    with pytest.raises(OutputError, match="is an input of this run" if name != "manifest.json" else "not the manifest"):
        run(one, never)


def test_an_earlier_result_that_is_an_input_now_is_not_removed(d: Path) -> None:
    run(folder())
    again = folder(existing="overwrite", inputs=(Path("out/masks/a.png"),), settings={"threshold": 0.8})
    before = tree("out")
    with pytest.raises(OutputError, match=r"out/masks/a\.png is an input of this run"):
        run(again, never)
    assert tree("out") == before


# ---- what is not ours


@pytest.mark.parametrize("name", ["masks/b.png", "masks/mine.png", "overlays/b.jpg", "results.jsonl"])
def test_files_of_others_in_the_place_of_results_are_refused(d: Path, name: str) -> None:
    Path("out", name).parent.mkdir(parents=True)
    Path("out", name).write_text("mine")
    for existing in ("refuse", "resume", "overwrite"):
        with pytest.raises(OutputError, match=rf"out holds 1 file \({name}\) in the place of results, and no manifest"):
            run(folder(existing=existing), never)
    assert tree("out") == {name: b"mine"}


def test_other_files_beside_results_are_nobodys_business(d: Path) -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    assert run(folder()) == ["a", "b", "c"]
    Path("out/masks/mine.png").write_text("mine too")
    assert run(folder(existing="overwrite", max_instances=2)) == ["a", "b", "c"]
    assert {name for name in tree("out") if "masks" in name} == {
        f"masks/{n}.png" for n in ("a_1", "b_1", "c_1", "mine")
    }
    assert Path("out/notes.txt").read_text() == "mine"


def test_a_file_that_came_in_the_way_meanwhile_is_refused(d: Path) -> None:
    run(folder())
    Path("out/masks/a_1.png").write_text("mine")
    with pytest.raises(OutputError, match=r"holds 1 file \(masks/a_1\.png\) in the place of results"):
        run(folder(existing="overwrite", max_instances=2), never)
    assert Path("out/masks/a.png").exists()


def test_a_manifest_of_something_else(d: Path) -> None:
    Path("out").mkdir()
    for text in ("{}", "not json", '{"format": "persam-run-99"}', '["persam-run-1"]'):
        Path("out/manifest.json").write_text(text)
        with pytest.raises(
            OutputError, match=r"out/manifest\.json is not the manifest of a run of this version of persam"
        ):
            run(folder(existing="overwrite"), never)


def test_a_manifest_that_names_files_elsewhere_removes_nothing(d: Path) -> None:
    run(folder())
    for path in ("../d/images/a.jpg", str(d / "d/images/a.jpg"), "masks/../../d/images/a.jpg"):
        plain = json.loads(Path("out/manifest.json").read_text())
        Path("out/manifest.json").write_text(json.dumps(plain | {"outputs": [path]}))
        with pytest.raises(OutputError, match="it names files outside its folder"):
            run(folder(existing="overwrite"), never)
        assert Path("d/images/a.jpg").exists()


# ---- another run


def test_another_run_is_refused_with_what_differs_or_overwritten(d: Path) -> None:
    run(folder())
    other = folder(concepts=("tom",), settings={"threshold": 0.8, "model": "nano"})
    differs = r"threshold 0\.5 then, 0\.8 now; concept rex then, tom now"
    with pytest.raises(OutputError, match=rf"out holds the results of another run: {differs}\. .* with --overwrite"):
        run(other, never)
    with pytest.raises(OutputError, match=rf"cannot resume the run in out: {differs}\. Give the same as then"):
        run(replace(other, existing="resume"), never)

    def absent(target: Target) -> ImageResult:
        return image("", segmentation(MASK, "tom", present=False), read=target.read)

    assert run(replace(other, existing="overwrite"), absent) == ["a", "b", "c"]
    assert {file for file in tree("out") if file.startswith("masks")} == set()  # nothing of rex
    assert Manifest.load(Path("out")).settings["concept"] == ["tom"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_instances": 2}, "max_instances 1 then, 2 now"),
        ({"overlays": False}, "overlays True then, False now"),
        ({"settings": {"threshold": 0.5, "model": "vit_b"}}, "model nano then, vit_b now"),
        ({"settings": {"threshold": 0.5, "model": "nano", "persam": "9"}}, "persam None then, 9 now"),
        ({"settings": {"threshold": 0.5}}, "model nano then, None now"),
    ],
)
def test_a_run_is_resumed_with_the_same_settings_alone(d: Path, change: dict, says: str) -> None:
    run(folder())
    with pytest.raises(OutputError, match=says):
        run(folder(existing="resume", **change), never)


def test_what_is_not_known_yet_does_not_differ(d: Path) -> None:
    run(folder())
    folder(existing="resume", settings={"threshold": 0.5, "model": None}).check(album())
    with pytest.raises(OutputError, match=r"threshold 0\.5 then, 0\.9 now"):
        folder(existing="resume", settings={"threshold": 0.9, "model": None}).check(album())


def test_the_same_run_again_says_how_to_go_on(d: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(folder(), stop_after(2))
    with pytest.raises(
        OutputError, match=r"out holds this run already, 2 of 3 done: go on with --resume, or begin again"
    ):
        run(folder(), never)
    assert len(read_lines(Path("out/results.jsonl"))) == 2


# ---- resume


def test_a_finished_photo_is_not_searched_again(d: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(folder(), stop_after(2))
    before = Path("out/masks/a.png").stat().st_mtime_ns
    kept: list[dict] = []
    records = list(folder(existing="resume").search(album(), ask, kept=kept.extend))
    assert [record["image"] for record in kept] == ["d/images/a.jpg", "d/images/b.jpg"]
    assert [record["image"] for record in records] == ["d/images/c.jpg"]
    assert Path("out/masks/a.png").stat().st_mtime_ns == before
    assert run(folder(existing="resume"), never) == []
    undisturbed = folder("other", existing="resume")  # there is nothing to resume: it begins
    assert run(undisturbed) == ["a", "b", "c"]
    assert tree("out")["results.jsonl"] == tree("other")["results.jsonl"].replace(b"other/", b"out/")


@pytest.mark.parametrize(
    "damage",
    [
        b'{"image": "d/images/c.jpg", "pres',  # killed within a line
        b'{"image": "d/images/c.jpg"}',  # a line is whole when its newline is there
        b"\x00" * 40,
        b"[1, 2]\n",
    ],
)
def test_a_torn_line_is_cut_off(d: Path, damage: bytes) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(folder(), stop_after(2))
    with Path("out/results.jsonl").open("ab") as file:
        file.write(damage)
    assert run(folder(existing="resume")) == ["c"]
    assert [json.loads(line)["image"][-5] for line in Path("out/results.jsonl").read_text().splitlines()] == [
        "a",
        "b",
        "c",
    ]


def test_a_photo_whose_files_are_gone_or_that_changed_is_searched_again(d: Path) -> None:
    run(folder())
    Path("out/masks/b.png").unlink()
    Image.new("RGB", (6, 4), (9, 99, 9)).save("d/images/c.jpg")
    os.utime("d/images/c.jpg", ns=(1, 1))
    assert run(folder(existing="resume")) == ["b", "c"]
    assert [record["image"][-5] for record in read_lines(Path("out/results.jsonl"))] == ["a", "b", "c"]
    Path("out/overlays/a.jpg").write_bytes(b"")  # as a power cut leaves it
    assert run(folder(existing="resume")) == ["a"]


def test_a_photo_with_an_error_is_tried_again_and_lands_in_its_place(d: Path) -> None:
    good = Path("d/images/a.jpg").read_bytes()
    Path("d/images/a.jpg").write_text("no photo")
    assert run(folder()) == ["a", "b", "c"]
    assert "error" in read_lines(Path("out/results.jsonl"))[0]
    Path("d/images/a.jpg").write_bytes(good)
    assert run(folder(existing="resume")) == ["a"]
    assert [record["image"][-5] for record in read_lines(Path("out/results.jsonl"))] == ["a", "b", "c"]
    assert not any("error" in record for record in read_lines(Path("out/results.jsonl")))


def test_photos_may_be_added_and_not_taken_away(d: Path) -> None:
    assert run(folder(), photos="d/images/[ac].jpg") == ["a", "c"]
    assert run(folder(existing="resume")) == ["b"]
    assert [record["image"][-5] for record in read_lines(Path("out/results.jsonl"))] == ["a", "b", "c"]
    with pytest.raises(OutputError, match=r"cannot resume .*: 1 photo \(d/images/b\.jpg\) of it is not given now\."):
        run(folder(existing="resume"), never, photos="d/images/[ac].jpg")


def test_a_run_is_resumed_from_where_it_was_begun(d: Path, monkeypatch) -> None:
    run(folder())
    monkeypatch.chdir("d")
    with pytest.raises(OutputError, match=rf"output out then, \.\./out now; begun in {d} then, {d / 'd'} now"):
        run(folder("../out", existing="resume"), never, photos="images")


def test_the_same_photo_twice_is_two_items(d: Path) -> None:
    twice = list(iter_targets(["d/images/a.jpg", "d/images/a.jpg"]))
    records = folder().search(twice, ask)
    next(records)
    records.close()
    assert [record["objects"][0]["mask"] for record in folder(existing="resume").search(twice, ask)] == [
        "out/masks/a_2.png"
    ]


def test_what_a_killed_process_left_behind_is_removed(d: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(folder(max_instances=3), stop_after(1))
    for name in ("b_1.png", "b_2.png", f".{'0' * 32}.part"):
        Path("out/masks", name).write_bytes(b"of an unfinished photo")
    Path("out", f".{'1' * 32}.part").write_bytes(b"of the lines")
    assert run(folder(max_instances=3, existing="resume")) == ["b", "c"]
    assert sorted(os.listdir("out/masks")) == ["a_1.png", "b_1.png", "c_1.png"]
    assert not list(Path("out").glob("*.part"))


# ---- what cannot be written


def test_one_photo_that_cannot_be_written_or_needs_too_much_does_not_end_the_album(d: Path, monkeypatch) -> None:
    whole = write.write_bytes

    def refusing(data: bytes, path: Path) -> Path:
        if str(path) == "out/overlays/a.jpg":
            raise OutputError("cannot write out/overlays/a.jpg")
        return whole(data, path)

    def greedy(target: Target) -> ImageResult:
        if target.name == "b":
            raise OutOfMemoryError("too large")
        return ask(target)

    monkeypatch.setattr(write, "write_bytes", refusing)
    assert run(folder(), greedy) == ["a", "b", "c"]
    errors = [record.get("error") for record in read_lines(Path("out/results.jsonl"))]
    assert errors == ["cannot write out/overlays/a.jpg", "too large", None]
    assert os.listdir("out/masks") == ["c.png"]  # none of a photo whose results are not whole


def test_a_full_disk_ends_the_album_and_it_goes_on_later(d: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        whole = write.write_bytes

        def full(data: bytes, path: Path) -> Path:
            if str(path) == "out/overlays/b.jpg":
                raise DiskFullError("cannot write out/overlays/b.jpg: No space left on device.")
            return whole(data, path)

        patch.setattr(write, "write_bytes", full)
        with pytest.raises(DiskFullError, match="No space left"):
            run(folder())
    assert os.listdir("out/masks") == ["a.png"]
    assert run(folder(existing="resume")) == ["b", "c"]


class Narrow:
    """A file of lines on a disk with room for some bytes."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        self.room, room = 0, self.room
        if not room:
            raise OSError(28, "No space left on device")
        return self.file.write(data[:room])

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [5, 0])
def test_a_line_that_does_not_fit_is_not_begun(tmp_path: Path, room: int) -> None:
    with Run(tmp_path / "out", Manifest("segment", {}, ())) as one:
        one.append({"image": "a"})
        one._lines = Narrow(one._lines, room)  # type: ignore[assignment]
        with pytest.raises(DiskFullError, match=r"results\.jsonl: No space left on device\. Make room"):
            one.append({"image": "b"})
        assert one.records == [{"image": "a"}]
    assert (tmp_path / "out" / LINES).read_text() == '{"image": "a"}\n'


# ---- one writer


def test_one_writer_at_a_time(d: Path) -> None:
    first = folder().search(album(), ask)
    next(first)
    for existing in ("resume", "overwrite"):
        with pytest.raises(OutputError, match=r"another run of persam is writing into out\. Wait until it has ended"):
            run(folder(existing=existing), never)
    first.close()
    assert run(folder(existing="resume")) == ["b", "c"]
    assert not Path("out/.persam.lock").exists()


def test_a_lock_left_by_a_killed_process_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / ".persam.lock").touch()
    with only_writer(tmp_path), pytest.raises(OutputError, match="another run"), only_writer(tmp_path):
        pass
    assert not (tmp_path / ".persam.lock").exists()


# ---- the manifest


def test_the_manifest_says_what_was_run(d: Path) -> None:
    run(folder(max_instances=2), photos="d/images/a.jpg")
    state = Path("d/images/a.jpg").stat()
    assert json.loads(Path("out/manifest.json").read_text()) == {
        "format": "persam-run-1",
        "command": "segment",
        "settings": {
            "threshold": 0.5,
            "model": "nano",
            "concept": ["rex"],
            "max_instances": 2,
            "overlays": True,
            "output": "out",
            "begun in": str(d),
        },
        "photos": [{"name": "a", "image": "d/images/a.jpg", "bytes": state.st_size, "modified_ns": state.st_mtime_ns}],
        "outputs": [["masks/a_", ".png", 2], "overlays/a.jpg", "overlays/a.png"],
    }
    manifest = Manifest.load(Path("out"))
    assert manifest.outputs == (Output("masks/a_", ".png", 2), Output("overlays/a.jpg"), Output("overlays/a.png"))


@pytest.mark.parametrize(
    ("path", "exact", "folded"),
    [
        ("masks/a.png", True, True),
        ("masks/A.png", False, True),
        ("masks/b_1.png", True, True),
        ("masks/b_12.png", True, True),
        ("masks/b_13.png", False, False),
        ("masks/b_0.png", False, False),
        ("masks/b_01.png", False, False),
        ("masks/b_1.jpg", False, False),
        ("masks/b_.png", False, False),
        ("a.png", False, False),
        ("masks/2023_7.png", True, True),
    ],
)
def test_which_files_are_planned(path: str, exact: bool, folded: bool) -> None:
    outputs = [Output("masks/a.png"), Output("masks/b_", ".png", 12), Output("masks/2023_", ".png", 9)]
    assert Plan(outputs, folded=False).holds(path) is exact
    assert Plan(outputs, folded=True).holds(path) is folded


def test_a_photo_that_cannot_be_read_is_an_item(d: Path) -> None:
    def gone(target: Target) -> ImageResult:
        raise ImageError("there is no such file")

    (record,) = folder().search(list(iter_targets("d/none.jpg")), gone)
    assert record == {"image": "d/none.jpg", "error": "there is no such file"}
    assert Manifest.load(Path("out")).items[0].bytes is None
