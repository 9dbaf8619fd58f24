"""The README holds: its code runs, its links lead somewhere, its commands exist, its tables are those of the rows."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from demos import readme_picture
from persam.cli.main import command_line
from persam.eval import tables as readme
from persam.method.recipes import RECIPES
from persam.sam import weights

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CARD = ROOT / "persam" / "models" / "NANO.md"
RUNNABLE = re.findall(r"<!-- runnable -->\n```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


def cells(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_code_runs_as_it_stands_and_finds_what_it_says(tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in RUNNABLE:
            exec(compile(block, "README.md", "exec"), names)  # the point of the test
    assert len(RUNNABLE) == 3
    assert printed.getvalue().count("Segmentation('object' in ") == 2
    with Image.open("found/gallery.png") as mask, Image.open("data/examples/photos/gallery.jpg") as photo:
        assert mask.size == photo.size
    assert names["found"].mask.any()
    assert names["a_cat"].concept == "cat"
    assert names["a_cup"].concept == "cup"
    assert not (names["a_cat"].mask & names["a_cup"].mask).any()
    assert len(names["coins"]) >= 2
    assert names["cat"].scale_weights is not None
    assert Path("cat.safetensors").stat().st_size < 120_000


def test_the_picture_is_what_its_program_draws(tmp_path, capsys):
    assert "`python demos/readme_picture.py`" in README
    assert "](docs/found.jpg)" in README
    readme_picture.main(tmp_path / "made" / "found.jpg")
    said = capsys.readouterr().out.splitlines()
    assert len(said) == sum(len(targets) for _, _, targets, _ in readme_picture.ROWS)
    with Image.open(tmp_path / "made" / "found.jpg") as made, Image.open(ROOT / "docs" / "found.jpg") as shown:
        assert made.size == shown.size


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", CARD], ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_every_link_within_the_page_has_its_heading():
    headings = {re.sub(r"[^a-z -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"\n#+ (.*)", README)}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


def test_every_command_and_option_it_names_is_in_the_help():
    commands = set(re.findall(r"\bpersam ([a-z]+)\b(?= |`|\n)", "\n".join([*SHELL, *re.findall(r"`[^`]+`", README)])))
    assert {"segment", "learn", "weights", "demo"} <= commands
    root = command_line().format_help()
    assert [name for name in sorted(commands) if not re.search(rf"^ +{name}\b", root, re.MULTILINE)] == []


def test_every_shell_line_is_one_that_the_command_understands():
    lines = [line.split("#")[0] for block in SHELL for line in block.splitlines() if line.startswith("persam ")]
    assert len(lines) >= 6
    for line in lines:
        options, unknown = command_line().parse_known_args(shlex.split(line)[1:])
        assert options.run
        assert not any(word.startswith("-") for word in unknown)


def test_the_models_are_those_of_the_table_with_their_sizes_and_licences():
    rows = {row[0].strip("`"): row[1:3] for row in cells("Models")}
    sizes = {name: source.size_bytes or weights.path(name).stat().st_size for name, source in weights.TABLE.items()}
    assert rows == {name: [f"{sizes[name] / 1e6:.0f} MB", source.licence] for name, source in weights.TABLE.items()}


def test_the_recipes_are_those_there_are():
    assert [row[0].strip("`") for row in cells("Recipes")] == list(RECIPES)


@pytest.mark.parametrize("row", cells("How it works"), ids=lambda row: row[0])
def test_each_step_of_the_paper_is_in_the_file_that_the_map_names(row):
    _, link, names = row
    source = (ROOT / re.search(r"\((.*)\)", link)[1]).read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+)`", names):
        assert re.search(rf"^ *(def|class) {name}\b", source, re.MULTILINE), f"{name} is not in {link}"


def test_the_results_are_what_the_rows_give():
    rows = readme.read_rows(ROOT / "data" / "results" / "eval.csv")
    assert readme.with_tables(README, rows) == README, "run `python -m persam.eval.tables`"


def test_the_model_card_is_in_the_wheel_and_names_the_command_that_trains():
    assert "python -m training.train --archive" in CARD.read_text(encoding="utf-8")
