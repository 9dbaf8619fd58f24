"""A training folder for masked DreamBooth, prepared for a trainer and packed to be taken home."""

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from persam.dreambooth.layouts import find
from persam.dreambooth.preparation import CAPTION, SHEET, Outcome, prepare
from persam.errors import DreamBoothError
from persam.io.album import Target
from persam.io.names import photo_names
from persam.io.write import write_bytes
from persam.method.concept import Concept
from persam.model import PerSAM
from persam.studio.downloads import zip_of
from persam.studio.limits import Limits
from persam.studio.photo import read_photo

HOME = "/path/to/training"  # where the folder will lie: settings of trainers name it
SETTINGS = (".toml", ".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Training:
    """archive: the folder's ZIP, None where no photo can be used. sheet: a picture of it. about: how to train."""

    outcomes: tuple[Outcome, ...]
    sheet: Path
    archive: Path | None
    about: str


def prepared(
    paths: Sequence[Path],
    concepts: Sequence[Concept],
    folder: Path,
    *,
    model: PerSAM,
    limits: Limits,
    layout: str = "diffusers",
    caption: str = CAPTION,
) -> Training:
    """The photos with their masks as `dreambooth.prepare` makes them, in a ZIP of its folder.

    Raises:
        LimitError: there are too many photos, or they take too long.
        DreamBoothError: there is no such layout, or the caption is not one line.
        ConceptError: as for `PerSAM.segment`.
    """
    limits.check_count(len(paths))
    deadline = limits.deadline("preparing the training folder")
    home = folder / f"training-{uuid.uuid4().hex}"
    names = photo_names([path.name for path in paths])

    def target(name: str, path: Path) -> Target:
        return Target(name, None, lambda: read_photo(path, limits).rgb)

    outcomes: list[Outcome] = []

    def watch(outcome: Outcome) -> None:
        outcomes.append(outcome)
        deadline.check()

    try:
        prepare(
            [target(name, path) for name, path in zip(names, paths, strict=True)],
            concepts,
            home,
            model=model,
            layout=layout,
            caption=caption.strip() or CAPTION,
            watch=watch,
        )
        usable = True
    except DreamBoothError:
        if not (home / SHEET).is_file():
            raise
        usable = False
    try:
        sheet = Path(shutil.copy(home / SHEET, folder / f"{home.name}.jpg"))
        for one in (path for path in home.iterdir() if path.suffix in SETTINGS):
            write_bytes(one.read_text(encoding="utf-8").replace(str(home), HOME).encode(), one)
        about = find(layout).about.replace("DIR", HOME)
        archive = zip_of(home, folder / f"{layout}.zip") if usable else None
        return Training(tuple(outcomes), sheet, archive, about)
    finally:
        shutil.rmtree(home, ignore_errors=True)
