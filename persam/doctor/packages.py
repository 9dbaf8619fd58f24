"""The packages that persam asks for, and those of its extras: whether they are here, which version, and do they import.

They are imported in a process of their own: one that crashes is told of, and takes nothing with it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from persam.doctor.line import Line, short

FOR_DEVELOPMENT = ("test", "dev", "docs")  # extras that no user needs
# What is imported of a distribution, where that is not its own name. segment-anything needs torchvision, or what
# `persam.sam` puts in its place; the search for an object tries it.
MODULES = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "ray": "ray.data",
    "segment-anything": "",
}
PATIENCE_S = 180  # to import the packages of one extra: those that import PyTorch take long on a slow disk
MARK = "persam-doctor "
IMPORT = f"""
import importlib, json, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        said = ""
    except BaseException as error:
        said = f"{{type(error).__name__}}: {{error}}"
    print("\\n{MARK}" + json.dumps([name, said]), flush=True)
"""


@dataclass(frozen=True)
class Requirement:
    """asks: what is said of versions, such as >=15,<19. extra: which extra asks; empty for what persam itself needs."""

    name: str
    asks: str
    extra: str

    @property
    def module(self) -> str:
        """What is imported to try it; empty where it is not tried alone."""
        return MODULES.get(self.name.lower(), self.name.replace("-", "_"))


def requirements() -> list[Requirement]:
    """What the installed persam asks for. Raises PackageNotFoundError where it is not installed, only on the path."""
    return [one for text in metadata.requires("persam") or () if (one := _requirement(text)) is not None]


def _requirement(text: str) -> Requirement | None:
    """None for what only joins extras, such as persam[test]."""
    asked, _, marker = text.partition(";")
    parts = re.fullmatch(r"\s*([\w.-]+)\s*(?:\[[^\]]*\])?\s*\(?([^()]*)\)?\s*", asked)
    extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
    if parts is None or parts[1].lower() == "persam":
        return None
    return Requirement(parts[1], parts[2].replace(" ", ""), extra[1] if extra else "")


def check_packages() -> Iterator[Line]:
    """A line for what is always needed, and one for each extra."""
    try:
        asked = requirements()
    except metadata.PackageNotFoundError:
        yield Line("packages", "missing", "persam runs from a folder and is not installed", "pip install -e .", True)
        return
    for extra in dict.fromkeys(one.extra for one in asked):
        if extra not in FOR_DEVELOPMENT:
            yield check_extra(extra, [one for one in asked if one.extra == extra])


def check_extra(extra: str, asked: Sequence[Requirement]) -> Line:
    """How the packages of an extra are; of persam's own where `extra` is empty."""
    name, needed = (f"extra {extra}", False) if extra else ("packages", True)
    install = f"pip install 'persam[{extra}]'" if extra else "pip install persam"
    versions = {one.name: _version(one.name) for one in asked}
    said = _imported([one.module for one in asked if one.module and versions[one.name]])
    missing = [one.name for one in asked if versions[one.name] is None]
    if missing:
        return Line(name, "missing", f"not installed: {', '.join(missing)}", install, needed)
    for one in asked:
        if not fits(versions[one.name] or "", one.asks):
            detail = f"{one.name} is {versions[one.name]}, and {one.asks} is asked for"
            return Line(name, "broken", detail, f"pip install '{one.name}{one.asks}'", needed)
    # All that fail: one may fail only because it needs another.
    failed = [one for one in asked if said.get(one.module)]
    if failed:
        whys = "; ".join(f"{one.name} {versions[one.name]} ({said[one.module]})" for one in failed)
        pins = " ".join(f"'{one.name}=={versions[one.name]}'" for one in failed)
        mend = f"pip install --force-reinstall --no-deps {pins}"
        return Line(name, "broken", f"does not import: {whys}", mend, needed)
    return Line(name, "ok", ", ".join(f"{name} {version}" for name, version in versions.items()), needed=needed)


def fits(version: str, asks: str) -> bool:
    """Whether a version is one of those that are asked for, by its numbers alone."""
    for ask in filter(None, asks.split(",")):
        sign, wanted = re.match(r"[<>=!~]+", ask), _numbers(ask)
        have = _numbers(version)
        wide = max(len(have), len(wanted))
        one, other = ((*numbers, *[0] * (wide - len(numbers))) for numbers in (have, wanted))
        holds = {
            ">=": one >= other,
            "<=": one <= other,
            ">": one > other,
            "<": one < other,
            "==": one == other,
            "!=": one != other,
            "~=": one >= other and one[: len(wanted) - 1] == other[: len(wanted) - 1],
        }
        if not holds.get(sign[0] if sign else "", True):
            return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _imported(modules: Sequence[str]) -> dict[str, str]:
    """What each module says when it is imported; nothing where it imports."""
    if not modules:
        return {}
    command = [sys.executable, "-W", "ignore", "-c", IMPORT, *modules]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        output, end = done.stdout, f"its process ended with {done.returncode}"
    except subprocess.TimeoutExpired as error:
        told: Any = error.stdout  # bytes here, text on Windows
        output = told.decode() if isinstance(told, bytes) else str(told or "")
        end = f"it takes longer than {PATIENCE_S} s"
    except OSError as error:
        return dict.fromkeys(modules, short(error))
    lines = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
    said = {name: text.splitlines()[0][:160] if text else "" for name, text in map(json.loads, lines)}
    untold = [name for name in modules if name not in said]
    return said | ({untold[0]: end} if untold else {})
