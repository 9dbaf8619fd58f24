"""The order of the house: imports point down, between the wings and between the files of one wing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "persam"

# From the ground up. A part imports parts of the rows above it in this list, never one of its own row: they are
# independent of each other.
WINGS = (
    {"errors"},
    {"geometry"},
    {"types"},
    {"io", "sam"},
    {"method"},
    {"model"},
    {"export"},
    {"api"},
    {"tracking", "dreambooth", "engines", "cluster", "connectors"},
    {"eval", "studio", "doctor"},  # eval measures what a user gets, tracks included
    {"__init__"},
    {"cli"},
)
# The same within a wing: a file imports files of the rows above it.
FILES = {
    "io": (
        {
            "write",
            "rle",
            "image_values",
            "mask_labels",
            "video_contents",
            "names",
            "lock",
            "fonts",
            "background",
            "notebook",
            "outlines",
            "brush",
        },
        {"image_files", "mask_values", "shapes"},
        {"mask_cvat", "mask_label_studio"},
        {"mask_shapes"},
        {"images"},
        {"masks", "album", "again", "draw", "video_file", "video_sound"},
        {"mask_files", "video", "video_writer"},
        {"segmentation"},
        {"detections"},
        {"results"},
        {"video_formats", "proposal_sheet", "rows"},
        {"annotation_formats"},
        {"formats"},
        {"manifest"},
        {"run"},
        {"folder", "track_folder"},
    ),
    "sam": (
        {"_segment_anything", "weights_file", "sources", "malloc", "memory", "plain", "decoder"},
        {"weights", "checkpoint"},
        {"backbone"},
        {"crop", "image_encoder", "nano", "wrapped"},
        {"vit"},
        {"tiny_vit", "lora", "sam_adapter", "med_sa", "peers", "onnx_graph"},
        {"onnx_backbone"},
        {"load", "onnx_export"},
        {"video_model"},
        {"video_memory"},
    ),
    # the paper, a step a file, in the order of its steps
    "method": (
        {"recipes", "calibration", "scales", "light", "references", "components"},
        {"prototypes", "object_crop", "proposals", "edges"},
        {"verify", "prompts", "crop_refine"},
        {"prompt_masks"},
        {"concept"},
        {"find", "location", "decode"},
        {"instances"},
        {"rejoin", "judge"},
        {"official", "ours"},
    ),
    # the published recipe, ours, a video model's memory: beside each other; the tracker holds any
    "tracking": (
        {"recipes", "motion", "target_model"},
        {"official", "refine", "follower"},
        {"ours", "propagation"},
        {"tracker"},
        {"track"},
    ),
    "engines": ({"embedding_store", "lockstep"}, {"embedding_cache", "batches"}),
    # the loss needs torch alone; layouts of other trainers are made from pairs
    "dreambooth": (
        {"loss", "pairs", "layouts", "sheet", "features"},
        {"dataset", "preparation", "scoring"},
        {"train"},
    ),
    "connectors": ({"search"}, {"cvat", "fiftyone"}),
    # what Ray is given
    "cluster": (
        {"addresses", "blocks"},
        {"store"},
        {"worker"},
        {"job"},
    ),
    "eval": (
        {"changes", "metrics", "ablation", "peak_memory", "plot"},
        {"episodes"},
        {"datasets", "scores", "demo"},
        {"table", "report", "fit_location", "fit_verification", "shown"},
        {"benchmark", "calibrate", "cost_rows", "tune_speed"},
        {"encoder_speed"},
        {"encoder_process"},
        {
            "predict",
            "sheet",
            "track_cost",
            "photo_cost",
            "album_cost",
            "proposal_cost",
            "export_speed",
            "cluster_speed",
        },
        {"tracked"},
        {"compare", "tables", "instances", "growth"},
    ),
    "doctor": ({"line"}, {"packages"}, {"machine"}, {"examine"}),
    # what the page does, without gradio
    "studio": (
        {"limits"},
        {"photo", "marking"},
        {"shelf", "album"},
        {"review", "downloads", "compare"},
        {"clip", "training"},
        {"session", "guard"},
        {"page"},
        {"server"},
    ),
    "cli": (
        {"cache", "bench_rows", "streams"},
        {"texts", "shell", "action", "settings", "option_groups"},
        {"marks"},
        {"asked", "dreambooth_prepare", "dreambooth_score", "export", "propose", "doctor", "serve"},
        {"dreambooth_train"},
        {"dreambooth", "bench", "bench_speed", "track_options", "cluster"},
        {"arguments", "table"},
        {"segment", "track", "evaluate", "weights"},
        {"main"},
    ),
}
# Imported by one wing alone, and there inside functions: `import persam` must not need them.
CONFINED = {"segment_anything": "sam", "av": "io", "ray": "cluster", "diffusers": "dreambooth", "gradio": "studio"}
CONFINED |= {"onnx": "sam", "onnxruntime": "sam", "supervision": "io", "cvat_sdk": "connectors"}
CONFINED |= {"fiftyone": "connectors"}
# In the repository, not in the wheel.
OUTSIDE = {"tests", "training", "demos"}


def module_names(package: Path) -> dict[str, Path]:
    """`persam`, `persam.types`, `persam.sam.vit`, ... and their files."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        names[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return names


