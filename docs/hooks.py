"""The site's pages that lie outside docs/: what a link leads to on GitHub, it leads to on the site.

README.md is the first page. Every file that a page links to is part of the site: Markdown as a page, source as a page
with its text, a folder as its README or a list, all else as it is. MkDocs calls the functions named on_...
"""

import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import File, Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS, COPIES, HOME = "docs/", "repository/", "README.md"
AS_IT_IS = {".csv", ".gif", ".ipynb", ".jpg", ".json", ".npz", ".png", ".safetensors"}
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".txt": "text", "": "text"}
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2", re.MULTILINE | re.DOTALL)
REMOTE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Adds what the pages link to, and what that links to."""
    todo = [HOME, *(DOCS + file.src_uri for file in files if file.is_documentation_page())]
    todo += [f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY") if (ROOT / f"{name}.md").exists()]
    seen = set(todo)
    while todo:
        path = todo.pop()
        if files.get_file_from_path(place_of(path)) is None and (ROOT / path).exists():
            files.append(_file(path, config))
        if not path.endswith(".md"):
            continue
        for link in _links((ROOT / path).read_text(encoding="utf-8")):
            target = target_of(link, path)
            if target and target not in seen and (ROOT / target).exists():
                seen.add(target)
                todo.append(_readme_of(target))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Turns links that hold in the repository into such that hold in the site."""
    path = _path_of(page.file.src_uri)
    return moved(markdown, path, page.file.src_uri) if path.endswith(".md") else markdown


def on_post_page(output: str, page: "Page", config: "MkDocsConfig") -> str:
    """Raises PluginError where a page would load something from another server."""
    from mkdocs.exceptions import PluginError

    if found := loaded_from_elsewhere(output):
        raise PluginError(f"{page.file.src_uri} loads {', '.join(found)}: the site has all it shows.")
    return output


def loaded_from_elsewhere(html: str) -> list[str]:
    """What a browser would fetch from another server to show the page; links are not followed."""
    return sorted(set(REMOTE.findall(html)))


def moved(markdown: str, path: str, place: str) -> str:
    """The text of the file `path` with links as they hold at `place` in the site's sources."""
    return _replace(markdown, lambda link: _moved(link, path, place))


def target_of(link: str, path: str) -> str | None:
    """What a link of the file `path` names in the repository; None for an address or a place on the same page."""
    place = link.partition("#")[0]
    if not place or re.match(r"[a-z]+:", place):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), place))


def place_of(path: str) -> str:
    """Where a file of the repository lies among the site's sources."""
    path = _readme_of(path)
    if path == HOME:
        return "index.md"
    if path.startswith(DOCS) and not path.endswith(".py"):
        return path.removeprefix(DOCS)
    as_it_is = path.endswith(".md") or Path(path).suffix in AS_IT_IS
    return COPIES + path + ("" if as_it_is else ".md")


def _readme_of(path: str) -> str:
    """A folder's page is its README where there is one."""
    readme = f"{path}/README.md"
    return readme if (ROOT / readme).exists() else path


def _path_of(place: str) -> str:
    """The file of the repository that a page was made of; a page of source has no links to move."""
    if place == "index.md":
        return HOME
    path = place.removeprefix(COPIES) if place.startswith(COPIES) else DOCS + place
    return path if (ROOT / path).exists() else path.removesuffix(".md")


def _file(path: str, config: "MkDocsConfig") -> "File":
    from mkdocs.structure.files import File

    here, place = ROOT / path, place_of(path)
    if here.is_dir():
        names = sorted(
            f"{one.name}/" if one.is_dir() else one.name for one in here.iterdir() if one.name[0] not in "._"
        )
        return File.generated(config, place, content=f"# {path}\n\n" + "".join(f"- `{name}`\n" for name in names))
    if here.suffix in AS_IT_IS or here.suffix == ".md":
        return File.generated(config, place, abs_src_path=str(here))
    language = LANGUAGES[here.suffix]
    text = here.read_text(encoding="utf-8")
    return File.generated(config, place, content=f"# {path}\n\n````{language}\n{text}\n````\n")


def _moved(link: str, path: str, place: str) -> str:
    target = target_of(link, path)
    if target is None or not (ROOT / target).exists():
        return link  # what leads nowhere is MkDocs' to say
    _, sign, heading = link.partition("#")
    return os.path.relpath(place_of(target), posixpath.dirname(place) or ".") + sign + heading


def _links(markdown: str) -> Iterator[str]:
    for text, is_code in _parts(markdown):
        if not is_code:
            yield from LINK.findall(text)


def _replace(markdown: str, change: Callable[[str], str]) -> str:
    parts = _parts(markdown)
    return "".join(text if is_code else LINK.sub(lambda match: change(match[0]), text) for text, is_code in parts)


def _parts(markdown: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, and which of them are blocks of code."""
    end = 0
    for block in FENCE.finditer(markdown):
        yield markdown[end : block.start()], False
        yield block[0], True
        end = block.end()
    yield markdown[end:], False
