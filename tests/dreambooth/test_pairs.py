"""A training folder holds exact pairs, and says by name what is not one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from persam.dreambooth.pairs import read_pairs
from persam.errors import DreamBoothError
from tests.dreambooth.folders import write_pair


def test_pairs_come_sorted_by_name_with_the_captions_there_are(tmp_path):
    second, first = write_pair(tmp_path, "b"), write_pair(tmp_path, "a", hw=(48, 80))
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "a.txt").write_text("a photo of rex\n")
    (tmp_path / "images" / ".DS_Store").write_text("")
    one, two = read_pairs(tmp_path)
    assert (one.image, one.mask, one.caption) == (first.image, first.mask, "a photo of rex")
    assert two == second


def test_a_caption_that_is_no_text_is_named(tmp_path):
    write_pair(tmp_path, "a")
    (tmp_path / "captions").mkdir()
    (tmp_path / "captions" / "a.txt").write_bytes(b"a photo of sks caf\xe9")
    with pytest.raises(
        DreamBoothError, match=r"cannot read the caption .*a\.txt: .* Save it as UTF-8 text, or remove it"
    ):
        read_pairs(tmp_path)


def only_masks(folder: Path) -> None:
    (folder / "images" / "a.png").unlink()


def extra_photo(folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "images" / "c.png")


def extra_text(folder: Path) -> None:
    (folder / "images" / "notes.txt").write_text("my dog")


def one_name(folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "images" / "a.jpg")


def other_size(folder: Path) -> None:
    Image.new("L", (64, 32), 255).save(folder / "masks" / "a.png")


def empty(folder: Path) -> None:
    Image.new("L", (64, 64)).save(folder / "masks" / "a.png")


def full(folder: Path) -> None:
    Image.new("L", (64, 64), 255).save(folder / "masks" / "a.png")


def corrupt(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(folder / "images" / "a.png")
    (folder / "images" / "a.png").write_bytes((folder / "images" / "a.png").read_bytes()[:900])


def no_masks(folder: Path) -> None:
    (folder / "masks" / "a.png").unlink()
    (folder / "masks").rmdir()


def nothing(folder: Path) -> None:
    (folder / "masks" / "a.png").unlink()
    (folder / "images" / "a.png").unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (only_masks, "masks/a.png has no partner of the same name in .*/images: every photo needs one mask"),
        (extra_photo, "images/c.png has no partner of the same name in .*/masks"),
        (extra_text, "images/notes.txt has no partner"),
        (one_name, "images/a.jpg and a.png have one name"),
        (other_size, "masks/a.png cannot be used: the mask is 64x32 but .*images/a.png is 64x64"),
        (empty, "masks/a.png cannot be used: the mask is empty"),
        (full, "masks/a.png cannot be used: the mask is full"),
        (corrupt, "images/a.png: the file is damaged .* Or remove it and its mask"),
        (no_masks, "cannot list .*/masks: no such file or directory. A training folder holds images/ and masks/"),
        (nothing, "holds no photos. Fill it with `persam dreambooth prepare`"),
    ],
)
def test_what_is_no_pair_is_named(tmp_path, damage, says):
    write_pair(tmp_path, "a")
    damage(tmp_path)
    with pytest.raises(DreamBoothError, match=says):
        read_pairs(tmp_path)
