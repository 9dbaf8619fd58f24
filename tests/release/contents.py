"""What the archives of a release hold: `python -m tests.release.contents DIST` lists what is too much or missing."""

import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

WHEEL = (
    r"persam/[a-z_0-9/]+\.py",
    r"persam/py\.typed",
    r"persam/models/(NANO\.md|nano\.calibration\.json|nano\.safetensors)",
    r"persam-[^/]+\.dist-info/(METADATA|RECORD|WHEEL|entry_points\.txt|licenses/LICENSE)",
)
SDIST = (
    *WHEEL[:3],
    r"(tests|training|demos|docs)/[\w./-]+\.(py|sh|md|txt|npz|jpg|png|svg|ipynb)",
    r"data/[\w./-]+\.(py|md|csv|jpg|png|json)",
    r"(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md",
    r"(LICENSE|CITATION\.cff|PKG-INFO|constraints\.txt|mkdocs\.yml|pyproject\.toml|\.gitignore)",
)
NEEDED = ["persam/__init__.py", "persam/py.typed", "persam/models/nano.safetensors", "persam/models/NANO.md"]
SOURCE = [*NEEDED, "README.md", "LICENSE", "CITATION.cff", "SECURITY.md", "constraints.txt", "tests/conftest.py"]
MOST_MB = 40  # of either archive; the weights are 9, the example photos and golden tensors most of the rest


def stray(names: Iterable[str], allowed: Iterable[str]) -> list[str]:
    patterns = list(allowed)
    return [f"{name} is not allowed" for name in names if not any(re.fullmatch(one, name) for one in patterns)]


def missing(names: Iterable[str], needed: Iterable[str]) -> list[str]:
    there = set(names)
    return [f"{name} is missing" for name in needed if name not in there]


def faults(folder: Path) -> list[str]:
    """Of the one wheel and the one sdist in the folder."""
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = archive.namelist()
    with tarfile.open(sdist) as archive_:
        in_sdist = [one.name.partition("/")[2] for one in archive_.getmembers()]
    found = [f"{wheel.name}: {one}" for one in stray(in_wheel, WHEEL) + missing(in_wheel, NEEDED)]
    found += [f"{sdist.name}: {one}" for one in stray(in_sdist, SDIST) + missing(in_sdist, SOURCE)]
    sizes = {path.name: path.stat().st_size / 1e6 for path in (wheel, sdist)}
    found += [f"{name}: {size:.0f} MB, more than {MOST_MB}" for name, size in sizes.items() if size > MOST_MB]
    print(
        ", ".join(f"{name}: {size:.1f} MB" for name, size in sizes.items()),
        f"{len(in_wheel)} and {len(in_sdist)} files",
    )
    return found


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]))
    print(*found, sep="\n")
    sys.exit(1 if found else 0)
