"""README and docs hold: their code runs, links lead somewhere, commands exist, tables are those of the rows."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from demos import readme_picture, readme_strip
from persam.cli.arguments import command_line, joined
from persam.eval import tables
from persam.method.recipes import RECIPES
from persam.sam import weights
from persam.sam.sources import TABLE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CARD = ROOT / "persam" / "models" / "NANO.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "training/README")), CARD, *DOCS]


def runnable(page: Path) -> list[str]:
    return re.findall(r"<!-- runnable -->\n```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def shell(page: Path) -> list[str]:
    return re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def rows_under(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    section = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    table = section[section.index("\n|") :].strip().split("\n\n")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def run(page: Path, folder: Path, monkeypatch) -> tuple[dict, str]:
    """What the page's code leaves behind, run in order from a folder with the example photos; and what it prints."""
    (folder / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(folder)
    names: dict = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in runnable(page):
            exec(compile(block, page.name, "exec"), names)  # the point of the test
    return names, printed.getvalue()


@pytest.mark.slow
def test_the_readmes_code_runs_as_it_stands_and_finds_what_it_says(tmp_path, monkeypatch):
    names, printed = run(ROOT / "README.md", tmp_path, monkeypatch)
    assert printed.count("ImageResult(") == 2
    with Image.open("found/gallery.png") as mask, Image.open("data/examples/photos/gallery.jpg") as photo:
        assert mask.size == photo.size
    assert names["image"].mask.any()
    assert names["a_cat"].present
    assert names["a_cup"].present
    assert not (names["a_cat"].mask & names["a_cup"].mask).any()
    assert len(names["coins"]) >= 8
    assert names["cat"].scale_weights is not None
    assert Path("cat.safetensors").stat().st_size < 320_000  # two references


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in DOCS if runnable(page)], ids=lambda page: page.stem)
def test_the_code_of_the_docs_runs(page, tmp_path, monkeypatch):
    names, _ = run(page, tmp_path, monkeypatch)
    assert names


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.slow
def test_the_picture_is_what_its_program_draws(tmp_path, capsys):
    assert "`python demos/readme_picture.py`" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/found.jpg)" in (ROOT / "README.md").read_text(encoding="utf-8")
    readme_picture.main(tmp_path / "made" / "found.jpg")
    said = capsys.readouterr().out.splitlines()
    assert len(said) == sum(len(targets) for _, _, targets, _ in readme_picture.ROWS)
    with Image.open(tmp_path / "made" / "found.jpg") as made, Image.open(ROOT / "docs" / "found.jpg") as shown:
        assert made.size == shown.size


@pytest.mark.slow
def test_the_strip_is_what_its_program_draws(tmp_path, capsys):
    assert "`python demos/readme_strip.py`" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/tracked.jpg)" in (ROOT / "README.md").read_text(encoding="utf-8")
    results = readme_strip.main(tmp_path / "tracked.jpg")
    assert len(capsys.readouterr().out.splitlines()) == len(results) == readme_strip.FRAMES
    assert {(one.concept, one.track_id) for result in results for one in result} == {("cat", 1), ("cup", 2)}
    with_cup = [result["cup"].present for result in results]
    assert (with_cup[0], with_cup[len(results) // 2], with_cup[-1]) == (True, False, True)  # it leaves and comes back
    with Image.open(tmp_path / "tracked.jpg") as made, Image.open(ROOT / "docs" / "tracked.jpg") as shown:
        assert made.size == shown.size


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_link_leads_to_a_file_and_a_heading(page):
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        if "://" not in link and not (target.exists() and (not heading or heading in headings(target))):
            missing.append(link)
    assert missing == []


def headings(page: Path) -> set[str]:
    """As GitHub makes links of them."""
    lines = re.findall(r"\n#+ (.*)", "\n" + page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", [page for page in PAGES if shell(page)], ids=lambda page: page.name)
def test_every_shell_line_is_one_that_the_command_understands(page):
    lines = [line.split("#")[0] for block in shell(page) for line in block.splitlines() if line.startswith("persam ")]
    for line in lines:
        options, unknown = command_line().parse_known_args(joined(shlex.split(line)[1:]))
        assert options.run
        assert not any(word.startswith("-") for word in unknown), line


def test_the_readme_shows_the_commands_there_are():
    lines = " ".join(shell(ROOT / "README.md"))
    assert {"segment", "learn", "demo"} <= set(re.findall(r"\bpersam (\w+)", lines))


def test_the_models_are_those_of_the_table_with_their_sizes_and_licences():
    rows = {row[0].strip("`"): row[1:3] for row in rows_under(ROOT / "README.md", "Models")}
    sizes = {name: source.size_bytes or weights.path(name).stat().st_size for name, source in TABLE.items()}
    assert rows == {name: [f"{sizes[name] / 1e6:.0f} MB", source.licence] for name, source in TABLE.items()}


def test_the_recipes_are_those_there_are():
    assert [row[0].strip("`") for row in rows_under(ROOT / "docs" / "how-to.md", "Recipes")] == list(RECIPES)


METHOD = ROOT / "docs" / "method.md"


@pytest.mark.parametrize("row", rows_under(METHOD, "From the paper to the files"), ids=lambda row: row[0])
def test_each_step_of_the_paper_is_in_the_file_that_the_map_names(row):
    link = re.search(r"\(([^)]*\.py)\)", row[1])
    assert link is not None
    source = (METHOD.parent / link[1]).read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+)`", row[2]):
        assert re.search(rf"^ *(def|class) {name}\b", source, re.MULTILINE), f"{name} is not in {link[1]}"


def test_the_results_are_what_the_rows_give():
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    rows = tables.read_rows(ROOT / "data" / "results" / "eval.csv")
    assert tables.with_tables(page, rows) == page, "run `python -m persam.eval.tables`"


def test_the_model_card_is_in_the_wheel_and_names_the_command_that_trains():
    assert "python -m training.train --archive" in CARD.read_text(encoding="utf-8")
