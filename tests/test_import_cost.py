"""Importing persam costs nothing: what is heavy is imported by what needs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
HEAVY = {
    "torch",
    "torchvision",
    "cv2",
    "segment_anything",
    "diffusers",
    "transformers",
    "ray",
    "pyarrow",
    "av",
    "gradio",
}
LIMIT_S = 0.3

# Processor time, which other work on the machine does not stretch as it does the clock's.
MEASURE = """
import json, sys, time
start = time.process_time()
{statements}
seconds = time.process_time() - start
print(json.dumps({{"seconds": seconds, "modules": sorted({{name.split(".")[0] for name in sys.modules}})}}))
"""

HELP = """
from persam.cli.main import main
sys.argv = ["persam", "--help"]
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
"""


def measure(statements: str) -> tuple[float, set[str]]:
    """Seconds the statements took in a fresh interpreter, and the top-level modules that were loaded after them."""
    command = [sys.executable, "-c", MEASURE.format(statements=statements)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    return result["seconds"], set(result["modules"])


@pytest.mark.parametrize("statements", ["import persam", HELP], ids=["import", "help"])
def test_nothing_heavy_is_loaded(statements: str):
    _, modules = measure(statements)
    assert "persam" in modules
    assert not modules & HEAVY


@pytest.mark.slow
def test_the_measurement_sees_a_heavy_import():
    seconds, modules = measure("import torch")
    assert "torch" in modules
    assert seconds > LIMIT_S


def test_importing_takes_less_than_a_third_of_a_second():
    assert min(measure("import persam")[0] for _ in range(3)) < LIMIT_S
