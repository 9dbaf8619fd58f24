"""The documentation's links hold on GitHub and on the site."""

import re
from pathlib import Path

import pytest
import yaml

from docs import hooks

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("path", "link", "expected"),
    [
        ("docs/how-to.md", "limits.md#count", "limits.md#count"),
        ("docs/how-to.md", "../persam/models/NANO.md", "repository/persam/models/NANO.md"),
        ("docs/how-to.md", "../persam/model.py", "repository/persam/model.py.md"),
        ("docs/how-to.md", "../data/results/eval.csv", "repository/data/results/eval.csv"),
        ("docs/api/dreambooth.md", "../dreambooth.md", "../dreambooth.md"),
        ("README.md", "docs/how-to.md#recipes", "how-to.md#recipes"),
        ("CONTRIBUTING.md", "docs/hooks.py", "docs/hooks.py.md"),  # beside it, in repository/
        ("README.md", "CHANGELOG.md", "repository/CHANGELOG.md"),
        ("persam/models/NANO.md", "../../docs/limits.md", "../../../limits.md"),
        ("persam/models/NANO.md", "../../README.md#models", "../../../index.md#models"),
        ("docs/how-to.md", "../training", "repository/training/README.md"),
        ("docs/how-to.md", "https://arxiv.org/abs/2305.03048", "https://arxiv.org/abs/2305.03048"),
        ("docs/how-to.md", "#recipes", "#recipes"),
        ("docs/how-to.md", "../nowhere.md", "../nowhere.md"),  # MkDocs complains of it
    ],
)
def test_a_link_leads_to_the_same_on_the_site(path: str, link: str, expected: str):
    moved = hooks.moved(f"See [it]({link}).\n\n```\n[it]({link})\n```\n", path, hooks.place_of(path))
    assert moved == f"See [it]({expected}).\n\n```\n[it]({link})\n```\n"


def test_what_a_page_loads_from_elsewhere_is_found():
    page = '<link rel="stylesheet" href="https://fonts.example/a.css"><img src=//cdn.example/b.png><script src="c.js">'
    assert hooks.loaded_from_elsewhere(page) == ["//cdn.example/b.png", "https://fonts.example/a.css"]
    assert hooks.loaded_from_elsewhere('<a href="https://arxiv.org">paper</a><img src="found.jpg">') == []


class _Names(yaml.SafeLoader):
    """Reads names of Python's functions as texts."""


_Names.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def test_every_page_of_the_docs_is_in_the_navigation():
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Names)  # a safe loader
    named = set(re.findall(r"[\w./-]+\.md", str(settings["nav"])))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert pages - named == set()
    assert {hooks.COPIES + "SECURITY.md", hooks.COPIES + "CHANGELOG.md", "index.md"} <= named
