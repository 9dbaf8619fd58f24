"""A tiny archive in the format of `train.zip`, plain rectangles on dark ground, 96 x 80 pixels; and a run on it."""

import csv
import functools
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training import curriculum, held_out, train

HEIGHT, WIDTH = 80, 96
COLOURS = [(250, 250, 240), (220, 60, 40), (40, 200, 60)]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1, the last two exclusive


@dataclass(frozen=True)
class Drawn:
    """One photo of the archive: a rectangle a mask, and perhaps one of pixels that count neither way.

    group, same: of a photo that has things in common with others.
    """

    id: str
    boxes: tuple[Box, ...]
    ignore: Box | None = None
    group: str | None = None
    same: tuple[int | None, ...] = ()

    @property
    def line(self) -> dict[str, Any]:
        source, number = self.id.split("_")[0], len(self.boxes)
        shape = {"height": HEIGHT, "width": WIDTH}
        line = {"id": self.id, "source": source, **shape, "masks": number, "ignore": self.ignore is not None}
        return line | ({"group": self.group, "same": list(self.same)} if self.group else {})


LEFT, RIGHT, BOTH = (8, 10, 40, 50), (56, 24, 90, 70), (8, 10, 90, 70)
PHOTOS = (
    Drawn("voc_001", (LEFT, RIGHT), ignore=(40, 10, 44, 50)),
    Drawn("voc_002", (BOTH, LEFT)),
    Drawn("ecssd_002", (RIGHT,)),
    Drawn("ecssd_003", ()),  # nobody drew a mask
    Drawn("voc_034", (LEFT, RIGHT)),  # held out: the checksum of its name is a multiple of 20
    Drawn("ecssd_001", (BOTH,)),  # held out
)


def plane(box: Box) -> np.ndarray:
    x0, y0, x1, y1 = box
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def picture(drawn: Drawn) -> np.ndarray:
    rgb = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    for box, colour in zip(drawn.boxes, COLOURS, strict=False):
        rgb[plane(box) > 0] = colour
    return rgb


def write_archive(path: Path, photos: tuple[Drawn, ...]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("index.jsonl", "\n".join(json.dumps(drawn.line) for drawn in photos))
        for drawn in photos:
            _, jpeg = cv2.imencode(".jpg", picture(drawn)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            file.writestr(f"images/{drawn.id}.jpg", jpeg.tobytes())
            planes = [plane(box) for box in (*drawn.boxes, *filter(None, [drawn.ignore]))]
            if planes:
                _, png = cv2.imencode(".png", np.concatenate(planes) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
                file.writestr(f"masks/{drawn.id}.png", png.tobytes())
    return path


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive") / "train.zip", PHOTOS)


def run_training(archive: Path, out: Path, *more: str) -> None:
    """The command line, as the README has it: four steps at inputs of 64 pixels, one or two scenes a step."""
    small = {
        course: {start: replace(stage, sizes={64: (1.0, 1 + (start > 0.5))}) for start, stage in stages.items()}
        for course, stages in curriculum.COURSES.items()
    }
    arguments = ["--archive", str(archive), "--out", str(out), "--steps", "4", "--eval-every", "2", "--threads", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curriculum, "COURSES", small)
        patch.setattr(train, "held_out", functools.partial(held_out.held_out, size=64))
        patch.setattr("sys.argv", ["train", *arguments, *more])
        train.main()


def log_rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def finished(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted. Read only."""
    out = tmp_path_factory.mktemp("run")
    run_training(archive, out)
    return out