def part_of(module: str, depth: int) -> str:
    """`persam.sam.vit` is `sam` at depth 1 and `vit` at depth 2; a package itself is `__init__`."""
    names = module.split(".")
    return names[depth] if len(names) > depth else "__init__"


def row_of(part: str, rows: tuple[set[str], ...], table: str) -> int:
    for number, row in enumerate(rows):
        if part in row:
            return number
    pytest.fail(f"no row of {table} names {part!r}: add it to the row it belongs to")


def imports(source: str, module: str, known: set[str], *, is_package: bool) -> Iterator[tuple[str, int, bool]]:
    """What the source imports, the line, and whether it does so inside a function."""
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


def points_up(module: str, target: str) -> bool:
    """Whether an import of `target` by `module`, both of persam, is against the tables."""
    wing, other = part_of(module, 1), part_of(target, 1)
    if wing != other:
        return row_of(other, WINGS, "WINGS") >= row_of(wing, WINGS, "WINGS")
    file, other = part_of(module, 2), part_of(target, 2)
    if wing not in FILES or file == other or "__init__" in (file, other):
        return False
    rows, table = FILES[wing], f"FILES[{wing!r}]"
    return row_of(other, rows, table) >= row_of(file, rows, table)


def violations(module: str, source: str, known: set[str], *, is_package: bool = False) -> list[str]:
    """Every import of the source that the tables above forbid, as a line to read."""
    found = []
    wing = part_of(module, 1)
    row_of(wing, WINGS, "WINGS")
    if wing in FILES and part_of(module, 2) != "__init__":
        row_of(part_of(module, 2), FILES[wing], f"FILES[{wing!r}]")
    for target, line, lazily in imports(source, module, known, is_package=is_package):
        root = target.split(".")[0]
        if root == "persam" and points_up(module, target):
            found.append(f"{module}:{line} imports {target}, which does not lie below it")
        elif root in OUTSIDE:
            found.append(f"{module}:{line} imports {target}, which is not in the wheel")
        elif root in CONFINED and wing != CONFINED[root]:
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
    assert "persam.sam.vit" in modules  # the walk found the package
    assert not found, "\n".join(found)


KNOWN = {"persam", "persam.types", "persam.model", "persam.io", "persam.io.images", "persam.sam", "persam.sam.load"}
KNOWN |= {"persam.sam.backbone", "persam.sam.crop", "persam.sam.decoder", "persam.method", "persam.method.ours"}


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("persam.geometry", "import persam.types", "persam.geometry:1 imports persam.types, which does not lie below"),
        ("persam.types", "from persam.model import PerSAM", "imports persam.model, which"),
        ("persam.types", "from persam import model", "imports persam.model, which"),
        ("persam.types", "from persam import segment", "imports persam, which"),
        ("persam.types", "from . import model", "imports persam.model, which"),
        ("persam.types", "def late():\n    import persam.model", "persam.types:2 imports persam.model, which"),
        ("persam.sam.backbone", "from ..model import PerSAM", "imports persam.model, which"),
        ("persam.types", "import_module('persam.model')", "imports persam.model, which"),
        ("persam.io.draw", "import persam.sam.load", "persam.io.draw:1 imports persam.sam.load, which"),  # its sibling
        ("persam.tracking.ours", "from persam.eval import metrics", "imports persam.eval, which"),
        ("persam.sam.decoder", "from persam.sam.backbone import Backbone", "imports persam.sam.backbone, which"),
        ("persam.sam.nano", "from persam.sam import crop", "imports persam.sam.crop, which"),
        ("persam.method.location", "from .ours import segment", "imports persam.method.ours, which"),
        ("persam.model", "import training.train", "imports training.train, which is not in the wheel"),
        ("persam.model", "def late():\n    import segment_anything", "only persam.sam may"),
        ("persam.sam.vit", "import segment_anything", "at import time"),
        ("persam.sam.vit", "from segment_anything import modeling", "at import time"),
        ("persam.model", "def late():\n    import ray.data", "only persam.cluster may"),
        ("persam.model", "def late():\n    from diffusers import DDPMScheduler", "only persam.dreambooth may"),
    ],
)
def test_a_forbidden_import_is_named(module: str, source: str, complaint: str):
    [found] = violations(module, source, KNOWN)
    assert complaint in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("persam.model", "from persam.types import Prompt\nfrom . import io, types\nimport torch"),
        ("persam.sam.vit", "from .backbone import SamBackbone\nfrom persam.sam import backbone"),
        ("persam.sam.vit", "def build():\n    import_module('segment_anything.modeling')"),
        ("persam.eval.datasets.album", "from persam.eval.datasets import davis"),
        ("persam.cli.main", "import persam"),
    ],
)
def test_an_import_that_points_down_is_allowed(module: str, source: str):
    assert violations(module, source, KNOWN) == []


def test_a_relative_import_in_a_package_starts_at_the_package():
    assert violations("persam.sam", "from . import backbone", KNOWN, is_package=True) == []
    [found] = violations("persam.sam", "from .. import model", KNOWN, is_package=True)
    assert "imports persam.model" in found


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        ("persam.helpers", "no row of WINGS names 'helpers': add it to the row"),
        ("persam.method.helpers", r"no row of FILES\['method'\] names 'helpers': add it to the row"),
    ],
)
def test_a_module_without_a_row_says_to_add_one(module: str, complaint: str):
    with pytest.raises(pytest.fail.Exception, match=complaint):
        violations(module, "", KNOWN)
