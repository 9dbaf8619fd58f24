"""What persam and its extras install, with licences: `python -m tests.release.licences` writes docs/licences.md.

Run it where all extras are installed by constraints.txt (`pip install -c constraints.txt -e ".[dev,heif]"`), after a
change of dependencies or pins. What a package says of itself is taken as it is; LICENCES and NOTES say the rest.
"""

import re
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).parent.parent.parent / "docs" / "licences.md"
SELF = "persam"
# Those that users take first.
EXTRAS = ("heif", "video", "studio", "onnx", "parquet", "sam2", "dreambooth", "ray", "test", "docs", "dev")
# Of packages whose metadata does not say it, read in the licence file of the release.
LICENCES = {"segment-anything": "Apache-2.0"}
NOTES = {
    "av": "The wheel contains FFmpeg with libx264 and libx265, which are GPL-2.0-or-later: whoever passes the wheel on "
    "passes on GPL software. persam calls it in a process of its user, and is itself Apache-2.0.",
    "opencv-python-headless": "The wheel contains FFmpeg under LGPL-2.1; persam reads no video by it.",
    "pillow-heif": "The wheel contains libheif and libde265 (LGPL-3.0) and x265 (GPL-2.0); persam only reads by it.",
    "torch": "The wheel for CUDA brings NVIDIA's libraries under NVIDIA's own terms; they are not listed here.",
}
HEAD = """# Licences

persam is Apache-2.0, and so is its bundled model. The [example photos](../data/SOURCE.md) have licences of their own.
It installs the packages below. `python -m tests.release.licences` writes this page from what the packages say of
themselves, at the versions of `constraints.txt`, on Linux.
"""


@dataclass
class Part:
    """A package that is installed. wanted: what asks for it first, "persam" or an extra."""

    name: str
    version: str
    licence: str
    wanted: str
    extras: set[str] = field(default_factory=set)


def installed(extras: tuple[str, ...] = EXTRAS) -> list[Part]:
    """Every package that persam needs with these extras, by whatever asks for it first."""
    parts: dict[str, Part] = {}
    for wanted in (SELF, *extras):
        todo = list(direct(wanted))
        while todo:
            need = todo.pop()
            name = canonicalize_name(need.name)
            if name == SELF:
                continue
            known = parts.get(name)
            new = need.extras if known is None else need.extras - known.extras
            if known is None:
                package = metadata.distribution(name)
                known = parts[name] = Part(name, package.version.split("+")[0], licence_of(package), wanted)
                todo += needs(name, "")
            known.extras |= new
            for extra in new:
                todo += needs(name, extra)
    return sorted(parts.values(), key=lambda part: part.name)


def direct(wanted: str) -> list[Requirement]:
    """What persam itself names, for everyone or for an extra."""
    return needs(SELF, "" if wanted == SELF else wanted)


def needs(name: str, extra: str) -> list[Requirement]:
    """What a package asks for on this machine; with an extra, what that asks for besides."""
    found = []
    for line in metadata.requires(name) or []:
        need = Requirement(line)
        here = {**{key: str(value) for key, value in default_environment().items()}, "extra": extra}
        if need.marker is None:
            is_wanted = not extra
        else:
            is_wanted = need.marker.evaluate(here) and (not extra or not need.marker.evaluate(here | {"extra": ""}))
        if is_wanted:
            found.append(need)
    return found


def licence_of(package: metadata.Distribution) -> str:
    """What the package says of itself, in a few words."""
    if known := LICENCES.get(canonicalize_name(package.name)):
        return known
    fields = {name: package.metadata.get_all(name, []) for name in ("License-Expression", "License", "Classifier")}
    if fields["License-Expression"]:
        return str(fields["License-Expression"][0])
    classes = [line.split(" :: ")[-1] for line in fields["Classifier"] if line.startswith("License ::")]
    classes = [one for one in classes if one != "OSI Approved"]
    text = "".join(fields["License"]).strip().removeprefix("UNKNOWN")
    if text and "\n" not in text and len(text) < 60:
        return text
    return ", ".join(classes) or (text.splitlines()[0][:60] if text else "not said")


def page(parts: list[Part]) -> str:
    lines = [HEAD]
    for wanted in (SELF, *EXTRAS):
        own = [part for part in parts if part.wanted == wanted]
        if not own:
            continue
        title = "Always" if wanted == SELF else f"With the extra `{wanted}`"
        lines += [f"## {title}\n", "| package | version | licence |", "|---|---|---|"]
        lines += [f"| {one.name} | {one.version} | {one.licence} |" for one in own]
        lines.append("")
    lines.append("## What the metadata does not say\n")
    lines += [f"- **{name}**: {text}" for name, text in NOTES.items()]
    return "\n".join(lines) + "\n"


def listed(text: str) -> dict[str, str]:
    """Names and versions of a page's rows."""
    return dict(re.findall(r"^\| ([a-z0-9-]+) \| ([0-9][^ ]*) \|", text, re.MULTILINE))


if __name__ == "__main__":
    PAGE.write_text(page(installed()), encoding="utf-8")
    sys.exit(print(f"{PAGE}: {len(listed(PAGE.read_text(encoding='utf-8')))} packages"))
