"""Imports point down: every `persam/*.py` is parsed, and an import of a higher row fails."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "persam"

# A module may import its own row and the rows above it in this list. A package counts as one module.
ROWS = (
    {"errors"},
    {"geometry"},
    {"types"},
    {"io", "draw", "formats", "weights"},
    {"targets", "segmentation", "results"},
    {"decoder"},
    {"backbones"},
    {"closeup"},
    {"recipes", "prototypes", "portrait", "concept", "reference", "location", "refine", "zoom", "scales", "presence"},
    {"model"},
    {"video", "eval", "engines", "dreambooth"},
    {"__init__"},
    {"cli", "command_line", "demo", "serve", "__main__"},
)
# These may import less than their row would let them.
ONLY = {
    "io": {"errors", "types"},
    "draw": {"errors", "types"},
    "formats": {"errors", "types"},
}
# Imported by one package alone, and there inside functions: `import persam` must not need them.
CONFINED = {"segment_anything": "backbones", "ray": "engines"}
# In the repository, not in the wheel.
OUTSIDE = {"tests", "training", "demos"}


def module_names(package: Path) -> dict[str, Path]:
    """`persam`, `persam.types`, `persam.backbones.sam`, ... and their files."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        names[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return names


def part_of(module: str) -> str:
    """The name that ROWS knows a module by: `persam.backbones.sam` is `backbones`, `persam` itself `__init__`."""
    return module.split(".")[1] if "." in module else "__init__"


def row_of(part: str) -> int:
    for number, row in enumerate(ROWS):
        if part in row:
            return number
    pytest.fail(f"persam has a module {part!r} that no row of ROWS names: add it to the row it belongs to")


def imports(source: str, module: str, known: set[str], *, is_package: bool) -> Iterator[tuple[str, int, bool]]:
    """What the source imports, the line, and whether it does so while it is itself being imported."""
    tree = ast.parse(source)
    lazy = {
        inner
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(function)
    }
    base = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = base[: len(base) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            inner = [f"{origin}.{alias.name}" for alias in node.names]
            targets = [name if name in known else origin for name in inner]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            text = node.args[0].value
            targets = [text] if called in {"import_module", "__import__"} and isinstance(text, str) else []
        else:
            continue
        for target in targets:
            yield target, node.lineno, node in lazy


def violations(module: str, source: str, known: set[str], *, is_package: bool = False) -> list[str]:
    """Every import of the source that the tables above forbid, as a line to read."""
    part = part_of(module)
    row, found = row_of(part), []
    for target, line, lazily in imports(source, module, known, is_package=is_package):
        root = target.split(".")[0]
        if root == "persam":
            other = part_of(target)
            if other == part:
                continue
            if part in ONLY and other not in ONLY[part]:
                found.append(f"{module}:{line} imports {target}; {part} may import {sorted(ONLY[part])} only")
            elif row_of(other) > row:
                found.append(f"{module}:{line} imports {target}, which is above it")
        elif root in OUTSIDE:
            found.append(f"{module}:{line} imports {target}, which is not in the wheel")
        elif root in CONFINED and part != CONFINED[root]:
            found.append(f"{module}:{line} imports {target}; only persam.{CONFINED[root]} may")
        elif root in CONFINED and not lazily:
            found.append(f"{module}:{line} imports {target} at import time; do it inside the function that needs it")
    return found


def test_imports_of_persam_point_down():
    modules = module_names(PACKAGE)
    found = [
        line
        for module, path in modules.items()
        for line in violations(module, path.read_text(), set(modules), is_package=path.name == "__init__.py")
    ]
    assert "persam.errors" in modules  # the walk found the package
    assert not found, "\n".join(found)


KNOWN = {"persam", "persam.types", "persam.model", "persam.io", "persam.backbones", "persam.backbones.base"}


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("persam.geometry", "import persam.types", "persam.geometry:1 imports persam.types, which is above it"),
        ("persam.types", "from persam.model import PerSAM", "imports persam.model, which is above it"),
        ("persam.types", "from persam import model", "imports persam.model, which is above it"),
        ("persam.types", "from persam import segment", "imports persam, which is above it"),
        ("persam.types", "from . import model", "imports persam.model, which is above it"),
        ("persam.types", "def late():\n    import persam.model", "persam.types:2 imports persam.model"),
        ("persam.backbones.base", "from ..model import PerSAM", "imports persam.model, which is above it"),
        ("persam.types", "import_module('persam.model')", "imports persam.model, which is above it"),
        ("persam.model", "import training.train", "imports training.train, which is not in the wheel"),
        ("persam.draw", "import persam.io", "draw may import ['errors', 'types'] only"),
        ("persam.model", "def late():\n    import segment_anything", "only persam.backbones may"),
        ("persam.backbones.sam", "import segment_anything", "at import time"),
        ("persam.backbones.sam", "from segment_anything import modeling", "at import time"),
        ("persam.model", "def late():\n    import ray.data", "only persam.engines may"),
    ],
)
def test_a_forbidden_import_is_named(module: str, source: str, complaint: str):
    [found] = violations(module, source, KNOWN)
    assert complaint in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("persam.model", "from persam.types import Prompt\nfrom . import io, types\nimport torch"),
        ("persam.backbones.sam", "from .base import SamBackbone\nfrom persam.backbones import base"),
        ("persam.backbones.sam", "def build():\n    import_module('segment_anything.modeling')"),
        ("persam.cli", "import persam"),
    ],
)
def test_an_import_that_points_down_is_allowed(module: str, source: str):
    assert violations(module, source, KNOWN) == []


def test_a_relative_import_in_a_package_starts_at_the_package():
    assert violations("persam.backbones", "from . import base", KNOWN, is_package=True) == []
    [found] = violations("persam.backbones", "from .. import model", KNOWN, is_package=True)
    assert "imports persam.model" in found


def test_a_module_without_a_row_says_to_add_one():
    with pytest.raises(pytest.fail.Exception, match="'helpers' that no row of ROWS names: add it to the row"):
        violations("persam.helpers", "", KNOWN)
